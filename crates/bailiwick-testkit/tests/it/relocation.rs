//! A rich installation on the move: another store gives the answers that the first one gave, and a restored one gives none
//! before somebody has said which are right.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_app::AppConfig;
use bailiwick_app::relocation::{self, CLOSED, Keep};
use bailiwick_store::Store;
use bailiwick_store_conformance::dump;
use bailiwick_store_sqlite::{Options, SqliteSnapshot, SqliteStore};
use bailiwick_testkit::{Plane, Tenant, World, names};
use bailiwick_transfer::file::{Intro, back_up};
use bailiwick_transfer::{Progress, Rule};
use bailiwick_types::{Clock as _, TenantId};
use serde_json::json;
use tempfile::TempDir;

fn secret(of: &Tenant, path: &str) -> String {
    format!("/api/v1/t/{}/secrets/{}/{path}", of.slug, names::MOUNT)
}

/// The world's store as it is now, while its server goes on.
fn snapshot(world: &World) -> Arc<dyn Store> {
    SqliteSnapshot::open(&world.database_file()).unwrap()
}

fn planes(world: &World) -> [TenantId; 3] {
    [world.acme.id.parse().unwrap(), world.globex.id.parse().unwrap(), TenantId::PLATFORM]
}

/// A place with a store that was made by `make`, for a server to stand on.
fn moved(world: &World, make: impl AsyncFnOnce(Arc<dyn Store>)) -> TempDir {
    let directory = TempDir::new().unwrap();
    let to: Arc<dyn Store> = SqliteStore::open(&directory.path().join("bailiwick.db"), Options::default()).unwrap();
    world.block_on(make(to));
    directory
}

fn restored(world: &World, rule: &Rule) -> TempDir {
    let (from, progress) = (snapshot(world), Progress::default());
    let intro = Intro {
        installation: String::new(),
        engine: String::new(),
        program: String::new(),
        created: world.clock.now(),
    };
    let mut bytes = Vec::new();
    world.block_on(back_up(&from, &mut bytes, intro, &progress)).unwrap();
    let bytes: Arc<[u8]> = bytes.into();
    let open = move || -> std::io::Result<Box<dyn std::io::Read + Send>> {
        Ok(Box::new(std::io::Cursor::new(Arc::clone(&bytes))))
    };
    moved(world, async |to| {
        let contents = bailiwick_transfer::check_file(&open, &progress).await.unwrap();
        bailiwick_transfer::restore(&open, &to, rule, &contents, &progress).await.unwrap();
    })
}

#[test]
fn a_copied_installation_gives_the_answers_that_the_first_one_gave() {
    let world = World::two_tenants();
    let from = snapshot(&world);
    let directory = moved(&world, async |to| {
        let rule = Rule::exact(CLOSED);
        let plan = bailiwick_transfer::plan(from.as_ref(), to.as_ref(), &rule).await.unwrap();
        bailiwick_transfer::copy(&from, &to, &rule, &plan, &Arc::new(Progress::default())).await.unwrap();
        for plane in planes(&world) {
            let same = async |store: &dyn Store| dump(store, plane).await.without_revision();
            assert_eq!(same(to.as_ref()).await, same(from.as_ref()).await);
        }
    });
    let copied = world.moved_to(directory);
    for (own, other) in world.both_ways() {
        for path in [names::LIVE, names::OUTSIDE] {
            let here = world.get(&own.owner, &secret(own, path)).expect(200);
            let there = copied.get(&own.owner, &secret(own, path)).expect(200);
            assert_eq!(here["data"], there["data"]);
        }
        // What was refused is refused.
        copied.get(&own.revoked, &secret(own, names::LIVE)).expect_refusal(401, "credential_revoked");
        copied.get(&own.owner, &secret(other, names::LIVE)).expect_refusal(404, "not_found");
        copied.get(&own.owner, &secret(own, names::EMBARGOED)).expect_refusal(403, "permission_denied");
        // The ledger goes on: an export of the copy holds, entries from before the move among them.
        let before = world.header(Plane::Tenant(own)).ledger.size();
        let export = copied.get(&own.owner, &format!("/api/v1/t/{}/ledger/export", own.slug));
        assert_eq!(export.status, 200, "{}", export.text());
        let verdict = bailiwick_verify::verify_export(export.text().as_bytes(), &bailiwick_verify::Options::default());
        let report = verdict.unwrap();
        assert!(report.entries >= before, "{report:?}");
    }
}

