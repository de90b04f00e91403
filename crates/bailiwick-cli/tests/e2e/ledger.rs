//! The ledger from a terminal: looked at, followed, proved, exported; and what became of an export that somebody touched.

use serde_json::Value;

use super::house::{Dev, House, is_private};

fn keys(dev: &Dev) -> Vec<String> {
    let keyring = dev.house.sh("keyring show -o json").json();
    keyring["ledger_keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_export_verifies_and_a_touched_one_does_not() {
    let mut dev = Dev::start();
    dev.house.sh("secret put secret/app/db user=app").ok();
    dev.house.sh("secret get secret/app/db").ok();
    dev.house.sh("ledger export --file first.ledger").ok();
    assert!(is_private(&dev.house.path("first.ledger")));
    dev.house.sh("secret get secret/app/db").ok();
    let said = dev.house.sh("ledger export --file acme.ledger").ok();
    assert!(said.err.contains("exported to acme.ledger"), "{}", said.err);
    let keys = keys(&dev);

    // Offline: neither server nor credential.
    let away = House::new();
    for name in ["acme.ledger", "first.ledger"] {
        std::fs::copy(dev.house.path(name), away.path(name)).unwrap();
    }
    let verify = |file: &str| away.run(&["verify", file]);
    let report = verify("acme.ledger").ok();
    assert!(report.out.contains("acme"), "{}", report.out);
    let pinned =
        away.run(&["verify", "acme.ledger", "--key", &keys[0], "--previous", "first.ledger", "-o", "json"]).json();
    assert_eq!(pinned["slug"], "acme");
    assert!(pinned["previous"].as_u64().unwrap() > 2);

    // Of another tenant's key, or before what was there already.
    let (acme, globex) = (dev.acme.clone(), dev.globex.clone());
    dev.act_as(&globex);
    dev.house.sh("secret put secret/app/db user=app").ok();
    dev.house.sh("ledger export --file globex.ledger").ok();
    let theirs = self::keys(&dev);
    away.run(&["verify", "acme.ledger", "--key", &theirs[0]]).fails(6);
    away.run(&["verify", "first.ledger", "--previous", "acme.ledger"]).fails(6);
    std::fs::copy(dev.house.path("globex.ledger"), away.path("globex.ledger")).unwrap();
    away.run(&["verify", "globex.ledger", "--previous", "first.ledger"]).fails(6);

    // Touched in every way that the claim names; the message says where.
    let text = std::fs::read_to_string(away.path("acme.ledger")).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let foreign = std::fs::read_to_string(away.path("globex.ledger")).unwrap();
    let foreign: Vec<&str> = foreign.split_inclusive('\n').collect();
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        change(&mut lines);
        lines.concat()
    };
    let touched = [
        ("line 3", with(&|lines| lines[2] = lines[2].replace("\"allow\"", "\"deny\""))),
        ("line 3", with(&|lines| drop(lines.remove(2)))),
        ("line 3", with(&|lines| lines.swap(2, 3))),
        ("line 3", with(&|lines| lines[2] = foreign[2].to_owned())),
        ("line 4", with(&|lines| lines.insert(3, lines[2].clone()))),
        ("", with(&|lines| drop(lines.pop()))),
        ("seal", with(&|lines| lines[0] = lines[0].replace("acme", "acne"))),
        ("", text[..text.len() / 2].to_owned()),
        ("", format!("{text}\n")),
    ];
    for (number, (place, text)) in touched.iter().enumerate() {
        assert_ne!(*text, lines.concat(), "change {number} changed nothing");
        away.file("touched.ledger", text);
        let ran = verify("touched.ledger");
        assert!(matches!(ran.code, 2 | 6), "change {number}: {ran:?}");
        assert!(ran.err.starts_with("error: ") && ran.err.contains(place), "change {number}: {}", ran.err);
    }
    away.sh("verify nothing.ledger").fails(2);
    dev.act_as(&acme);
}

