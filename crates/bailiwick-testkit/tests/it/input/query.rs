//! Queries: parameters that nobody knows, given twice, or of no value that they can have.

use std::collections::BTreeSet;

use bailiwick_http::{DoorKind, Route};
use bailiwick_testkit::World;

use super::{Asked, on_every_route};
use crate::routes::STRAY;

/// Whole numbers that are none, or too large for any.
const NO_NUMBERS: &[&str] =
    &["", "x", "-1", "1.5", "1e3", "0x10", "%201", "1%20", "%2B-1", "18446744073709551616", "1e999", "%EF%BC%91"];
const NO_TIMES: &[&str] = &["", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "1767225600"];

/// For every parameter of the native API the values that it cannot have. `None` takes any text.
fn bad_values(route: &Route, name: &str) -> Option<Vec<&'static str>> {
    let numbers = |more: &[&'static str]| Some([NO_NUMBERS, more].concat());
    match name {
        "limit" => numbers(&["0", "1001", "9223372036854775808", "18446744073709551615"]),
        "version" | "index" | "size" | "old" | "new" | "from" => numbers(&[]),
        "wait" => numbers(&["31", "18446744073709551615"]),
        "since" | "until" => Some(NO_TIMES.to_vec()),
        "order" => Some(vec!["", "up", "ASC", "asc,desc"]),
        "outcome" => Some(vec!["", "fine", "OK"]),
        "decision" => Some(vec!["", "perhaps", "ALLOW"]),
        "action" => Some(vec!["", "secret", "secret:*", "Secret:Reveal", "nothing:done"]),
        "format" => Some(vec!["", "csv", "JSONL"]),
        "state" => Some(vec!["", "Active", "gone"]),
        "hold" => Some(vec!["", "x", "-1d", "1.5d", "1h", "0", "1d1", "40000d", "99999999999999999999d"]),
        "kind" => Some(vec!["", "Service", "robot"]),
        "owner" => Some(vec!["", "x", "mem_", "MEM_0123456789abcdefghjkmnpqrg", "acc_0123456789abcdefghjkmnpqrg"]),
        "label" => Some(vec!["", "team"]),
        "key" => Some(vec!["", "x", "acme+00000000+AQ==", "acme%2B00000000%2BAQ%3D%3D"]),
        "dry_run" => Some(vec!["", "yes", "1", "TRUE"]),
        "cursor" => None,
        "principal" | "actor" | "resource" | "request" => None,
        other => panic!("{}: no test knows what `{other}` cannot be", route.name()),
    }
}

fn is_native(route: &Route) -> bool {
    route.door == DoorKind::Api
}

fn joined(target: &str, query: &str) -> String {
    format!("{target}{}{query}", if target.contains('?') { '&' } else { '?' })
}

#[test]
fn a_parameter_that_nobody_knows_is_a_mistake() {
    on_every_route(is_native, |asked, watch| {
        let own = asked.own_aim().target;
        let send = |query: &str| {
            let body = (asked.row.body)(&asked.sides);
            asked.at(&joined(&own, query)).json(&body).send()
        };
        let shown = |query: &str| format!("{} {query}", asked.name());
        for query in ["surplus=1", "surplus", "Limit=1", "tenant=globex", "dryrun=true", "%00=1", "limit%5B%5D=1"] {
            watch.refused(&send(query), 400, "unknown_parameter", &shown(query));
        }
        for query in ["a=%ff", "%ff=a", "a=%c0%ae"] {
            watch.refused(&send(query), 400, "invalid_request", &shown(query));
        }
        let many = (0..65).map(|at| format!("p{at}=1")).collect::<Vec<_>>().join("&");
        watch.refused(&send(&many), 400, "invalid_request", &shown("65 parameters"));
        if !asked.is_open() {
            let answer = send("surplus=1");
            let known: Vec<&str> = asked.route.query.iter().map(|query| query.name).collect();
            let told =
                if known.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", known.join(", ")) };
            assert_eq!(answer.json()["detail"], told, "{}", asked.name());
        }
    });
}

