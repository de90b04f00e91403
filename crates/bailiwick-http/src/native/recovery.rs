//! One tenant as a bundle: out, and in.

use bailiwick_app::{AppError, recovery};
use bailiwick_types::ActionType as _;
use bailiwick_types::action::act;
use bailiwick_types::api::bundle::{ExportTenant, ImportedTenant};

use crate::call::Call;
use crate::reply::Reply;
use crate::route::{Access, Route};
use crate::stream;

/// What a bundle is sent as.
pub(crate) const BUNDLE: &str = "application/vnd.bailiwick.bundle";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            "POST",
            "/api/v1/t/{tenant}/bundle",
            Access::Action(act::BundleExport::ACTION),
            act::BundleExport::ACTION.summary(),
            |call| {
                Box::pin(async move {
                    let allowed = call.app().run(call.meta(), || export(&call)).await?;
                    let bundle = call.app().export_bundle(allowed).await?;
                    Ok(stream::reply(BUNDLE, bundle))
                })
            },
        )
        .takes::<ExportTenant>(),
        import(),
        Route::platform("GET", "/api/v1/platform/recipient", |_| Ok(recovery::ShowRecipient)),
    ]
}

fn export(call: &Call) -> Result<recovery::BundleExport, AppError> {
    call.check_query()?;
    check_key(call)?;
    let input = call.json()?;
    call.check_conditions()?;
    Ok(recovery::BundleExport { input })
}

/// A key that nobody keeps must not look as if it were kept.
fn check_key(call: &Call) -> Result<(), AppError> {
    match call.meta().idempotency {
        None => Ok(()),
        Some(_) => Err(AppError::invalid("`Idempotency-Key` is not taken here: what is streamed is not kept")),
    }
}

fn import() -> Route {
    let action = act::TenantImport::ACTION;
    let mut route = Route::new("POST", "/api/v1/tenants:import", Access::Action(action), action.summary(), |call| {
        Box::pin(async move {
            let allowed = call.app().run_platform(call.meta(), || asked(&call)).await?;
            // Only now: nobody but who may import fills the disk.
            let Some(upload) = call.take_upload() else { return Err(AppError::internal("an import without a body")) };
            let config = &call.server.config;
            let file = stream::spool(upload, config.spool_directory.as_deref(), config.bundle_bytes_max).await?;
            Reply::json(call.app().import_bundle(allowed, file).await?)
        })
    })
    .query(&[
        ("key", "the key of the installation that made the bundle, if that is another one; a C2SP verifier key"),
        ("dry_run", "`true`: verify, and say what would be done"),
    ])
    .uploads();
    route.answer = Some(|generator| generator.subschema_for::<ImportedTenant>());
    route
}

fn asked(call: &Call) -> Result<recovery::Import, AppError> {
    call.check_query()?;
    check_key(call)?;
    call.check_content_type(BUNDLE)?;
    call.check_conditions()?;
    let key = call.parsed("key")?;
    let is_dry_run = call.parsed("dry_run")?.unwrap_or(false);
    Ok(recovery::Import { trusted: Vec::from_iter(key), is_dry_run })
}
