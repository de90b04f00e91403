//! What a configuration may say, and what is said about one that may not.

use super::*;

const MINIMAL: &str = "data = \"d\"\n[root_key]\nprovider = \"shamir\"\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/bailiwick"), None)
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn little_is_enough() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8200");
    assert_eq!(config.store, StoreConfig::in_directory(Path::new("/etc/bailiwick/d")));
    assert_eq!(config.node.drain, bailiwick_http::Drain::default());
    assert_eq!(config.root_key, RootKey::Shamir);
    assert_eq!(config.delete_hold_min, Duration::from_secs(86_400));
    assert_eq!(config.delete_hold_default, Duration::from_secs(7 * 86_400));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.log, Log { format: LogFormat::Text, level: "info".into() });
    assert_eq!(parse("data = \"d\"\n").unwrap().root_key, RootKey::Shamir);
    assert_eq!((config.tls, config.operations_listen, config.vault_init_tenant), (None, None, None));
}

#[test]
fn the_example_says_what_it_says() {
    let config = parse(EXAMPLE).unwrap();
    assert_eq!(config.store, StoreConfig::in_directory(Path::new("/var/lib/bailiwick")));
    assert_eq!(config.tls.unwrap().key, Path::new("/etc/bailiwick/server.key"));
    // Every line that is commented out is a setting too.
    let all: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") && !setting.contains('`') => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let with_file = all.replace("provider = \"shamir\"", "provider = \"file\"").replace("passphrase_file", "# ");
    let config = parse(&with_file).unwrap();
    assert_eq!(config.root_key, RootKey::File { file: "/etc/bailiwick/root.key".into() });
    assert_eq!(config.vault_init_tenant.unwrap().as_str(), "main");
    assert_eq!(config.limits.of(Limit::RequestsPerSecond), 20_000);
    let with_passphrase =
        all.replace("provider = \"shamir\"", "provider = \"passphrase\"").replace("\nfile = ", "\n# ");
    let wanted = RootKey::Passphrase { passphrase_file: Some("/etc/bailiwick/passphrase".into()) };
    assert_eq!(parse(&with_passphrase).unwrap().root_key, wanted);
}

