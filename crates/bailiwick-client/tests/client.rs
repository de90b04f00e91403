//! The client against a server that says what it is told to.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod fake;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_client::{Call, Client, ClientError, Method, Options, Path, routes};
use bailiwick_types::api::platform::CreateTenant;
use bailiwick_types::api::secret::WriteSecret;
use bailiwick_types::api::{Done, Page};
use bailiwick_types::{Code, ErrorClass, Random, Secret};
use fake::{Canned, Fake, Seen};
use serde_json::{Value, json};

struct Counting(Mutex<u8>);
impl Random for Counting {
    fn fill(&self, out: &mut [u8]) {
        let mut n = self.0.lock().unwrap();
        *n += 1;
        out.fill(*n);
    }
}

/// Options that do not wait but remember for how long they would have.
fn impatient() -> (Options, Arc<Mutex<Vec<Duration>>>) {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&waits);
    let wait = Arc::new(move |span| log.lock().unwrap().push(span));
    (Options { wait, random: Some(Arc::new(Counting(Mutex::new(0)))), ..Options::default() }, waits)
}

fn client(fake: &Fake) -> Client {
    Client::new(&fake.address, Some(Secret::new("bwk_secret".to_owned())), impatient().0).unwrap()
}

fn write_call() -> Call<bailiwick_types::api::secret::VersionInfo> {
    let data = json!({"k": "v"}).as_object().unwrap().clone();
    routes::tenant("acme").write_secret("secret", &"app/db".parse().unwrap(), &WriteSecret { data, cas: Some(1) })
}

#[test]
fn a_call_goes_out_as_written_and_comes_back_verbatim() {
    let text = r#"{"version": 2, "created":"2026-01-01T00:00:00.000Z","is_destroyed":false,"new_member":1}"#;
    let fake = Fake::start(move |_, _| Canned::json(200, text).with("etag", "\"2\"").with("x-request-id", "req_7"));
    let reply = client(&fake).send(&write_call().if_match("1")).unwrap();

    assert_eq!(reply.text(), text);
    assert_eq!(reply.value().unwrap().version, 2);
    assert_eq!((reply.etag(), reply.request_id()), (Some("\"2\""), Some("req_7")));

    let seen = fake.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].method, "PUT");
    assert_eq!(seen[0].target, "/api/v1/t/acme/secrets/secret/app/db");
    assert_eq!(seen[0].body, r#"{"data":{"k":"v"},"cas":1}"#);
    let header = |name: &str| seen[0].headers.get(name).map(String::as_str);
    assert_eq!(header("authorization"), Some("Bearer bwk_secret"));
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("if-match"), Some("\"1\""));
    assert_eq!(header("idempotency-key"), Some("01010101010101010101010101010101"));
}

#[test]
fn a_read_carries_no_idempotency_key_and_no_body() {
    let fake = Fake::start(|_, _| Canned::json(200, "{}"));
    let _: Value = client(&fake).call(Method::Get, Path::fixed("/x"), &[("q", "a b".into())], None::<&()>).unwrap();
    let seen = fake.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("GET", "/x?q=a%20b"));
    assert!(!seen[0].headers.contains_key("idempotency-key"));
    assert!(!seen[0].headers.contains_key("content-type"));
}

#[test]
fn methods_without_a_body_go_out_empty() {
    let fake = Fake::start(|_, _| Canned::json(200, "{}"));
    let client = client(&fake);
    client.send(&routes::tenant("acme").revoke_self()).unwrap();
    client.send(&routes::tenant("acme").delete_mount("kv")).unwrap();
    let seen = fake.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].body.as_str()), ("POST", ""));
    assert_eq!((seen[1].method.as_str(), seen[1].body.as_str()), ("DELETE", ""));
}

#[test]
fn a_busy_server_is_asked_again_with_the_same_key() {
    let fake = Fake::start(|n, _| match n {
        0 => Canned::problem(429, "overloaded").with("retry-after", "3"),
        1 => Canned::problem(503, "contention"),
        2 => Canned::HangUp,
        _ => Canned::json(201, "{}"),
    });
    let (options, waits) = impatient();
    let client = Client::new(&fake.address, None, options).unwrap();
    client.send(&Call::<Done>::post(Path::fixed("/x")).json(&Done {})).unwrap();

    let keys: Vec<_> = fake.seen().iter().map(|seen| seen.headers["idempotency-key"].clone()).collect();
    assert_eq!(keys.len(), 4);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    let waits = waits.lock().unwrap();
    assert_eq!(waits.len(), 3);
    assert_eq!(waits[0], Duration::from_secs(3), "Retry-After is heeded");
    assert!(waits[1] < Duration::from_secs(1));
}

