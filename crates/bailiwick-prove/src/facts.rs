//! What is true of every request that the product makes, whatever the schema could express besides.
//!
//! The schema lets a principal be in two tenants, or a folder of one mount in another; the product never does
//! (`bailiwick-authz` builds every entity from its own tenant, and a path's folders from the path). A counterexample that
//! needs such a thing is none. So the facts join the set that is asked about as `forbid`s of what cannot be, and only
//! where something would otherwise be refuted: what is proved without them is proved with them.
//!
//! A test holds every fact against requests that the product makes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use cedar_policy::EntityUid;

/// Things of the platform, which are in no tenant.
const OF_THE_PLATFORM: &str =
    "resource is Platform || resource is Operator || resource is Guardrail || resource is PlatformInvariant";

/// The most folders or mounts that are told apart pair by pair.
const PAIRS_MAX: usize = 12;

/// The facts, as Cedar statements, that concern what `names` names.
pub fn statements(names: &BTreeSet<EntityUid>) -> Vec<String> {
    let mut facts = vec![
        "forbid(principal, action, resource) unless { principal is Operator || principal in principal.tenant };"
            .to_owned(),
        format!("forbid(principal, action, resource) unless {{ {OF_THE_PLATFORM} || resource in resource.tenant }};"),
        "forbid(principal, action, resource) unless { (principal is Operator) == \
         (principal.tenant == Tenant::\"platform\") };"
            .to_owned(),
        format!(
            "forbid(principal, action, resource) unless {{ ({OF_THE_PLATFORM}) == \
             (resource.tenant == Tenant::\"platform\") }};"
        ),
        // One thing is the same thing on both sides.
        "forbid(principal, action, resource is Member) when { principal is Member && principal == resource } \
         unless { principal.tenant == resource.tenant };"
            .to_owned(),
    ];
    let (mut mounts, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for name in names {
        match name.type_name().to_string().as_str() {
            "Tenant" => {
                for who in ["principal", "resource"] {
                    facts.push(format!(
                        "forbid(principal, action, resource) when {{ {who} in {name} && {who}.tenant != {name} }};"
                    ));
                }
            }
            "Platform" => {
                for who in ["principal", "resource"] {
                    facts.push(format!("forbid(principal, action, resource) unless {{ {who} in {name} }};"));
                }
            }
            "Mount" => {
                mounts.insert(name.id().unescaped().to_owned());
            }
            "Folder" => {
                folders.insert(name.id().unescaped().to_owned());
            }
            "Secret" => facts.extend(containers("Secret", name)),
            _ => {}
        }
    }
    for folder in &folders {
        mounts.insert(mount_of(folder).to_owned());
        let literal = literal("Folder", folder);
        let mut inside = String::new();
        for (at, container) in containers_of(folder).into_iter().enumerate() {
            let _ = write!(inside, "{}resource in {container}", if at == 0 { "" } else { " && " });
        }
        for kind in ["Folder", "Secret"] {
            facts.push(format!(
                "forbid(principal, action, resource is {kind}) when {{ resource in {literal} }} unless {{ {inside} }};"
            ));
        }
    }
    apart(&mut facts, "Mount", &mounts, |_, _| false);
    // A folder in a folder begins with its path.
    apart(&mut facts, "Folder", &folders, |one, other| {
        let is_in = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
        is_in(one, other) || is_in(other, one)
    });
    facts
}

/// Nothing is in two of them, but for those that are in each other.
fn apart(facts: &mut Vec<String>, kind: &str, names: &BTreeSet<String>, is_nested: impl Fn(&str, &str) -> bool) {
    if names.len() > PAIRS_MAX {
        return;
    }
    for (at, one) in names.iter().enumerate() {
        for other in names.iter().skip(at + 1).filter(|other| !is_nested(one, other)) {
            let (one, other) = (literal(kind, one), literal(kind, other));
            for inner in ["Folder", "Secret"] {
                facts.push(format!(
                    "forbid(principal, action, resource is {inner}) when {{ resource in {one} && resource in {other} }};"
                ));
            }
        }
    }
}

/// A secret is in the folders that its path says.
fn containers(kind: &str, name: &EntityUid) -> Vec<String> {
    let path = name.id().unescaped();
    let inside = containers_of(path);
    inside
        .into_iter()
        .map(|container| {
            format!(
                "forbid(principal, action, resource is {kind}) when {{ resource == {name} }} unless {{ resource in \
                 {container} }};"
            )
        })
        .collect()
}

fn mount_of(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// The mount and the folders that something with this path is in.
fn containers_of(path: &str) -> Vec<String> {
    let mount = mount_of(path);
    let mut inside = vec![literal("Mount", mount)];
    let folders = path.match_indices('/').filter_map(|(at, _)| path.get(..at)).filter(|folder| *folder != mount);
    inside.extend(folders.map(|folder| literal("Folder", folder)));
    inside
}

fn literal(kind: &str, id: &str) -> String {
    format!("{kind}::\"{}\"", id.escape_debug())
}
