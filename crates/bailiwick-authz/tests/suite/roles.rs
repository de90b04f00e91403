//! Who may do what: the whole table, on record.

use std::fmt::Write as _;

use bailiwick_authz::{Authority, PrincipalFacts, PrincipalKind, roles};
use bailiwick_types::{Action, Plane, ResourceKind};

use crate::world::{ACME, ZETA, actions_of, ask, golden, link, principal, with_role};

fn kind_of(plane: Plane) -> PrincipalKind {
    match plane {
        Plane::Tenant => PrincipalKind::Service,
        Plane::Platform => PrincipalKind::Operator,
    }
}

/// The roles of `plane` that permit `action` when given by `give`; `everybody` if it takes none.
fn who(action: Action, give: impl Fn(&str) -> PrincipalFacts) -> String {
    let authority = Authority::new(&[], &[]);
    if ask(&authority, &principal(ACME, kind_of(action.plane())), action, ACME).allowed {
        return "everybody".to_owned();
    }
    let of_plane = roles().iter().filter(|role| role.plane == action.plane());
    let may = of_plane.filter(|role| ask(&authority, &give(role.name), action, ACME).allowed);
    let names: Vec<_> = may.map(|role| role.name).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(" ") }
}

#[test]
fn roles_permit_what_is_on_record_and_nothing_else() {
    let mut table = String::new();
    for (title, plane) in [("given on the tenant", Plane::Tenant), ("given on the platform", Plane::Platform)] {
        writeln!(table, "# {title}").unwrap();
        for action in actions_of(plane) {
            let may = who(action, |role| with_role(ACME, kind_of(plane), role));
            writeln!(table, "{:<28}{may}", action.as_str()).unwrap();
        }
        table.push('\n');
    }
    let places = [
        (ResourceKind::Mount, "secret"),
        (ResourceKind::Folder, "secret/app"),
        (ResourceKind::Secret, "secret/app/db"),
        (ResourceKind::Mount, "other"),
        (ResourceKind::Folder, "secret/ap"),
    ];
    for (kind, id) in places {
        writeln!(table, "# given on {} {id}; asked of secret/app/db, secret/app, secret", kind.as_str()).unwrap();
        for action in actions_of(Plane::Tenant) {
            let give = |role: &str| PrincipalFacts {
                roles: vec![link(role, kind, id)],
                ..principal(ACME, PrincipalKind::Service)
            };
            let may = who(action, give);
            if !matches!(may.as_str(), "nobody" | "everybody") {
                writeln!(table, "{:<28}{may}", action.as_str()).unwrap();
            }
        }
        table.push('\n');
    }
    golden("roles.txt", &table);
}

#[test]
fn the_kind_of_principal_changes_nothing_about_a_role() {
    let authority = Authority::new(&[], &[]);
    for role in roles().iter().filter(|role| role.plane == Plane::Tenant) {
        for action in actions_of(Plane::Tenant) {
            let [member, service, agent] = [PrincipalKind::Member, PrincipalKind::Service, PrincipalKind::Agent]
                .map(|kind| ask(&authority, &with_role(ACME, kind, role.name), action, ACME).allowed);
            assert!(member == service && service == agent, "{} {action}", role.name);
        }
    }
}

#[test]
fn no_role_reaches_another_tenant_even_if_it_is_bound_there() {
    let authority = Authority::new(&[], &[]);
    for role in roles().iter().filter(|role| role.plane == Plane::Tenant) {
        for kind in [PrincipalKind::Member, PrincipalKind::Service, PrincipalKind::Agent] {
            let at_home = with_role(ACME, kind, role.name);
            let mut abroad = at_home.clone();
            abroad.roles = vec![
                link(role.name, ResourceKind::Tenant, ZETA.to_string()),
                link(role.name, ResourceKind::Mount, "secret"),
                link(role.name, ResourceKind::Platform, "platform"),
            ];
            for action in Action::ALL {
                assert!(!ask(&authority, &at_home, *action, ZETA).allowed, "{} {action}", role.name);
                assert!(!ask(&authority, &abroad, *action, ZETA).allowed, "{} {action}", role.name);
            }
        }
    }
}

#[test]
fn a_role_of_one_plane_is_nothing_on_the_other_and_an_unknown_role_is_nothing_at_all() {
    let authority = Authority::new(&[], &[]);
    for role in ["operator-admin", "operator-viewer", "no-such-role", "isolation"] {
        for action in actions_of(Plane::Tenant) {
            let plain = ask(&authority, &principal(ACME, PrincipalKind::Member), action, ACME);
            assert_eq!(ask(&authority, &with_role(ACME, PrincipalKind::Member, role), action, ACME), plain);
        }
    }
    for action in actions_of(Plane::Tenant) {
        let plain = principal(ACME, PrincipalKind::Member);
        let mut lofty = plain.clone();
        lofty.roles = vec![link("owner", ResourceKind::Platform, "platform")];
        assert_eq!(ask(&authority, &lofty, action, ACME), ask(&authority, &plain, action, ACME), "{action}");
    }
    for role in ["owner", "admin", "viewer"] {
        for action in actions_of(Plane::Platform) {
            let plain = ask(&authority, &principal(ACME, PrincipalKind::Operator), action, ACME);
            assert_eq!(ask(&authority, &with_role(ACME, PrincipalKind::Operator, role), action, ACME), plain);
        }
    }
}

#[test]
fn a_decision_names_the_binding_that_determined_it() {
    let authority = Authority::new(&[], &[]);
    let mut reader = principal(ACME, PrincipalKind::Agent);
    reader.roles =
        vec![link("secret-reader", ResourceKind::Folder, "secret/app"), link("viewer", ResourceKind::Mount, "x")];
    // The same link twice is one link.
    reader.roles.push(reader.roles[0].clone());
    let decision = ask(&authority, &reader, Action::SecretReveal, ACME);
    assert_eq!(decision.determining, ["role:secret-reader@bnd_secret-reader_secret/app"]);
    assert!(decision.errors.is_empty());
}
