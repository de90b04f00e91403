//! The way from a node to its database: whom it trusts, and that it does not go there in clear text.

use std::os::unix::fs::PermissionsExt as _;

use bailiwick_pgkit::{Cluster, Database};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::house::{House, Ran};

/// A certificate authority for one test.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::new(Vec::new()).unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A server's certificate for this name, and its key.
    fn certify(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A directory with an authority that signed the database's certificate (`ca.pem`), one that has nothing to do with it
/// (`other.pem`), and the password of the server's role; and a database whose schema was made over TLS.
struct Site {
    house: House,
    cluster: Cluster,
    base: Database,
}

impl Site {
    /// The database calls itself `localhost`.
    fn new() -> Self {
        let (house, ca) = (House::new(), Authority::new());
        let (certificate, key) = ca.certify("localhost");
        let cluster = Cluster::start_with_tls(&certificate, &key).unwrap();
        house.file("ca.pem", &ca.pem);
        house.file("other.pem", Authority::new().pem);
        let base = cluster.database("base").unwrap();
        let site = Self { house, cluster, base };
        let (owner, server) = (&site.base.owner_url, &site.base.server);
        let owner = owner.replace("127.0.0.1", "localhost") + "?sslmode=verify-full&sslrootcert=ca.pem";
        site.house.sh(&format!("store migrate --store {owner} --server-role {server} --partitions 0")).ok();
        password_file(&site.house, &site.base);
        site
    }

    /// The URL of the database at this host, without a password.
    fn url(&self, host: &str) -> String {
        let place = self.base.server_url.split_once('@').unwrap().1.replace("127.0.0.1", host);
        format!("postgres://{}@{place}", self.base.server)
    }

    /// Tries to serve with this in the section `[store]`.
    fn refused(&self, store: &str) -> Ran {
        configure(&self.house, store);
        self.house.sh("serve --config node.toml")
    }

    /// How many of the server's connections there are, with TLS and without.
    fn connections(&self) -> String {
        let of = format!("WHERE usename = '{}'", self.base.server);
        let count = format!(
            "SELECT count(*) FILTER (WHERE ssl) > 0, count(*) FILTER (WHERE NOT ssl) \
             FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) {of}"
        );
        self.cluster.sql("base", &[&count]).unwrap()
    }
}

fn password(base: &Database) -> String {
    base.server_url.split([':', '@']).nth(2).unwrap().to_owned()
}

fn password_file(house: &House, base: &Database) {
    let file = house.file("password", password(base) + "\n");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn configure(house: &House, store: &str) {
    house.file("node.toml", format!("listen = \"127.0.0.1:0\"\n[node]\ndrain_delay = \"0s\"\n[store]\n{store}\n"));
}

#[test]
fn a_node_goes_to_its_database_with_tls_and_to_no_other() {
    let site = Site::new();
    let (here, elsewhere) = (site.url("localhost"), site.url("127.0.0.1"));
    let with = |url: &str, rest: &str| format!("url = \"{url}\"\npassword_file = \"password\"\n{rest}");

    // What an operator forgets or gets wrong, one at a time, and what is said about it.
    let root = "root_certificate = \"ca.pem\"";
    for (store, wanted, hint) in [
        (with(&here, "root_certificate = \"other.pem\""), "an authority that is not trusted here", "root_certificate"),
        (with(&here, "sslmode = \"verify-full\""), "an authority that is not trusted here", "root_certificate"),
        (with(&elsewhere, root), "its certificate is for another name", "name the host in the URL"),
        // Nobody's word is taken for who is there, whatever the mode is called.
        (with(&format!("{here}?sslmode=require&sslrootcert=other.pem"), ""), "not trusted here", "root_certificate"),
        (with(&format!("{elsewhere}?sslmode=verify-ca&sslrootcert=ca.pem"), ""), "for another name", "the host"),
    ] {
        let refused = site.refused(&store).fails(4);
        assert!(refused.err.contains("the way to the database is not safe"), "{store}\n{}", refused.err);
        assert!(refused.err.contains(wanted) && refused.err.contains(hint), "{store}\n{}", refused.err);
    }
    for (store, wanted) in [
        (with(&format!("{here}?sslmode=prefer"), ""), "would go on in clear text"),
        (with(&format!("{here}?sslmode=disable"), "sslmode = \"verify-full\""), "said twice, and not the same"),
        (with(&format!("{here}?sslmode=verify-full"), "sslmode = \"disable\""), "said twice, and not the same"),
        (with(&format!("{here}?sslmode=disable"), root), "uses no `sslrootcert`"),
        (with(&here, "root_certificate = \"gone.pem\""), "gone.pem"),
        (with(&here, "root_certificate = \"password\""), "holds no certificate"),
    ] {
        let refused = site.refused(&store).fails(2);
        assert!(refused.err.contains(wanted), "{store}\n{}", refused.err);
    }

    for store in [
        with(&here, root),
        with(&here, &format!("{root}\nsslmode = \"verify-full\"")),
        with(&format!("{here}?sslmode=require"), root),
    ] {
        configure(&site.house, &store);
        let node = site.house.start(&["serve", "--config", "node.toml"]);
        node.err.wait_for("listening");
        // It connects when it has something to ask.
        let mut found = site.connections();
        while found == "f|0" {
            found = site.connections();
        }
        assert_eq!(found, "t|0", "{store}");
        assert_eq!(node.terminate().0, 0);
    }
}

#[test]
fn a_server_without_tls_is_not_spoken_to_in_clear_text() {
    let (house, cluster) = (House::new(), Cluster::start().unwrap());
    let base = cluster.database("base").unwrap();
    house.file("ca.pem", Authority::new().pem);
    password_file(&house, &base);
    let place = base.server_url.split_once('@').unwrap().1;
    let url = format!("postgres://{}@{place}", base.server);
    for mode in ["verify-full", "require"] {
        let url = format!("{url}?sslmode={mode}&sslrootcert=ca.pem");
        configure(&house, &format!("url = \"{url}\"\npassword_file = \"password\""));
        let refused = house.sh("serve --config node.toml").fails(4);
        assert!(refused.err.contains("it speaks no TLS") && refused.err.contains("`ssl = on`"), "{}", refused.err);
    }
    // The password was right: in clear text it would have been told that there is no schema.
    let refused =
        house.sh(&format!("store check --store {url}?sslmode=disable --store-password-file password")).fails(6);
    assert!(refused.err.contains("no schema"), "{}", refused.err);
}

#[test]
fn a_password_comes_from_its_file_or_from_the_environment() {
    let (mut house, cluster) = (House::new(), Cluster::start().unwrap());
    let base = cluster.database("base").unwrap();
    let place = base.server_url.split_once('@').unwrap().1;
    let check = format!("store check --store postgres://{}@{place}", base.server);
    let none = house.sh(&check).fails(9);
    assert!(none.err.contains("password missing") && none.err.contains("password_file"), "{}", none.err);
    house.set("PGPASSWORD", &password(&base));
    let known = house.sh(&check).fails(6);
    assert!(known.err.contains("no schema"), "{}", known.err);
    // A file goes first: who names one means it.
    house.file("wrong", "nonsense");
    let wrong = house.sh(&format!("{check} --store-password-file wrong")).fails(9);
    assert!(wrong.err.contains("password authentication failed"), "{}", wrong.err);
    assert!(!wrong.err.contains("nonsense"), "{}", wrong.err);
}

#[test]
fn a_password_comes_from_the_password_file_of_postgresqls_clients() {
    let (mut house, cluster) = (House::new(), Cluster::start().unwrap());
    let base = cluster.database("base").unwrap();
    let place = base.server_url.split_once('@').unwrap().1;
    let (host, port) = (place.split([':', '/']).next().unwrap(), place.split([':', '/']).nth(1).unwrap());
    let check = format!("store check --store postgres://{}@{place}", base.server);
    let line = |role: &str, password: &str| format!("{host}:{port}:base:{role}:{password}\n");
    let good = line("somebody", "else") + &line(&base.server, &password(&base)) + "*:*:*:*:nonsense\n";

    // In the home directory, and for nobody else to read.
    let file = house.file(".pgpass", &good);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let exposed = house.sh(&check).fails(2);
    assert!(exposed.err.contains("others may read it") && exposed.err.contains("chmod 600"), "{}", exposed.err);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let known = house.sh(&check).fails(6);
    assert!(known.err.contains("no schema"), "{}", known.err);

    // What is nearer goes first, and then the file is not even looked at.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    house.set("PGPASSWORD", "hunter2");
    let wrong = house.sh(&check).fails(9);
    assert!(wrong.err.contains("password authentication failed"), "{}", wrong.err);
    house.unset("PGPASSWORD");

    // Elsewhere, where it has to be there.
    house.set("PGPASSFILE", "own.pgpass");
    let gone = house.sh(&check).fails(2);
    assert!(gone.err.contains("own.pgpass") && gone.err.contains("PGPASSFILE"), "{}", gone.err);
    let own = house.file("own.pgpass", line(&base.server, "nonsense"));
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o600)).unwrap();
    let wrong = house.sh(&check).fails(9);
    assert!(wrong.err.contains("password authentication failed"), "{}", wrong.err);
    assert!(!wrong.err.contains("nonsense"), "{}", wrong.err);
    house.file("own.pgpass", &good);
    let known = house.sh(&check).fails(6);
    assert!(known.err.contains("no schema"), "{}", known.err);
}