#[test]
fn two_calls_have_two_keys() {
    let fake = Fake::start(|_, _| Canned::json(200, "{}"));
    let client = client(&fake);
    client.send(&write_call()).unwrap();
    client.send(&write_call()).unwrap();
    let seen = fake.seen();
    assert_ne!(seen[0].headers["idempotency-key"], seen[1].headers["idempotency-key"]);
}

#[test]
fn attempts_end() {
    let fake = Fake::start(|_, _| Canned::problem(429, "overloaded"));
    let error = client(&fake).send(&routes::health()).unwrap_err();
    assert_eq!(error.code(), Some(Code::Overloaded));
    assert_eq!(fake.seen().len(), 4);
}

#[test]
fn what_cannot_get_better_is_not_repeated() {
    for (status, code) in [
        (400, "invalid_request"),
        (401, "credential_revoked"),
        (403, "permission_denied"),
        (404, "not_found"),
        (409, "cas_conflict"),
        (429, "limit_exceeded"),
        (503, "sealed"),
        (503, "tenant_sealed"),
        (500, "internal"),
    ] {
        let fake = Fake::start(move |_, _| Canned::problem(status, code));
        let error = client(&fake).send(&write_call()).unwrap_err();
        assert_eq!(error.class(), Code::from_text(code).unwrap().class());
        assert_eq!(error.to_string(), "the detail");
        assert_eq!(error.hint(), Some("the hint"));
        assert_eq!(error.problem().unwrap().request_id.as_deref(), Some("req_1"));
        assert_eq!(fake.seen().len(), 1, "{code}");
    }
}

#[test]
fn a_refusal_without_a_request_id_has_the_headers() {
    let body = r#"{"type":"urn:bailiwick:error:not_found","title":"not found","status":404,"code":"not_found"}"#;
    let fake = Fake::start(move |_, _| Canned::json(404, body).with("x-request-id", "req_of_header"));
    let error = client(&fake).send(&routes::health()).unwrap_err();
    assert_eq!(error.problem().unwrap().request_id.as_deref(), Some("req_of_header"));
}

#[test]
fn what_is_remembered_nowhere_is_sent_once() {
    for canned in [|| Canned::problem(429, "overloaded"), || Canned::HangUp] {
        let fake = Fake::start(move |_, _| canned());
        let body = bailiwick_types::api::platform::Unseal { key: Some("share".into()), reset: false };
        assert!(client(&fake).send(&routes::unseal(&body)).is_err());
        assert_eq!(fake.seen().len(), 1);
        assert!(!fake.seen()[0].headers.contains_key("idempotency-key"));
    }
}

#[test]
fn a_server_that_comes_up_late_is_found() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let started = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&started);
    let wait = Arc::new(move |_| {
        let mut slot = slot.lock().unwrap();
        if slot.is_none() {
            *slot = Some(Fake::on(TcpListener::bind(port).unwrap(), |_, _| Canned::json(200, "{}")));
        }
    });
    let client = Client::new(&format!("http://{port}"), None, Options { wait, ..Options::default() }).unwrap();
    let body = bailiwick_types::api::platform::Unseal { key: None, reset: true };
    client.send(&routes::unseal(&body).answering::<Value>()).unwrap();
    assert_eq!(started.lock().unwrap().as_ref().unwrap().seen().len(), 1);
}

#[test]
fn nobody_there_is_unreachable_and_busy() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::new(&format!("http://{port}"), None, impatient().0).unwrap();
    let error = client.send(&routes::seal_status()).unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.class(), ErrorClass::Busy);
}

#[test]
fn a_silent_server_times_out_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (options, waits) = impatient();
    let options = Options { timeout: Duration::from_millis(50), ..options };
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap()), None, options).unwrap();
    let error = client.send(&routes::seal_status()).unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error:?}");
    assert!(waits.lock().unwrap().is_empty());
}

#[test]
fn redirects_are_not_followed() {
    let trap = Fake::start(|_, _| Canned::json(200, "{}"));
    let to = format!("{}/trap", trap.address);
    let fake = Fake::start(move |_, _| Canned::json(307, "").with("location", &to));
    let error = client(&fake).send(&routes::health()).unwrap_err();
    assert!(matches!(error, ClientError::Unexpected { .. }), "{error:?}");
    assert!(trap.seen().is_empty(), "the credential must not follow");
}

#[test]
fn credentials_do_not_leave_the_machine_in_clear() {
    let credential = || Some(Secret::new("bwk_secret".to_owned()));
    for address in ["http://bailiwick.example:8200", "http://10.0.0.1", "http://[2001:db8::1]:8200"] {
        let error = Client::new(address, credential(), Options::default()).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Invalid, "{address}");
        let open = Options { allow_plain_http: true, ..Options::default() };
        assert!(Client::new(address, credential(), open).is_ok());
    }
    for address in ["http://127.0.0.1:8200", "http://localhost:8200/", "http://[::1]:8200", "http://127.8.8.8"] {
        assert!(Client::new(address, credential(), Options::default()).is_ok(), "{address}");
    }
    for address in ["", "127.0.0.1:8200", "ftp://x", "http://", "https://u:p@host", "http://127.0.0.1?x=1"] {
        assert!(Client::new(address, credential(), Options::default()).is_err(), "{address}");
    }
}

