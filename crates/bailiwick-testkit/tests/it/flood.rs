//! A flood: one tenant asks for more than the server can do, with everything that it can ask for, and the other is served
//! in its turn.
//!
//! Turns are counted; nothing here is timed (but for handshakes, of which each holds its turn for long). What a flood costs
//! the neighbour in time is measured by `cargo xtask bench --only neighbour`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bailiwick_app::{AppConfig, Places, TurnsConfig, Work};
use bailiwick_http::Server;
use bailiwick_testkit::{Answer, Plane, Request, Tenant, World, WorldOptions};
use bailiwick_types::{CredentialId, CredentialText, Limit, Limits};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Few places, so that few requests fill them.
fn world(places: Places, queue: u64) -> World {
    let mut limits = Limits::default();
    limits.set(Limit::QueuedRequests, Some(queue));
    let turns = TurnsConfig { short: places, long: places, proof: places, ..TurnsConfig::default() };
    let world =
        World::with(WorldOptions { app: AppConfig { turns, limits, ..AppConfig::default() }, ..Default::default() });
    // Both are known: their credentials have been good once.
    for tenant in [&world.acme, &world.globex] {
        world.get(&tenant.owner, &own(tenant, "whoami")).expect(200);
    }
    world
}

fn own(tenant: &Tenant, path: &str) -> String {
    format!("/api/v1/t/{}/{path}", tenant.slug)
}

const PLACES: Places = Places { total: 4, share: 2, contested: 2, quantum: Duration::from_millis(1) };

