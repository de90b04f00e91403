//! What makes a database too weak to start on. Each weakness is made by hand, found, and mended again.

use bailiwick_store_postgres::{OpenError, Options, PostgresStore, Url};

use crate::house::{House, url};

async fn refusal(url: &Url) -> String {
    match PostgresStore::connect(url, Options::default()).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn each_weakness_is_named() {
    let house = House::new(2).await;
    let (server, owner) = (house.base.server.clone(), house.base.owner.clone());
    let weaknesses = [
        (format!("ALTER ROLE {server} SUPERUSER"), format!("ALTER ROLE {server} NOSUPERUSER"), "is a superuser"),
        (
            format!("ALTER ROLE {server} BYPASSRLS"),
            format!("ALTER ROLE {server} NOBYPASSRLS"),
            "may bypass row-level security",
        ),
        (format!("GRANT {owner} TO {server}"), format!("REVOKE {owner} FROM {server}"), "or may act as who does"),
        (
            "ALTER TABLE bailiwick.record NO FORCE ROW LEVEL SECURITY".to_owned(),
            "ALTER TABLE bailiwick.record FORCE ROW LEVEL SECURITY".to_owned(),
            "`bailiwick.record`: row-level security is not enabled and forced",
        ),
        (
            "ALTER TABLE bailiwick.tenant_1 DISABLE ROW LEVEL SECURITY".to_owned(),
            "ALTER TABLE bailiwick.tenant_1 ENABLE ROW LEVEL SECURITY".to_owned(),
            "`bailiwick.tenant_1`: row-level security",
        ),
        (
            format!("GRANT SELECT ON bailiwick.record_0 TO {server}"),
            format!("REVOKE SELECT ON bailiwick.record_0 FROM {server}"),
            "past the table that this is a part of",
        ),
        (
            format!("GRANT UPDATE ON bailiwick.record TO {server}"),
            format!("REVOKE UPDATE ON bailiwick.record FROM {server}"),
            "may change whose a row is",
        ),
        (
            "GRANT DELETE ON bailiwick.ledger_entry TO PUBLIC".to_owned(),
            "REVOKE DELETE ON bailiwick.ledger_entry FROM PUBLIC".to_owned(),
            "may delete from it",
        ),
        (
            format!("GRANT TRUNCATE ON bailiwick.record TO {server}"),
            format!("REVOKE TRUNCATE ON bailiwick.record FROM {server}"),
            "may truncate it",
        ),
        (
            "CREATE POLICY helpful ON bailiwick.record USING (true)".to_owned(),
            "DROP POLICY helpful ON bailiwick.record".to_owned(),
            "the policy `helpful` is not as it was made",
        ),
        (
            "ALTER POLICY platform ON bailiwick.tenant USING (true)".to_owned(),
            "ALTER POLICY platform ON bailiwick.tenant \
             USING ((SELECT current_setting('bailiwick.plane', true)) = 'platform')"
                .to_owned(),
            "the policy `platform` is not as it was made",
        ),
        (
            format!("GRANT CREATE ON SCHEMA bailiwick TO {server}"),
            format!("REVOKE CREATE ON SCHEMA bailiwick FROM {server}"),
            "may make things in it",
        ),
        (
            format!("ALTER ROLE {server} SET synchronous_commit = off"),
            format!("ALTER ROLE {server} RESET synchronous_commit"),
            "`synchronous_commit` is off",
        ),
    ];
    let node = url(&house.base.server_url);
    for (weaken, mend, wanted) in weaknesses {
        house.admin(&[&weaken]);
        let found = refusal(&node).await;
        assert!(found.contains(wanted), "{weaken}\n{found}");
        house.admin(&[&mend]);
        drop(PostgresStore::connect(&node, Options::default()).await.expect(&mend));
    }
}

#[tokio::test]
async fn the_owner_is_no_node() {
    let house = House::new(0).await;
    let found = refusal(&url(&house.base.owner_url)).await;
    assert!(found.contains("the role owns it"), "{found}");
    let found = refusal(&url(&house.base.admin_url)).await;
    assert!(found.contains("is a superuser"), "{found}");
}

#[tokio::test]
async fn a_missing_policy_is_noticed() {
    let house = House::new(0).await;
    house.admin(&["DROP POLICY own ON bailiwick.ledger_entry"]);
    let found = refusal(&url(&house.base.server_url)).await;
    assert!(found.contains("`bailiwick.ledger_entry`: the policy `own` is gone"), "{found}");
}

#[tokio::test]
async fn an_empty_database_is_no_store() {
    let cluster = bailiwick_pgkit::Cluster::start().unwrap();
    let base = cluster.database("empty").unwrap();
    let outcome = PostgresStore::connect(&url(&base.server_url), Options::default()).await;
    assert!(matches!(outcome, Err(OpenError::Schema(_))), "{:?}", outcome.err());
}

#[test]
fn urls_that_leave_too_much_open_are_refused() {
    for (text, wanted) in [
        ("mysql://a@b/c", "begins with `postgres://`"),
        ("postgres://localhost/base", "names a role"),
        ("postgres://role@localhost", "a host and a database"),
        ("postgres://role@db.example/base", "say `sslmode=verify-full`"),
        ("postgres://role@db.example/base?sslmode=prefer", "would go on in clear text"),
        ("postgres://role@db.example/base?sslmode=full", "`sslmode` is `verify-full` or `disable`"),
        ("postgres://role@db.example/base?sslmode=verify-full&sslmode=disable", "said twice, and not the same"),
        // A name of this machine for an address that is not.
        ("postgres://role@localhost/base?hostaddr=192.0.2.1", "say `sslmode=verify-full`"),
        ("postgres://role@db.example/base?sslmode=verify-full", "needs `sslrootcert`"),
        ("postgres://role@localhost/base?options=-c%20row_security=off", "this program's own"),
        ("postgres://role@localhost/base?statements=maybe", "`prepared` or `text`"),
    ] {
        let found = Url::parse(text).expect_err(text).to_string();
        assert!(found.contains(wanted), "{text}: {found}");
    }
    let url = Url::parse("postgres://role:s3cret@localhost:5433,127.0.0.1:5434/base?target_session_attrs=read-write")
        .unwrap();
    assert_eq!(url.shown(), "postgres://role@localhost:5433,127.0.0.1:5434/base");
    assert!(url.has_password() && !format!("{url:?}").contains("s3cret"));
    let broken = Url::parse("postgres://role:s3cret@localhost:port/base").unwrap_err();
    assert!(!broken.to_string().contains("s3cret"), "{broken}");
}
