//! The native API: `/api/v1`.

mod identity;
mod invariant;
mod ledger;
mod open;
mod platform;
mod policy;
mod recovery;
mod secret;
mod tenant;

use crate::route::Route;

pub(crate) use recovery::BUNDLE;

/// The rows of this door.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = open::routes();
    routes.extend(platform::routes());
    routes.extend(tenant::routes());
    routes.extend(identity::routes());
    routes.extend(policy::routes());
    routes.extend(invariant::routes());
    routes.extend(secret::routes());
    routes.extend(ledger::routes());
    routes.extend(recovery::routes());
    routes
}
