//! The route × caller matrix: what every route answers to everybody, about things that exist, that do not, and that are
//! another tenant's. Generated from the route table; reviewed as `tests/golden/matrix.txt`.

mod golden;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_http::Access;
use bailiwick_store::Space;
use bailiwick_testkit::{Plane, World};
use bailiwick_types::Action;

use crate::routes::{self, Kind, STRAY, Sides, aims, callers, is_write, request, routes_with_rows};
use table::{Cell, Section};

/// How many worlds are asked at the same time.
const THREADS: usize = 2;

#[test]
fn every_route_has_a_row_and_every_row_a_route() {
    let world = World::two_tenants();
    assert!(routes_with_rows(&world).count() > 100);
}

#[test]
fn what_monitoring_sees_is_apart_and_of_no_tenant() {
    let world = World::two_tenants();
    let apart = world.server().operations().unwrap();
    let names: Vec<String> = apart.routes().iter().map(bailiwick_http::Route::name).collect();
    assert_eq!(names, ["GET /healthz", "GET /readyz", "GET /metrics"]);
    assert!(apart.routes().iter().all(routes::is_open));
    // Totals tell one tenant how busy the others are.
    world.get(&world.acme.owner, "/metrics").expect(404);
}

#[test]
fn every_action_is_on_a_route() {
    let world = World::two_tenants();
    let mounted: BTreeSet<Action> = world
        .server()
        .routes()
        .iter()
        .filter(|route| route.summary != STRAY)
        .filter_map(|route| match route.access {
            Access::Action(action) => Some(action),
            Access::Open(_) => None,
        })
        .collect();
    let left: Vec<&Action> = Action::ALL.iter().filter(|action| !mounted.contains(action)).collect();
    assert!(left.is_empty(), "actions that no route carries: {left:?}");
}

#[test]
fn every_space_of_the_store_is_inhabited() {
    // What is not there cannot be seen to leak: the tests of isolation need a thing of every kind on both sides.
    let world = World::two_tenants();
    for space in Space::ALL {
        let of = |plane: Plane<'_>| world.header(plane).counts.of(*space);
        match space {
            Space::Operator => assert!(of(Plane::Platform) > 0),
            // Derived, and only of ledgers with thousands of entries: `search.rs` grows them, in both tenants.
            Space::LedgerIndex => {}
            _ => {
                for (tenant, _) in world.both_ways() {
                    assert!(of(Plane::Tenant(tenant)) > 0, "{} has nothing in {space:?}", tenant.slug);
                }
            }
        }
    }
}

#[test]
fn the_matrix_is_as_reviewed() {
    golden::check("matrix.txt", &table::render(&all_sections()));
}

/// Routes that refuse everybody, and why that is right.
const NOBODY_SUCCEEDS: &[(&str, &str)] = &[
    ("GET /v1/", "nothing is there"),
    ("GET /v1/sys/internal/ui/mounts/", "asks about no mount"),
    ("POST /v1/auth/token/renew-self", "credentials are not renewed"),
    ("POST /api/v1/tenants:import", "brings no bundle; `bundles` does"),
];

fn is_own(cell: &Cell) -> bool {
    matches!(cell.kind, Kind::Own | Kind::Unnamed)
}

#[test]
fn somebody_succeeds_on_every_route() {
    // A row whose request is not valid would be refused to everybody, and prove nothing.
    for section in all_sections() {
        let is_useful = section.cells.iter().any(|cell| is_own(cell) && cell.answer.starts_with('2'));
        let is_refusing = section.summary == STRAY || NOBODY_SUCCEEDS.iter().any(|(route, _)| *route == section.route);
        assert!(is_useful != is_refusing || section.is_open, "{}", section.route);
    }
}

#[test]
fn no_tenant_is_anything_to_an_operator_and_no_operator_to_a_tenant() {
    // The golden file can be changed with a bad day's review; this cannot be read in two ways.
    let is_plane = |section: &Section, prefix: &str| section.route.split(' ').nth(1).unwrap().starts_with(prefix);
    for section in all_sections() {
        for cell in &section.cells {
            let is_operator = matches!(cell.caller, "operator" | "watcher");
            let is_tenants = !section.is_open && !is_operator;
            if is_plane(&section, "/api/v1/t/") && is_operator {
                assert_eq!(cell.answer, "403 permission_denied", "{} {}", section.route, cell.aim);
            }
            let is_platforms = [
                "/api/v1/tenants",
                "/api/v1/platform",
                "/api/v1/operators",
                "/api/v1/guardrails",
                "/api/v1/invariants",
            ];
            if is_platforms.iter().any(|prefix| is_plane(&section, prefix)) && is_tenants {
                assert!(cell.answer.starts_with('4'), "{} {} {cell:?}", section.route, cell.aim);
            }
            let is_elsewhere = matches!(cell.kind, Kind::TheirTenant | Kind::NoTenant);
            if is_elsewhere && is_tenants && cell.caller != "stranger" {
                assert!(cell.answer.starts_with('4'), "{} {} {cell:?}", section.route, cell.aim);
            }
        }
    }
}

/// Asks everything, once in a process.
fn all_sections() -> Vec<Section> {
    static SECTIONS: std::sync::OnceLock<Vec<Section>> = std::sync::OnceLock::new();
    SECTIONS.get_or_init(ask_everything).clone()
}

fn ask_everything() -> Vec<Section> {
    let count = World::two_tenants().server().routes().len();
    let asked = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || ask((thread..count).step_by(THREADS)))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<BTreeMap<usize, Section>>()
    });
    asked.into_values().collect()
}

/// Asks some routes everything.
fn ask(places: impl Iterator<Item = usize>) -> Vec<(usize, Section)> {
    let mut world = World::two_tenants();
    let mut sections = Vec::new();
    for place in places {
        let (count, section) = {
            let (route, row) = routes_with_rows(&world).nth(place).unwrap();
            let sides = Sides { own: &world.acme, other: &world.globex, platform: &world.platform };
            let everybody = callers(&world, sides.own, sides.other);
            (aims(route, row, &sides).len() * everybody.len(), Section::of(route))
        };
        let mut section = section;
        for at in 0..count {
            let (cell, is_changed) = ask_one(&world, place, at);
            section.cells.push(cell);
            // Every cell must see the world as it was.
            if is_changed {
                world = World::two_tenants();
            }
        }
        sections.push((place, section));
    }
    sections
}

/// Asks one thing, and tells whether the world may be another now.
fn ask_one(world: &World, place: usize, at: usize) -> (Cell, bool) {
    let (route, row) = routes_with_rows(world).nth(place).unwrap();
    let sides = Sides { own: &world.acme, other: &world.globex, platform: &world.platform };
    let everybody = callers(world, sides.own, sides.other);
    let aims = aims(route, row, &sides);
    let (aim, caller) = (&aims[at / everybody.len()], &everybody[at % everybody.len()]);
    let answer = request(world, route, row, aim, &caller.credential, &sides).send();
    let cell = Cell {
        aim: aim.label.clone(),
        kind: aim.kind.clone(),
        caller: caller.name,
        is_live: caller.is_live,
        answer: routes::brief(&answer),
    };
    (cell, answer.status < 400 && is_write(route))
}
