//! What everybody may ask: the API's description, and whether the installation is sealed.

use bailiwick_types::api::platform::{Initialize, Initialized, SealStatus, Unseal};

use crate::reply::{Reply, full};
use crate::route::{Access, Route};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            "GET",
            "/api/v1/openapi.json",
            Access::Open("the description of the API is the same for everybody"),
            "the OpenAPI description of this API",
            |call| {
                Box::pin(async move {
                    call.check_query()?;
                    let document = call.server.openapi.get_or_init(|| crate::openapi::document().into());
                    Ok(Reply::of("application/json", full(document.clone())))
                })
            },
        ),
        {
            let mut route = Route::new(
                "GET",
                "/api/v1/seal-status",
                Access::Open("tells only whether the installation is sealed, as readiness does"),
                "whether the installation is initialised and unsealed",
                |call| {
                    Box::pin(async move {
                        call.check_query()?;
                        Reply::open_json(&call.app().seal_status().await?)
                    })
                },
            );
            route.answer = Some(|generator| generator.subschema_for::<SealStatus>());
            route
        },
        {
            let mut route = Route::new(
                "POST",
                "/api/v1/init",
                Access::Open("works once, before there is anybody who could be asked for a credential"),
                "initialise the installation: root key and first operator",
                |call| {
                    Box::pin(async move {
                        call.check_query()?;
                        let input: Initialize = call.json()?;
                        let key_file = call.server.config.root_key_file.as_deref();
                        Reply::open_json(&call.app().initialize(&input, key_file).await?)
                    })
                },
            );
            route.answer = Some(|generator| generator.subschema_for::<Initialized>());
            route.takes::<Initialize>()
        },
        {
            let mut route = Route::new(
                "POST",
                "/api/v1/unseal",
                Access::Open("the share or passphrase is the credential"),
                "give a share or the passphrase of the root key",
                |call| {
                    Box::pin(async move {
                        call.check_query()?;
                        let input: Unseal = call.json()?;
                        Reply::open_json(&call.app().unseal(&input).await?)
                    })
                },
            );
            route.answer = Some(|generator| generator.subschema_for::<SealStatus>());
            route.takes::<Unseal>()
        },
    ]
}
