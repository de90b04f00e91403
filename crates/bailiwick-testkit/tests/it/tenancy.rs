//! Two tenants, the same names, every case twice with the roles swapped.

use bailiwick_testkit::{Plane, World};

#[test]
fn two_worlds_are_the_same_to_the_byte() {
    let (one, other) = (World::two_tenants(), World::two_tenants());
    for world in [&one, &other] {
        world.get(&world.acme.owner, "/api/v1/t/acme/whoami").expect(200);
    }
    for (tenant, _) in one.both_ways() {
        assert_eq!(one.stored(Plane::Tenant(tenant)), other.stored(Plane::Tenant(tenant)));
    }
    assert_eq!(one.stored(Plane::Platform), other.stored(Plane::Platform));
}
