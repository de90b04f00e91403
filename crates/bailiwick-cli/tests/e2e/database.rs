//! From an empty PostgreSQL to an installation that moved there, with the real program.

use bailiwick_pgkit::Cluster;

use super::house::{Dev, House};

#[test]
fn roles_are_printed_for_an_administrator() {
    let printed = House::new().sh("store roles --database base --server-role node").ok().out;
    for wanted in [
        "CREATE ROLE \"node\" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;",
        "CREATE DATABASE \"base\" OWNER \"bailiwick_owner\"",
        "GRANT CONNECT ON DATABASE \"base\" TO \"node\";",
        "ALTER ROLE \"node\" SET plan_cache_mode = 'force_generic_plan';",
    ] {
        assert!(printed.contains(wanted), "{wanted}\n{printed}");
    }
    assert!(!printed.to_lowercase().contains("password '"), "no secret is in a script");
}

#[test]
fn an_installation_moves_into_a_database() {
    let cluster = Cluster::start().unwrap();
    let base = cluster.database("base").unwrap();
    let (mut dev, server) = (Dev::start(), base.server_url.clone());
    dev.house.sh("secret put secret/app/db password=s3cret").ok();
    let acme = dev.acme.clone();

    let ran = dev.house.sh(&format!("store check --store {server}")).fails(6);
    assert!(ran.err.contains("no schema"), "{}", ran.err);
    let migrate = format!("store migrate --store {} --server-role {} --partitions 2", base.owner_url, base.server);
    dev.house.sh(&format!("{migrate} --check")).fails(6);
    let plan = dev.house.sh(&format!("{migrate} --plan")).ok().out;
    assert!(plan.contains("FORCE ROW LEVEL SECURITY") && plan.trim_end().ends_with("COMMIT;"), "{plan}");
    let ran = dev.house.sh(&migrate).ok();
    assert!(ran.err.contains("applied 1: tenants, records and ledgers"), "{}", ran.err);
    dev.house.sh(&format!("{migrate} --check")).ok();
    let steps = dev.house.sh(&format!("{migrate} -o json")).json();
    assert_eq!(steps["newest"], steps["migrations"].as_array().unwrap().last().unwrap()["version"]);
    dev.house.sh(&format!("store check --store {server}")).ok();
    let ran = dev.house.sh(&format!("store check --store {}", base.owner_url)).fails(4);
    assert!(ran.err.contains("the role owns it"), "{}", ran.err);

    let copied = dev.house.sh(&format!("store copy --from sqlite:data/bailiwick.db --to {server} -o json")).json();
    assert_eq!(
        (&copied["from"], &copied["to"], &copied["is_equal"]),
        (&"sqlite".into(), &"postgres".into(), &true.into())
    );
    // What was written meanwhile is brought along once the server has stopped.
    dev.house.sh("secret put secret/app/db password=later").ok();
    dev.stop();
    dev.house.sh(&format!("store copy --from sqlite:data/bailiwick.db --to {server}")).ok();

    let config = "listen = \"127.0.0.1:0\"\n[root_key]\nprovider = \"file\"\nfile = \"data/root.key\"\n";
    dev.house.file("node.toml", config);
    let node = dev.house.start(&["serve", "--config", "node.toml", "--store", &server]);
    let line = node.err.wait_for("listening");
    let port: String = line.split("127.0.0.1:").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
    dev.house.aim(&format!("http://127.0.0.1:{port}"), &acme);
    let read = dev.house.sh("secret get secret/app/db --field password").ok().out;
    assert_eq!(read.trim(), "later");
    dev.house.sh("ledger export --file moved.ledger").ok();
    dev.house.sh("verify moved.ledger").ok();
}
