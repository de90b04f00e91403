//! Whole installations on the move, with the real program: copied, backed up while they are in use, restored, accepted.

use super::house::{Dev, is_private};

const SQLITE: &str = "sqlite:data/bailiwick.db";

/// A server with something in it, and an operator beside the first one: its id, its credential's id, its credential.
fn lived_in() -> (Dev, String, String, String) {
    let mut dev = Dev::start();
    dev.house.sh("secret put secret/app/db user=app password=s3cret").ok();
    let account = dev.house.sh("account create shop -q").word();
    dev.house.sh(&format!("binding create {account} secret-reader --on folder/secret/app -q")).ok();
    let key = dev.house.sh(&format!("key issue {account} -q")).word();
    dev.house.file("shop.key", key);
    let listed = dev.house.sh(&format!("key list {account} -o json")).json();
    dev.house.file("shop.account", format!("{account} {}", listed["items"][0]["id"].as_str().unwrap()));
    dev.house.sh("secret get secret/app/db").ok();
    let operator = dev.operator.clone();
    dev.act_as(&operator);
    dev.house.file("operator.key", &operator);
    let id = dev.house.sh("operator create Mallory --role operator-admin -q").word();
    let credential = dev.house.sh(&format!("operator credential issue {id} -q")).word();
    let listed = dev.house.sh(&format!("operator credential list {id} -o json")).json();
    let key = listed["items"][0]["id"].as_str().unwrap().to_owned();
    (dev, id, key, credential)
}

#[test]
fn what_was_revoked_after_the_backup_is_not_accepted_in_what_is_restored() {
    let (mut dev, mallory, mallorys_key, mallorys_credential) = lived_in();
    let acme = dev.acme.clone();
    // In use: the server has the store open, and goes on.
    let made = dev.house.sh(&format!("backup --store {SQLITE} --file one.backup -o json")).json();
    assert!(
        made["tenants"].as_u64().unwrap() >= 3 && made["installation"].as_str().unwrap().starts_with("ins_"),
        "{made}"
    );
    assert!(is_private(&dev.house.path("one.backup")));
    // After it: an operator and an account's key are cut off.
    dev.house.sh(&format!("operator credential revoke {mallory} {mallorys_key} --yes")).ok();
    dev.house.unset("BAILIWICK_CREDENTIAL");
    dev.house.sh("secret get secret/app/db --credential-file shop.key").ok();
    dev.act_as(&acme);
    let shop = std::fs::read_to_string(dev.house.path("shop.account")).unwrap();
    dev.house.sh(&format!("key revoke {shop} --yes")).ok();
    // What was revoked since is in the ledger, which somebody has exported.
    let later = dev.house.sh("ledger export --format jsonl").ok().out;
    let entries = later.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let revoked: Vec<String> = entries
        .filter(|entry| entry["outcome"] == "ok" && entry["action"].as_str().unwrap().ends_with(":revoke"))
        .map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(revoked, [shop.split(' ').nth(1).unwrap()]);
    dev.house.file("revoked.txt", format!("{}\n\n", revoked.join("\n")));
    dev.house.file("nonsense.txt", "key_x\n");
    dev.stop();

    let restored = dev.house.sh("restore --file one.backup --store sqlite:new/bailiwick.db").ok();
    assert!(restored.err.contains("what was revoked after this backup is not revoked in it"), "{}", restored.err);
    assert!(restored.out.contains("equal: every record, every entry, every root"), "{}", restored.out);
    dev.move_to("new");
    // No tenant answers, and neither operator gets in, though both credentials are in the backup.
    dev.act_as(&acme);
    dev.house.sh("secret get secret/app/db").fails(4);
    for credential in [dev.operator.clone(), mallorys_credential.clone()] {
        dev.act_as(&credential);
        let refused = dev.house.sh("tenant list").fails(8);
        assert!(refused.err.contains("restored from a backup, and nobody has accepted that"), "{}", refused.err);
    }
    dev.house.sh("restore accept --store sqlite:new/bailiwick.db --keep-credential-file operator.key").fails(9);
    dev.stop();

    // Somebody who is there names who is good today.
    let accept = "restore accept --store sqlite:new/bailiwick.db";
    dev.house.sh(accept).fails(2);
    dev.house.sh(&format!("{accept} --keep key_00000000000000000000000001")).fails(2);
    dev.house.sh(&format!("{accept} --keep-credential-file shop.key")).fails(3);
    dev.house.sh(&format!("{accept} --keep-credential-file operator.key --revoked nonsense.txt")).fails(2);
    let accept_one = format!("{accept} --keep-credential-file operator.key --revoked revoked.txt -o json");
    let accepted = dev.house.sh(&accept_one).json();
    assert_eq!((accepted["kept"].as_u64(), accepted["revoked"].as_u64()), (Some(1), Some(1)));
    assert!(accepted["removed"].as_u64().unwrap() >= 1, "{accepted}");
    dev.house.sh(&format!("{accept} --keep-credential-file operator.key")).fails(6);
    dev.move_to("new");
    dev.act_as(&mallorys_credential);
    dev.house.sh("tenant list").fails(3);
    dev.act_as(&dev.operator.clone());
    let written = dev.house.sh("platform ledger list --action installation: -o json").json();
    let written = &written["items"][0]["entry"];
    assert_eq!((&written["action"], &written["door"]), (&"installation:restore".into(), &"system".into()), "{written}");
    dev.house.sh("tenant resume acme").ok();
    dev.act_as(&acme);
    assert!(dev.house.sh("secret get secret/app/db").ok().out.contains("s3cret"));
    dev.house.unset("BAILIWICK_CREDENTIAL");
    dev.house.sh("secret get secret/app/db --credential-file shop.key").fails(3);
    // The other one stays shut until somebody resumes it.
    dev.act_as(&dev.globex.clone());
    dev.house.sh("secret list secret/").fails(4);
    // It has gone on: the same backup is not put over it.
    dev.stop();
    let refused = dev.house.sh("restore --file one.backup --store sqlite:new/bailiwick.db").fails(6);
    assert!(refused.err.contains("the target holds something else"), "{}", refused.err);
}