/// Sends all of them at the same time. The answers, each with how many were there before it.
pub(crate) fn at_once(world: &World, requests: Vec<Request<'_>>) -> Vec<(Answer, usize)> {
    let done = Arc::new(AtomicUsize::new(0));
    let asked: Vec<_> = requests.into_iter().map(Request::ask).collect();
    world.block_on(async {
        let tasks: Vec<_> = asked
            .into_iter()
            .map(|asked| {
                let done = Arc::clone(&done);
                tokio::spawn(async move {
                    let answer = asked.await;
                    let is_success = (200..300).contains(&answer.status);
                    (answer, done.fetch_add(usize::from(is_success), Ordering::Relaxed))
                })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        answers
    })
}

/// Fails unless the flood was refused in part, each time with how long to wait.
#[track_caller]
fn is_refused_in_part(answers: &[(Answer, usize)], queue: u64) {
    let refused = answers.iter().map(|(answer, _)| answer).filter(|answer| answer.status == 429);
    let mut count = 0;
    for answer in refused {
        answer.expect_refusal(429, "overloaded");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.json()["detail"], format!("queued_requests is limited to {queue} requests"));
        count += 1;
    }
    assert!(0 < count && count < answers.len(), "{count} of {}", answers.len());
}

/// One of many requests: method, path, body.
type Flood = fn(&Tenant, usize) -> (&'static str, String, Value);

/// What a tenant can flood the server with.
const FLOODS: &[(&str, Flood)] = &[
    ("reads", |tenant, _| ("GET", own(tenant, "secrets/secret/app/db"), Value::Null)),
    ("writes", |tenant, n| ("PUT", own(tenant, &format!("secrets/secret/flood-{}", n % 7)), json!({ "data": {} }))),
    ("lists", |tenant, _| ("GET", own(tenant, "accounts?limit=1000"), Value::Null)),
    ("ledger", |tenant, _| ("GET", own(tenant, "ledger/entries?order=desc&limit=1000"), Value::Null)),
    ("policies", |tenant, n| {
        let text = format!(
            r#"forbid(principal, action == Action::"secret:purge", resource) when {{ context.door == "{n}" }};"#
        );
        ("PUT", own(tenant, "policies/flood"), json!({ "text": text }))
    }),
    ("checks", |tenant, _| ("POST", own(tenant, "invariants:check"), Value::Null)),
];

#[test]
fn whatever_a_tenant_floods_the_server_with_the_other_is_answered() {
    for (name, flood) in FLOODS {
        let world = world(PLACES, 5);
        for (flooding, other) in world.both_ways() {
            let mut requests = Vec::new();
            for number in 0..60 {
                let (method, path, body) = flood(flooding, number);
                requests.push(world.request(method, &path).by(&flooding.owner).json(&body));
            }
            let theirs = requests.len();
            for path in ["whoami", "secrets/secret/app/db", "accounts", "limits"] {
                requests.push(world.request("GET", &own(other, path)).by(&other.owner));
            }
            let mut answers = at_once(&world, requests);
            for (answer, _) in answers.split_off(theirs) {
                answer.expect(200);
            }
            is_refused_in_part(&answers, 5);
            assert!(answers.iter().all(|(answer, _)| [200, 201, 429].contains(&answer.status)), "{name}");
        }
    }
}

#[test]
fn the_other_waits_for_a_turn_and_not_for_the_flood() {
    // The flood may have all places here: the other has to wait.
    let world = world(Places { total: 2, ..PLACES }, 100);
    for (flooding, other) in world.both_ways() {
        let mut requests: Vec<_> =
            (0..60).map(|_| world.request("GET", &own(flooding, "whoami")).by(&flooding.owner)).collect();
        requests.push(world.request("GET", &own(other, "whoami")).by(&other.owner));
        let answers = at_once(&world, requests);
        let (answer, before) = answers.last().unwrap();
        answer.expect(200);
        // Those that ran already, the one whose turn it was, and as many as are committed together with it.
        assert!(*before <= 6, "{before} of the flood were answered before it");
    }
}

#[test]
fn who_forges_a_tenants_credentials_takes_none_of_its_turns() {
    let world = world(PLACES, 5);
    for (own_tenant, _) in world.both_ways() {
        let forged = |n: u8| {
            let tenant = own_tenant.id.parse().unwrap();
            let random = bailiwick_testkit::SeededRandom::new(&format!("forged {n}"));
            CredentialText::generate(tenant, CredentialId::from_bytes([n; 16]), &random).reveal().expose().clone()
        };
        let path = own(own_tenant, "whoami");
        let mut requests: Vec<_> = (0..60).map(|n| world.request("GET", &path).by(forged(n))).collect();
        // Who is new here, but comes from elsewhere, is not behind all those.
        requests.push(world.request("GET", &path).by(&own_tenant.viewer).from("192.0.2.77:40000"));
        for _ in 0..5 {
            requests.push(world.request("GET", &path).by(&own_tenant.owner));
        }
        let mut answers = at_once(&world, requests);
        for (answer, _) in answers.split_off(60) {
            answer.expect(200);
        }
        let statuses: Vec<u16> = answers.iter().map(|(answer, _)| answer.status).collect();
        assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
        assert!(statuses.contains(&429));
    }
}

/// Everybody may ask whether the node is ready, and it asks the store.
#[test]
fn however_many_ask_whether_it_is_ready_the_store_is_asked_a_few_times() {
    // All of them at the same time: nobody waits for a turn.
    let world = world(Places { total: 400, share: 200, contested: 200, ..PLACES }, 5);
    world.operations();
    let answers = at_once(&world, (0..200).map(|_| world.request("GET", "/readyz")).collect());
    assert!(answers.iter().all(|(answer, _)| answer.status == 200));
    let pings = world.operations().iter().filter(|operation| operation.work == "ping").count();
    assert!((1..=20).contains(&pings), "{pings}");
}

#[test]
fn a_flood_is_one_entry_in_the_ledger_of_who_floods() {
    let world = world(PLACES, 1);
    let tenant = &world.acme;
    let before = world.header(Plane::Tenant(tenant)).ledger.size();
    let path = own(tenant, "whoami");
    let answers = at_once(&world, (0..40).map(|_| world.request("GET", &path).by(&tenant.owner)).collect());
    let answered = answers.iter().filter(|(answer, _)| answer.status == 200).count() as u64;
    assert!(answered < 40);
    let after = world.header(Plane::Tenant(tenant)).ledger.size();
    assert_eq!(after - before, answered + 1);
    let entries = world.get(&tenant.owner, &own(tenant, "ledger/entries?outcome=busy")).expect(200);
    let [only] = entries["items"].as_array().unwrap().as_slice() else { panic!("{entries}") };
    assert_eq!(
        (&only["entry"]["code"], &only["entry"]["actor"]["id"]),
        (&json!("overloaded"), &json!(tenant.owner.id))
    );
}

#[test]
fn at_the_vault_door_the_answer_is_vaults() {
    let world = world(PLACES, 1);
    let requests = (0..20).map(|_| world.request("GET", "/v1/secret/data/app/db").by(&world.acme.owner)).collect();
    let answers = at_once(&world, requests);
    let (refused, _) = answers.iter().find(|(answer, _)| answer.status != 200).unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(refused.json(), json!({ "errors": ["queued_requests is limited to 1 requests"] }));
}

#[test]
fn nothing_waits_where_there_is_room_and_everything_is_given_back() {
    let world = world(PLACES, 5);
    for number in 0..20 {
        let path = own(&world.acme, if number % 2 == 0 { "whoami" } else { "accounts" });
        world.get(&world.acme.owner, &path).expect(200);
        // Whoever hangs up gives its place back, whether it ran or waited.
        let asked: Vec<_> = (0..7).map(|_| world.request("GET", &path).by(&world.acme.owner).ask()).collect();
        world.block_on(async {
            let tasks: Vec<_> = asked.into_iter().map(tokio::spawn).collect();
            tokio::task::yield_now().await;
            tasks.iter().for_each(tokio::task::JoinHandle::abort);
            for task in tasks {
                let _ = task.await;
            }
        });
    }
    let loads = world.app().metrics().turns;
    assert_eq!(loads.iter().map(|(work, _)| *work).collect::<Vec<_>>(), Work::ALL);
    for (work, load) in loads {
        assert_eq!((load.running, load.waiting), (0, 0), "{work:?}");
    }
}

/// The first words of a TLS client that never says another.
fn hello() -> Vec<u8> {
    let config = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
    let name = "localhost".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config.with_no_client_auth()), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn own_certificate() -> Arc<rustls::ServerConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    Arc::new(config.with_single_cert(vec![made.cert.into()], key).unwrap())
}

/// A node with few places, on which what needs one for a moment only holds it for so long.
fn node_that_holds(world: &World, brief_hold: Duration, limits: Limits) -> Arc<Server> {
    let turns = TurnsConfig { short: PLACES, brief_hold, ..TurnsConfig::default() };
    let node = world.another_node("another", AppConfig { turns, limits, ..AppConfig::default() });
    world.block_on(node.app().unseal_with_file(&world.root_key_file())).unwrap();
    node
}

fn whoami<'a>(world: &'a World, tenant: &Tenant, node: &Arc<Server>) -> Request<'a> {
    world.request("GET", &own(tenant, "whoami")).by(&tenant.owner).through(node)
}

