//! A tenant goes: held, saved, shredded, certified; and its names are never used again.

use std::path::Path;
use std::time::Duration;

use bailiwick_store::Space;
use bailiwick_verify::verify_consistency;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::Ask;
use crate::harness::desk::Desk;
use crate::harness::export::{keys_of, platform_entries};
use crate::harness::house::{House, Tenant, text};

const VALUE: &str = "a-value-of-acme";

async fn show(house: &House, slug: &str) -> Value {
    house.ask(Ask::get(format!("/api/v1/tenants/{slug}")).by(house.ground.operator())).await.ok().value()
}

fn delete(house: &House, slug: &str, hold: &str) -> Ask {
    Ask::delete(format!("/api/v1/tenants/{slug}?hold={hold}")).by(house.ground.operator())
}

fn act(house: &House, slug: &str, act: &str) -> Ask {
    Ask::post(format!("/api/v1/tenants/{slug}/{act}")).by(house.ground.operator())
}

fn reveal(tenant: &Tenant) -> Ask {
    Ask::get(tenant.at("/secrets/secret/app/db")).by(&tenant.owner)
}

/// The sealed bytes of everything that a tenant has, and its wrapped keys.
fn sealed_bytes(database: &Path, tenant: &Tenant) -> Vec<Vec<u8>> {
    let file = Connection::open(database).unwrap();
    let id: bailiwick_types::TenantId = tenant.id.parse().unwrap();
    let number: i64 = file.query_row("SELECT no FROM tenant WHERE id = ?1", [id.as_bytes()], |row| row.get(0)).unwrap();
    let mut statement = file.prepare("SELECT sealed FROM record WHERE tenant_no = ?1 AND space = ?2").unwrap();
    let mut all = Vec::new();
    for space in [Space::Secret, Space::SecretVersion, Space::Member, Space::Credential, Space::Policy] {
        let rows = statement.query_map((number, space.number()), |row| row.get::<_, Vec<u8>>(0)).unwrap();
        all.extend(rows.map(Result::unwrap));
    }
    let meta: Vec<u8> = file.query_row("SELECT meta FROM tenant WHERE no = ?1", [number], |row| row.get(0)).unwrap();
    let meta: Value = serde_json::from_slice(&meta).unwrap();
    // Whatever in the record of its keys is long enough to be one.
    let mut long = Vec::new();
    texts(&meta["keyring"], &mut long);
    assert!(!long.is_empty(), "{meta}");
    all.extend(long.into_iter().map(String::into_bytes));
    all
}

fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() >= 40 => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
        Value::Object(members) => members.values().for_each(|member| texts(member, out)),
        _ => {}
    }
}