#[test]
fn a_backup_that_is_trusted_goes_on_as_it_was_and_its_ledger_still_verifies() {
    let (mut dev, _, _, mallorys_credential) = lived_in();
    dev.act_as(&dev.acme.clone());
    dev.house.sh("ledger export --file before.ledger").ok();
    dev.stop();
    // What a killed server left in its log is in the backup too.
    let made = dev.house.sh(&format!("backup --store {SQLITE} --file last.backup -o json")).json();
    let sha256 = made["sha256"].as_str().unwrap();
    let verified =
        dev.house.run(&["backup", "verify", "--file", "last.backup", "--sha256", sha256, "-o", "json"]).json();
    assert_eq!((&verified["entries"], verified["sha256"].as_str()), (&made["entries"], Some(sha256)));
    let slugs: Vec<&str> =
        verified["planes"].as_array().unwrap().iter().map(|plane| plane["slug"].as_str().unwrap()).collect();
    assert!(slugs.contains(&"acme") && slugs.contains(&"globex") && slugs.last() == Some(&"platform"), "{slugs:?}");

    let restore = "restore --file last.backup --store sqlite:new/bailiwick.db --trust-backup-is-latest";
    dev.house.sh(&format!("{restore} --dry-run")).ok();
    assert!(!dev.house.path("new/bailiwick.db").exists(), "a dry run has made it");
    dev.house.sh(restore).ok();
    dev.move_to("new");
    dev.act_as(&dev.acme.clone());
    assert!(dev.house.sh("secret get secret/app/db").ok().out.contains("s3cret"));
    dev.act_as(&mallorys_credential);
    dev.house.sh("tenant list").ok();
    dev.act_as(&dev.acme.clone());
    dev.house.sh("ledger export --file after.ledger").ok();
    dev.house.sh("verify after.ledger --previous before.ledger").ok();
}

#[test]
fn a_backup_that_is_not_what_was_made_is_refused_before_anything_is_written() {
    let (mut dev, ..) = lived_in();
    dev.house.sh(&format!("backup --store {SQLITE} --file one.backup")).ok();
    dev.stop();
    let whole = std::fs::read(dev.house.path("one.backup")).unwrap();
    let middle = whole.len() / 2;
    let mut changed = whole.clone();
    changed[middle] ^= 1;
    let mut newer = whole.clone();
    newer[20] = 9;
    for (bytes, why) in [
        (changed.as_slice(), "damaged or was changed"),
        (&whole[..middle], "is cut off"),
        (newer.as_slice(), "has format 9, this release knows 1"),
        (b"[root_key]".as_slice(), "no backup of an installation"),
    ] {
        dev.house.file("touched.backup", bytes);
        for line in
            ["restore --file touched.backup --store sqlite:new/bailiwick.db", "backup verify --file touched.backup"]
        {
            let refused = dev.house.sh(line).fails(2);
            assert!(refused.err.contains(why), "{}", refused.err);
        }
    }
    let other = "restore --file one.backup --store sqlite:new/bailiwick.db --sha256 00";
    assert!(dev.house.sh(other).fails(2).err.contains("it is another file"));
    assert!(!dev.house.path("new").exists(), "the store was made");
    dev.house.sh("restore --file absent.backup --store sqlite:new/bailiwick.db").fails(2);
}

#[test]
fn a_copy_is_compared_brought_up_to_date_and_used() {
    let (mut dev, ..) = lived_in();
    let copy = format!("store copy --from {SQLITE} --to sqlite:new/bailiwick.db");
    let plan = dev.house.sh(&format!("{copy} --dry-run -o json")).json();
    assert!(plan["absent"].as_u64().unwrap() >= 3 && !dev.house.path("new").exists(), "{plan}");
    // While the server runs, and once more when it does not.
    dev.house.sh(&copy).ok();
    dev.act_as(&dev.acme.clone());
    dev.house.sh("secret put secret/app/later token=t0ken").ok();
    dev.stop();
    dev.house.sh(&format!("{copy} --verify-only")).fails(6);
    assert!(dev.house.sh(&format!("{copy} --dry-run -o json")).json()["behind"].as_u64().unwrap() >= 1);
    let copied = dev.house.sh(&format!("{copy} -o json")).json();
    assert_eq!((copied["action"].as_str(), copied["is_equal"].as_bool()), (Some("copied"), Some(true)));
    dev.house.sh(&format!("{copy} --verify-only")).ok();
    dev.house.sh(&format!("store copy --from {SQLITE} --to {SQLITE}")).fails(2);
    dev.house.sh("store copy --from sqlite:absent.db --to sqlite:new/bailiwick.db").fails(9);
    dev.move_to("new");
    dev.act_as(&dev.acme.clone());
    assert!(dev.house.sh("secret get secret/app/later").ok().out.contains("t0ken"));
    // It has a life of its own now.
    dev.stop();
    dev.house.sh(&copy).fails(6);
}
