//! Bad input, at every route that can be given it: what it is answered with, and that nothing comes of it.
//!
//! The requests are generated from the route table, the bodies from the OpenAPI document. A case says status and code; a
//! [`Watch`] says that no byte changed but the asker's own ledger, and that the server answers the rightful afterwards.
//!
//! # Deliberately absent
//! Who may do what (`matrix`), and what is foreign but well-formed (`foreign`): here the request itself is wrong.

mod bodies;
mod codes;
mod conflicts;
mod credentials;
mod cursors;
mod idempotency;
mod paths;
mod policies;
mod query;
mod schema;
mod values;
mod vault_bodies;
mod vault_paths;
mod wire;

use bailiwick_http::{Access, Route};
use bailiwick_store::{Header, HeaderChange, Record, Space};
use bailiwick_testkit::{ANONYMOUS, Answer, Operation, Plane, Tenant, World};

use crate::routes::{Aim, Kind, Row, Sides, aims, is_open, request, routes_with_rows};

/// Everything of a plane but its ledger.
#[derive(PartialEq, Eq)]
struct State {
    header: Header,
    records: Vec<(Space, Vec<u8>, Record)>,
}

/// A header without the ledger: whatever is asked is written down, and nothing else may be.
fn but_the_ledger(mut header: Header) -> Header {
    header.ledger = bailiwick_ledger::CompactRange::new();
    header
}

fn state(world: &World, plane: Plane<'_>) -> State {
    let stored = world.stored(plane);
    State { header: but_the_ledger(stored.header), records: stored.records }
}

/// Watches a world in which nothing may change.
pub(crate) struct Watch<'w> {
    world: &'w World,
    own: &'w Tenant,
    other: &'w Tenant,
    own_before: State,
    platform_before: State,
    other_before: Header,
}

impl<'w> Watch<'w> {
    /// From now on. Everybody is seen once before, so that no request carries the news that a credential is in use.
    pub(crate) fn on(world: &'w World, own: &'w Tenant, other: &'w Tenant) -> Self {
        for caller in [&own.owner, &own.admin, &own.viewer] {
            world.get(caller, &format!("/api/v1/t/{}/whoami", own.slug)).expect(200);
        }
        for caller in [&own.reader, &own.bare] {
            world.get(caller, &format!("/api/v1/t/{}/whoami", own.slug));
        }
        for caller in [&world.platform.admin, &world.platform.viewer] {
            world.get(caller, "/api/v1/platform/whoami").expect(200);
        }
        world.operations();
        Self {
            world,
            own,
            other,
            own_before: state(world, Plane::Tenant(own)),
            platform_before: state(world, Plane::Platform),
            other_before: world.header(Plane::Tenant(other)),
        }
    }

    /// The answer is this one, and nothing changed.
    #[track_caller]
    pub(crate) fn refused(&self, answer: &Answer, status: u16, code: &str, what: &str) {
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}: {}", answer.text());
        self.unchanged(answer, what);
    }

    /// Whatever the answer is, it is a refusal that has the form of one, and nothing changed.
    #[track_caller]
    pub(crate) fn unchanged(&self, answer: &Answer, what: &str) {
        assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        assert!(answer.header("x-request-id").is_some() && !answer.is_broken_off, "{what}");
        self.untouched(what);
    }

    /// Nothing changed. What the store was asked for since the last look shows it; where that leaves a doubt, what is
    /// stored does.
    #[track_caller]
    pub(crate) fn untouched(&self, what: &str) {
        if !self.world.operations().iter().all(|did| self.is_harmless(did)) {
            self.compare(what);
        }
    }

    #[track_caller]
    fn compare(&self, what: &str) {
        // All commits of a tenant show in its header.
        assert_eq!(self.world.header(Plane::Tenant(self.other)), self.other_before, "{what}: the other tenant");
        assert!(state(self.world, Plane::Tenant(self.own)) == self.own_before, "{what}: something of the asker");
        assert!(state(self.world, Plane::Platform) == self.platform_before, "{what}: something of the platform");
    }

    /// Whether it touched nothing of the other tenant, and wrote nothing but entries.
    fn is_harmless(&self, did: &Operation) -> bool {
        let is_read =
            ["header", "record", "children", "entries", "leaves", "subtrees", "tenant_by_slug", "installation"];
        let no_change = format!("[], {:?}", HeaderChange::default());
        let is_entry = did.work.starts_with("commit ") && did.work.matches(&no_change).count() == did.planes.len();
        !did.planes.contains(&self.other_before.tenant)
            && (is_entry || is_read.iter().any(|read| did.work.starts_with(read)))
    }

    /// No record changed either, and everybody is served as before.
    #[track_caller]
    pub(crate) fn end(self) {
        self.compare("at the end");
        for tenant in [self.own, self.other] {
            let secret = format!("/api/v1/t/{}/secrets/secret/app/db", tenant.slug);
            assert_eq!(self.world.get(&tenant.owner, &secret).expect(200)["data"]["value"], "second");
            self.world.get(&tenant.owner, &format!("/v1/{}/secret/data/app/db", tenant.slug)).expect(200);
        }
        self.world.get(&self.world.platform.admin, "/api/v1/platform/whoami").expect(200);
    }
}

