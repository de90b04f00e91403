//! A tenant as a bundle, from a terminal: out, checked far from the server, gone on with, touched, and back in.

use super::house::{Dev, House, is_private};

#[test]
fn a_tenant_goes_out_is_checked_far_away_and_comes_back() {
    let mut dev = Dev::start();
    let operator = dev.operator.clone();
    let acme = dev.acme.clone();
    dev.house.sh("secret put secret/app/db value=kept").ok();
    dev.act_as(&operator);
    let shown = dev.house.sh("platform recipient -o json").json();
    let recipient = shown["recipient"].as_str().unwrap().to_owned();
    let key = shown["installation_key"].as_str().unwrap().to_owned();

    dev.act_as(&acme);
    let words = ["tenant", "export", "--to-recipient", &recipient, "--file", "acme.bwk"];
    let said = dev.house.run(&words).ok();
    assert!(said.out.is_empty() && said.err.contains("exported to acme.bwk"), "{said:?}");
    assert!(is_private(&dev.house.path("acme.bwk")));
    assert!(!dev.house.path("acme.bwk.part").exists());

    // Without a server, by whoever has the file.
    let bundle = std::fs::read(dev.house.path("acme.bwk")).unwrap();
    let away = House::new();
    away.file("acme.bwk", &bundle);
    let held = away.run(&["verify", "acme.bwk", "--key", &key]).ok();
    assert!(held.out.starts_with("a bundle that holds") && held.out.contains("a backup"), "{}", held.out);
    let report = away.run(&["verify", "acme.bwk", "-o", "json"]).json();
    assert_eq!((&report["slug"], &report["is_final"]), (&"acme".into(), &false.into()));
    for at in [0, 30, bundle.len() / 2, bundle.len() - 1] {
        let mut touched = bundle.clone();
        touched[at] ^= 1;
        away.file("touched.bwk", &touched);
        let ran = away.run(&["verify", "touched.bwk", "--key", &key]);
        assert_ne!(ran.code, 0, "byte {at}");
    }
    away.file("cut.bwk", &bundle[..bundle.len() - 10]);
    away.run(&["verify", "cut.bwk"]).fails(6);

    // What was cut off before there was anything to go on from begins anew; what is no bundle is not overwritten.
    dev.house.file("again.bwk.part", &bundle[..bundle.len() / 2]);
    dev.house.run(&["tenant", "export", "--to-recipient", &recipient, "--file", "again.bwk"]).ok();
    dev.house.run(&["verify", "again.bwk"]).ok();
    dev.house.file("mine.bwk.part", "my notes");
    dev.house.run(&["tenant", "export", "--to-recipient", &recipient, "--file", "mine.bwk"]).fails(2);
    assert_eq!(std::fs::read(dev.house.path("mine.bwk.part")).unwrap(), b"my notes");

    dev.house.sh("secret metadata delete secret/app/db --yes").ok();
    dev.act_as(&operator);
    dev.house.sh("tenant import --file acme.bwk").fails(6);
    dev.house.sh("tenant suspend acme --yes").ok();
    let told = dev.house.sh("tenant import --file acme.bwk --dry-run -o json").json();
    assert_eq!((&told["outcome"], &told["records"]), (&"restored".into(), &2.into()));
    let done = dev.house.sh("tenant import --file acme.bwk").ok();
    assert!(done.out.contains("what was gone is back"), "{}", done.out);
    dev.house.sh("tenant resume acme").ok();
    dev.act_as(&acme);
    assert!(dev.house.sh("secret get secret/app/db").ok().out.contains("kept"));
}

/// The recipe of docs/operating/recovery.md, "Go back to an earlier moment", word for word.
#[test]
fn a_tenant_is_put_up_elsewhere_as_it_was_at_an_entry() {
    let (mut here, mut cell) = (Dev::start(), Dev::start());
    let (operator, target) = (here.operator.clone(), cell.operator.clone());
    here.act_as(&operator);
    let made = here.house.sh("tenant create initech -o json").json();
    let owner = made["admin"]["credential"].as_str().unwrap().to_owned();
    here.act_as(&owner);
    here.house.sh("mount create kv").ok();
    here.house.sh("ledger export --file before.ledger").ok();
    here.house.sh("secret put kv/app value=good").ok();
    let good = here.house.sh("ledger list --action secret:write --limit 1 -q").word();
    // From here on everything goes wrong.
    here.house.sh("secret put kv/app value=bad").ok();
    here.house.sh("secret put kv/worse value=bad").ok();
    here.house.sh("ledger export --file later.ledger").ok();

    // The target says whom to seal it to; the owner has it exported; the operator closes what went wrong.
    cell.act_as(&target);
    let recipient = cell.house.sh("platform recipient -o json").json()["recipient"].as_str().unwrap().to_owned();
    here.act_as(&operator);
    let key = here.house.sh("platform recipient -o json").json()["installation_key"].as_str().unwrap().to_owned();
    here.act_as(&owner);
    let size = (good.parse::<u64>().unwrap() + 1).to_string();
    here.house.run(&["tenant", "export", "--at", &size, "--to-recipient", &recipient, "--file", "then.bwk"]).ok();
    here.act_as(&operator);
    here.house.sh("tenant suspend initech --yes").ok();

    for file in ["then.bwk", "before.ledger", "later.ledger"] {
        std::fs::copy(here.house.path(file), cell.house.path(file)).unwrap();
    }
    let held = cell.house.run(&["verify", "then.bwk", "--key", &key, "-o", "json"]).json();
    assert_eq!(held["slug"], "initech");
    cell.house.run(&["tenant", "import", "--file", "then.bwk", "--key", &key, "--dry-run"]).ok();
    let imported = cell.house.run(&["tenant", "import", "--file", "then.bwk", "--key", &key, "-o", "json"]).json();
    assert_eq!((&imported["outcome"], imported["entries"].to_string()), (&"created".into(), size));
    let recovery = imported["recovery"]["credential"].as_str().unwrap().to_owned();

    // As it was, and of all credentials only the new one is good.
    cell.act_as(&recovery);
    assert!(cell.house.sh("secret get kv/app").ok().out.contains("good"));
    cell.house.sh("secret get kv/worse").fails(5);
    cell.act_as(&owner);
    cell.house.sh("secret get kv/app").fails(3);
    // Its ledger goes on from what it was then. What was written after that is of the ledger that was left behind.
    cell.act_as(&recovery);
    cell.house.sh("ledger export --file now.ledger").ok();
    cell.house.sh("verify now.ledger --previous before.ledger").ok();
    cell.house.sh("verify now.ledger --previous later.ledger").fails(6);
}