#[test]
fn a_parameter_has_one_value_and_one_that_it_can_have() {
    let mut seen = BTreeSet::new();
    on_every_route(is_native, |asked, watch| {
        for query in &asked.route.query {
            seen.insert(query.name);
            // Without the row's own query, which may have this parameter.
            let path = asked.own_aim().target;
            let path = path.split('?').next().unwrap();
            let own: Vec<&str> = asked.row.query.trim_start_matches('?').split('&').collect();
            let is_other = |pair: &&&str| !pair.is_empty() && pair.split('=').next() != Some(query.name);
            let rest: Vec<&str> = own.iter().filter(is_other).copied().collect();
            let send = |given: &str| asked.at(&joined(path, &[&[given], rest.as_slice()].concat().join("&"))).send();
            let twice = format!("{0}=1&{0}=1", query.name);
            watch.refused(&send(&twice), 400, "invalid_request", &format!("{} {twice}", asked.name()));
            for value in bad_values(asked.route, query.name).unwrap_or_default() {
                let given = format!("{}={value}", query.name);
                watch.refused(&send(&given), 400, "invalid_request", &format!("{} {given}", asked.name()));
            }
            if query.name == "cursor" {
                for value in ["", "x", "%00", "bm9uZQ", "bm9uZQ==", &"A".repeat(43), &"A".repeat(2_000)] {
                    let given = format!("cursor={value}");
                    watch.refused(&send(&given), 400, "invalid_cursor", &format!("{} {given}", asked.name()));
                }
            }
        }
    });
    assert!(seen.len() >= 20, "{seen:?}");
}

#[test]
fn a_number_that_is_one_and_points_nowhere_is_absent() {
    let world = World::two_tenants();
    let base = "/api/v1/t/acme";
    for (target, status, code) in [
        ("secrets/secret/app/db?version=9223372036854775808", 404, "version_not_found"),
        ("secrets/secret/app/db?version=18446744073709551615", 404, "version_not_found"),
        ("ledger/entries/18446744073709551615", 404, "not_found"),
        ("ledger/entries/9223372036854775808", 404, "not_found"),
        ("ledger/entries/18446744073709551616", 404, "not_found"),
        ("ledger/entries/-1", 404, "not_found"),
        ("ledger/inclusion?index=18446744073709551615", 400, "invalid_request"),
        ("ledger/inclusion?index=0&size=18446744073709551615", 400, "invalid_request"),
        ("ledger/inclusion?index=0&size=0", 400, "invalid_request"),
        ("ledger/consistency?old=18446744073709551615", 400, "invalid_request"),
        ("ledger/consistency?old=5&new=1", 400, "invalid_request"),
        ("ledger/inclusion", 400, "invalid_request"),
        ("ledger/consistency", 400, "invalid_request"),
    ] {
        world.get(&world.acme.owner, &format!("{base}/{target}")).expect_refusal(status, code);
    }
    // The ends of what there is.
    for query in ["from=18446744073709551615", "from=18446744073709551615&order=desc", "since=9999-12-30T00:00:00Z"] {
        world.get(&world.acme.owner, &format!("{base}/ledger/entries?{query}&limit=1")).expect(200);
    }
    assert_eq!(world.get(&world.acme.owner, &format!("{base}/secrets/secret/app/db?version=0")).status, 200);
}

#[test]
fn vaults_parameters_are_checked_where_they_mean_something() {
    on_every_route(
        |route| route.door == DoorKind::Vault && route.summary != STRAY,
        |asked: &Asked<'_>, watch| {
            let own = asked.own_aim().target;
            for query in &asked.route.query {
                for value in ["x", "1.5", "1e3", "9223372036854775808", "1e999"] {
                    if query.name == "after" || asked.route.method == "POST" {
                        continue;
                    }
                    let target = joined(&own, &format!("{}={value}", query.name));
                    let answer = asked.at(&target).send();
                    assert_eq!(answer.status, 400, "{target}: {}", answer.text());
                    watch.unchanged(&answer, &target);
                }
            }
            // What is not UTF-8, and a flag that is neither yes nor no.
            for query in ["a=%ff", "list=perhaps", "scan=2"] {
                if asked.route.method != "GET" && query != "a=%ff" {
                    continue;
                }
                let target = joined(&own, query);
                let answer = asked.at(&target).send();
                assert_eq!(answer.status, 400, "{target}: {}", answer.text());
                watch.unchanged(&answer, &target);
            }
        },
    );
}
