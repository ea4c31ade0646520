//! Sends a command's call and makes its answer readable.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use nearcast_api::Problem;
use nearcast_service::client::{self, Http};
use nearcast_service::http::{Body, read_limited};
use nearcast_service::log::Chain;
use serde_json::Value;

use super::commands::{Plan, Shape, part};
use super::{Access, enrolment, table};

/// What to print, or one line on what went wrong.
pub(super) fn send(access: &Access, plan: Plan) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let (status, body) = runtime.block_on(answer(access, &plan))?;
    if !status.is_success() {
        let problem: Option<Problem> = serde_json::from_slice(&body).ok();
        return Err(
            problem.map_or_else(|| format!("the control plane answered {status}"), |problem| problem.detail)
        );
    }
    if body.is_empty() {
        return Ok(String::new());
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    if plan.shape == Shape::Lines {
        return Ok(text);
    }
    let value: Value = serde_json::from_str(&text)
        .map_err(|_| "the answer is no JSON: is that a control plane?".to_owned())?;
    Ok(match (access.json, plan.shape) {
        (_, Shape::Token(Some(file))) => save(&value, &file)?,
        (true, _) | (_, Shape::Lines) => format!("{value:#}\n"),
        (false, Shape::Token(None)) => format!("{}\n", value["token"].as_str().unwrap_or_default()),
        (false, Shape::List(field, columns)) => {
            table::list(value[field].as_array().map_or(&[], Vec::as_slice), columns)
        }
        (false, Shape::Report(field, columns)) => {
            let mut rest = value;
            let rows = rest.as_object_mut().and_then(|rest| rest.remove(field)).unwrap_or_default();
            let rows = table::list(rows.as_array().map_or(&[], Vec::as_slice), columns);
            format!("{}\n{rows}", table::report(&rest))
        }
        (false, Shape::One) => table::one(&value),
        (false, Shape::Configuration) => enrolment::configuration(&value, &access.url),
    })
}

/// The whole answer: a list that comes in pages is followed to its end, and is one list.
async fn answer(access: &Access, plan: &Plan) -> Result<(StatusCode, Bytes), String> {
    let (status, body) = exchange(access, plan, None).await?;
    let Shape::List(field, _) = plan.shape else { return Ok((status, body)) };
    if plan.path.contains("limit=") || plan.path.contains("cursor=") {
        // This page and no other.
        return Ok((status, body));
    }
    let mut list: Value = match serde_json::from_slice(&body) {
        Ok(list) if status.is_success() => list,
        _ => return Ok((status, body)),
    };
    // Where there is a cursor there are pages; the audit log's `next` is a number, and its length was asked for.
    while let Some(cursor) = list["next"].as_str().map(str::to_owned) {
        let (status, body) = exchange(access, plan, Some(&cursor)).await?;
        let mut page: Value = match serde_json::from_slice(&body) {
            Ok(page) if status.is_success() => page,
            _ => return Ok((status, body)),
        };
        list["next"] = page["next"].take();
        if let (Some(all), Some(more)) = (list[field].as_array_mut(), page[field].as_array_mut()) {
            all.append(more);
        }
    }
    if let Some(fields) = list.as_object_mut()
        && fields.get("next") == Some(&Value::Null)
    {
        fields.remove("next");
    }
    Ok((status, list.to_string().into()))
}

async fn exchange(access: &Access, plan: &Plan, cursor: Option<&str>) -> Result<(StatusCode, Bytes), String> {
    let config = client::Config { ca: access.ca.clone().unwrap_or_default(), ..client::Config::default() };
    let http = Http::new(&config).map_err(|error| Chain(&error).to_string())?;
    let base = access.url.trim_end_matches('/');
    let mut uri = format!("{base}/api/v1{}", plan.path);
    if let Some(cursor) = cursor {
        let mark = if uri.contains('?') { '&' } else { '?' };
        uri += &format!("{mark}cursor={}", part(cursor));
    }
    let mut request = Request::builder().method(plan.method.clone()).uri(uri);
    if let Some(token) = token(access)? {
        let value = HeaderValue::try_from(format!("Bearer {token}"));
        request = request.header(AUTHORIZATION, value.map_err(|_| "the token has characters that none has")?);
    }
    let body = plan.body.as_ref().map(Value::to_string).unwrap_or_default();
    let request = request.header(CONTENT_TYPE, "application/json").body(Body::from(body));
    let request = request.map_err(|_| format!("{} is no base URL: use https://HOST", access.url))?;
    let asked = async {
        let response = http
            .request(request)
            .await
            .map_err(|error| match client::is_untrusted(&error) {
                true => format!(
                    "nobody here knows who has given {base} its certificate: use --ca (or NEARCASTCTL_CA) with that \
                     authority's; the control plane's own is at {base}/api/v1/ca.pem"
                ),
                false => format!("cannot reach {base}: {}; is --url right?", Chain(&error)),
            })?;
        let status = response.status();
        let body = read_limited(response.into_body(), MAX_ANSWER).await;
        Ok((status, body.map_err(|error| format!("the answer broke off: {}", Chain(&error)))?))
    };
    let late = |_| format!("{base} did not answer within {} s", PATIENCE.as_secs());
    tokio::time::timeout(PATIENCE, asked).await.map_err(late)?
}

/// Writes a token where only its owner can read it.
fn save(value: &Value, file: &Path) -> Result<String, String> {
    let token = value["token"].as_str().ok_or("the answer has no token: is that a control plane?")?;
    let failed = |error: std::io::Error| format!("cannot write the token to {}: {error}", file.display());
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file);
    let mut opened = opened.map_err(failed)?;
    // One that was there may have been open to others.
    opened.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    opened.write_all(format!("{token}\n").as_bytes()).map_err(failed)?;
    Ok(format!("the token is in {0}: use it with --token-file {0}\n", file.display()))
}

fn token(access: &Access) -> Result<Option<String>, String> {
    if access.anonymous {
        return Ok(None);
    }
    // What is said goes before what is set up.
    let set_up = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let file = match (&access.token_file, &access.token) {
        (Some(file), _) => file.clone(),
        (None, Some(token)) => return Ok(Some(token.clone())),
        (None, None) => match set_up("NEARCASTCTL_TOKEN_FILE") {
            Some(file) => file.into(),
            None => return Ok(set_up("NEARCASTCTL_TOKEN")),
        },
    };
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("cannot read the token in {}: {error}", file.display()))?;
    Ok(Some(text.trim().to_owned()))
}

/// Longer than a purge waits for edges.
const PATIENCE: Duration = Duration::from_secs(60);
const MAX_ANSWER: usize = 256 << 20;
