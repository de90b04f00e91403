//! The server tries its own isolation, and a person sees what it found.

use super::house::Dev;

#[test]
fn an_operator_has_the_isolation_tried_and_sees_what_was_found() {
    let mut dev = Dev::start();
    // No tenant learns that, and none can ask for it.
    dev.house.sh("isolation status").fails(4);
    dev.house.sh("isolation probe").fails(4);

    let operator = dev.operator.clone();
    dev.act_as(&operator);
    assert!(dev.house.sh("isolation status").ok().out.contains("not known: nobody has asked for a probe"));
    let found = dev.house.sh("isolation probe").ok();
    assert!(found.out.contains("\nfound ") && found.out.contains("holds"), "{}", found.out);
    let status = dev.house.sh("isolation status -o json").json();
    assert_eq!((&status["state"], &status["last"]["counts"]["findings"]), (&"holds".into(), &0.into()));
    assert!(status["last"]["counts"]["probes"].as_u64() > Some(5_000), "{status}");
    assert_eq!(status["timing"].as_array().map(Vec::len), Some(4));

    let round = dev.house.sh("platform ledger list --action isolation:probe -o json").json();
    let rounds = round["items"].as_array().unwrap();
    assert!(rounds.iter().any(|item| item["entry"]["detail"]["findings"] == "0"), "{round}");
    let tenants = dev.house.sh("tenant list").ok().out;
    for slug in ["acme", "globex", "bailiwick-canary-1", "bailiwick-canary-2"] {
        assert!(tenants.contains(slug), "{tenants}");
    }
    // Nobody but the server has a way into a canary.
    dev.house.sh("whoami --tenant bailiwick-canary-1").fails(4);
}
