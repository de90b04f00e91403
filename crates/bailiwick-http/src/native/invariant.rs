//! Invariants, of tenants and of the platform.

use bailiwick_app::invariants;
use bailiwick_types::api::proof::{CreateInvariant, PutInvariant};

use crate::route::Route;

fn put_of(input: CreateInvariant) -> PutInvariant {
    PutInvariant { description: input.description, text: input.text, covers: input.covers, dry_run: input.dry_run }
}

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::tenant("GET", "/api/v1/t/{tenant}/invariants", |call| Ok(invariants::List { page: call.page()? }))
            .paged(),
        Route::tenant("POST", "/api/v1/t/{tenant}/invariants", |call| {
            let input: CreateInvariant = call.json()?;
            let name = input.name.clone();
            Ok(invariants::Put { name, input: put_of(input), if_match: None, must_be_new: true })
        })
        .takes::<CreateInvariant>()
        .creates(),
        Route::tenant("GET", "/api/v1/t/{tenant}/invariants/{invariant}", |call| {
            Ok(invariants::Show { name: call.id("invariant")? })
        }),
        Route::tenant("PUT", "/api/v1/t/{tenant}/invariants/{invariant}", |call| {
            Ok(invariants::Put {
                name: call.name("invariant")?,
                input: call.json()?,
                if_match: call.if_match()?,
                must_be_new: call.must_be_new(),
            })
        })
        .takes::<PutInvariant>(),
        Route::tenant("DELETE", "/api/v1/t/{tenant}/invariants/{invariant}", |call| {
            Ok(invariants::Delete { name: call.id("invariant")?, if_match: call.if_match()? })
        }),
        Route::tenant("POST", "/api/v1/t/{tenant}/invariants:check", |_| Ok(invariants::Check)),
    ];
    routes.extend(of_the_platform());
    routes
}

fn of_the_platform() -> Vec<Route> {
    vec![
        Route::platform("GET", "/api/v1/invariants", |call| Ok(invariants::ListOfPlatform { page: call.page()? }))
            .paged(),
        Route::platform("POST", "/api/v1/invariants", |call| {
            let input: CreateInvariant = call.json()?;
            let name = input.name.clone();
            Ok(invariants::PutOfPlatform { name, input: put_of(input), if_match: None, must_be_new: true })
        })
        .takes::<CreateInvariant>()
        .creates(),
        Route::platform("GET", "/api/v1/invariants/{invariant}", |call| {
            Ok(invariants::ShowOfPlatform { name: call.id("invariant")? })
        }),
        Route::platform("PUT", "/api/v1/invariants/{invariant}", |call| {
            Ok(invariants::PutOfPlatform {
                name: call.name("invariant")?,
                input: call.json()?,
                if_match: call.if_match()?,
                must_be_new: call.must_be_new(),
            })
        })
        .takes::<PutInvariant>(),
        Route::platform("DELETE", "/api/v1/invariants/{invariant}", |call| {
            Ok(invariants::DeleteOfPlatform { name: call.id("invariant")?, if_match: call.if_match()? })
        }),
        Route::platform("POST", "/api/v1/invariants:check", |_| Ok(invariants::CheckPlatform)),
    ]
}
