use bailiwick_authz::{Authority, Layer, restore_policy};
use bailiwick_store::{Header, Record};
use bailiwick_types::api::secret::MountConfig;
use bailiwick_types::{InstallationId, MountId, MountName, Timestamp};

use super::*;
use crate::records::{MountRecord, SecretRecord, TenantMeta};

fn tenant(number: u64) -> TenantId {
    TenantId::from_bytes(u128::from(number).to_be_bytes())
}

fn snapshot(number: u64) -> Arc<Snapshot> {
    let header = Header {
        tenant: tenant(number),
        slug: format!("t-{number}"),
        state: 0,
        epoch: 1,
        ledger: bailiwick_ledger::CompactRange::new(),
        counts: bailiwick_store::Counts::default(),
        meta: Vec::new(),
        meta_version: 1,
        revision: 0,
        wake: None,
    };
    let meta: TenantMeta = serde_json::from_value(serde_json::json!({
        "name": "n",
        "created": Timestamp::from_unix_ms(0),
    }))
    .unwrap();
    Arc::new(Snapshot::new(&header, &meta, None, InstallationId::from_bytes([1; 16]), 1))
}

/// With policies that weigh about so much.
fn governed(number: u64, bytes: usize) -> Arc<Snapshot> {
    let snapshot = snapshot(number);
    let mut policies = Vec::new();
    let mut sum = 0;
    while sum < bytes {
        let name = format!("p{}", policies.len()).parse().unwrap();
        let many: Vec<String> = (0..100).map(|n| format!("resource == Secret::\"secret/app/{n}\"")).collect();
        let text = format!("permit (principal, action, resource) when {{ {} }};", many.join(" || "));
        let policy = restore_policy(Layer::Tenant, &name, &text).unwrap();
        sum += policy.bytes();
        policies.push(policy);
    }
    snapshot.authority.set(Arc::new(Authority::new(&[], &policies))).unwrap();
    snapshot
}

/// As if many mounts of a tenant had been asked for.
fn remember(snapshot: &Snapshot, mounts: u64) {
    for number in 0..mounts {
        let name: MountName = format!("m{number}").parse().unwrap();
        let record = MountRecord {
            id: MountId::from_bytes([1; 16]),
            name: name.clone(),
            description: String::new(),
            config: MountConfig::default(),
            created: Timestamp::from_unix_ms(0),
        };
        snapshot.remember_mount(name, Arc::new(record));
    }
}

#[test]
fn all_together_take_no_more_than_they_may() {
    let snapshots = Snapshots::new(4 << 20);
    for number in 0..2_000 {
        snapshots.insert(tenant(number), snapshot(number));
        assert!(snapshots.bytes() <= 4 << 20);
    }
    assert!(snapshots.bytes() > 3 << 20, "{}", snapshots.bytes());
    assert_eq!(snapshots.bytes_of(tenant(1_999)), SNAPSHOT_BYTES);
    snapshots.remove(tenant(1_999));
    assert!(snapshots.get(tenant(1_999)).is_none());
    assert_eq!(snapshots.bytes_of(tenant(1_999)), 0);
    snapshots.clear();
    assert_eq!(snapshots.bytes(), 0);
}

#[test]
fn what_a_tenant_has_brought_along_counts_once_it_is_used_again() {
    let snapshots = Snapshots::new(4 << 20);
    let known = snapshot(1);
    snapshots.insert(tenant(1), Arc::clone(&known));
    assert_eq!(snapshots.bytes(), SNAPSHOT_BYTES);
    remember(&known, 100);
    snapshots.get(tenant(1)).unwrap();
    assert_eq!(snapshots.bytes(), known.bytes());
    assert_eq!(known.bytes(), SNAPSHOT_BYTES + 100 * 512);
}

#[test]
fn a_tenant_that_fills_its_share_forgets_its_own_and_pushes_nobody_out() {
    let snapshots = Snapshots::new(512 << 10);
    for number in 2..40 {
        snapshots.insert(tenant(number), snapshot(number));
    }
    let loud = snapshot(1);
    snapshots.insert(tenant(1), Arc::clone(&loud));
    let share = (512 << 10) / SHARE;
    for _ in 0..10 {
        // 128 mounts are a share, and one more is above it.
        remember(&loud, 128);
        assert!(snapshots.get(tenant(1)).is_some());
        assert_eq!(loud.remembered_bytes(), share);
        remember(&loud, 129);
        assert!(snapshots.get(tenant(1)).is_some());
        assert_eq!(loud.remembered_bytes(), 0);
    }
    assert!((2..40).all(|number| snapshots.get(tenant(number)).is_some()), "quiet tenants are where they were");
}

#[test]
fn policies_heavier_than_a_share_are_kept_and_weigh_as_much_as_one() {
    let snapshots = Snapshots::new(1 << 20);
    let heavy = governed(1, 300 << 10);
    assert!(heavy.bytes() > 300 << 10);
    snapshots.insert(tenant(1), Arc::clone(&heavy));
    assert!(snapshots.get(tenant(1)).is_some(), "or they would be compiled again for each request");
    assert_eq!(snapshots.bytes(), (1 << 20) / SHARE);
    assert_eq!(snapshots.bytes_of(tenant(1)), heavy.bytes(), "what is shown is what it is");
}

#[test]
fn a_record_is_opened_once_for_as_long_as_it_stays_as_it_is() {
    let record = |text: &str| -> Arc<SecretRecord> {
        let time = Timestamp::from_unix_ms(0);
        let record = serde_json::json!({"c": time, "u": time, "n": 1, "t": {"is": text}, "v": {}});
        Arc::new(serde_json::from_value(record).unwrap())
    };
    let stored = |version, sealed: &[u8]| Record { version, sealed: sealed.to_vec() };
    let (snapshot, before) = (snapshot(1), stored(1, b"sealed"));
    let is = |key: &[u8], stored: &Record| {
        snapshot.open_once(key, stored).map(|found: Arc<SecretRecord>| found.custom.clone())
    };
    // Without keys nothing can be opened: whatever is found was remembered.
    assert!(is(b"key", &before).is_err());
    snapshot.secrets.remember(b"key", before.clone(), record("this"));
    assert_eq!(is(b"key", &before).unwrap(), record("this").custom);
    for (key, stored) in [("other", &before), ("key", &stored(2, b"sealed")), ("key", &stored(1, b"sealeD"))] {
        assert!(is(key.as_bytes(), stored).is_err(), "{key} {stored:?}");
    }
    snapshot.forget();
    assert!(is(b"key", &before).is_err());
}

#[test]
fn records_that_were_opened_count_and_are_bounded() {
    let snapshot = snapshot(1);
    let time = Timestamp::from_unix_ms(0);
    let record = serde_json::json!({"c": time, "u": time, "n": 1, "v": {}});
    let record: Arc<SecretRecord> = Arc::new(serde_json::from_value(record).unwrap());
    let before = snapshot.remembered_bytes();
    let stored = Record { version: 1, sealed: vec![0; 4_000] };
    snapshot.secrets.remember(b"key", stored.clone(), record.clone());
    assert!(snapshot.remembered_bytes() > before + 4_000);
    for number in 0..10_000_u32 {
        snapshot.secrets.remember(&number.to_be_bytes(), stored.clone(), record.clone());
        assert!(snapshot.remembered_bytes() < before + (5 << 20));
    }
    let huge = Record { version: 1, sealed: vec![0; 5 << 20] };
    snapshot.secrets.remember(b"huge", huge, record);
    assert!(snapshot.remembered_bytes() < before + (5 << 20));
}
