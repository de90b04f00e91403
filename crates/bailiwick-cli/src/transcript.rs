//! Every command against a server that knows one answer per route: what it sends, what it prints.
//!
//! The transcript is a golden file, and reads like one of a person at a terminal. A command that is not in it, and not
//! in the short list of those that are tested elsewhere, fails the test.

use std::collections::BTreeSet;

use bailiwick_types::{CredentialId, CredentialText, Random, Secret, TenantId};
use clap::{Command, CommandFactory as _};

use crate::args::Cli;
use crate::env::Environment;
use crate::testing::{Ran, run};

#[path = "../../bailiwick-client/tests/fake/mod.rs"]
mod fake;

#[path = "transcript_answers.rs"]
mod answers;

use answers::{CHECKPOINT, ENTRY, MEMBER, SEALED, UNSEALED, answer, page};
use fake::{Canned, Fake, Seen};

/// Commands that are no single exchange with the API, and have tests of their own.
const ELSEWHERE: &[&str] = &[
    "dev",
    "serve",
    "config check",
    "config example",
    "store roles",
    "store migrate",
    "store check",
    "store copy",
    "backup verify",
    "restore accept",
    "bench",
    "login",
    "profile add",
    "profile list",
    "profile use",
    "profile remove",
    "policy edit",
    "ledger follow",
    "platform ledger follow",
    "verify",
    "completions",
    "docs cli",
    "docs openapi",
    "docs errors",
    "docs limits",
    "docs actions",
    "docs config",
    "docs attestation",
];

const LINES: &str = include_str!("transcript_lines.txt");