#[test]
fn a_restored_installation_lets_nobody_in_whom_nobody_has_named() {
    let world = World::two_tenants();
    let rule = Rule::anew(CLOSED, 1, relocation::restored_state);
    let restored = world.moved_to(restored(&world, &rule));
    let admin = &world.platform.admin;
    for own in [&restored.acme, &restored.globex] {
        restored.get(&own.owner, &secret(own, names::LIVE)).expect_refusal(403, "tenant_suspended");
    }
    for operator in [admin, &world.platform.viewer] {
        let refused = restored.get(operator, "/api/v1/platform/health");
        refused.expect_refusal(503, "tenant_sealed");
        assert!(refused.text().contains("nobody has accepted that"), "{}", refused.text());
    }
    // The refusals of tenants are in their ledgers; nothing is in the platform's, whose keys are not used.
    assert_eq!(restored.header(Plane::Platform).ledger, world.header(Plane::Platform).ledger);

    // One is named; the server that runs finds out by itself.
    let keep = Keep::Only(BTreeSet::from([admin.key.id.parse().unwrap()]));
    let store = Arc::clone(restored.store());
    let accepted = restored.block_on(relocation::accept(store.as_ref(), &keep)).unwrap();
    assert_eq!(accepted.kept, 1);
    assert!(accepted.removed >= 1);
    assert!(restored.block_on(relocation::accept(store.as_ref(), &keep)).is_err(), "it is accepted already");
    restored.get(admin, "/api/v1/platform/health").expect(200);
    restored.get(&world.platform.viewer, "/api/v1/platform/health").expect_refusal(401, "credential_invalid");
    for own in [&restored.acme, &restored.globex] {
        restored.get(&own.owner, &secret(own, names::LIVE)).expect_refusal(403, "tenant_suspended");
        let target = format!("/api/v1/tenants/{}/resume", own.slug);
        restored.send(admin, "POST", &target, &json!({})).expect(200);
        restored.get(&own.owner, &secret(own, names::LIVE)).expect(200);
    }
}

/// What the platform's ledger says about restores: the details of each entry.
fn restores(world: &World) -> Vec<serde_json::Value> {
    let page = "/api/v1/platform/ledger/entries?action=installation:";
    let listed = world.get(&world.platform.admin, page).expect(200);
    let entries = listed["items"].as_array().unwrap().iter();
    let of = |item: &serde_json::Value| {
        let entry = &item["entry"];
        assert_eq!(entry["action"], json!(relocation::RESTORE));
        assert_eq!((&entry["actor"]["kind"], &entry["outcome"]), (&json!("system"), &json!("ok")), "{item}");
        entry["detail"].clone()
    };
    entries.map(of).collect()
}

#[test]
fn a_restore_is_in_the_platforms_ledger_once_it_is_open_and_once() {
    let world = World::two_tenants();
    assert!(restores(&world).is_empty());
    let shut = Rule::anew(CLOSED, 1, relocation::restored_state);
    let shut = shut.with_meta(|header| relocation::restored_meta(header, false));
    let shut = world.moved_to(restored(&world, &shut));
    // Without the platform's keys nothing can be written, and nothing is lost.
    shut.block_on(shut.app().look()).unwrap();
    assert_eq!(shut.header(Plane::Platform).ledger, world.header(Plane::Platform).ledger);
    let keep = Keep::Only(BTreeSet::from([world.platform.admin.key.id.parse().unwrap()]));
    let accepted = shut.block_on(relocation::accept(shut.store().as_ref(), &keep)).unwrap();
    // Two nodes look at the same moment, and again.
    let other = shut.another_node("other", AppConfig::default());
    shut.block_on(other.app().unseal_with_file(&shut.root_key_file())).unwrap();
    for _ in 0..2 {
        shut.block_on(async { tokio::try_join!(shut.app().look(), other.app().look()) }).unwrap();
    }
    let removed = accepted.removed.to_string();
    let wanted = json!({ "operator_credentials_kept": "1", "operator_credentials_removed": removed });
    assert_eq!(restores(&shut), [wanted]);

    let trusted = Rule::anew(CLOSED, 1, |header| header.state);
    let trusted = trusted.with_meta(|header| relocation::restored_meta(header, true));
    let trusted = world.moved_to(restored(&world, &trusted));
    trusted.block_on(trusted.app().look()).unwrap();
    assert_eq!(restores(&trusted), [json!({ "trusted": "true" })]);
    // A restore of a restored one is another.
    let again = Rule::anew(CLOSED, 1, |header| header.state);
    let again = again.with_meta(|header| relocation::restored_meta(header, true));
    let again = trusted.moved_to(self::restored(&trusted, &again));
    again.block_on(again.app().look()).unwrap();
    assert_eq!(restores(&again).len(), 2);
    assert_eq!(restores(&trusted).len(), 1);
}

