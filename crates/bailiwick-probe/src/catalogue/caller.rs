//! Who asks.

use bailiwick_types::{CredentialText, Random};

use crate::holdings::{Platform, Tenant};

/// The caller who sends no credential.
pub const ANONYMOUS: &str = "";

/// Somebody with a credential, or without.
#[derive(Clone)]
pub struct Caller {
    /// What the matrix calls it.
    pub name: &'static str,
    /// What it sends.
    pub credential: String,
    /// Whether what it sends is a live credential.
    pub is_live: bool,
}

/// All callers, as `own` sees them: its people and programs, the other tenant's owner, operators, and those who are
/// nobody.
pub fn callers(own: &Tenant, other: &Tenant, platform: &Platform, random: &dyn Random) -> Vec<Caller> {
    let live =
        |name, credential: &dyn AsRef<str>| Caller { name, credential: credential.as_ref().to_owned(), is_live: true };
    let dead = |name, credential: &str| Caller { name, credential: credential.to_owned(), is_live: false };
    vec![
        live("owner", &own.owner),
        live("admin", &own.admin),
        live("auditor", &own.auditor),
        live("viewer", &own.viewer),
        live("reader", &own.reader),
        live("bare", &own.bare),
        live("stranger", &other.owner),
        live("operator", &platform.admin),
        live("watcher", &platform.viewer),
        dead("anonymous", ANONYMOUS),
        dead("malformed", "bwk_nonsense"),
        dead("mistyped", &mistyped(&own.owner.key.credential)),
        dead("forged", &forged_of(&own.id, &own.owner.key.id, random)),
        dead("revoked", &own.revoked.credential),
        dead("expired", &own.expired.credential),
    ]
}

/// A credential with one character wrong.
fn mistyped(text: &str) -> String {
    let swap = |(at, c): (usize, char)| if at != 30 { c } else { if c == '0' { '1' } else { '0' } };
    text.chars().enumerate().map(swap).collect()
}

/// A well-formed credential that says that it is this one of that tenant, with a secret that nobody ever had; empty if
/// these are no ids.
pub fn forged_of(tenant: &str, key: &str, random: &dyn Random) -> String {
    match (tenant.parse(), key.parse()) {
        (Ok(tenant), Ok(key)) => CredentialText::generate(tenant, key, random).reveal().expose().clone(),
        _ => String::new(),
    }
}