struct Bytes(u8);
impl Random for Bytes {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

fn credential(tenant: TenantId) -> String {
    CredentialText::generate(tenant, CredentialId::random(&Bytes(3)), &Bytes(5)).reveal().expose().clone()
}

fn tenant() -> String {
    credential(TenantId::random(&Bytes(1)))
}

fn operator() -> String {
    credential(TenantId::PLATFORM)
}

fn env(fake: &Fake, credential: &str) -> Environment {
    Environment {
        address: Some(fake.address.clone()),
        credential: Some(Secret::new(credential.to_owned())),
        ..Environment::default()
    }
}

/// Runs one line of the script: `# credential` lines choose the caller, `<` gives standard input.
fn transcript(line: &str, credential: &str) -> (Ran, Vec<Seen>) {
    let (line, stdin) = line.split_once(" < ").unwrap_or((line, ""));
    let fake = Fake::start(answer);
    let words: Vec<_> = line.split(' ').collect();
    let ran = run(&words, env(&fake, credential), &stdin.replace("\\n", "\n"));
    (ran, fake.seen())
}

#[test]
fn every_command_sends_and_prints_this() {
    let mut text = String::new();
    let mut who = operator();
    for line in LINES.lines().filter(|line| !line.is_empty()) {
        match line {
            "# as the operator" => who = operator(),
            "# as a member" => who = tenant(),
            _ => {
                let (ran, seen) = transcript(line, &who);
                text.push_str(&format!("$ bailiwick {line}\n"));
                for request in seen {
                    let body = if request.body.is_empty() { String::new() } else { format!(" {}", request.body) };
                    text.push_str(&format!("> {} {}{body}\n", request.method, request.target));
                    assert_eq!(
                        request.headers.contains_key("authorization"),
                        !["init", "unseal", "status"].iter().any(|open| line.starts_with(open)),
                        "{line}"
                    );
                }
                text.push_str(&ran.out);
                if !ran.out.is_empty() && !ran.out.ends_with('\n') {
                    text.push('\n');
                }
                for line in ran.err.lines() {
                    text.push_str(&format!("! {line}\n"));
                }
                if ran.code != 0 {
                    text.push_str(&format!("exit code {}\n", ran.code));
                }
                text.push('\n');
            }
        }
    }
    expect_test::expect_file!["transcript.txt"].assert_eq(&text);
}

/// Whether `/api/v1/t/acme/members` is an instance of `/api/v1/t/{tenant}/members`.
fn is_instance(path: &str, template: &str) -> bool {
    let (mut path, mut template) = (path.split('/'), template.split('/'));
    loop {
        match (path.next(), template.next()) {
            (None, None) => return true,
            (Some(_), Some("{*path}")) => {
                let is_folder = template.next() == Some("");
                return path.next_back().is_some_and(str::is_empty) == is_folder;
            }
            (Some(found), Some(wanted)) if found == wanted || wanted.starts_with('{') => {}
            _ => return false,
        }
    }
}

/// The command line and the server agree on every route and every parameter, and no route is out of a person's reach.
#[test]
fn every_request_is_a_route_and_every_route_has_a_command() {
    let routes: Vec<_> =
        bailiwick_http::routes().into_iter().filter(|route| route.path.starts_with("/api/v1/")).collect();
    let mut missing: BTreeSet<_> = routes.iter().map(bailiwick_http::Route::name).collect();
    for request in include_str!("transcript.txt").lines().filter_map(|line| line.strip_prefix("> ")) {
        let mut words = request.splitn(3, ' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let fits = |route: &&bailiwick_http::Route| route.method == method && is_instance(path, route.path);
        let route = routes.iter().find(fits).unwrap_or_else(|| panic!("no route takes {method} {path}"));
        for name in query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name) {
            assert!(route.query.iter().any(|known| known.name == name), "{} does not know `{name}`", route.name());
        }
        assert_eq!(words.next().is_some(), route.body.is_some(), "a body goes where one is wanted: {request}");
        missing.remove(&route.name());
    }
    // A machine reads it; `bailiwick docs openapi` prints it without a server. The other spelling of a folder is for
    // those who type URLs.
    for excused in ["GET /api/v1/openapi.json", "GET /api/v1/t/{tenant}/secrets/{mount}/"] {
        assert!(missing.remove(excused), "{excused}");
    }
    assert!(missing.is_empty(), "no command for {missing:?}");
}

fn leaves(command: &Command, name: &str, into: &mut BTreeSet<String>) {
    let mut subcommands = command.get_subcommands().peekable();
    if subcommands.peek().is_none() {
        into.insert(name.to_owned());
    }
    for subcommand in subcommands {
        leaves(subcommand, format!("{name} {}", subcommand.get_name()).trim(), into);
    }
}

#[test]
fn every_command_is_in_the_transcript() {
    let mut all = BTreeSet::new();
    leaves(&Cli::command(), "", &mut all);
    let lines: Vec<_> = LINES.lines().collect();
    for leaf in all {
        let is_there = lines.iter().any(|line| *line == leaf || line.starts_with(&format!("{leaf} ")));
        assert_ne!(is_there, ELSEWHERE.contains(&leaf.as_str()), "`{leaf}` belongs in exactly one place");
    }
}

#[test]
fn json_is_the_apis_own_byte_for_byte() {
    for line in ["tenant show acme", "tenant list", "platform health", "operator credential issue opr_x"] {
        let fake = Fake::start(answer);
        let mut words: Vec<_> = line.split(' ').collect();
        words.extend(["-o", "json"]);
        let ran = run(&words, env(&fake, &operator()), "");
        let seen = fake.seen();
        let Canned::Answer { body, .. } = answer(0, &seen[0]) else { panic!("no answer") };
        assert_eq!(ran.out, format!("{body}\n"), "{line}");
    }
}

#[test]
fn all_pages_are_one_list() {
    let fake = Fake::start(|n, _| match n {
        0 => Canned::json(200, page(MEMBER)),
        _ => Canned::json(200, format!(r#"{{"items":[{MEMBER}]}}"#)),
    });
    let ran = run(&["member", "list", "--all", "-o", "json"], env(&fake, &tenant()), "");
    assert_eq!(ran.out, format!("{{\"items\":[{MEMBER},{MEMBER}]}}\n"));
    assert_eq!(fake.seen().len(), 2);
    assert!(fake.seen()[1].target.ends_with("?limit=1000&cursor=cursor_2"));
}

#[test]
fn a_refusal_ends_with_its_class_and_says_why() {
    for (status, code, exit) in [
        (400, "invalid_request", 2),
        (401, "credential_revoked", 3),
        (403, "permission_denied", 4),
        (404, "not_found", 5),
        (409, "cas_conflict", 6),
        (429, "limit_exceeded", 7),
        (503, "tenant_sealed", 8),
        (500, "internal", 10),
    ] {
        let fake = Fake::start(move |_, _| Canned::problem(status, code));
        let ran = run(&["whoami"], env(&fake, &tenant()), "");
        assert_eq!(ran.code, exit, "{code}");
        assert_eq!(ran.err, "error: the detail\nhint: the hint\nrequest: req_1\n");
        assert_eq!(ran.out, "");
        let fake = Fake::start(move |_, _| Canned::problem(status, code));
        let ran = run(&["whoami", "-o", "json"], env(&fake, &tenant()), "");
        let problem: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
        assert_eq!((problem["code"].as_str(), problem["status"].as_u64()), (Some(code), Some(status.into())));
    }
}

#[test]
fn a_server_that_is_gone_is_told_apart_from_a_refusal() {
    let fake = Fake::start(|_, _| Canned::HangUp);
    // Not repeated, so there is nothing to wait for.
    let ran = run(&["unseal", "-o", "json"], env(&fake, "-"), "share\n");
    assert_eq!(ran.code, 9, "{}", ran.err);
    let problem: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!((problem["code"].as_str(), problem["status"].as_u64()), (Some("interrupted"), Some(0)));
}

#[test]
fn nothing_is_sent_without_a_credential_or_with_a_mistyped_one() {
    let fake = Fake::start(answer);
    let nobody = Environment { address: Some(fake.address.clone()), ..Environment::default() };
    let ran = run(&["whoami"], nobody, "");
    assert_eq!((ran.code, ran.err.lines().next()), (3, Some("error: no credential was given")));
    let mut typo = tenant();
    typo.replace_range(20..21, "1");
    let ran = run(&["member", "list"], env(&fake, &typo), "");
    assert_eq!(ran.code, 3);
    assert!(!ran.err.contains(&typo), "{}", ran.err);
    let ran = run(&["member", "list"], env(&fake, &operator()), "");
    assert_eq!((ran.code, ran.err.lines().count()), (3, 2));
    assert!(fake.seen().is_empty());
}

#[test]
fn the_tenant_may_be_restated_and_the_server_decides() {
    let fake = Fake::start(|_, _| Canned::problem(404, "not_found"));
    let ran = run(&["--tenant", "globex", "secret", "get", "secret/app/db"], env(&fake, &tenant()), "");
    assert_eq!(ran.code, 5);
    assert_eq!(fake.seen()[0].target, "/api/v1/t/globex/secrets/secret/app/db");
}

#[test]
fn shares_are_given_until_it_is_unsealed() {
    let fake = Fake::start(|n, _| Canned::json(200, if n < 2 { SEALED } else { UNSEALED }));
    let ran = run(&["unseal"], env(&fake, "-"), "one\n\ntwo\r\nthree\nfour\n");
    let bodies: Vec<_> = fake.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies, ["one", "two", "three"].map(|key| format!(r#"{{"key":"{key}","reset":false}}"#)));
    assert_eq!(ran.code, 0);
}

#[test]
fn an_export_is_a_private_file_that_is_whole_or_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("acme.ledger");
    let path = path.to_str().unwrap();
    let fake = Fake::start(|n, seen| if n == 0 { answer(n, seen) } else { Canned::Truncated("x".into()) });
    let ran = run(&["ledger", "export", "--file", path], env(&fake, &tenant()), "");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "{\"line\":1}\n{\"line\":2}\n");
    let ran = run(&["ledger", "export", "--file", path], env(&fake, &tenant()), "");
    assert_eq!(ran.code, 9);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "{\"line\":1}\n{\"line\":2}\n", "the old one is still there");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn following_goes_on_where_it_was_until_it_is_refused() {
    let entries = |next: &str, size: u64| {
        Canned::json(200, format!(r#"{{"items":[{ENTRY}]{next},"size":{size},"is_complete":true}}"#))
    };
    let fake = Fake::start(move |n, _| match n {
        0 => Canned::json(200, CHECKPOINT),
        1 => entries(r#","next":"c1""#, 9),
        2 => entries("", 10),
        _ => Canned::problem(401, "credential_revoked"),
    });
    let ran = run(&["ledger", "follow"], env(&fake, &tenant()), "");
    assert_eq!((ran.code, ran.out.lines().count()), (3, 2));
    let targets: Vec<_> = fake.seen().into_iter().skip(1).map(|seen| seen.target).collect();
    let query = |target: &str| target.split_once('?').unwrap().1.to_owned();
    assert_eq!(query(&targets[0]), "from=8&order=asc&limit=1000&wait=25");
    assert_eq!(query(&targets[1]), "from=8&order=asc&limit=1000&cursor=c1&wait=25");
    assert_eq!(query(&targets[2]), "from=10&order=asc&limit=1000&wait=25");
}

#[test]
fn a_policy_is_edited_with_the_version_that_was_read() {
    let fake = Fake::start(|n, seen| answer(n, seen).with("etag", "\"3\""));
    let mut editing = env(&fake, &tenant());
    editing.editor = Some("printf '// new\\n' >>".into());
    let ran = run(&["policy", "edit", "deploy"], editing, "");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let seen = fake.seen();
    assert_eq!((seen[1].method.as_str(), seen[1].headers["if-match"].as_str()), ("PUT", "\"3\""));
    assert!(
        seen[1]
            .body
            .contains(r#""description":"who deploys","text":"permit (principal, action, resource);\n// new\n""#)
    );

    let mut nothing = env(&fake, &tenant());
    nothing.editor = Some("true".into());
    let ran = run(&["policy", "edit", "deploy"], nothing, "");
    assert_eq!((ran.code, ran.err.as_str()), (0, "nothing was changed\n"));
    assert_eq!(fake.seen().len(), 3);
}

#[test]
fn login_tries_the_credential_and_keeps_it() {
    let home = tempfile::tempdir().unwrap();
    let fake = Fake::start(answer);
    let environment = || Environment {
        address: Some(fake.address.clone()),
        config_dir: Some(home.path().to_owned()),
        ..Environment::default()
    };
    let ran = run(&["login"], environment(), &format!("{}\n", tenant()));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("acme (ten_"), "{}", ran.out);
    // From now on nothing needs to be said.
    let at_home = || Environment { config_dir: Some(home.path().to_owned()), ..Environment::default() };
    assert_eq!(run(&["whoami"], at_home(), "").code, 0);
    let ran = run(&["profile", "add", "ops", "-q"], environment(), &operator());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(run(&["--profile", "ops", "tenant", "list"], at_home(), "").code, 0);
    assert_eq!(run(&["profile", "use", "ops"], at_home(), "").code, 0);
    let ran = run(&["profile", "list"], at_home(), "");
    assert!(!ran.out.contains("bwk_") && !ran.out.contains("bwo_"), "{}", ran.out);
    let rows: Vec<Vec<_>> = ran.out.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [vec!["acme", &fake.address, "tenant"], vec!["ops", &fake.address, "operator", "default"]]);
    assert_eq!(run(&["profile", "remove", "ops"], at_home(), "").code, 0);
    assert_eq!(run(&["whoami"], at_home(), "").code, 3, "the default went with it");
    assert_eq!(run(&["profile", "use", "ops"], at_home(), "").code, 2);

    let refusing = Fake::start(|_, _| Canned::problem(401, "credential_revoked"));
    let other = tempfile::tempdir().unwrap();
    let refused = Environment {
        address: Some(refusing.address.clone()),
        config_dir: Some(other.path().to_owned()),
        ..Environment::default()
    };
    assert_eq!(run(&["login"], refused, &tenant()).code, 3);
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0, "what does not work is not kept");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(&["completions", shell], Environment::default(), "");
        assert!(ran.out.contains("rotate-root-key"), "{shell}");
    }
}

#[test]
fn dev_hands_over_the_credentials() {
    use clap::Parser as _;
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let cli = Cli::parse_from(["bailiwick", "dev", "--data", data.to_str().unwrap()]);
    let crate::args::Command::Dev(args) = cli.command else { panic!("not dev") };
    let (terminal, out, _) = crate::testing::terminal("");
    let mut session =
        crate::session::Session::of_parts(cli.globals, Environment::default(), terminal, Default::default());
    let credentials = crate::server::credentials::tests::sample();
    crate::server::announce(&mut session, &args, &credentials, true).unwrap();
    assert!(out.text().contains("BAO_TOKEN=bwk_acme"));
    let kept = crate::server::credentials::DevCredentials::read(&data.join("credentials.json")).unwrap().unwrap();
    assert_eq!(kept.operator.credential, "bwo_operator");
}

#[test]
fn dev_stays_on_this_machine() {
    let ran = run(&["dev", "--listen", "0.0.0.0:8200"], Environment::default(), "");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("not an address of this machine only"), "{}", ran.err);
}

#[test]
fn a_configuration_is_checked_without_starting() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("bailiwick.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        run(&["config", "check", "--config", file.to_str().unwrap()], Environment::default(), "")
    };
    let ran = check("data = \"d\"\n");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("root key           in shares"), "{}", ran.out);
    let ran = check("data = \"d\"\ntypo = 1\n");
    assert_eq!(ran.code, 2);
    assert!(ran.err.starts_with(&format!("error: {}: line 2: unknown field `typo`", file.display())), "{}", ran.err);
    let ran = check("data = \"d\"\n[tls]\ncert = \"no.pem\"\nkey = \"no.key\"\n");
    assert!(ran.err.contains("no.pem"), "{}", ran.err);

    let key = home.path().join("root.key");
    std::fs::write(&key, "x").unwrap();
    let ran = check("data = \"d\"\n[root_key]\nprovider = \"file\"\nfile = \"root.key\"\n");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("others may read it"), "{}", ran.err);

    let ran = run(&["config", "example"], Environment::default(), "");
    assert_eq!(ran.out, crate::server::config::EXAMPLE);
}
