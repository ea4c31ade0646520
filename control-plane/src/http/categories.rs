//! Categories of channels: listed for everybody, changed by operators.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, LOCATION, VARY};
use http::{HeaderMap, StatusCode};
use nearcast_api::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Operator;
use super::{Shared, directory, extract};
use crate::category::{Category, Patch};
use crate::error::Result;
use crate::language::Range;

/// A category.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Category)]
pub(super) struct View {
    id: String,
    /// Its name in the language that suits the caller best.
    name: String,
    /// Which one that is.
    language: String,
    /// Its names by language (BCP 47).
    names: BTreeMap<String, String>,
}

/// All categories by id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CategoryList)]
pub(super) struct List {
    categories: Vec<View>,
}

/// A category to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateCategory)]
pub(super) struct Create {
    /// At most 64 of `a-z 0-9 -`. It stays as it is.
    id: String,
    /// Names by language (BCP 47), `en` among them; at most 100 of at most 100 characters.
    names: BTreeMap<String, String>,
}

/// What changes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeCategory)]
pub(super) struct Change {
    /// Names by language; null takes one away.
    #[schema(value_type = BTreeMap<String, String>)]
    names: Patch,
}

/// In which language.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// The language of `name`, such as `pt-BR`; what suits it best is taken (RFC 4647 §3.4), then what suits the header
    /// `Accept-Language`, then English.
    #[param(value_type = Option<String>)]
    language: Option<Range>,
}

/// All categories
#[utoipa::path(get, operation_id = "listCategories", path = "/categories", tag = "viewers", params(Query), security(()),
    responses((status = 200, body = List), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn list(
    extract::Query(Query { language }): extract::Query<Query>,
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Response {
    let wanted: Vec<Range> = language.into_iter().chain(directory::accepted(&headers)).collect();
    let categories = shared.plane.categories();
    let list = List { categories: categories.values().map(|category| view(category, &wanted)).collect() };
    let headers =
        [(CACHE_CONTROL, "public, max-age=5"), (VARY, "accept-language"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, Json(list)).into_response()
}

/// Make a category
#[utoipa::path(post, operation_id = "createCategory", path = "/categories", tag = "channels", request_body = Create,
    security(("token" = ["operator"])),
    responses((status = 201, body = View),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "It exists"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn create(
    Operator(by): Operator,
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    extract::Json(Create { id, names }): extract::Json<Create>,
) -> Result<Response> {
    let names = names.into_iter().map(|(language, name)| (language, Some(name))).collect();
    let category = Category::new(id, names)?;
    shared.plane.create_category(&by, &category).await?;
    let location = [(LOCATION, format!("{}/categories/{}", super::PREFIX, category.id))];
    Ok((StatusCode::CREATED, location, Json(view(&category, &directory::accepted(&headers)))).into_response())
}

/// Change a category's names
#[utoipa::path(patch, operation_id = "changeCategory", path = "/categories/{category}", tag = "channels",
    params(("category" = String, Path)), request_body = Change, security(("token" = ["operator"])),
    responses((status = 200, body = View), (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn change(
    Operator(by): Operator,
    extract::Path(id): extract::Path<String>,
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    extract::Json(Change { names }): extract::Json<Change>,
) -> Result<Json<View>> {
    let category = shared.plane.change_category(&by, &id, names).await?;
    Ok(Json(view(&category, &directory::accepted(&headers))))
}

/// Delete a category that no channel has
#[utoipa::path(delete, operation_id = "deleteCategory", path = "/categories/{category}", tag = "channels",
    params(("category" = String, Path)), security(("token" = ["operator"])),
    responses((status = 204),
        (status = 409, body = Problem, content_type = Problem::CONTENT_TYPE, description = "Channels have it"),
        (status = "4XX", body = Problem, content_type = Problem::CONTENT_TYPE)))]
pub(super) async fn delete(
    Operator(by): Operator,
    extract::Path(id): extract::Path<String>,
    State(shared): State<Arc<Shared>>,
) -> Result<StatusCode> {
    shared.plane.delete_category(&by, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(category: &Category, wanted: &[Range]) -> View {
    let (language, name) = category.name(wanted);
    let names = category.names.iter().map(|(tag, name)| (tag.to_string(), name.clone()));
    View {
        id: category.id.clone(),
        name: name.to_owned(),
        language: language.to_owned(),
        names: names.collect(),
    }
}