#[test]
fn what_is_known_to_be_revoked_since_is_removed_before_anything_is_opened() {
    let world = World::two_tenants();
    let rule = Rule::anew(CLOSED, 1, relocation::restored_state);
    let restored = world.moved_to(restored(&world, &rule));
    let store = Arc::clone(restored.store());
    let (reader, viewer) = (&restored.acme.reader.key, &restored.globex.viewer.key);
    let unknown = "key_00000000000000000000000004".parse().unwrap();
    let since = BTreeSet::from([reader.id.parse().unwrap(), viewer.id.parse().unwrap(), unknown]);
    let removed = restored.block_on(relocation::remove_credentials(store.as_ref(), &since)).unwrap();
    assert_eq!(removed.len(), 2, "one that the backup does not have is no failure");
    assert_eq!(restored.block_on(relocation::remove_credentials(store.as_ref(), &since)).unwrap().len(), 0);
    restored.block_on(relocation::accept(store.as_ref(), &Keep::All)).unwrap();
    for own in [&restored.acme, &restored.globex] {
        let target = format!("/api/v1/tenants/{}/resume", own.slug);
        restored.send(&world.platform.admin, "POST", &target, &json!({})).expect(200);
        restored.get(&own.owner, &secret(own, names::LIVE)).expect(200);
    }
    restored.get(&reader.credential, &secret(&restored.acme, names::LIVE)).expect_refusal(401, "credential_invalid");
    restored.get(&viewer.credential, &secret(&restored.globex, names::LIVE)).expect_refusal(401, "credential_invalid");
    // The same names in the other tenant are other credentials.
    restored.get(&restored.globex.reader, &secret(&restored.globex, names::LIVE)).expect(200);
    let listed = format!("/api/v1/t/acme/accounts/{}/keys", restored.acme.reader.id);
    let keys = restored.get(&restored.acme.owner, &listed).expect(200);
    assert!(keys["items"].as_array().unwrap().iter().all(|key| key["id"] != reader.id.as_str()), "{keys}");
}

#[test]
fn an_acceptance_names_credentials_that_are_there() {
    let world = World::two_tenants();
    let rule = Rule::anew(CLOSED, 1, relocation::restored_state);
    let restored = world.moved_to(restored(&world, &rule));
    let store = Arc::clone(restored.store());
    let of_a_tenant = restored.acme.owner.key.id.parse().unwrap();
    for keep in [Keep::Only(BTreeSet::new()), Keep::Only(BTreeSet::from([of_a_tenant]))] {
        let error = restored.block_on(relocation::accept(store.as_ref(), &keep)).unwrap_err();
        assert_eq!(error.code().as_str(), "invalid_request");
        restored.get(&world.platform.admin, "/api/v1/platform/health").expect_refusal(503, "tenant_sealed");
    }
    restored.block_on(relocation::accept(store.as_ref(), &Keep::All)).unwrap();
    restored.get(&world.platform.viewer, "/api/v1/platform/health").expect(200);
    // An installation that does not wait for it is left alone.
    assert!(world.block_on(relocation::accept(world.store().as_ref(), &Keep::All)).is_err());
}

#[test]
fn a_plane_that_is_being_moved_answers_nothing_and_is_worked_on_by_nobody() {
    use bailiwick_store::{Commit, HeaderChange, Part, Wake};
    let world = World::two_tenants();
    let acme: TenantId = world.acme.id.parse().unwrap();
    let epoch = world.header(Plane::Tenant(&world.acme)).epoch;
    // As a move leaves it when it is cut off; due, though a move sees to it that it is not.
    let header = HeaderChange {
        state: Some(CLOSED),
        wake: Some(Wake::At(world.clock.now())),
        bump_epoch: true,
        ..HeaderChange::default()
    };
    let part = Part { header, ..Part::append(acme, epoch, Vec::new()) };
    world.block_on(world.store().commit(Commit { parts: vec![part], guards: Vec::new() })).unwrap();
    world.get(&world.acme.owner, &secret(&world.acme, names::LIVE)).expect_refusal(401, "credential_invalid");
    let before = world.stored(Plane::Tenant(&world.acme));
    world.run_due_jobs();
    assert!(world.stored(Plane::Tenant(&world.acme)) == before, "its keys were touched");
    world.get(&world.globex.owner, &secret(&world.globex, names::LIVE)).expect(200);
}
