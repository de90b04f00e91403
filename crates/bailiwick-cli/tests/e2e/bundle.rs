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
