//! Who asks.

use bailiwick_testkit::{ANONYMOUS, SeededRandom, Tenant, World};
use bailiwick_types::CredentialText;

/// Somebody with a credential, or without.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// What the matrix calls it.
    pub(crate) name: &'static str,
    /// What it sends.
    pub(crate) credential: String,
    /// Whether what it sends is a live credential.
    pub(crate) is_live: bool,
}

/// All callers, as `own` sees them: its people and programs, the other tenant's owner, operators, and those who are
/// nobody.
pub(crate) fn callers(world: &World, own: &Tenant, other: &Tenant) -> Vec<Caller> {
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
        live("operator", &world.platform.admin),
        live("watcher", &world.platform.viewer),
        dead("anonymous", ANONYMOUS),
        dead("malformed", "bwk_nonsense"),
        dead("mistyped", &mistyped(own)),
        dead("forged", &forged(own)),
        dead("revoked", &own.revoked.credential),
        dead("expired", &own.expired.credential),
    ]
}

/// The owner's credential with one character wrong.
fn mistyped(tenant: &Tenant) -> String {
    let text = &tenant.owner.key.credential;
    let wrong = if text.as_bytes()[30] == b'0' { "1" } else { "0" };
    format!("{}{wrong}{}", &text[..30], &text[31..])
}

/// A credential with the owner's ids and another secret.
fn forged(tenant: &Tenant) -> String {
    forged_of(&tenant.id, &tenant.owner.key.id)
}

/// A well-formed credential that says that it is this one of that tenant, with a secret that nobody ever had.
pub(crate) fn forged_of(tenant: &str, key: &str) -> String {
    let random = SeededRandom::new("forger");
    CredentialText::generate(tenant.parse().unwrap(), key.parse().unwrap(), &random).reveal().expose().clone()
}
