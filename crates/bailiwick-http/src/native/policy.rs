//! Roles, bindings and policies.

use bailiwick_app::{invariants, policies};
use bailiwick_types::api::policy::{CheckRequest, CreateBinding, CreatePolicy, PutPolicy};
use bailiwick_types::api::proof::ProposeChange;

use crate::reply::{Reply, full};
use crate::route::Route;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::tenant("GET", "/api/v1/t/{tenant}/roles", |call| Ok(policies::ListRoles { page: call.page()? })).paged(),
        Route::tenant("GET", "/api/v1/t/{tenant}/roles/{role}", |call| {
            Ok(policies::ShowRole { name: call.id("role")? })
        }),
        Route::tenant("GET", "/api/v1/t/{tenant}/bindings", |call| {
            let principal = call.query("principal").map(str::to_owned);
            Ok(policies::ListBindings { page: call.page()?, principal })
        })
        .paged()
        .query(&[("principal", "only those of this account or member")]),
        Route::tenant("POST", "/api/v1/t/{tenant}/bindings", |call| {
            Ok(policies::CreateBindingCase { input: call.json()? })
        })
        .takes::<CreateBinding>()
        .creates(),
        Route::tenant("GET", "/api/v1/t/{tenant}/bindings/{binding}", |call| {
            Ok(policies::ShowBinding { id: call.id("binding")? })
        }),
        Route::tenant("DELETE", "/api/v1/t/{tenant}/bindings/{binding}", |call| {
            Ok(policies::DeleteBinding { id: call.id("binding")? })
        }),
        Route::tenant("GET", "/api/v1/t/{tenant}/policies", |call| Ok(policies::List { page: call.page()? })).paged(),
        Route::tenant("POST", "/api/v1/t/{tenant}/policies", |call| {
            let input: CreatePolicy = call.json()?;
            Ok(policies::Put {
                name: input.name,
                input: PutPolicy { description: input.description, text: input.text, dry_run: input.dry_run },
                if_match: None,
                must_be_new: true,
            })
        })
        .takes::<CreatePolicy>()
        .creates(),
        Route::tenant("GET", "/api/v1/t/{tenant}/policies/{policy}", |call| {
            Ok(policies::Show { name: call.id("policy")? })
        }),
        Route::tenant("PUT", "/api/v1/t/{tenant}/policies/{policy}", |call| {
            Ok(policies::Put {
                name: call.name("policy")?,
                input: call.json()?,
                if_match: call.if_match()?,
                must_be_new: call.must_be_new(),
            })
        })
        .takes::<PutPolicy>(),
        Route::tenant("DELETE", "/api/v1/t/{tenant}/policies/{policy}", |call| {
            Ok(policies::Delete { name: call.id("policy")?, if_match: call.if_match()? })
        }),
        Route::tenant("POST", "/api/v1/t/{tenant}/policies:check", |call| Ok(policies::Check { input: call.json()? }))
            .takes::<CheckRequest>(),
        Route::tenant("POST", "/api/v1/t/{tenant}/policies:diff", |call| Ok(invariants::Diff { input: call.json()? }))
            .takes::<ProposeChange>(),
        Route::tenant("POST", "/api/v1/t/{tenant}/policies:subset", |call| {
            Ok(invariants::Subset { input: call.json()? })
        })
        .takes::<ProposeChange>(),
        Route::tenant_as(
            "GET",
            "/api/v1/t/{tenant}/policies:schema",
            |_| Ok(policies::ShowSchema),
            |_, answer| Ok(Reply::of("text/plain; charset=utf-8", full(answer.into_value()))),
        ),
    ]
}