/// Sends them all, and says which are answered before long.
fn answered(world: &World, requests: Vec<(String, Request<'_>)>) -> Vec<String> {
    let asked: Vec<_> = requests.into_iter().map(|(name, request)| (name, request.ask())).collect();
    world.block_on(async {
        let tasks: Vec<_> = asked.into_iter().map(|(name, asked)| (name, tokio::spawn(asked))).collect();
        tokio::time::sleep(Duration::from_millis(300)).await;
        tasks.into_iter().filter(|(_, task)| task.is_finished()).map(|(name, _)| name).collect()
    })
}

#[test]
fn who_asks_more_than_it_may_is_refused_in_its_turns() {
    let world = World::two_tenants();
    let mut limits = Limits::default();
    limits.set(Limit::RequestsPerSecond, Some(2));
    let node = node_that_holds(&world, Duration::from_secs(3_600), limits);
    for _ in 0..2 {
        whoami(&world, &world.acme, &node).send().expect(200);
    }
    let more = (0..10).map(|n| (n.to_string(), whoami(&world, &world.acme, &node))).collect();
    assert!(answered(&world, more).is_empty(), "a refusal takes no time");
    whoami(&world, &world.globex, &node).send().expect(200);
}

#[test]
fn nothing_is_answered_without_a_credential_while_strangers_have_no_place() {
    let world = World::two_tenants();
    let node = node_that_holds(&world, Duration::from_secs(3_600), Limits::default());
    // Until it has been good once, its credential is a stranger's.
    whoami(&world, &world.acme, &node).send().expect(200);
    for _ in 0..PLACES.contested {
        whoami(&world, &world.acme, &node).send().expect(200);
        world.request("GET", "/nothing").through(&node).send().expect_refusal(404, "route_not_found");
    }
    let rows = node.routes().iter().map(|route| (route.method, concrete(route.path)));
    let unknown =
        [("GET", "/nothing"), ("BREW", "/v1/secret/data/a"), ("DELETE", "/healthz"), ("GET", "/v1/sys/health?x=%zz")];
    let asked = rows.chain(unknown.map(|(method, path)| (method, path.to_owned())));
    let asked = asked.map(|(method, path)| (format!("{method} {path}"), world.request(method, &path).through(&node)));
    let asked: Vec<_> = asked.collect();
    assert!(asked.len() > 100);
    assert_eq!(answered(&world, asked), Vec::<String>::new());
    // Others are, and so is who monitors.
    whoami(&world, &world.acme, &node).send().expect(200);
    let monitored = node.operations().unwrap();
    world.request("GET", "/healthz").through(&monitored).send().expect(200);
}

fn concrete(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "x" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn a_flood_of_handshakes_does_not_keep_others_from_theirs() {
    const FLOOD: usize = 40;
    let world = World::two_tenants();
    // Two at a time, each for a tenth of a second.
    let node = node_that_holds(&world, Duration::from_millis(100), Limits::default());
    whoami(&world, &world.acme, &node).send().expect(200);
    let asked: Vec<_> = (0..200).map(|_| whoami(&world, &world.acme, &node).ask()).collect();
    let tenant = async {
        for answer in asked {
            answer.await.expect(200);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    world.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let serving =
            bailiwick_http::serve(node, listener, Some(own_certificate()), Default::default(), std::future::pending());
        let (serving, asking) = (tokio::spawn(serving), tokio::spawn(tenant));
        let connect = async |from: &str| {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
            socket.connect(to).await.unwrap()
        };
        let hello = hello();
        let mut flood = Vec::new();
        for _ in 0..FLOOD {
            let mut stream = connect("127.0.0.1").await;
            stream.write_all(&hello).await.unwrap();
            flood.push(stream);
        }
        let mut other = connect("127.0.0.2").await;
        other.write_all(&hello).await.unwrap();
        other.readable().await.unwrap();
        let mut answered = 0;
        for stream in &flood {
            let is_readable = tokio::time::timeout(Duration::ZERO, stream.readable()).await;
            answered += usize::from(is_readable.is_ok());
        }
        assert!(0 < answered && answered < FLOOD / 2, "{answered} came before it");
        for stream in &mut flood {
            assert_ne!(stream.read(&mut [0; 1_024]).await.unwrap(), 0, "each has its turn in the end");
        }
        serving.abort();
        asking.abort();
    });
}