#[test]
fn the_credential_is_in_no_error_and_no_debug() {
    let secret = || Some(Secret::new("bwk_secret\nx".to_owned()));
    let error = Client::new("http://127.0.0.1:1", secret(), Options::default()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("bwk_secret"));
    let fake = Fake::start(|_, _| Canned::json(200, r#"{"version":"bwk_secret"}"#));
    let client = client(&fake);
    let reply = client.send(&write_call()).unwrap();
    let error = reply.value().unwrap_err();
    assert!(!format!("{client:?} {reply:?} {:?} {error} {error:?}", write_call()).contains("bwk_secret"));
}

#[test]
fn lists_are_followed_to_the_end() {
    let fake = Fake::start(|n, _: &Seen| match n {
        0 => Canned::json(200, r#"{"items":[1,2],"next":"c1"}"#),
        1 => Canned::json(200, r#"{"items":[],"next":"c2"}"#),
        _ => Canned::json(200, r#"{"items":[3]}"#),
    });
    let call = Call::<Page<u64>>::get(Path::fixed("/x")).query("state", "active");
    assert_eq!(client(&fake).all(call).unwrap(), [1, 2, 3]);
    let targets: Vec<_> = fake.seen().into_iter().map(|seen| seen.target).collect();
    assert_eq!(
        targets,
        ["/x?state=active&limit=1000", "/x?state=active&limit=1000&cursor=c1", "/x?state=active&limit=1000&cursor=c2"]
    );
}

#[test]
fn a_download_that_is_cut_off_is_an_error() {
    let fake = Fake::start(|n, _| match n {
        0 => Canned::json(200, "one\ntwo\n"),
        _ => Canned::Truncated("one\n".into()),
    });
    let client = client(&fake);
    let call = routes::tenant("acme").ledger().export(routes::ExportFormat::Bailiwick);
    let mut text = String::new();
    client.download(&call).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "one\ntwo\n");
    assert!(client.download(&call).unwrap().read_to_string(&mut String::new()).is_err());
}

#[test]
fn what_speaks_no_http_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    // The alert with which TLS answers to plain HTTP.
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let _ = stream.read(&mut [0; 4_096]);
        stream.write_all(&[0x15, 3, 3, 0, 2, 2, 22]).unwrap();
    });
    let client = Client::new(&address, None, impatient().0).unwrap();
    let error = client.send(&routes::seal_status()).unwrap_err();
    assert!(matches!(error, ClientError::Unexpected { .. }) && error.to_string().contains("https://"), "{error}");
}

#[test]
fn an_answer_of_somebody_else_is_named_as_such() {
    let fake = Fake::start(|_, _| Canned::json(502, "<html>bad gateway</html>"));
    let body = CreateTenant {
        slug: "acme".parse().unwrap(),
        name: None,
        admin_name: None,
        admin_email: None,
        admin_ttl: None,
    };
    let error = client(&fake).send(&routes::create_tenant(&body)).unwrap_err();
    assert_eq!(error.to_string(), "POST /api/v1/tenants: the answer has the status 502 and is no problem document");
    assert_eq!(error.class(), ErrorClass::Fault);
}

#[test]
fn a_ca_file_must_hold_certificates() {
    let file = std::env::temp_dir().join(format!("bailiwick-client-ca-{}.pem", std::process::id()));
    std::fs::write(&file, "no certificate here").unwrap();
    let options = Options { ca_file: Some(file.clone()), ..Options::default() };
    let error = Client::new("https://bailiwick.example", None, options).unwrap_err();
    assert!(error.to_string().contains("holds no certificate"), "{error}");
    std::fs::remove_file(file).unwrap();
}

#[test]
fn an_endpoint_is_what_the_address_says_and_only_of_a_client_that_may_be() {
    let of = |address: &str| Client::new(address, None, Options::default()).unwrap().endpoint().unwrap();
    for (address, host, prefix) in [
        ("http://127.0.0.1:8200", "127.0.0.1:8200", ""),
        ("http://127.0.0.1/", "127.0.0.1:80", ""),
        ("http://[::1]:8200/below/", "[::1]:8200", "/below"),
    ] {
        let endpoint = of(address);
        assert_eq!((endpoint.host.as_str(), endpoint.prefix.as_str()), (host, prefix));
        assert_eq!(endpoint.addresses[0].to_string(), host);
        assert!(endpoint.tls.is_none());
    }
    assert!(Client::new("http://192.0.2.1:8200", None, Options::default()).is_err(), "in clear over a network");
}