#[test]
fn every_setting_is_in_the_example() {
    // Serde lists what it expects when a member is unknown.
    let mut seen = 0;
    for section in [
        "",
        "[tls]\n",
        "[root_key]\n",
        "[store]\n",
        "[node]\n",
        "[vault]\n",
        "[tenants]\n",
        "[recovery]\n",
        "[prove]\n",
        "[isolation]\n",
        "[operations]\n",
        "[log]\n",
    ] {
        let message = error(&format!("{section}no_such_setting = 1\n"));
        for name in message.split('`').skip(1).step_by(2).filter(|name| *name != "no_such_setting") {
            seen += 1;
            assert!(EXAMPLE.contains(&format!("{name} = ")) || EXAMPLE.contains(&format!("[{name}]")), "{name}");
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let with = |rest: &str| error(&format!("{MINIMAL}{rest}"));
    assert_eq!(
        error("data = \"d\"\nlsten = \"127.0.0.1:1\"\n"),
        "line 2: unknown field `lsten`, expected one of `listen`, `data`, `allow_plain_http`, `tls`, `root_key`, \
         `store`, `node`, `vault`, `limits`, `tenants`, `recovery`, `prove`, `isolation`, `operations`, `log`"
    );
    assert!(error("listen = \"localhost\"\n").starts_with("line 1: invalid socket address"));
    assert!(error("data = \n").starts_with("line 1: "));
    assert_eq!(with("[log]\nformat = \"xml\"\n"), "line 5: unknown variant `xml`, expected `text` or `json`");
    assert!(with("[log]\nlevel = \"in=fo=x\"\n").starts_with("line 5: `in=fo=x` is no log filter"));
    assert_eq!(with("[limits]\n\nscrets = 1\n"), "line 6: there is no limit `screts`");
    assert_eq!(with("[limits]\nmembers = 100001\n"), "line 5: `members` can be 100000 at most");
    assert!(with("[vault]\ninit_tenant = \"Acme\"\n").starts_with("line 5: slug may only use"));
    assert_eq!(
        with("[tenants]\ndelete_hold_min = \"soon\"\n"),
        "line 5: not a duration such as `90s`, `15m`, `12h` or `30d`"
    );
    assert_eq!(
        with("[tenants]\ndelete_hold_min = \"2d\"\ndelete_hold_default = \"1d\"\n"),
        "line 6: `delete_hold_default` is shorter than `delete_hold_min`, 2d"
    );
    assert_eq!(with("[operations]\nlisten = \"127.0.0.1:8200\"\n"), "line 5: [operations] needs a listener of its own");
    let any_ports = "data = \"d\"\nlisten = \"127.0.0.1:0\"\n[operations]\nlisten = \"127.0.0.1:0\"\n";
    assert!(parse(any_ports).is_ok());
    assert!(error("listen = \"127.0.0.1:1\"\n").contains("missing field `data`"));
}

#[test]
fn a_hold_that_is_raised_raises_its_default() {
    let config = parse(&format!("{MINIMAL}[tenants]\ndelete_hold_min = \"30d\"\n")).unwrap();
    assert_eq!(config.delete_hold_default, Duration::from_secs(30 * 86_400));
}

#[test]
fn how_much_of_the_past_is_kept_has_bounds() {
    let past = |entries: &str| parse(&format!("{MINIMAL}[recovery]\npast_entries = {entries}\n"));
    assert_eq!(parse(MINIMAL).unwrap().past_entries, AppConfig::default().past_entries);
    assert_eq!(
        parse(EXAMPLE).unwrap().past_entries,
        AppConfig::default().past_entries,
        "the example shows the default"
    );
    assert_eq!((past("1000").unwrap().past_entries, past("100000000").unwrap().past_entries), (1_000, 100_000_000));
    assert_eq!(crate::server::start::app_config(&past("1000").unwrap()).past_entries, 1_000);
    for entries in ["0", "999", "100000001"] {
        assert_eq!(past(entries).unwrap_err().to_string(), "line 5: must be 1000 to 100000000");
    }
}

#[test]
fn plain_http_on_a_network_must_be_wanted() {
    let rest = "[root_key]\nprovider = \"shamir\"\n";
    let text = |head: &str| format!("{head}data = \"d\"\n{rest}");
    assert!(
        error(&text("listen = \"0.0.0.0:8200\"\n")).starts_with("line 1: `listen = \"0.0.0.0:8200\"` without [tls]")
    );
    assert!(parse(&text("listen = \"0.0.0.0:8200\"\nallow_plain_http = true\n")).is_ok());
    assert!(parse(&text("listen = \"[::1]:8200\"\n")).is_ok());
    let tls = format!("{}[tls]\ncert = \"c\"\nkey = \"k\"\n", text("listen = \"0.0.0.0:8200\"\n"));
    assert!(parse(&tls).is_ok());
}

#[test]
fn a_root_key_is_held_in_one_way() {
    let root_key = |section: &str| parse(&format!("data = \"d\"\n[root_key]\n{section}"));
    let message = |section: &str| root_key(section).unwrap_err().to_string();
    assert_eq!(message("provider = \"file\"\n"), "line 3: the provider `file` needs `file`");
    assert_eq!(message("provider = \"shamir\"\nfile = \"f\"\n"), "line 4: `file` is not for this provider");
    assert_eq!(
        message("provider = \"file\"\nfile = \"f\"\npassphrase_file = \"p\"\n"),
        "line 5: `passphrase_file` is not for this provider"
    );
    assert!(message("provider = \"kms\"\n").starts_with("line 3: unknown variant `kms`"));
    let file = root_key("provider = \"file\"\nfile = \"root.key\"\n").unwrap().root_key;
    assert_eq!(file, RootKey::File { file: "/etc/bailiwick/root.key".into() });
}

#[test]
fn proofs_have_limits() {
    let with = |text: &str| parse(&format!("{MINIMAL}[prove]\n{text}\n"));
    let config = parse(MINIMAL).unwrap();
    assert_eq!((config.prove, config.require_proof), (ProverConfig::default(), false));
    let config = with("solver = \"bin/cvc5\"\ntime_limit = \"3s\"\npool = 4\nrequire_proof = true").unwrap();
    assert_eq!(config.prove.solver, Path::new("/etc/bailiwick/bin/cvc5"));
    assert_eq!((config.prove.time_limit, config.prove.pool, config.require_proof), (Duration::from_secs(3), 4, true));
    assert_eq!(with("solver = \"cvc5\"").unwrap().prove.solver, Path::new("cvc5"));
    for bad in ["pool = 0", "pool = 65", "time_limit = \"0s\"", "change_limit = \"1h\"", "require_proof = 1"] {
        assert!(with(bad).is_err(), "{bad}");
    }
}

#[test]
fn probes_have_a_pace() {
    let with = |text: &str| parse(&format!("{MINIMAL}[isolation]\n{text}\n"));
    let unsaid = Isolation { every: None, timed_pairs: 400, fail_readiness: true };
    assert_eq!(parse(MINIMAL).unwrap().isolation, unsaid);
    let said = with("every = \"5m\"\ntimed_pairs = 0\nfail_readiness = false").unwrap().isolation;
    assert_eq!(said, Isolation { every: Some(Duration::from_secs(300)), timed_pairs: 0, fail_readiness: false });
    for bad in ["every = \"0s\"", "every = \"2d\"", "timed_pairs = 10001", "fail_readiness = 1"] {
        assert!(with(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_missing_solver_is_told_and_what_comes_of_it() {
    let told = |text: &str| {
        let config = parse(&format!("{MINIMAL}[prove]\nsolver = \"/nowhere/cvc5\"\n{text}\n")).unwrap();
        super::super::check::solver(&config).unwrap()
    };
    assert_eq!(told(""), "nothing will be proved: `/nowhere/cvc5`: no solver");
    assert_eq!(told("require_proof = true"), "every change of policies will be refused: `/nowhere/cvc5`: no solver");
}

#[test]
fn with_a_store_elsewhere_nothing_is_kept_here() {
    let text = |store: &str| format!("[root_key]\nprovider = \"shamir\"\n[store]\n{store}\n");
    let config =
        parse(&text("url = \"postgres://u@db/b\"\npassword_file = \"pw\"\nsslmode = \"verify-full\"")).unwrap();
    assert_eq!(config.store.url, Place::Postgres("postgres://u@db/b".to_owned()));
    assert_eq!(config.store.password_file.as_deref(), Some(Path::new("/etc/bailiwick/pw")));
    assert_eq!(config.store.sslmode, Some(crate::server::store_config::SslMode::VerifyFull));
    assert_eq!(config.node.drain.delay, Duration::from_secs(5), "it has neighbours");
    let refused = parse(&text("url = \"postgres://u:hunter2@db/b\"")).unwrap_err();
    assert_eq!(refused.to_string(), "line 4: the store's URL holds a password");
    assert!(refused.hint.unwrap().contains("password_file"));
    assert!(error(&text("sslmode = \"prefer\"")).starts_with("line 4: unknown variant `prefer`"));
    // What the command line says goes first.
    let wanted = Place::Sqlite("/elsewhere.db".into());
    let config = Config::parse(MINIMAL, Path::new("/etc/bailiwick"), Some(wanted.clone())).unwrap();
    assert_eq!(config.store.url, wanted);
}

#[test]
fn a_node_has_a_name_and_leaves_as_it_is_told() {
    let node = |rest: &str| parse(&format!("{MINIMAL}[node]\n{rest}\n"));
    let config = node("name = \"node-1\"\ndrain_delay = \"7s\"\ndrain_timeout = \"1m\"").unwrap();
    let drain = bailiwick_http::Drain { delay: Duration::from_secs(7), timeout: Duration::from_secs(60) };
    assert_eq!(
        config.node,
        Node {
            name: "node-1".to_owned(),
            drain,
            cache_bytes: 192 << 20,
            connections_max: 16_384,
            bodies_bytes: 256 << 20
        }
    );
    assert!(!node("").unwrap().node.name.is_empty(), "the machine's");
    assert_eq!(
        parse(EXAMPLE).unwrap().node.cache_bytes,
        AppConfig::default().cache_bytes,
        "what the example says is so"
    );
    let mib = |mib: &str| node(&format!("cache_mib = {mib}")).map(|config| config.node.cache_bytes);
    assert_eq!((mib("24").unwrap(), mib("1048576").unwrap()), (24 << 20, 1 << 40));
    assert_eq!(crate::server::start::app_config(&node("cache_mib = 30").unwrap()).cache_bytes, 30 << 20);
    for bad in ["0", "23", "1048577"] {
        assert_eq!(mib(bad).unwrap_err().to_string(), "line 5: must be 24 to 1048576");
    }
    let connections = |max: &str| node(&format!("connections_max = {max}")).map(|config| config.node.connections_max);
    assert_eq!((connections("16").unwrap(), connections("1048576").unwrap()), (16, 1_048_576));
    assert_eq!(connections("15").unwrap_err().to_string(), "line 5: must be 16 to 1048576");
    let bodies = |mib: &str| node(&format!("bodies_mib = {mib}")).map(|config| config.node.bodies_bytes);
    assert_eq!((bodies("64").unwrap(), bodies("1048576").unwrap()), (64 << 20, 1 << 40));
    assert_eq!(bodies("63").unwrap_err().to_string(), "line 5: must be 64 to 1048576");
    let example = parse(EXAMPLE).unwrap().node;
    assert_eq!((example.connections_max, example.bodies_bytes), (16_384, 256 << 20));
    assert!(node("name = \"a b\"").unwrap_err().to_string().starts_with("line 5: must have 1 to 255"));
    assert_eq!(node("drain_delay = \"2h\"").unwrap_err().to_string(), "line 5: must be 0s to 1h");
}
