//! A whole request, against a whole server: whatever is sent, it is answered, and never with a fault.
//!
//! A request is written as HTTP/1.1 is, but for where its credential goes (`@owner`) and its tenant's ids.

use std::cell::RefCell;

use bailiwick_http::DoorKind;
use serde_json::Value;

use crate::random::SeededRandom;
use crate::request::Answer;
use crate::world::World;
use bailiwick_probe::holdings::{Tenant, names};

/// After how many requests there is a new world: in a sealed one, or one without accounts, not much can go wrong.
const REQUESTS_MAX: usize = 200;

struct Asked {
    world: World,
    requests: usize,
}

thread_local! {
    static ASKED: RefCell<Option<Asked>> = const { RefCell::new(None) };
}

/// The words that stand for what differs from world to world, and what they stand for.
fn words(tenant: &Tenant) -> [(&'static str, &str); 7] {
    [
        ("@owner", &tenant.owner.key.credential),
        ("@member", &tenant.viewer.id),
        ("@account", &tenant.reader.id),
        ("@key", &tenant.reader.key.id),
        ("@binding", &tenant.binding),
        ("@tenant", &tenant.id),
        ("@credential", &tenant.viewer.key.id),
    ]
}

fn replaced(text: &[u8], world: &World) -> Vec<u8> {
    let mut text = text.to_vec();
    let operator = [("@operator", world.platform.admin.key.credential.as_str())];
    for (word, value) in words(&world.acme).into_iter().chain(operator) {
        while let Some(at) = text.windows(word.len()).position(|window| window == word.as_bytes()) {
            text.splice(at..at + word.len(), value.bytes());
        }
    }
    text
}

pub(super) fn request(input: &[u8]) {
    ASKED.with_borrow_mut(|asked| {
        if asked.as_ref().is_none_or(|asked| asked.requests >= REQUESTS_MAX) {
            *asked = Some(Asked { world: World::two_tenants(), requests: 0 });
        }
        let Some(asked) = asked else { return };
        asked.requests += 1;
        let input = replaced(input, &asked.world);
        if let Some(answer) = sent(&asked.world, &input) {
            check(&answer, &input);
        }
    });
}

/// Sends it, if it is a request at all.
fn sent(world: &World, input: &[u8]) -> Option<Answer> {
    let at = input.windows(2).position(|window| window == b"\n\n").unwrap_or(input.len());
    let (head, body) = (input.get(..at)?, input.get(at + 2..).unwrap_or_default());
    let mut lines = head.split(|byte| *byte == b'\n');
    let (method, target) = {
        let mut words = lines.next()?.splitn(2, |byte| *byte == b' ');
        (words.next()?, words.next()?)
    };
    let mut builder = http::Request::builder().method(method).uri(target);
    for line in lines {
        let at = line.iter().position(|byte| *byte == b':')?;
        builder = builder.header(line.get(..at)?, line.get(at + 1..)?.trim_ascii());
    }
    // What is no request to `http` is none on the wire either: hyper builds the same type.
    let request = builder.body(http_body_util::Full::new(bytes::Bytes::copy_from_slice(body))).ok()?;
    // Following waits for news, and there are none.
    if request.uri().query().is_some_and(|query| query.contains("wait")) {
        return None;
    }
    let (label, server) = (world.next_label("fuzz"), world.server());
    let answered = async { Answer::of(server.handle(request, None).await).await };
    Some(world.block_on(SeededRandom::labelled(&label, answered)))
}

fn check(answer: &Answer, input: &[u8]) {
    let shown = || format!("{}\n-> {} {}", String::from_utf8_lossy(input), answer.status, answer.text());
    assert!(answer.status != 500, "a fault: {}", shown());
    assert!(answer.header("x-request-id").is_some(), "no request id: {}", shown());
    assert!(!answer.is_broken_off, "broken off: {}", shown());
    let is_json = answer.header("content-type").is_some_and(|kind| kind.ends_with("json"));
    if is_json && !answer.body.is_empty() {
        assert!(serde_json::from_slice::<Value>(&answer.body).is_ok(), "not JSON: {}", shown());
    }
}

pub(super) fn requests() -> Vec<Vec<u8>> {
    const BODIES: &[&str] = &[
        "{}",
        r#"{"name":"x","role":"viewer"}"#,
        r#"{"name":"x","owner":"@member","labels":{"a":"b"}}"#,
        r#"{"principal":"@account","role":"secret-reader","on":"mount/secret"}"#,
        r#"{"name":"p","text":"permit(principal, action, resource);"}"#,
        r#"{"text":"forbid(principal, action, resource) when { context.door == \"api\" };","dry_run":true}"#,
        r#"{"data":{"a":1},"cas":2,"options":{"cas":"2"}}"#,
        r#"{"versions":[1,2]}"#,
        r#"{"custom_metadata":{"a":"b"},"max_versions":3}"#,
        r#"{"paths":["secret/data/app/db","sys/mounts/x"]}"#,
        r#"{"action":"secret:reveal","resource":"secret/secret/app/db","principal":"@account"}"#,
        r#"{"quotas":{"secrets":1000}}"#,
        r#"{"ttl":"1h","overlap":"1m"}"#,
    ];
    let mut all = Vec::new();
    for (at, route) in bailiwick_http::routes().iter().enumerate() {
        let path = filled(route.path);
        let is_platform = !route.path.contains("/t/{tenant}") && route.door == DoorKind::Api;
        let credential = match (route.door, is_platform) {
            (DoorKind::Vault, _) => "x-vault-token: @owner",
            (_, true) => "authorization: Bearer @operator",
            (_, false) => "authorization: Bearer @owner",
        };
        let kind = if route.door == DoorKind::Vault && route.method == "PATCH" { "merge-patch+json" } else { "json" };
        let query = route.query.first().map(|query| format!("?{}=1", query.name)).unwrap_or_default();
        let body = BODIES[at % BODIES.len()];
        let head = format!("{} {path}{query}\n{credential}\ncontent-type: application/{kind}", route.method);
        all.push(format!("{head}\nidempotency-key: {at}\n\n{body}").into_bytes());
        all.push(format!("{head}\nif-match: \"1\"\n\n").into_bytes());
    }
    all.extend(BODIES.iter().map(|body| body.as_bytes().to_vec()));
    all
}

fn filled(path: &str) -> String {
    let segments = path.split('/').map(|segment| match segment {
        "{tenant}" => "acme",
        "{member}" | "{operator}" => "@member",
        "{account}" => "@account",
        "{key}" => "@key",
        "{credential}" => "@credential",
        "{binding}" => "@binding",
        "{policy}" => names::POLICY,
        "{guardrail}" => names::GUARDRAIL,
        "{invariant}" => names::INVARIANT,
        "{role}" => "viewer",
        "{index}" => "0",
        "{mount}" => names::MOUNT,
        "{*path}" | "{*rest}" => names::LIVE,
        segment => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}
