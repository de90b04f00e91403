//! `serve` with a configuration and TLS, from `init` to a graceful end.

use std::path::Path;

use serde_json::Value;

use super::house::{House, Running};

/// A certificate for this machine, signed by itself; and one that has nothing to do with it.
pub(crate) fn certificates(house: &House) {
    for name in ["server", "stranger"] {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        house.file(&format!("{name}.pem"), made.cert.pem());
        private(&house.file(&format!("{name}.key"), made.signing_key.serialize_pem()));
    }
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

const CONFIG: &str = r#"
listen = "127.0.0.1:0"
data = "data"

[tls]
cert = "server.pem"
key = "server.key"

[root_key]
provider = "shamir"

[limits]
accounts = 1

[tenants]
delete_hold_min = "0s"
"#;

/// Starts a server, and says where it listens.
pub(crate) fn serve(house: &House, scheme: &str) -> (Running, String) {
    let server = house.start(&["serve", "--config", "bailiwick.toml"]);
    let line = server.err.wait_for("listening");
    let port = line.split("127.0.0.1:").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect::<String>();
    (server, format!("{scheme}://127.0.0.1:{port}"))
}

#[test]
fn from_init_to_a_graceful_end() {
    let mut house = House::new();
    certificates(&house);
    house.file("bailiwick.toml", CONFIG);
    let checked = house.sh("config check --config bailiwick.toml").ok();
    assert!(checked.out.contains("data") && checked.err.contains("unseal"), "{checked:?}");

    let (server, address) = serve(&house, "https");
    house.set("BAILIWICK_ADDRESS", &address);
    // Only who is known by its certificate is talked to.
    house.sh("status").fails(9);
    house.sh("--ca-file stranger.pem status").fails(9);
    house.set("BAILIWICK_CA_FILE", house.path("server.pem").to_str().unwrap());
    let status = house.sh("status -o json").fails(8);
    assert_eq!(serde_json::from_str::<Value>(&status.out).unwrap()["is_initialized"], false);

    house.sh("init --shares 2 --threshold 3").fails(2);
    let made = house.sh("init --shares 3 --threshold 2 -o json").json();
    let shares: Vec<String> =
        made["shares"].as_array().unwrap().iter().map(|share| share.as_str().unwrap().to_owned()).collect();
    assert_eq!(shares.len(), 3);
    house.set("BAILIWICK_CREDENTIAL", made["operator"]["credential"].as_str().unwrap());
    house.sh("init").fails(6);
    house.sh("tenant list").fails(8);

    // One share is not enough, and the same one twice is still one.
    house.file("share.txt", &shares[0]);
    house.sh("unseal --key-file share.txt").ok();
    house.sh("unseal --key-file share.txt").ok();
    house.sh("status").fails(8);
    assert_eq!(house.run_with(&["unseal"], b"nonsense\n").code, 2);
    house.run_with(&["unseal"], format!("{}\n{}\n", shares[1], shares[2]).as_bytes()).ok();
    house.sh("status").ok();
    let created = house.sh("tenant create acme -o json").json();
    let acme = created["admin"]["credential"].as_str().unwrap().to_owned();
    let operator = made["operator"]["credential"].as_str().unwrap().to_owned();
    house.set("BAILIWICK_CREDENTIAL", &acme);
    house.sh("secret put secret/a x=1").ok();
    house.sh("account create one").ok();
    house.sh("account create two").fails(7);

    // Ends when it is told to, and begins sealed.
    assert_eq!(server.terminate().0, 0);
    house.sh("whoami").fails(9);
    let (server, address) = serve(&house, "https");
    house.set("BAILIWICK_ADDRESS", &address);
    house.sh("whoami").fails(8);
    house.run_with(&["unseal"], format!("{}\n{}\n", shares[2], shares[0]).as_bytes()).ok();
    assert_eq!(house.sh("secret get secret/a --field x").ok().out, "1");

    // The whole life of a tenant.
    house.set("BAILIWICK_CREDENTIAL", &operator);
    house.sh("tenant delete acme --hold 0s").ok();
    let certificate = loop {
        let shown = house.sh("tenant show acme -o json").json();
        if let Some(certificate) = shown["certificate"].as_str() {
            break certificate.to_owned();
        }
    };
    house.file("acme.certificate", certificate);
    let checkpoint = house.sh("platform ledger checkpoint -o json").json();
    let key = checkpoint["keys"][0].as_str().unwrap();
    let report = house.run(&["verify", "acme.certificate", "--key", key]).ok();
    assert!(report.out.contains("acme"), "{}", report.out);
    house.set("BAILIWICK_CREDENTIAL", &acme);
    house.sh("whoami").fails(3);
    // What the server wrote is about what it did, and holds nothing of what it keeps.
    let (code, log) = server.terminate();
    assert_eq!(code, 0, "{log}");
    for secret in [&acme, &operator, &shares[0], &shares[2]] {
        assert!(!log.contains(&secret[8..40]), "{log}");
    }
}

#[test]
fn a_passphrase_unseals_at_the_start() {
    let mut house = House::new();
    let config = "listen = \"127.0.0.1:0\"\ndata = \"data\"\n[root_key]\nprovider = \"passphrase\"\npassphrase_file = \"pass\"\n";
    house.file("bailiwick.toml", config);
    private(&house.file("pass", "correct horse battery staple\n"));
    let (server, address) = serve(&house, "http");
    house.set("BAILIWICK_ADDRESS", &address);
    assert_eq!(house.run_with(&["init", "--provider", "passphrase"], b"short\n").code, 2);
    let out = house.sh("init --provider passphrase --passphrase-file pass -q").word();
    house.set("BAILIWICK_CREDENTIAL", &out);
    house.run_with(&["unseal"], b"wrong horse battery staple\n").fails(2);
    house.run_with(&["unseal"], b"correct horse battery staple\n").ok();
    house.sh("tenant create acme").ok();
    assert_eq!(server.terminate().0, 0);
    // Now it can by itself.
    let (server, address) = serve(&house, "http");
    house.set("BAILIWICK_ADDRESS", &address);
    house.sh("tenant show acme").ok();
    // A second server on the same data would be two truths.
    assert_ne!(house.sh("serve --config bailiwick.toml").code, 0);
    drop(server);
}

#[test]
fn a_configuration_that_makes_no_sense_is_told_with_its_line() {
    let house = House::new();
    let example = house.sh("config example").ok().out;
    assert!(example.contains("[root_key]"));
    for (text, place) in [
        ("listen = \"127.0.0.1:0\"\ndata = \"d\"\nlisten_on = 1\n", "line 3"),
        ("data = \"d\"\nlisten = \"nonsense\"\n", "line 2"),
        ("data = \"d\"\nlisten = \"0.0.0.0:8200\"\n", "line 2"),
        ("data = \"d\"\n[limits]\nsecrts = 1\n", "line 3"),
        ("data = \"d\"\n[limits]\nsecrets = 99999999999\n", "line 3"),
        ("data = \"d\"\n[root_key]\nprovider = \"file\"\n", "line 3"),
        ("data = \"d\"\n[tls]\ncert = \"nothing.pem\"\nkey = \"nothing.key\"\n", "nothing"),
        ("data =\n", "line 1"),
        ("listen = \"127.0.0.1:0\"\n", "data"),
    ] {
        house.file("bailiwick.toml", text);
        for line in ["config check --config bailiwick.toml", "serve --config bailiwick.toml"] {
            let ran = house.sh(line).fails(2);
            assert!(ran.err.contains(place), "{text}\n{}", ran.err);
        }
    }
    house.sh("serve --config nothing.toml").fails(2);
    house.sh("serve").fails(2);
    house.sh("dev --listen 0.0.0.0:0").fails(2);
}