#[test]
fn proofs_verify() {
    let dev = Dev::start();
    let keys = keys(&dev);
    let older = dev.house.sh("ledger checkpoint -o json").ok().out;
    let size = serde_json::from_str::<Value>(&older).unwrap()["size"].as_u64().unwrap();
    dev.house.sh("limits").ok();
    let files = [
        ("checkpoint.json", older),
        ("inclusion.json", dev.house.sh("ledger inclusion 0 -o json").ok().out),
        (
            "inclusion-old.json",
            dev.house.run(&["ledger", "inclusion", "1", "--size", &size.to_string(), "-o", "json"]).ok().out,
        ),
        ("consistency.json", dev.house.run(&["ledger", "consistency", &size.to_string(), "-o", "json"]).ok().out),
    ];
    let away = House::new();
    for (name, text) in files {
        away.file(name, &text);
        away.run(&["verify", name]).fails(2);
        for key in &keys {
            away.run(&["verify", name, "--key", key]).ok();
        }
        let forged = text.replace("\"size\":", "\"size\":1").replace("\"new\":", "\"new\":1");
        away.file("forged.json", forged);
        assert!(matches!(away.run(&["verify", "forged.json", "--key", &keys[0]]).code, 2 | 6), "{name}");
    }
    // For people, too.
    for line in ["ledger checkpoint", "ledger inclusion 0", "ledger consistency 1"] {
        assert!(dev.house.sh(line).ok().out.lines().count() >= 5, "{line}");
    }
}

#[test]
fn exports_for_other_tools_are_json_lines() {
    let mut dev = Dev::start();
    let whole = |dev: &Dev, line: &str| -> Vec<Value> {
        let out = dev.house.sh(line).ok().out;
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let plain = whole(&dev, "ledger export --format jsonl");
    assert!(plain.iter().all(|entry| entry["v"] == 1 && entry["tenant"].is_string()));
    let events = whole(&dev, "ledger export --format ocsf");
    assert!(events.len() > plain.len(), "the export before is in the one after");
    assert!(events.iter().all(|event| event["class_uid"].is_number()));
    let operator = dev.operator.clone();
    dev.act_as(&operator);
    let platform = whole(&dev, "platform ledger export --format jsonl");
    assert!(platform.iter().all(|entry| entry["tenant"] == "platform"));
    dev.house.sh("platform ledger export --file platform.ledger").ok();
    dev.house.sh("verify platform.ledger").ok();
    for line in [
        "platform ledger checkpoint",
        "platform ledger inclusion 0",
        "platform ledger consistency 1",
        "platform health",
    ] {
        assert!(!dev.house.sh(line).ok().out.is_empty(), "{line}");
    }
}

#[test]
fn a_follower_sees_what_happens() {
    let mut dev = Dev::start();
    let mut follower = dev.house.start(&["ledger", "follow", "--action", "secret:", "-o", "json"]);
    // From the beginning, so that nothing depends on who is first.
    let from_start = dev.house.start(&["ledger", "follow", "--from", "0"]);
    from_start.out.wait_for("tenant:create");
    dev.house.sh("limits").ok();
    from_start.out.wait_for("limits:show");
    dev.house.sh("secret put secret/app/db user=app").ok();
    from_start.out.wait_for("secret:write");
    drop(from_start);
    // This one begins wherever the ledger ends when it begins.
    let line = loop {
        dev.house.sh("secret put secret/n a=1").ok();
        if let Some(line) = follower.out.next_if_any() {
            break line;
        }
    };
    let entry: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&entry["entry"]["action"], &entry["entry"]["outcome"]), (&"secret:write".into(), &"ok".into()));
    follower.stop();

    let operator = dev.operator.clone();
    dev.act_as(&operator);
    let mut follower = dev.house.start(&["platform", "ledger", "follow", "--from", "0"]);
    follower.out.wait_for("tenant:create");
    dev.house.sh("tenant suspend globex").ok();
    follower.out.wait_for("tenant:suspend");
    follower.stop();
}
