//! The real binary at its most talkative, asked everything; then every place is searched where something could be left.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::desk::Desk;
use crate::harness::house::text;
use crate::harness::process::{Said, Start};
use crate::harness::{Ask, Dice};

use super::mistakes::misbehave;
use super::requests::{BEACON, Holdings, furnish};
use super::visit::Visit;

/// How the root key is held, at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Shares,
    Passphrase,
}

fn config(format: &str, holder: Holder) -> String {
    let provider = if holder == Holder::Shares { "shamir" } else { "passphrase" };
    format!(
        "listen = \"127.0.0.1:0\"\ndata = \"data\"\n[root_key]\nprovider = \"{provider}\"\n\
         [operations]\nlisten = \"127.0.0.1:0\"\n[tenants]\ndelete_hold_min = \"0s\"\n\
         [log]\nformat = \"{format}\"\nlevel = \"trace\"\n"
    )
}

/// The shares in an answer, if any.
fn shares_in(answer: &Value) -> Vec<String> {
    let shares = answer.get("shares").and_then(Value::as_array).into_iter().flatten();
    shares.map(|share| share.as_str().unwrap().to_owned()).collect()
}

/// Initialises and unseals, with mistakes; the first operator's credential.
fn bring_up(visit: &mut Visit, holder: Holder) -> String {
    let unseal = |key: &str| Ask::post("/api/v1/unseal").json(json!({ "key": key }));
    let vault = |key: &str| Ask::post("/v1/sys/unseal").json(json!({ "key": key }));
    let passphrase = visit.canaries.spiced("passphrase");
    let body = match holder {
        Holder::Shares => json!({ "provider": "shamir", "shares": 3, "threshold": 2 }),
        Holder::Passphrase => json!({ "provider": "passphrase", "passphrase": passphrase }),
    };
    let made = visit.ask(Ask::post("/api/v1/init").json(body), &["first operator", "share"]).ok().value();
    let operator = text(made.get("operator").unwrap(), "credential");
    visit.canaries.adopt_credential("first operator", &operator);
    let shares = shares_in(&made);
    for share in &shares {
        visit.canaries.adopt_text("share", share.trim_start_matches("bws_"));
    }
    // Of somebody who knows nothing, and of somebody who mistypes.
    let wrong = visit.canaries.spiced("wrong passphrase");
    let second = visit.canaries.spiced("passphrase of a second initialisation");
    let body = json!({ "provider": "passphrase", "passphrase": second });
    visit.ask(Ask::post("/api/v1/init").json(body), &[]).refused(409, "wrong_state");
    for ask in [unseal(&wrong), vault(&wrong)] {
        assert_eq!(visit.ask(ask, &[]).status, 400);
    }
    match holder {
        Holder::Passphrase => visit.ask(vault(&passphrase), &[]).ok(),
        Holder::Shares => {
            let (before, after) = (&shares[0][..60], &shares[0][61..]);
            let other = if shares[0].as_bytes()[60] == b'A' { "B" } else { "A" };
            let mistyped = format!("{before}{other}{after}");
            visit.ask(unseal(&mistyped), &[]).refused(400, "invalid_request");
            visit.ask(unseal(&shares[0]), &[]).ok();
            visit.ask(vault(&shares[2]), &[]).ok()
        }
    };
    operator
}

/// What is open to everybody, or about everybody.
fn look_around(visit: &mut Visit, operator: &str) {
    for path in [
        "/healthz",
        "/readyz",
        "/api/v1/openapi.json",
        "/api/v1/seal-status",
        "/v1/sys/health",
        "/v1/sys/seal-status",
        "/v1/sys/leader",
        "/v1/sys/init",
    ] {
        visit.ask(Ask::get(path), &[]).ok();
    }
    for path in ["/platform/whoami", "/platform/health", "/tenants", "/tenants/acme", "/operators", "/guardrails"] {
        visit.ask(Ask::get(format!("/api/v1{path}")).by(operator), &[]).ok();
    }
    let mut monitoring = crate::harness::wire::Wire::to(&visit.server.operations()).unwrap();
    for path in ["/metrics", "/healthz", "/readyz"] {
        let told = monitoring.ask(&Ask::get(path)).unwrap().ok();
        visit.heards.add(format!("{path} of the operations listener"), told.body, &[]);
    }
}

