//! One certificate from an ACME server: an account, a proof for each name, an order (RFC 8555).

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error as Cause, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};

use super::Config;
use super::challenges::{Challenges, Proving};
use super::folder::Folder;
use super::http::Client;
use crate::{Error, Result};

/// Asks for a certificate for all names and gives its chain and key in PEM.
///
/// # Errors
/// The server cannot be reached, refuses, or does not find this process where a name leads.
pub(super) async fn certificate(
    config: &Config,
    folder: &Folder,
    client: Client,
    challenges: &Challenges,
) -> Result<String> {
    let failed = |what| move |source: Cause| refused(config, what, source);
    let account = account(config, folder, client).await?;
    let identifiers: Vec<_> = config.names.iter().cloned().map(Identifier::Dns).collect();
    let ordered = account.new_order(&NewOrder::new(&identifiers)).await;
    let mut order = ordered.map_err(failed("an order"))?;

    let proving = challenges.open();
    let proven = prove(config, &mut order, &proving).await;
    if let Err(error) = proven {
        return Err(reasons(&mut order).await.unwrap_or(error));
    }
    drop(proving);
    let key = order.finalize().await.map_err(failed("a certificate"))?;
    let chain = order.poll_certificate(&PATIENCE).await.map_err(failed("a certificate"))?;
    Ok(format!("{key}{chain}"))
}

/// The account that is on disk, or a new one.
async fn account(config: &Config, folder: &Folder, client: Client) -> Result<Account> {
    let failed = |source: Cause| refused(config, "an account", source);
    let builder = Account::builder_with_http(Box::new(client));
    if let Some(known) = folder.account()? {
        return builder.from_credentials(known).await.map_err(failed);
    }
    let contact = format!("mailto:{}", config.contact);
    let contact = if config.contact.is_empty() { [].as_slice() } else { &[contact.as_str()] };
    let terms_of_service_agreed = config.agree_to_terms;
    let new = NewAccount { contact, terms_of_service_agreed, only_return_existing: false };
    let made = builder.create(&new, config.directory.clone(), None).await;
    let (account, credentials) = made.map_err(failed)?;
    folder.keep_account(&credentials)?;
    Ok(account)
}

/// Proves all names that the server does not know to be ours, and waits until it has seen it.
async fn prove(config: &Config, order: &mut Order, proving: &Proving<'_>) -> Result<()> {
    let failed = |source: Cause| refused(config, "a proof", source);
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(failed)?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let unable = failed(Cause::Unsupported("the challenge tls-alpn-01"));
        let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
            return Err(unable);
        };
        let name = challenge.identifier().to_string();
        let digest = challenge.key_authorization().digest();
        let digest = digest.as_ref().try_into().map_err(|_| failed(Cause::Crypto))?;
        proving.prove(&name, digest)?;
        challenge.set_ready().await.map_err(failed)?;
    }
    match order.poll_ready(&PATIENCE).await.map_err(failed)? {
        OrderStatus::Ready => Ok(()),
        _ => Err(failed(Cause::Str("a reason"))),
    }
}

/// What the server says about each name that it could not verify, if it says so.
async fn reasons(order: &mut Order) -> Option<Error> {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        // What the server says now, not what it said when the order was made.
        let Ok(state) = authorization.refresh().await else { continue };
        let name = state.identifier().to_string();
        let problems = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(problems.map(|problem| format!("{name}: {problem}")));
    }
    (!reasons.is_empty()).then(|| Error::AcmeNames { reasons: reasons.join("; ") })
}

fn refused(config: &Config, what: &'static str, source: Cause) -> Error {
    Error::Acme { directory: config.directory.clone(), what, source: Box::new(source) }
}

/// For the server to make up its mind.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));