/// How many of these are in the files of the database.
fn found(database: &Path, needles: &[Vec<u8>]) -> usize {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(database.parent().unwrap()).unwrap() {
        files.push(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let is_in = |needle: &Vec<u8>, file: &Vec<u8>| {
        // Large values lie on several pages.
        let part = &needle[..needle.len().min(64)];
        file.windows(part.len()).any(|window| window == part)
    };
    needles.iter().filter(|needle| files.iter().any(|file| is_in(needle, file))).count()
}

#[tokio::test]
async fn a_deleted_tenant_can_be_saved_until_its_hold_is_over() {
    let house = House::new().await;
    let acme = house.tenant_named("acme").await;
    house.write(&acme, "app/db", VALUE).await;
    // This installation holds for an hour at least.
    house.ask(delete(&house, "acme", "59m")).await.refused(400, "invalid_request");
    house.ask(delete(&house, "acme", "nonsense")).await.refused(400, "invalid_request");
    house.ask(Ask::delete("/api/v1/tenants/acme?hold=2h").by(&acme.owner)).await.refused(403, "permission_denied");
    house.ask(reveal(&acme)).await.ok();
    let told = house.ask(delete(&house, "acme", "2h")).await.ok().value();
    assert_eq!(text(&told, "state"), "deleting");
    let shred_at: bailiwick_types::Timestamp = text(&told, "shred_at").parse().unwrap();
    let now = bailiwick_types::Clock::now(house.ground.clock.as_ref());
    assert_eq!(shred_at.since(now), Duration::from_secs(7_200));
    house.ask(reveal(&acme)).await.refused(403, "tenant_suspended");
    house.ask(delete(&house, "acme", "2h")).await.refused(409, "wrong_state");
    // To the last moment.
    house.advance(Duration::from_secs(7_199));
    house.app.run_due_jobs().await.unwrap();
    house.ask(act(&house, "acme", "resume")).await.ok();
    assert_eq!(text(&show(&house, "acme").await, "state"), "suspended");
    house.ask(act(&house, "acme", "resume")).await.ok();
    house.advance(Duration::from_secs(100_000));
    house.app.run_due_jobs().await.unwrap();
    let told = house.ask(reveal(&acme)).await.ok();
    assert_eq!(told.value()["data"], json!({ "value": VALUE }));
    assert!(show(&house, "acme").await.get("certificate").is_none());
}

#[tokio::test]
async fn a_shredded_tenant_leaves_a_certificate_and_nothing_that_opens() {
    let house = House::new().await;
    let (acme, globex) = (house.tenant_named("acme").await, house.tenant_named("globex").await);
    for tenant in [&acme, &globex] {
        house.write(tenant, "app/db", VALUE).await;
    }
    let holder = house.account(&acme, "viewer").await;
    let database = house.ground.database();
    let (ours, theirs) = (sealed_bytes(&database, &acme), sealed_bytes(&database, &globex));
    assert_eq!(found(&database, &ours), ours.len(), "the search does not find what is there");
    let others_view = house.ask(reveal(&globex)).await.ok().body;

    house.ask(delete(&house, "acme", "2h")).await.ok();
    house.advance(Duration::from_secs(7_200));
    house.app.run_due_jobs().await.unwrap();
    let shown = show(&house, "acme").await;
    assert_eq!(text(&shown, "state"), "deleted");
    assert_eq!(found(&database, &ours), 0, "sealed bytes or keys of it are still in the files");
    assert_eq!(found(&database, &theirs), theirs.len());
    for credential in [&acme.owner, &holder.credential] {
        let told = house.ask(Ask::get(acme.at("/whoami")).by(credential)).await;
        told.refused(401, "credential_invalid");
    }
    assert_eq!(house.ask(reveal(&globex)).await.ok().body, others_view);
    for name in ["resume", "suspend", "seal", "unseal"] {
        house.ask(act(&house, "acme", name)).await.refused(409, "wrong_state");
    }
    house.ask(delete(&house, "acme", "2h")).await.refused(409, "wrong_state");

    certificate_holds(&house, &acme, &globex, &text(&shown, "certificate")).await;
    let steps: Vec<_> = platform_entries(&house).await;
    let is_step =
        |entry: &&bailiwick_ledger::entry::Entry| entry.detail.get("step").is_some_and(|step| step == "shredded");
    let step = steps.iter().find(is_step).unwrap();
    assert_eq!((&*step.action, &step.resource.id), ("tenant:delete", &acme.id));

    // Neither slug nor id comes back, in this process or another.
    let house = House::start(house.stop()).await;
    let again = Ask::post("/api/v1/tenants").by(house.ground.operator()).json(json!({ "slug": "acme" }));
    house.ask(again).await.refused(409, "already_exists");
    let by_id = show(&house, &acme.id).await;
    assert_eq!((text(&by_id, "slug"), text(&by_id, "state")), ("acme".to_owned(), "deleted".to_owned()));
    assert_eq!(text(&by_id, "certificate"), text(&shown, "certificate"));
    house.ask(Ask::get(acme.at("/whoami")).by(&acme.owner)).await.refused(401, "credential_invalid");
    let other = house.tenant_named("acme-again").await;
    assert_ne!(other.id, acme.id);
}

/// Offline, with a key of the platform's that somebody has kept; and chained into the platform's ledger.
async fn certificate_holds(house: &House, acme: &Tenant, globex: &Tenant, certificate: &str) {
    let checkpoint = house.ask(Ask::get("/api/v1/platform/ledger/checkpoint").by(house.ground.operator())).await.ok();
    let keys = keys_of(&checkpoint);
    let desk = Desk::new();
    desk.file("certificate", certificate);
    for key in &keys {
        let ran = desk.run(&["verify", "certificate", "--key", &key.to_string(), "-o", "json"]).ok();
        let report = ran.json();
        assert_eq!((&report["tenant"], &report["slug"]), (&json!(acme.id), &json!("acme")));
    }
    let stranger = house.ask(Ask::get(globex.at("/keyring")).by(&globex.owner)).await.ok();
    let stranger = keys_of(&stranger)[0].to_string();
    let pinned = keys[0].to_string();
    desk.run(&["verify", "certificate", "--key", &stranger]).ends(6);
    desk.run(&["verify", "certificate"]).ends(2);
    for (from, to) in
        [("slug acme", "slug acmf"), (acme.id.as_str(), globex.id.as_str()), ("deleted-at 2", "deleted-at 3")]
    {
        let forged = certificate.replacen(from, to, 1);
        assert_ne!(forged, certificate);
        desk.file("forged", forged);
        desk.run(&["verify", "forged", "--key", &pinned]).ends(6);
    }
    // The platform's ledger goes on from the very tree that the certificate names.
    let report = bailiwick_verify::verify_certificate(certificate, &keys).unwrap();
    assert_eq!(report.signers.len(), 2);
    let named = report.certificate.platform;
    let path = format!("/api/v1/platform/ledger/consistency?old={}", named.size);
    let proof = house.ask(Ask::get(path).by(house.ground.operator())).await.ok();
    let proved = verify_consistency(&proof.body, &keys, None).unwrap();
    assert_eq!((proved.old_size, proved.old_root), (named.size, named.root));
    assert_eq!(proved.checkpoint.checkpoint.origin, named.origin);
}