/// Every ledger in every form. The beacon is in it: paths are what a ledger is about.
fn read_ledgers(visit: &mut Visit, operator: &str, tenants: &[&Holdings]) {
    let mut planes = vec![("/api/v1/platform".to_owned(), operator.to_owned(), false)];
    for holdings in tenants {
        planes.push((holdings.tenant.at(""), holdings.tenant.owner.clone(), true));
    }
    let net = visit.canaries.net();
    for (plane, reader, is_tenant) in planes {
        for format in ["bailiwick", "jsonl", "ocsf"] {
            let ask = Ask::get(format!("{plane}/ledger/export?format={format}")).by(&reader);
            let told = visit.ask(ask, &[BEACON]).ok();
            let is_seen = net.seen(&told.body).iter().any(|seen| seen.name == BEACON);
            assert_eq!(is_seen, is_tenant, "the search does not find in {plane} as {format} what is there");
        }
        let mut page = format!("{plane}/ledger/entries?limit=200");
        loop {
            let told = visit.ask(Ask::get(&page).by(&reader), &[BEACON]).ok().value();
            if told["is_complete"] == true {
                break;
            }
            page = format!("{plane}/ledger/entries?limit=200&cursor={}", text(&told, "next"));
        }
        visit.ask(Ask::get(format!("{plane}/ledger/checkpoint")).by(&reader), &[]).ok();
    }
}

/// Commands of somebody at a terminal who did not ask to see anything secret, and of somebody who is wrong.
fn type_commands(visit: &mut Visit, acme: &Holdings, beacon: &str) {
    let mut desk = Desk::new();
    desk.set("RUST_LOG", "trace");
    let address = visit.server.address.clone();
    desk.aim(&address, &acme.tenant.owner);
    let value = visit.canaries.spiced("value in a file");
    desk.file("value", &value);
    let typed = visit.canaries.plain("value on a command line");
    let path = format!("secret/{beacon}/typed");
    let labels = ["acme label", "acme description", "acme address"];
    let public = [BEACON];
    for (words, may) in [
        (vec!["secret", "put", &path, "value=@value"], &[][..]),
        (vec!["secret", "put", &path, "value=@value", "--cas", "77"], &[]),
        (vec!["secret", "patch", &path, &format!("more={typed}")], &[]),
        (vec!["secret", "put", &path, &typed], &[]),
        (vec!["secret", "put", &path, "--json", "value"], &[]),
        (vec!["secret", "metadata", "get", &path], &public),
        (vec!["secret", "list", "secret", "--all"], &public),
        (vec!["whoami"], &[]),
        (vec!["limits"], &[]),
        (vec!["keyring", "show"], &[]),
        (vec!["member", "list"], &labels),
        (vec!["account", "list"], &labels),
        (vec!["key", "list", &acme.account], &[]),
        (vec!["policy", "list"], &["acme policy"]),
        (vec!["ledger", "list", "--all"], &public),
        (vec!["ledger", "export"], &public),
        (vec!["ledger", "checkpoint"], &[]),
        (vec!["status"], &[]),
        (vec!["capabilities", &path], &public),
        (vec!["unseal", "--key", &typed], &[]),
        (vec!["--insecure-credential", &typed, "whoami"], &[]),
        (vec!["--insecure-credential", &acme.key, "tenant", "list"], &[]),
        (vec!["--credential-file", "value", "whoami"], &[]),
    ] {
        for form in ["human", "json"] {
            let words: Vec<&str> = words.iter().copied().chain(["-o", form]).collect();
            let ran = desk.run(&words);
            visit.heards.add(format!("`{}`", ran.line), format!("{}{}", ran.out, ran.err), may);
        }
    }
    // A profile keeps the credential, and shows it to nobody.
    let login = desk.run_with(&["login", "mine"], acme.tenant.owner.as_bytes()).ok();
    visit.heards.add("`login`", format!("{}{}", login.out, login.err), &[]);
    let listed = desk.sh("profile list").ok();
    visit.heards.add("`profile list`", format!("{}{}", listed.out, listed.err), &[]);
    // It works at all: what is asked for is shown.
    let shown = desk.run(&["secret", "get", &path, "--field", "value"]).ok();
    assert_eq!(shown.out.trim_end(), value);
}

