//! Where a request aims: its own things, none, or another tenant's.

use bailiwick_http::{DoorKind, Route};

use super::{CatalogueError, Row, STRAY, is_open};
use crate::holdings::{Platform, Tenant, names};

/// Who is asked about, and who the other one is.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// Whose things "own" means.
    pub own: &'a Tenant,
    /// The other one.
    pub other: &'a Tenant,
    /// The platform.
    pub platform: &'a Platform,
}

/// A request's target.
#[derive(Debug, Clone)]
pub struct Aim {
    /// What the matrix calls it.
    pub label: String,
    /// What it is.
    pub kind: Kind,
    /// Path and query.
    pub target: String,
    /// The namespace header, at the Vault door.
    pub namespace: Option<String>,
}

/// What a target is, seen from `own`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Its own thing, which exists.
    Own,
    /// At the Vault door: the same, with no namespace named; so it is everybody's own.
    Unnamed,
    /// In its own tenant, with a name or an id that nothing has; of the parameter named, or of all.
    Absent(&'static str),
    /// In its own tenant, with a name or an id that the other tenant's thing has; of the parameter named, or of all.
    Theirs(&'static str),
    /// The other tenant's thing, in the other tenant.
    TheirTenant,
    /// The same, in a tenant that does not exist.
    NoTenant,
}

/// The slug of a tenant that does not exist, of the length that the others have on average.
pub const NOBODY: &str = "nobody";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Own,
    Absent,
    Theirs,
}

/// All names that stand for something in the path of a route.
const PARAMETERS: &[&str] = &[
    "tenant",
    "member",
    "account",
    "key",
    "credential",
    "binding",
    "operator",
    "guardrail",
    "invariant",
    "role",
    "index",
    "policy",
    "mount",
    "path",
    "rest",
];

/// Whether it is known what to put for every parameter.
pub(super) fn check_parameters(route: &Route) -> Result<(), CatalogueError> {
    match parameters(route.path).into_iter().find(|name| !PARAMETERS.contains(name)) {
        None => Ok(()),
        Some(parameter) => Err(CatalogueError::UnknownParameter { route: route.name(), parameter }),
    }
}

/// Every target of a route.
pub fn aims(route: &Route, row: &Row, sides: &Sides<'_>) -> Vec<Aim> {
    let parameters = parameters(route.path);
    let has_tenant = parameters.contains(&"tenant");
    let is_vault = route.door == DoorKind::Vault;
    let aim = |label: String, kind: Kind, tenant: &str, which: &dyn Fn(&str) -> Which| {
        let value = |name: &'static str| {
            let wanted = which(name);
            let found = value(route, row, name, wanted, sides).or_else(|| value(route, row, name, Which::Own, sides));
            // `check_parameters` has seen that all names are known.
            found.unwrap_or_default()
        };
        let path = filled(route.path, tenant, &value);
        let namespace = (is_vault && !is_open(route)).then(|| tenant.to_owned());
        Aim { label, kind, target: format!("{path}{}", row.query), namespace }
    };
    let own = sides.own.slug.as_str();
    let mut all = vec![aim("own".to_owned(), Kind::Own, own, &|_| Which::Own)];
    if is_open(route) {
        return all;
    }
    if is_vault && route.summary != STRAY {
        let unnamed = aim("no namespace named".to_owned(), Kind::Unnamed, own, &|_| Which::Own);
        all.push(Aim { namespace: None, ..unnamed });
    }
    // Where nothing is, there is nothing to have or not to have.
    let is_thing = |name: &&'static str| *name != "tenant" && route.summary != STRAY;
    let things: Vec<&'static str> = parameters.iter().copied().filter(is_thing).collect();
    for (which, word) in [(Which::Absent, "no such"), (Which::Theirs, "their")] {
        for name in things.iter().copied().filter(|name| value(route, row, name, which, sides).is_some()) {
            let kind = if which == Which::Absent { Kind::Absent(name) } else { Kind::Theirs(name) };
            let chosen = |other: &str| if other == name { which } else { Which::Own };
            all.push(aim(format!("{word} {name}"), kind, own, &chosen));
        }
    }
    let theirs = things.iter().filter(|name| value(route, row, name, Which::Theirs, sides).is_some()).count();
    if theirs > 1 {
        let both = things.join(" and ");
        all.push(aim(format!("no such {both}"), Kind::Absent("all"), own, &|_| Which::Absent));
        all.push(aim(format!("their {both}"), Kind::Theirs("all"), own, &|_| Which::Theirs));
    }
    if has_tenant || is_vault {
        let word = if is_vault { "namespace" } else { "tenant" };
        all.push(aim(format!("their {word}"), Kind::TheirTenant, &sides.other.slug, &|_| Which::Theirs));
        all.push(aim(format!("no such {word}"), Kind::NoTenant, NOBODY, &|_| Which::Theirs));
    }
    all
}

