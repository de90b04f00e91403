//! `bailiwick bench` against a real server: what it shows, and that nothing of it is left.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::house::{Dev, House};
use super::serve::{certificates, serve};

/// Small, so that the whole of it takes some seconds.
const SMALL: &str = "bench --seconds 1 --connections 4 --tenants 3 --create 20 --yes";

/// The states of all tenants, by slug.
fn states(house: &House) -> Vec<(String, String)> {
    let tenants = house.sh("tenant list --all -o json").json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    tenants["items"].as_array().unwrap().iter().map(|tenant| (text(&tenant["slug"]), text(&tenant["state"]))).collect()
}

/// Its tenants are going or gone, and the others are as they were.
#[track_caller]
fn only_its_own_are_deleted(house: &House, own: usize) {
    let (bench, others): (Vec<_>, Vec<_>) = states(house).into_iter().partition(|(slug, _)| slug.starts_with("bench-"));
    assert_eq!(bench.len(), own);
    assert!(bench.iter().all(|(_, state)| state.starts_with("delet")), "{bench:?}");
    let others: Vec<_> = others.iter().map(|(slug, state)| (slug.as_str(), state.as_str())).collect();
    assert_eq!(others, [("acme", "active"), ("globex", "active")]);
}

#[test]
fn an_operator_measures_everything_and_nothing_is_left() {
    let mut dev = Dev::start();
    // Whoever may not make tenants is told so, and nothing is made.
    let refused = dev.house.sh("bench").fails(3);
    assert!(refused.err.contains("for operators"), "{}", refused.err);

    let operator = dev.operator.clone();
    dev.act_as(&operator);
    let shown = dev.house.sh(&format!("{SMALL} -o json")).json();
    let works: Vec<&str> = shown["rows"].as_array().unwrap().iter().map(|row| row["work"].as_str().unwrap()).collect();
    let policies = "kv_read_with_policies";
    assert_eq!(
        works,
        [
            "kv_read",
            "kv_write",
            policies,
            policies,
            policies,
            "tenant_create",
            "first_request",
            "second_request",
            "neighbour_alone",
            "neighbour_flooded",
            "flood"
        ]
    );
    for row in shown["rows"].as_array().unwrap() {
        assert!(row["p99_ms"].as_f64() >= row["p50_ms"].as_f64() && row["p50_ms"].as_f64() > Some(0.0), "{row}");
        assert_eq!(row["mistaken"], 0, "{row}");
        if row["work"] != "flood" {
            assert!(row["per_second"].as_f64() > Some(0.0) && row["errors"] == serde_json::json!({}), "{row}");
        }
    }
    assert_eq!(shown["rows"][5]["answers"], 20);
    let neighbour = &shown["neighbour"];
    assert!(neighbour["p99_ratio"].as_f64() > Some(0.0), "{neighbour}");
    assert_eq!(neighbour["refused"], neighbour["refused_with_retry_after"], "every 429 says when to try again");
    assert_eq!(shown["is_complete"], true);
    // Reads and writes, policies, made, cold, two neighbours.
    only_its_own_are_deleted(&dev.house, 3 + 3 + 20 + 20 + 2);

    let kept = dev.house.sh(&format!("{SMALL} --only cold --keep")).ok();
    assert!(kept.out.contains("first request of a tenant") && kept.err.contains("tenant delete"), "{kept:?}");
    assert_eq!(
        states(&dev.house).iter().filter(|(slug, state)| slug.starts_with("bench-") && state == "active").count(),
        20
    );
}

#[test]
fn one_that_is_told_to_stop_deletes_its_tenants_before_it_ends() {
    let mut dev = Dev::start();
    let operator = dev.operator.clone();
    dev.act_as(&operator);
    let bench = dev.house.start(&["bench", "--only", "kv", "--seconds", "600", "--tenants", "2", "--yes"]);
    let began = Instant::now();
    while !states(&dev.house).iter().any(|(slug, _)| slug.ends_with("-kv-1")) {
        assert!(began.elapsed() < Duration::from_secs(60));
    }
    let (code, text) = bench.terminate();
    assert_eq!(code, 9, "{text}");
    assert!(text.contains("stopped"), "{text}");
    only_its_own_are_deleted(&dev.house, 2);
}

#[test]
fn it_speaks_tls_and_says_when_deletions_are_held() {
    let mut house = House::new();
    certificates(&house);
    house.file(
        "bailiwick.toml",
        "listen = \"127.0.0.1:0\"\ndata = \"data\"\n[tls]\ncert = \"server.pem\"\nkey = \"server.key\"\n\
         [root_key]\nprovider = \"file\"\nfile = \"root.key\"\n[limits]\nrequests_per_second = 40\n",
    );
    let (_server, address) = serve(&house, "https");
    house.set("BAILIWICK_ADDRESS", &address);
    house.set("BAILIWICK_CA_FILE", house.path("server.pem").to_str().unwrap());
    let operator = house.sh("init --provider file -q").word();
    house.set("BAILIWICK_CREDENTIAL", &operator);

    // What tenants usually may send is not what the server can answer.
    let shown = house.sh(&format!("{SMALL} --only kv")).ok();
    assert!(shown.out.contains("KV v2 write") && shown.out.contains("none"), "{}", shown.out);
    assert!(shown.err.contains("holds deletions") && shown.err.contains("gone after"), "{}", shown.err);
    assert!(states(&house).iter().all(|(_, state)| state == "deleting"), "{:?}", states(&house));
    // Nothing is asked of a server that is not known by its certificate.
    house.sh(&format!("{SMALL} --only kv --ca-file stranger.pem")).fails(9);
}
