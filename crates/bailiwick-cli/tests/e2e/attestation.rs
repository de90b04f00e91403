//! An attestation from a terminal: asked for, handed over, verified far from the server, and touched.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::house::{Dev, House};

fn keys(dev: &Dev) -> Vec<String> {
    let keyring = dev.house.sh("keyring show -o json").json();
    keyring["ledger_keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_attestation_verifies_far_from_the_server_and_a_touched_one_does_not() {
    let mut dev = Dev::start();
    let keys = keys(&dev);
    let said = dev.house.sh("attest --file acme.attestation").ok();
    assert!(said.err.contains("attested to acme.attestation") && said.out.is_empty(), "{said:?}");
    let path = dev.house.path("acme.attestation");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644, "it is for others to read");
    let text = std::fs::read_to_string(&path).unwrap();
    let attested: Value = serde_json::from_str(&text).unwrap();

    // The very program that serves, by whoever has it.
    let program = std::fs::read(env!("CARGO_BIN_EXE_bailiwick")).unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &program);
    assert_eq!(attested["attestation"]["server"]["build"], data_encoding::HEXLOWER.encode(digest.as_ref()));

    let away = House::new();
    away.file("acme.attestation", &text);
    for key in &keys {
        let held = away.run(&["verify", "acme.attestation", "--key", key, "--max-age", "1h"]).ok();
        assert!(held.out.starts_with("an attestation that holds") && held.out.contains("acme (ten_"), "{}", held.out);
        assert!(held.err.starts_with("warning: the server "), "a young server knows little: {}", held.err);
    }
    let report = away.run(&["verify", "acme.attestation", "--key", &keys[0], "-o", "json"]).json();
    assert_eq!(report["attestation"], attested["attestation"]);
    away.sh("verify acme.attestation").fails(2);
    away.run(&["verify", "acme.attestation", "--key", &keys[0], "--max-age", "0s"]).fails(6);
    // What is printed for machines is the same thing.
    let printed = dev.house.sh("attest -o json").ok().out;
    away.file("printed.json", &printed);
    away.run(&["verify", "printed.json", "--key", &keys[0]]).ok();
    assert!(dev.house.sh("attest").ok().out.contains("isolation rule"));

    let state = &attested["attestation"]["isolation"]["state"];
    for (number, touched) in [
        text.replace(&format!("\"state\":{state}"), "\"state\":\"holds\""),
        text.replace("\"slug\":\"acme\"", "\"slug\":\"acne\""),
        text.replace("\"policies\":[", "\"policies\":[],\"policies\":["),
        text.replace("\"v\":1", "\"v\":1,\"w\":1"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_ne!(touched, text, "change {number} changed nothing");
        away.file("touched.attestation", touched);
        let ran = away.run(&["verify", "touched.attestation", "--key", &keys[0]]);
        assert!(ran.code == 6 && ran.out.is_empty(), "change {number}: {ran:?}");
    }

    // The other tenant's, with this one's key; and its note next to this one's attestation.
    let globex = dev.globex.clone();
    dev.act_as(&globex);
    dev.house.sh("attest --file globex.attestation").ok();
    let theirs = std::fs::read_to_string(dev.house.path("globex.attestation")).unwrap();
    away.file("globex.attestation", &theirs);
    away.run(&["verify", "globex.attestation", "--key", &keys[0]]).fails(6);
    away.run(&["verify", "globex.attestation", "--key", &self::keys(&dev)[0]]).ok();
    let (own, _) = text.split_once(",\"note\":").unwrap();
    let (_, note) = theirs.split_once(",\"note\":").unwrap();
    away.file("mixed.attestation", format!("{own},\"note\":{note}"));
    for key in &keys {
        away.run(&["verify", "mixed.attestation", "--key", key]).fails(6);
    }
    for word in ["globex", "canary"] {
        assert!(!text.contains(word), "{text}");
    }
}
