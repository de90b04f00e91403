//! Who holds the root key, from the first start to the next.

use bailiwick_seal::{RootKey, SystemRandom};
use serde_json::json;

use crate::harness::Ask;
use crate::harness::process::Start;

use super::{Serving, operator, progress, shares};

#[test]
fn shares_unseal_in_any_sufficient_number_and_nothing_less_does() {
    let mut serving = Serving::start("provider = \"shamir\"");
    let ask = Ask::get("/api/v1/platform/health").by("bwo_nobody");
    assert_eq!(serving.ask(&ask).status, 503);
    serving.unseal("bws_nothing").refused(503, "not_initialized");
    for (shares, threshold) in [(1, 1), (3, 4), (3, 1), (200, 3)] {
        let body = json!({ "provider": "shamir", "shares": shares, "threshold": threshold });
        serving.init(body).refused(400, "invalid_request");
    }
    let made = serving.init(json!({ "provider": "shamir", "shares": 5, "threshold": 3 })).ok().value();
    let (shares, operator) = (shares(&made), operator(&made));
    assert_eq!(shares.iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
    serving.is_sealed_to(&operator);

    // Once: nobody can make them be shown again, or make others.
    let again = serving.init(json!({ "provider": "shamir", "shares": 5, "threshold": 3 }));
    assert!(!again.text().contains("bws_"));
    again.refused(409, "wrong_state");
    let again = serving.ask(&Ask::post("/v1/sys/init").json(json!({ "secret_shares": 5, "secret_threshold": 3 })));
    assert_eq!(again.value(), json!({ "errors": ["Vault is already initialized"] }));
    let shown = serving.ask(&Ask::get("/api/v1/seal-status")).ok();
    assert!(!shown.text().contains("bws_"));
    assert_eq!((&shown.value()["threshold"], &shown.value()["shares"]), (&json!(3), &json!(5)));

    // What is wrong counts for nothing, and takes nothing away.
    let give = |serving: &Serving, share: &str| progress(&serving.unseal(share));
    assert_eq!(give(&serving, &shares[0]), (true, 1));
    let mut mistyped = shares[1].clone().into_bytes();
    mistyped[40] = if mistyped[40] == b'A' { b'B' } else { b'A' };
    let (_, others) = RootKey::generate(&SystemRandom).split(5, 3, &SystemRandom).unwrap();
    for wrong in [
        "nonsense".to_owned(),
        String::new(),
        shares[1][..40].to_owned(),
        String::from_utf8(mistyped).unwrap(),
        others[1].expose().clone(),
    ] {
        let told = serving.unseal(&wrong).refused(400, "invalid_request");
        assert!(wrong.len() < 9 || !told.text().contains(&wrong), "{}", told.text());
        assert_eq!(serving.status(), (true, 1));
    }
    // The same one again is still one, at either door and in any form.
    assert_eq!(give(&serving, &shares[0]), (true, 1));
    assert_eq!(give(&serving, &format!("  {}\n", shares[0])), (true, 1));
    let hex = data_encoding::HEXLOWER.encode(shares[0].as_bytes());
    let vault = serving.ask(&Ask::post("/v1/sys/unseal").json(json!({ "key": hex }))).ok().value();
    assert_eq!((&vault["sealed"], &vault["progress"]), (&json!(true), &json!(1)));
    assert_eq!(give(&serving, &shares[3]), (true, 2));
    let reset = Ask::post("/api/v1/unseal").json(json!({ "reset": true }));
    assert_eq!(progress(&serving.ask(&reset)), (true, 0));
    // What was given is forgotten with the process.
    assert_eq!(give(&serving, &shares[3]), (true, 1));
    assert_eq!(give(&serving, &shares[4]), (true, 2));
    serving.restart();
    assert_eq!(serving.status(), (true, 0));
    assert_eq!(give(&serving, &shares[2]), (true, 1));
    assert_eq!(progress(&serving.ask(&reset)), (true, 0));

    // Any three, in any order.
    let mut count = 0;
    for (one, two, three) in triples() {
        assert_eq!(give(&serving, &shares[three]), (true, 1));
        assert_eq!(give(&serving, &shares[one]), (true, 2));
        serving.is_sealed_to(&operator);
        assert_eq!(give(&serving, &shares[two]), (false, 0));
        serving.is_open_to(&operator);
        // Too late for anything.
        assert_eq!(give(&serving, &shares[one]), (false, 0));
        serving.ask(&Ask::post("/api/v1/platform/seal").by(&operator)).ok();
        serving.is_sealed_to(&operator);
        count += 1;
    }
    assert_eq!(count, 10);
}

/// All choices of three out of five.
fn triples() -> impl Iterator<Item = (usize, usize, usize)> {
    (0..5).flat_map(|one| (one + 1..5).flat_map(move |two| (two + 1..5).map(move |three| (one, two, three))))
}

#[test]
fn a_passphrase_unseals_each_time_anew_and_no_other_does() {
    let mut serving = Serving::start("provider = \"passphrase\"");
    serving.init(json!({ "provider": "passphrase", "passphrase": "too short" })).refused(400, "invalid_request");
    serving.init(json!({ "provider": "passphrase" })).refused(400, "invalid_request");
    let phrase = "correct horse battery staple";
    let made = serving.init(json!({ "provider": "passphrase", "passphrase": phrase })).ok().value();
    let operator = operator(&made);
    assert!(made.get("shares").is_none(), "{made}");
    for _ in 0..2 {
        serving.is_sealed_to(&operator);
        for wrong in
            ["correct horse battery stable", "Correct horse battery staple", "correct horse battery staple ", ""]
        {
            serving.unseal(wrong).refused(400, "invalid_request");
            assert_eq!(serving.status(), (true, 0));
        }
        assert_eq!(progress(&serving.unseal(phrase)), (false, 0));
        serving.is_open_to(&operator);
        serving.restart();
    }
}

#[test]
fn a_key_file_unseals_at_the_start_if_it_is_the_right_one_and_nobody_elses() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut serving = Serving::start("provider = \"file\"\nfile = \"root.key\"");
    let operator = operator(&serving.init(json!({ "provider": "file" })).ok().value());
    serving.is_open_to(&operator);
    let key = serving.desk.path("root.key");
    let mode = |mode: u32| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    serving.restart();
    serving.is_open_to(&operator);
    serving.unseal("nonsense").ok();
    serving.stop();
    // Refused at the start: no server that runs and cannot be used.
    let good = std::fs::read(&key).unwrap();
    let refused = |why: &str| {
        let ran = serving.desk.run(&["serve", "--config", "bailiwick.toml"]);
        assert!(ran.code != 0 && !ran.err.contains("listening"), "{why}: {ran:?}");
        let digits = String::from_utf8_lossy(&good);
        assert!(!ran.err.contains(&digits[..16]), "{why}: {}", ran.err);
    };
    mode(0o640);
    refused("a file that others may read");
    mode(0o600);
    let other = serving.desk.path("other.key");
    RootKey::generate(&SystemRandom).write_file(&other).unwrap();
    std::fs::copy(&other, &key).unwrap();
    refused("another key");
    serving.desk.file("root.key", "nonsense\n");
    refused("no key");
    std::fs::remove_file(&key).unwrap();
    refused("no file");
    serving.desk.file("root.key", &good);
    serving.server = Start::serve(&serving.config).run();
    serving.is_open_to(&operator);
}
