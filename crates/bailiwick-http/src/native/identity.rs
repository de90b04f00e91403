//! Members and accounts with their credentials.

use bailiwick_app::{AppError, accounts, members};
use bailiwick_types::api::identity::{
    AccountKind, CreateAccount, CreateMember, IssueCredential, RotateCredential, UpdateAccount, UpdateMember,
};

use crate::call::Call;
use crate::route::Route;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::tenant("GET", "/api/v1/t/{tenant}/members", |call| Ok(members::List { page: call.page()? })).paged(),
        Route::tenant("POST", "/api/v1/t/{tenant}/members", |call| Ok(members::Create { input: call.json()? }))
            .takes::<CreateMember>()
            .creates(),
        Route::tenant("GET", "/api/v1/t/{tenant}/members/{member}", |call| {
            Ok(members::Show { id: call.id("member")? })
        }),
        Route::tenant("PATCH", "/api/v1/t/{tenant}/members/{member}", |call| {
            Ok(members::Update { id: call.id("member")?, input: call.json()?, if_match: call.if_match()? })
        })
        .takes::<UpdateMember>(),
        Route::tenant("DELETE", "/api/v1/t/{tenant}/members/{member}", |call| {
            Ok(members::Delete { id: call.id("member")?, if_match: call.if_match()? })
        }),
        Route::tenant("GET", "/api/v1/t/{tenant}/members/{member}/credentials", |call| {
            Ok(members::ListCredentials { member: call.id("member")?, page: call.page()? })
        })
        .paged(),
        Route::tenant("POST", "/api/v1/t/{tenant}/members/{member}/credentials", |call| {
            Ok(members::IssueCredentialTo { member: call.id("member")?, input: call.json_or_default()? })
        })
        .takes::<IssueCredential>()
        .creates(),
        Route::tenant("DELETE", "/api/v1/t/{tenant}/members/{member}/credentials/{credential}", |call| {
            Ok(members::RevokeCredential { member: call.id("member")?, credential: call.id("credential")? })
        }),
        Route::tenant("GET", "/api/v1/t/{tenant}/accounts", list_accounts).paged().query(&[
            ("kind", "only `service` or only `agent`"),
            ("owner", "only those that this member answers for"),
            ("label", "only those with this label, as `name=value`"),
        ]),
        Route::tenant("POST", "/api/v1/t/{tenant}/accounts", |call| Ok(accounts::Create { input: call.json()? }))
            .takes::<CreateAccount>()
            .creates(),
        Route::tenant("GET", "/api/v1/t/{tenant}/accounts/{account}", |call| {
            Ok(accounts::Show { id: call.id("account")? })
        }),
        Route::tenant("PATCH", "/api/v1/t/{tenant}/accounts/{account}", |call| {
            Ok(accounts::Update { id: call.id("account")?, input: call.json()?, if_match: call.if_match()? })
        })
        .takes::<UpdateAccount>(),
        Route::tenant("DELETE", "/api/v1/t/{tenant}/accounts/{account}", |call| {
            Ok(accounts::Delete { id: call.id("account")?, if_match: call.if_match()? })
        }),
        Route::tenant("GET", "/api/v1/t/{tenant}/accounts/{account}/keys", |call| {
            Ok(accounts::ListKeys { account: call.id("account")?, page: call.page()? })
        })
        .paged(),
        Route::tenant("POST", "/api/v1/t/{tenant}/accounts/{account}/keys", |call| {
            Ok(accounts::IssueKey { account: call.id("account")?, input: call.json_or_default()? })
        })
        .takes::<IssueCredential>()
        .creates(),
        Route::tenant("GET", "/api/v1/t/{tenant}/accounts/{account}/keys/{key}", |call| {
            Ok(accounts::ShowKey { account: call.id("account")?, key: call.id("key")? })
        }),
        Route::tenant("DELETE", "/api/v1/t/{tenant}/accounts/{account}/keys/{key}", |call| {
            Ok(accounts::RevokeKey { account: call.id("account")?, key: call.id("key")? })
        }),
        Route::tenant("POST", "/api/v1/t/{tenant}/accounts/{account}/keys/{key}/rotate", |call| {
            let (account, key) = (call.id("account")?, call.id("key")?);
            Ok(accounts::RotateKey { account, key, input: call.json_or_default()? })
        })
        .takes::<RotateCredential>()
        .creates(),
    ]
}

fn list_accounts(call: &Call) -> Result<accounts::List, AppError> {
    let kind = match call.query("kind") {
        None => None,
        Some("service") => Some(AccountKind::Service),
        Some("agent") => Some(AccountKind::Agent),
        Some(_) => return Err(AppError::invalid("`kind` must be `service` or `agent`")),
    };
    let label = match call.query("label") {
        None => None,
        Some(text) => {
            let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            Some(pair.ok_or_else(|| AppError::invalid("`label` must be `name=value`"))?)
        }
    };
    Ok(accounts::List { page: call.page()?, kind, owner: call.parsed("owner")?, label })
}
