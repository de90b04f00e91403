//! Entries, leaves and subtrees, moved and changed.

use bailiwick_verify::{Expected, VerifierKey, VerifyError, verify_consistency, verify_inclusion};
use rusqlite::{OptionalExtension as _, params};
use serde_json::Value;

use crate::harness::export::verdict;
use crate::harness::house::{House, Tenant, text};
use crate::harness::{Ask, Told};

use super::edit::{ACME, File, GLOBEX, Scene, is_fault};

/// So many that the tree has a stored subtree (of 256 leaves).
const ENTRIES: u64 = 300;
/// The entry that is tampered with.
const AT: u64 = 5;

struct Evidence {
    scene: Scene,
    keys: Vec<VerifierKey>,
    /// A checkpoint that somebody has kept.
    kept: String,
    kept_size: u64,
}

impl Evidence {
    async fn set() -> Self {
        let scene = Scene::set().await;
        let house = scene.edited(|_| ()).await;
        for tenant in [&scene.acme, &scene.globex] {
            for _ in 0..ENTRIES {
                house.ask(Ask::get(tenant.at("/limits")).by(&tenant.owner)).await.ok();
            }
        }
        let shown = house.ask(Ask::get(scene.acme.at("/keyring")).by(&scene.acme.owner)).await.ok().value();
        let keys = shown.get("ledger_keys").and_then(Value::as_array).unwrap();
        let keys = keys.iter().map(|key| key.as_str().unwrap().parse().unwrap()).collect();
        let checkpoint =
            house.ask(Ask::get(scene.acme.at("/ledger/checkpoint")).by(&scene.acme.owner)).await.ok().value();
        let (kept, kept_size) = (text(&checkpoint, "note"), checkpoint.get("size").and_then(Value::as_u64).unwrap());
        Self { scene: scene.standing_on(house.stop()), keys, kept, kept_size }
    }

    fn acme(&self) -> &Tenant {
        &self.scene.acme
    }

    async fn get(&self, house: &House, path: &str) -> Told {
        house.ask(Ask::get(self.acme().at(path)).by(&self.acme().owner)).await
    }

    /// Whatever was done to acme's ledger: nothing is signed that contradicts what was signed before.
    async fn signs_no_lie(&self, house: &House) {
        for index in [0, AT, AT + 1, 255, 256, 280] {
            for size in [None, Some(self.kept_size), Some(257)] {
                if size.is_some_and(|size| index >= size) {
                    continue;
                }
                let size = size.map(|size| format!("&size={size}")).unwrap_or_default();
                let told = self.get(house, &format!("/ledger/inclusion?index={index}{size}")).await;
                if told.is_ok() {
                    let report = verify_inclusion(&told.body, &self.keys, None).unwrap();
                    self.agrees(&report.checkpoint.checkpoint);
                } else {
                    is_fault(&told);
                }
            }
        }
        for old in [1, 200, 256, self.kept_size] {
            let told = self.get(house, &format!("/ledger/consistency?old={old}")).await;
            if told.is_ok() {
                let kept = (old == self.kept_size).then_some(self.kept.as_str());
                let report = verify_consistency(&told.body, &self.keys, kept).unwrap();
                self.agrees(&report.checkpoint.checkpoint);
            } else {
                is_fault(&told);
            }
        }
    }

    /// Two checkpoints of one size have one root.
    fn agrees(&self, signed: &bailiwick_ledger::Checkpoint) {
        let kept = bailiwick_verify::verify_checkpoint(&self.kept, &self.keys).unwrap().checkpoint;
        if signed.size == kept.size {
            assert_eq!(*signed, kept, "the server has signed two histories");
        }
    }

    /// Proofs of the untouched ledger, for what they have to be.
    async fn proves(&self, house: &House) {
        let told = self.get(house, &format!("/ledger/inclusion?index={AT}&size={}", self.kept_size)).await.ok();
        let report = verify_inclusion(&told.body, &self.keys, None).unwrap();
        self.agrees(&report.checkpoint.checkpoint);
        let told = self.get(house, &format!("/ledger/consistency?old={}", self.kept_size)).await.ok();
        verify_consistency(&told.body, &self.keys, Some(&self.kept)).unwrap();
    }

