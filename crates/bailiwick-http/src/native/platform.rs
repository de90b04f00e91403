//! The platform plane: tenants, operators, guardrails, the installation.

use bailiwick_app::{installation, isolation, operators, tenants, whoami};
use bailiwick_types::api::identity::IssueCredential;
use bailiwick_types::api::platform::{
    CreateOperator, CreateTenant, RotateRootKey, SetQuotas, UpdateOperator, UpdateTenant,
};
use bailiwick_types::api::policy::{CreatePolicy, PutPolicy};
use bailiwick_types::api::tenant::Reason;

use crate::route::Route;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::platform("GET", "/api/v1/platform/whoami", |_| Ok(whoami::WhoAmIOperator)),
        Route::platform("GET", "/api/v1/platform/health", |_| Ok(tenants::Health { version: installation::VERSION })),
        Route::platform("GET", "/api/v1/platform/isolation", |_| Ok(isolation::Show)),
        Route::platform("POST", "/api/v1/platform/isolation:probe", |_| Ok(isolation::Probe)),
        Route::platform("POST", "/api/v1/platform/root-key/rotate", |call| {
            let key_file = call.server.config.root_key_file.clone();
            Ok(installation::RotateRoot { input: call.json()?, key_file })
        })
        .takes::<RotateRootKey>(),
        Route::platform("POST", "/api/v1/platform/seal", |call| {
            Ok(installation::SealInstallation { input: call.json_or_default()? })
        })
        .takes::<Reason>(),
        Route::platform("GET", "/api/v1/tenants", |call| {
            Ok(tenants::List { page: call.page()?, state: call.query("state").map(str::to_owned) })
        })
        .paged()
        .query(&[("state", "only `active`, `suspended`, `deleting` or `deleted`")]),
        Route::platform("POST", "/api/v1/tenants", |call| Ok(tenants::Create { input: call.json()? }))
            .takes::<CreateTenant>()
            .creates(),
        Route::platform("GET", "/api/v1/tenants/{tenant}", |call| {
            Ok(tenants::Show { tenant: call.text("tenant").to_owned() })
        }),
        Route::platform("PATCH", "/api/v1/tenants/{tenant}", |call| {
            let tenant = call.text("tenant").to_owned();
            Ok(tenants::Update { tenant, input: call.json()?, if_match: call.if_match()? })
        })
        .takes::<UpdateTenant>(),
        Route::platform("DELETE", "/api/v1/tenants/{tenant}", |call| {
            let hold = call.query("hold").map(str::to_owned);
            Ok(tenants::Delete { tenant: call.text("tenant").to_owned(), hold, if_match: call.if_match()? })
        })
        .query(&[("hold", "how long the tenant can still be saved, such as `7d`")]),
        Route::platform("POST", "/api/v1/tenants/{tenant}/suspend", |call| {
            Ok(tenants::Suspend { tenant: call.text("tenant").to_owned(), input: call.json_or_default()? })
        })
        .takes::<Reason>(),
        Route::platform("POST", "/api/v1/tenants/{tenant}/resume", |call| {
            Ok(tenants::Resume { tenant: call.text("tenant").to_owned(), input: call.json_or_default()? })
        })
        .takes::<Reason>(),
        Route::platform("POST", "/api/v1/tenants/{tenant}/seal", |call| {
            Ok(tenants::Seal { tenant: call.text("tenant").to_owned(), input: call.json_or_default()? })
        })
        .takes::<Reason>(),
        Route::platform("POST", "/api/v1/tenants/{tenant}/unseal", |call| {
            Ok(tenants::Unseal { tenant: call.text("tenant").to_owned(), input: call.json_or_default()? })
        })
        .takes::<Reason>(),
        Route::platform("GET", "/api/v1/tenants/{tenant}/quotas", |call| {
            Ok(tenants::ShowQuotas { tenant: call.text("tenant").to_owned() })
        }),
        Route::platform("PUT", "/api/v1/tenants/{tenant}/quotas", |call| {
            Ok(tenants::PutQuotas { tenant: call.text("tenant").to_owned(), input: call.json()? })
        })
        .takes::<SetQuotas>(),
        Route::platform("GET", "/api/v1/guardrails", |call| Ok(operators::ListGuardrails { page: call.page()? }))
            .paged(),
        Route::platform("POST", "/api/v1/guardrails", |call| {
            let input: CreatePolicy = call.json()?;
            Ok(operators::PutGuardrail {
                name: input.name,
                input: PutPolicy { description: input.description, text: input.text, dry_run: input.dry_run },
                if_match: None,
                must_be_new: true,
            })
        })
        .takes::<CreatePolicy>()
        .creates(),
        Route::platform("GET", "/api/v1/guardrails/{guardrail}", |call| {
            Ok(operators::ShowGuardrail { name: call.id("guardrail")? })
        }),
        Route::platform("PUT", "/api/v1/guardrails/{guardrail}", |call| {
            Ok(operators::PutGuardrail {
                name: call.name("guardrail")?,
                input: call.json()?,
                if_match: call.if_match()?,
                must_be_new: call.must_be_new(),
            })
        })
        .takes::<PutPolicy>(),
        Route::platform("DELETE", "/api/v1/guardrails/{guardrail}", |call| {
            Ok(operators::DeleteGuardrail { name: call.id("guardrail")?, if_match: call.if_match()? })
        }),
        Route::platform("GET", "/api/v1/operators", |call| Ok(operators::List { page: call.page()? })).paged(),
        Route::platform("POST", "/api/v1/operators", |call| Ok(operators::Create { input: call.json()? }))
            .takes::<CreateOperator>()
            .creates(),
        Route::platform("GET", "/api/v1/operators/{operator}", |call| Ok(operators::Show { id: call.id("operator")? })),
        Route::platform("PATCH", "/api/v1/operators/{operator}", |call| {
            Ok(operators::Update { id: call.id("operator")?, input: call.json()?, if_match: call.if_match()? })
        })
        .takes::<UpdateOperator>(),
        Route::platform("DELETE", "/api/v1/operators/{operator}", |call| {
            Ok(operators::Delete { id: call.id("operator")?, if_match: call.if_match()? })
        }),
        Route::platform("GET", "/api/v1/operators/{operator}/credentials", |call| {
            Ok(operators::ListCredentials { operator: call.id("operator")?, page: call.page()? })
        })
        .paged(),
        Route::platform("POST", "/api/v1/operators/{operator}/credentials", |call| {
            Ok(operators::IssueCredentialTo { operator: call.id("operator")?, input: call.json_or_default()? })
        })
        .takes::<IssueCredential>()
        .creates(),
        Route::platform("DELETE", "/api/v1/operators/{operator}/credentials/{credential}", |call| {
            Ok(operators::RevokeCredential { operator: call.id("operator")?, credential: call.id("credential")? })
        }),
    ]
}
