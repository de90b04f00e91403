//! `auth/token`: the caller's own credential. It is looked up and given back; it does not renew itself.

use bailiwick_app::AppError;
use bailiwick_app::whoami::{RevokeSelf, WhoAmIOperator, WhoAmITenant};
use bailiwick_types::Timestamp;
use bailiwick_types::api::tenant::WhoAmI;
use serde::Serialize;

use super::{envelope, row};
use crate::call::Call;
use crate::reply::Reply;
use crate::route::Route;

pub(super) fn routes() -> Vec<Route> {
    vec![
        row::<WhoAmITenant, _>("GET", "/v1/auth/token/lookup-self", lookup),
        row::<WhoAmITenant, _>("POST", "/v1/auth/token/lookup-self", lookup),
        row::<WhoAmITenant, _>("POST", "/v1/auth/token/renew-self", renew),
        row::<RevokeSelf, _>("POST", "/v1/auth/token/revoke-self", revoke),
    ]
}

#[derive(Serialize)]
struct Token<'a> {
    accessor: &'a str,
    creation_time: i64,
    creation_ttl: u64,
    display_name: &'a str,
    entity_id: &'a str,
    expire_time: Option<Timestamp>,
    explicit_max_ttl: u64,
    id: &'a str,
    issue_time: Timestamp,
    meta: Option<()>,
    namespace_path: String,
    num_uses: u64,
    orphan: bool,
    path: &'a str,
    policies: Vec<&'a str>,
    renewable: bool,
    ttl: u64,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// Who the caller is: a tenant's principal or an operator, as the credential claims. Each is authenticated on its own
/// plane; the claim only says on which one to try.
async fn caller(call: &Call) -> Result<WhoAmI, AppError> {
    let is_operator = call.meta().credential.as_ref().is_some_and(|text| text.expose().starts_with("bwo_"));
    if is_operator {
        return Ok(call.app().run_platform(call.meta(), || Ok(WhoAmIOperator)).await?.into_value());
    }
    Ok(call.app().run(call.meta(), || Ok(WhoAmITenant)).await?.into_value())
}

async fn lookup(call: Call) -> Result<Reply, AppError> {
    let who = caller(&call).await?;
    let credential = call.meta().credential.as_ref();
    let created = who.credential.created;
    let left_after = |start| who.credential.expires.map_or(0, |moment| moment.since(start).as_secs());
    let mut policies: Vec<&str> = who.roles.iter().map(|held| held.role.as_str()).collect();
    policies.sort_unstable();
    policies.dedup();
    let token = Token {
        accessor: &who.credential.id,
        creation_time: created.unix_seconds(),
        creation_ttl: left_after(created),
        display_name: &who.principal.name,
        entity_id: &who.principal.id,
        expire_time: who.credential.expires,
        explicit_max_ttl: 0,
        // `bao login` keeps what it finds here: the very text that the caller has just sent.
        id: credential.map(|text| text.expose().as_str()).unwrap_or_default(),
        issue_time: created,
        meta: None,
        namespace_path: who.tenant.as_ref().map(|tenant| format!("{}/", tenant.slug)).unwrap_or_default(),
        num_uses: 0,
        orphan: true,
        path: "auth/token/create",
        policies,
        renewable: false,
        ttl: left_after(call.app().now()),
        kind: "service",
    };
    envelope::data(&call, &[], &token)
}

async fn renew(call: Call) -> Result<Reply, AppError> {
    caller(&call).await?;
    Err(AppError::invalid("lease is not renewable"))
}

async fn revoke(call: Call) -> Result<Reply, AppError> {
    call.app().run(call.meta(), || Ok(RevokeSelf)).await?;
    Ok(envelope::done())
}