/// The names in `{…}`.
fn parameters(path: &'static str) -> Vec<&'static str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.trim_start_matches('*'))
        .collect()
}

fn filled(path: &'static str, tenant: &str, value: &dyn Fn(&'static str) -> String) -> String {
    let segments =
        path.split('/').map(|segment| match segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) {
            None => segment.to_owned(),
            Some("tenant") => tenant.to_owned(),
            Some(name) => value(name.trim_start_matches('*')),
        });
    segments.collect::<Vec<_>>().join("/")
}

/// What to put for a parameter; `None` where there is no such thing.
fn value(route: &Route, row: &Row, name: &'static str, which: Which, sides: &Sides<'_>) -> Option<String> {
    if which == Which::Own
        && let Some((_, given)) = row.given.iter().find(|(given, _)| *given == name)
    {
        return Some((*given).to_owned());
    }
    let tenant = if which == Which::Theirs { sides.other } else { sides.own };
    let pick = |present: &str, absent: String| match which {
        Which::Own | Which::Theirs => Some(present.to_owned()),
        Which::Absent => Some(absent),
    };
    // Well-formed, and nobody's.
    let no_id = |prefix: &str| format!("{prefix}0123456789abcdefghjkmnpqrg");
    // A name, which both tenants have unless it is the other's own.
    let named = |present: &str, absent: &str| match which {
        Which::Own => Some(present.to_owned()),
        Which::Absent => Some(absent.to_owned()),
        Which::Theirs => Some(sides.other.only.clone()),
    };
    // A thing of the platform, where there is no other side.
    let platform = |present: &str, absent: &str| match which {
        Which::Own => Some(present.to_owned()),
        Which::Absent => Some(absent.to_owned()),
        Which::Theirs => None,
    };
    let is_platform = route.path.starts_with("/api/v1/operators");
    let manages_mount = route.path.contains("/mounts/") || route.path.ends_with("/config");
    match name {
        "member" => pick(&tenant.viewer.id, no_id("mem_")),
        "account" => pick(&tenant.reader.id, no_id("acc_")),
        "key" => pick(&tenant.reader.key.id, no_id("key_")),
        "credential" if is_platform => platform(&sides.platform.viewer.key.id, &no_id("key_")),
        "credential" => pick(&tenant.viewer.key.id, no_id("key_")),
        "binding" => pick(&tenant.binding, no_id("bnd_")),
        "operator" => platform(&sides.platform.viewer.id, &no_id("opr_")),
        "guardrail" => platform(names::GUARDRAIL, "no-such-guardrail"),
        "invariant" if route.path.starts_with("/api/v1/invariants") => {
            platform(names::PLATFORM_INVARIANT, "no-such-invariant")
        }
        "invariant" => named(names::INVARIANT, "no-such-invariant"),
        "role" => platform("viewer", "no-such-role"),
        "index" => platform("0", "999999"),
        "policy" => named(names::POLICY, "no-such-policy"),
        "mount" if manages_mount => named(names::SECOND_MOUNT, "no-such-mount"),
        "mount" => named(names::MOUNT, "no-such-mount"),
        "path" if route.path.contains("/internal/ui/") => match which {
            Which::Own => Some(format!("{}/{}", names::MOUNT, names::LIVE)),
            Which::Absent => Some(format!("no-such-mount/{}", names::LIVE)),
            Which::Theirs => Some(format!("{}/{}", sides.other.only, names::LIVE)),
        },
        "path" if route.path.ends_with('/') => named(names::FOLDER, "no-such-folder"),
        "path" => named(names::LIVE, "no-such-path"),
        "rest" => (which == Which::Own).then(|| "nothing/here".to_owned()),
        _ => None,
    }
}