    async fn export(&self, house: &House) -> Result<Vec<u8>, Vec<u8>> {
        use http_body_util::BodyExt as _;
        let ask = Ask::get(self.acme().at("/ledger/export")).by(&self.acme().owner);
        let mut body = house.begin(ask).await.into_body();
        let mut read = Vec::new();
        loop {
            match body.frame().await {
                None => return Ok(read),
                Some(Ok(frame)) => read.extend_from_slice(&frame.into_data().unwrap()),
                Some(Err(_)) => return Err(read),
            }
        }
    }
}

/// Entries as a row has them, the index of the first, and leaf and sealed bytes of each.
type Run = (u64, Vec<(Vec<u8>, Vec<u8>)>);

/// The run that an entry is in.
fn run(file: &File, tenant: &Tenant, index: u64) -> Run {
    let sql = "SELECT first, leaves, sealed FROM ledger_run WHERE tenant_no = ?1 AND first <= ?2 ORDER BY first DESC";
    let values = params![file.number(tenant), i64::try_from(index).unwrap()];
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?));
    let (first, leaves, sealed): (i64, Vec<u8>, Vec<u8>) = file.0.query_row(sql, values, row).unwrap();
    let (lengths, mut bytes) = sealed.split_at(leaves.len() / 8);
    let entries = leaves.chunks(32).zip(lengths.chunks(4)).map(|(leaf, length)| {
        let length = u32::from_le_bytes(length.try_into().unwrap());
        let (sealed, rest) = bytes.split_at(usize::try_from(length).unwrap());
        bytes = rest;
        (leaf.to_vec(), sealed.to_vec())
    });
    (u64::try_from(first).unwrap(), entries.collect())
}

fn put_run(file: &File, tenant: &Tenant, (first, entries): &Run) {
    let leaves = entries.iter().flat_map(|(leaf, _)| leaf.clone()).collect::<Vec<_>>();
    let lengths = entries.iter().flat_map(|(_, sealed)| u32::try_from(sealed.len()).unwrap().to_le_bytes());
    let sealed = lengths.chain(entries.iter().flat_map(|(_, sealed)| sealed.clone())).collect::<Vec<_>>();
    let sql = "INSERT OR REPLACE INTO ledger_run (tenant_no, first, leaves, sealed) VALUES (?1, ?2, ?3, ?4)";
    file.change(1, sql, params![file.number(tenant), i64::try_from(*first).unwrap(), leaves, sealed]);
}

/// An entry's leaf and sealed bytes.
fn row(file: &File, tenant: &Tenant, index: u64) -> (Vec<u8>, Vec<u8>) {
    let (first, entries) = run(file, tenant, index);
    entries[usize::try_from(index - first).unwrap()].clone()
}

fn put(file: &File, tenant: &Tenant, index: u64, row: &(Vec<u8>, Vec<u8>)) {
    let (first, mut entries) = run(file, tenant, index);
    entries[usize::try_from(index - first).unwrap()] = row.clone();
    put_run(file, tenant, &(first, entries));
}

#[tokio::test]
async fn an_entry_of_another_tenant_does_not_open() {
    let evidence = Evidence::set().await;
    let (acme, globex) = (&evidence.scene.acme, &evidence.scene.globex);
    // The whole row, its leaf included; then only the sealed bytes.
    for with_leaf in [true, false] {
        let house = evidence
            .scene
            .edited(|file| {
                let (mine, theirs) = (row(file, acme, AT), row(file, globex, AT));
                let (into_mine, into_theirs) = match with_leaf {
                    true => (theirs, mine),
                    false => ((mine.0, theirs.1), (theirs.0, mine.1)),
                };
                put(file, acme, AT, &into_mine);
                put(file, globex, AT, &into_theirs);
            })
            .await;
        for tenant in [acme, globex] {
            let ask = |path: String| Ask::get(tenant.at(&path)).by(&tenant.owner);
            is_fault(&house.ask(ask(format!("/ledger/entries/{AT}"))).await);
            is_fault(&house.ask(ask(format!("/ledger/entries?from={}&limit=3", AT - 1))).await);
            let other = house.ask(ask(format!("/ledger/entries/{}", AT + 1))).await.ok();
            assert!(!other.text().contains(if tenant.slug == "acme" { &globex.id } else { &acme.id }));
        }
        let cut = evidence.export(&house).await.unwrap_err();
        assert!(matches!(verdict(&cut, &[], None), Err(VerifyError::Truncated { .. })));
        evidence.signs_no_lie(&house).await;
        evidence.scene.rest_works(&house).await;
        for (tenant, value, foreign) in [(acme, ACME, GLOBEX), (globex, GLOBEX, ACME)] {
            let told = evidence.scene.reveal(&house, tenant, "app/db").await.ok();
            assert!(told.text().contains(value) && !told.text().contains(foreign));
        }
    }
}