/// Keys change, tenants and the installation are sealed, and everything is refused with secrets in it.
fn change_keys(visit: &mut Visit, operator: &str, acme: &Holdings, holder: Holder) {
    for purpose in ["tenant", "records", "ledger", "credentials", "cursors", "ledger-signing"] {
        let ask = Ask::post(acme.tenant.at("/keyring/rotate")).by(&acme.tenant.owner);
        visit.ask(ask.json(json!({ "purpose": purpose })), &[]).ok();
    }
    let next = visit.canaries.spiced("next passphrase");
    let body = match holder {
        Holder::Passphrase => json!({ "provider": "shamir", "shares": 4, "threshold": 3 }),
        Holder::Shares => json!({ "provider": "passphrase", "passphrase": next }),
    };
    let ask = Ask::post("/api/v1/platform/root-key/rotate").by(operator).json(body);
    let rotated = visit.ask(ask, &["next share"]).ok().value();
    for share in shares_in(&rotated) {
        visit.canaries.adopt_text("next share", share.trim_start_matches("bws_"));
    }
    for act in ["seal", "unseal"] {
        visit.ask(Ask::post(format!("/api/v1/tenants/acme/{act}")).by(operator), &[]).ok();
        let while_sealed = visit.canaries.plain(&format!("value after {act}"));
        let body = json!({ "data": { "value": while_sealed } });
        visit.ask(Ask::put(acme.tenant.at("/secrets/secret/sealed")).by(&acme.tenant.owner).json(body), &[]);
    }
}

fn seal(visit: &mut Visit, operator: &str, acme: &Holdings) {
    visit.ask(Ask::post("/api/v1/platform/seal").by(operator), &[]).ok();
    let value = visit.canaries.plain("value while all is sealed");
    let body = json!({ "data": { "value": value } });
    let ask = Ask::put(acme.tenant.at("/secrets/secret/sealed")).by(&acme.tenant.owner).json(body.clone());
    visit.ask(ask, &[]).refused(503, "sealed");
    let ask = Ask::post("/v1/secret/data/sealed").header("x-vault-token", &acme.tenant.owner).json(body);
    assert_eq!(visit.ask(ask, &[]).status, 503);
}

/// Every file of a directory.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
    all
}

/// Names are on the disk and values are not, also while the server runs: the write-ahead log is searched as well.
fn search_disk(visit: &mut Visit, data: &Path, when: &str) {
    let net = visit.canaries.net();
    let files = files(data);
    let is_found = files.iter().any(|(_, bytes)| net.seen(bytes).iter().any(|seen| seen.name == BEACON));
    assert!(is_found, "the search does not find on the disk what is there");
    for (name, bytes) in files {
        visit.heards.add(format!("{name}, {when}"), bytes, &[BEACON]);
    }
}

fn search_output(visit: &mut Visit, said: &Said, format: &str) {
    let (out, err) = (said.out.lock().clone(), said.err.lock().clone());
    let log = String::from_utf8_lossy(&err);
    let level = if format == "json" { "\"level\":\"DEBUG\"" } else { "DEBUG" };
    assert!(log.contains(level) && log.contains("listening"), "it was not at its most talkative:\n{log}");
    visit.heards.add("its standard output", out, &[]);
    visit.heards.add("its log", err, &[]);
}

fn everything_is_asked_and_nothing_shown(format: &str, holder: Holder) {
    let desk = Desk::new();
    let server = Start::serve(&desk.file("bailiwick.toml", config(format, holder))).run();
    let seed = u64::from(std::process::id());
    eprintln!("seed {seed}");
    let mut visit = Visit::of(server, Dice::new(seed).next());
    let beacon = visit.canaries.plain(BEACON);
    let operator = bring_up(&mut visit, holder);
    let acme = furnish(&mut visit, &operator, "acme", &beacon);
    let globex = furnish(&mut visit, &operator, "globex", &beacon);
    misbehave(&mut visit, &acme, &globex.tenant, &operator, &beacon);
    type_commands(&mut visit, &acme, &beacon);
    look_around(&mut visit, &operator);
    change_keys(&mut visit, &operator, &acme, holder);
    read_ledgers(&mut visit, &operator, &[&acme, &globex]);
    search_disk(&mut visit, &desk.path("data"), "while it runs");
    seal(&mut visit, &operator, &acme);
    let (status, said) = visit.server.terminate();
    assert!(status.success(), "{status}");
    search_output(&mut visit, &said, format);
    search_disk(&mut visit, &desk.path("data"), "afterwards");
    let leaks = visit.heards.leaks(&visit.canaries.net());
    assert!(visit.heards.count() > 500, "only {} places were searched", visit.heards.count());
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

#[test]
fn nothing_secret_is_seen_of_a_server_that_logs_all_as_text() {
    everything_is_asked_and_nothing_shown("text", Holder::Shares);
}

#[test]
fn nothing_secret_is_seen_of_a_server_that_logs_all_as_json() {
    everything_is_asked_and_nothing_shown("json", Holder::Passphrase);
}
