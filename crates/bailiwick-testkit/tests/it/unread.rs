//! Who shows no credential is refused without a look at the body: nobody fills the server's memory without one.

use bailiwick_testkit::World;
use bailiwick_types::limits::BODY_BYTES_MAX;
use bytes::Bytes;

use crate::routes::{Kind, Sides, aims, callers, is_open, request, routes_with_rows};

#[test]
fn nobody_sends_a_body_without_a_credential() {
    let world = World::two_tenants();
    let (own, other) = (&world.acme, &world.globex);
    let sides = Sides { own, other, platform: &world.platform };
    let large = Bytes::from(vec![b'x'; BODY_BYTES_MAX + 1]);
    let mut tried = 0;
    for (route, row) in routes_with_rows(&world).filter(|(route, _)| !is_open(route)) {
        for aim in aims(route, row, &sides).iter().filter(|aim| matches!(aim.kind, Kind::Own | Kind::Unnamed)) {
            for caller in callers(&world, own, other) {
                let ask = || request(&world, route, row, aim, &caller.credential, &sides).label("attempt");
                if !["anonymous", "malformed", "mistyped"].contains(&caller.name) {
                    continue;
                }
                let usual = ask().send();
                assert_eq!(usual, ask().bytes(large.clone()).send(), "{} as {}", route.name(), caller.name);
                assert_eq!(usual, ask().cut_off().send(), "{} as {}", route.name(), caller.name);
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "{tried}");
}