#[tokio::test]
async fn entries_that_have_changed_places_are_found_and_never_signed() {
    let evidence = Evidence::set().await;
    let acme = evidence.acme();
    let house = evidence.scene.edited(|_| ()).await;
    evidence.proves(&house).await;
    let house = evidence
        .scene
        .edited(|file| {
            let (one, two) = (row(file, acme, AT), row(file, acme, AT + 1));
            put(file, acme, AT, &two);
            put(file, acme, AT + 1, &one);
        })
        .await;
    evidence.signs_no_lie(&house).await;
    // Both entries are real and open; what is wrong is the order, which the tree has.
    let cut = evidence.export(&house).await.unwrap_err();
    assert!(matches!(verdict(&cut, &[], None), Err(VerifyError::Truncated { expected: Expected::Checkpoint, .. })));
    evidence.scene.rest_works(&house).await;
}

#[tokio::test]
async fn a_changed_byte_of_an_entry_a_leaf_or_a_subtree_is_found_and_never_signed() {
    let evidence = Evidence::set().await;
    let acme = evidence.acme();
    for (what, index) in [("sealed", AT), ("leaf", AT), ("leaf", 290)] {
        let house = evidence
            .scene
            .edited(|file| {
                let (mut leaf, mut sealed) = row(file, acme, index);
                if what == "leaf" {
                    leaf[7] ^= 1
                } else {
                    sealed[40] ^= 1
                }
                put(file, acme, index, &(leaf, sealed));
            })
            .await;
        is_fault(&evidence.get(&house, &format!("/ledger/entries/{index}")).await);
        let cut = evidence.export(&house).await.unwrap_err();
        assert!(verdict(&cut, &[], None).is_err());
        evidence.signs_no_lie(&house).await;
        evidence.scene.rest_works(&house).await;
    }
    let house = evidence
        .scene
        .edited(|file| {
            let sql = "SELECT hash FROM ledger_subtree WHERE tenant_no = ?1 AND level = 1 AND n = 0";
            let found = file.0.query_row(sql, [file.number(acme)], |row| row.get::<_, Vec<u8>>(0)).optional();
            let mut hash = found.unwrap().unwrap();
            hash[0] ^= 1;
            let sql = "UPDATE ledger_subtree SET hash = ?2 WHERE tenant_no = ?1 AND level = 1 AND n = 0";
            file.change(1, sql, params![file.number(acme), hash]);
        })
        .await;
    evidence.signs_no_lie(&house).await;
    let export = evidence.export(&house).await.unwrap();
    verdict(&export, &evidence.keys, Some(&evidence.kept)).unwrap();
    evidence.scene.rest_works(&house).await;
}

#[tokio::test]
async fn an_entry_that_was_taken_away_is_found() {
    let evidence = Evidence::set().await;
    let acme = evidence.acme();
    let house = evidence
        .scene
        .edited(|file| {
            let (first, mut before) = run(file, acme, AT);
            let after = before.split_off(usize::try_from(AT - first).unwrap());
            put_run(file, acme, &(first, before));
            put_run(file, acme, &(AT + 1, after[1..].to_vec()));
        })
        .await;
    let told = evidence.get(&house, &format!("/ledger/entries/{AT}")).await;
    assert!(!told.is_ok(), "{}", told.text());
    let cut = evidence.export(&house).await.unwrap_err();
    assert!(verdict(&cut, &[], None).is_err());
    evidence.signs_no_lie(&house).await;
    evidence.scene.rest_works(&house).await;
}