/// The names in `{…}`.
fn parameters(path: &'static str) -> Vec<&'static str> {
    let braced = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    braced.map(|name| name.trim_start_matches('*')).collect()
}

/// One route with all that is needed to ask it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'w> {
    pub(crate) world: &'w World,
    pub(crate) route: &'w Route,
    pub(crate) row: &'static Row,
    pub(crate) sides: Sides<'w>,
}

impl<'w> Asked<'w> {
    /// Its request for one's own things.
    pub(crate) fn own_aim(&self) -> Aim {
        aims(self.route, self.row, &self.sides).into_iter().find(|aim| aim.kind == Kind::Own).unwrap()
    }

    /// Somebody who may do whatever the route does.
    pub(crate) fn caller(&self) -> &'w str {
        match self.route.access {
            Access::Open(_) => ANONYMOUS,
            Access::Action(action) if action.plane() == bailiwick_types::Plane::Platform => {
                self.world.platform.admin.as_ref()
            }
            Access::Action(_) => self.sides.own.owner.as_ref(),
        }
    }

    /// The rightful request, to be spoiled.
    pub(crate) fn rightful(&self) -> bailiwick_testkit::Request<'w> {
        request(self.world, self.route, self.row, &self.own_aim(), self.caller(), &self.sides)
    }

    /// A request of the same caller to another target and without a body.
    pub(crate) fn at(&self, target: &str) -> bailiwick_testkit::Request<'w> {
        let mut request = self.world.request(self.route.method, target).by(self.caller());
        if let Some(namespace) = self.own_aim().namespace {
            request = request.header("x-vault-namespace", &namespace);
        }
        request
    }

    pub(crate) fn is_open(&self) -> bool {
        is_open(self.route)
    }

    pub(crate) fn name(&self) -> String {
        self.route.name()
    }
}

/// Spoils requests of every route that `is_wanted`, in one world, and sees at the end that nothing came of it. Both tenants
/// take their turns.
pub(crate) fn on_every_route(
    is_wanted: impl Fn(&Route) -> bool,
    mut spoil: impl FnMut(&Asked<'_>, &Watch<'_>),
) -> usize {
    on_every_route_after(|_, _| (), is_wanted, |asked, watch, ()| spoil(asked, watch))
}

/// As [`on_every_route`], in worlds that were prepared.
pub(crate) fn on_every_route_after<T>(
    prepare: impl Fn(&World, &Tenant) -> T,
    is_wanted: impl Fn(&Route) -> bool,
    mut spoil: impl FnMut(&Asked<'_>, &Watch<'_>, &T),
) -> usize {
    let mut asked = 0;
    for side in 0..2 {
        let world = World::two_tenants();
        let (own, other) = world.both_ways()[side];
        let prepared = prepare(&world, own);
        let watch = Watch::on(&world, own, other);
        let sides = Sides { own, other, platform: &world.platform };
        for (place, (route, row)) in routes_with_rows(&world).enumerate() {
            if place % 2 == side && is_wanted(route) {
                asked += 1;
                spoil(&Asked { world: &world, route, row, sides }, &watch, &prepared);
            }
        }
        watch.end();
    }
    asked
}

#[test]
fn a_watch_notices_whatever_changes() {
    // Everything else in here rests on this.
    let notices = |act: &dyn Fn(&World)| {
        let world = World::two_tenants();
        let watch = Watch::on(&world, &world.acme, &world.globex);
        act(&world);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| watch.untouched("acted"))).is_err()
    };
    let send = |world: &World, tenant: &Tenant, method: &str, path: &str, body: serde_json::Value| {
        let target = format!("/api/v1/t/{}/{path}", tenant.slug);
        world.send(&tenant.owner, method, &target, &body);
    };
    let value = || serde_json::json!({ "data": {} });
    let none = || serde_json::Value::Null;
    // Whatever of one's own or of the platform's is written, and whatever the other tenant does.
    assert!(notices(&|world| send(world, &world.acme, "PUT", "secrets/secret/x", value())));
    assert!(notices(&|world| send(world, &world.acme, "DELETE", "secrets/secret/app/db", none())));
    assert!(notices(&|world| send(world, &world.acme, "POST", "keyring/seal", none())));
    assert!(notices(&|world| send(world, &world.globex, "PUT", "secrets/secret/x", value())));
    assert!(notices(&|world| send(world, &world.globex, "GET", "whoami", none())));
    assert!(notices(&|world| {
        world.send(&world.platform.admin, "DELETE", "/api/v1/guardrails/no-embargoed", &none()).expect(200);
    }));
    assert!(notices(&|world| {
        world.send(&world.platform.admin, "POST", "/api/v1/tenants/globex/suspend", &none()).expect(200);
    }));
    // What is only asked, or refused, is not a change.
    assert!(!notices(&|world| send(world, &world.acme, "GET", "secrets/secret/app/db", none())));
    assert!(!notices(&|world| send(world, &world.acme, "POST", "accounts", none())));
    assert!(!notices(&|_| ()));
}
