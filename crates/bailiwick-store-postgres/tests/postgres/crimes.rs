//! Crimes, attempted with the server's own role in plain SQL: what the code would never send must be refused all the same.

use bailiwick_store::{Space, Store as _};
use bailiwick_store_conformance::build::{Build as _, at, create, put};
use bailiwick_types::TenantId;
use tokio_postgres::{Client, NoTls};

use crate::house::House;

const ACME: TenantId = TenantId::from_bytes([0xaa; 16]);
const GLOBEX: TenantId = TenantId::from_bytes([0xbb; 16]);
const TABLES: [&str; 5] = ["tenant", "record", "ledger_entry", "ledger_subtree", "slug"];

fn id(tenant: TenantId) -> String {
    tenant.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A house with two tenants of the same things, and a connection of the server's role.
async fn scene() -> (House, Client) {
    let house = House::new(4).await;
    let store = house.node().await;
    for (tenant, slug) in [(ACME, "acme"), (GLOBEX, "globex")] {
        store.commit(create(tenant, slug).commit()).await.unwrap();
        let mut part = at(tenant, 1).write(put(Space::Secret, "same", slug));
        for at in 0..256 {
            part = part.entry(&format!("{slug} {at}"));
        }
        store.commit(part.commit()).await.unwrap();
    }
    let (client, connection) = tokio_postgres::connect(&house.base.server_url, NoTls).await.unwrap();
    tokio::spawn(connection);
    (house, client)
}

/// Opens a transaction as a node does.
async fn inside(client: &Client, tenants: &[TenantId], plane: &str) {
    let tenants: Vec<String> = tenants.iter().map(|tenant| id(*tenant)).collect();
    let set = format!(
        "BEGIN; SELECT set_config('bailiwick.tenants', '{}', true), set_config('bailiwick.plane', '{plane}', true)",
        tenants.join(",")
    );
    client.batch_execute(&set).await.unwrap();
}

async fn count(client: &Client, what: &str) -> i64 {
    client.query_one(&format!("SELECT count(*) FROM bailiwick.{what}"), &[]).await.unwrap().get(0)
}

/// Runs a statement in a transaction of these tenants; how many rows it changed, or the code that refused it.
async fn attempt(client: &Client, tenants: &[TenantId], statement: &str) -> Result<u64, String> {
    inside(client, tenants, "tenant").await;
    let outcome = client.execute(statement, &[]).await;
    client.batch_execute("ROLLBACK").await.unwrap();
    outcome.map_err(|error| error.code().unwrap().code().to_owned())
}

const DENIED: &str = "42501";

#[tokio::test]
async fn without_a_tenant_there_is_nothing() {
    let (_house, client) = scene().await;
    for table in TABLES {
        assert_eq!(count(&client, table).await, 0, "{table}, outside of a transaction");
        inside(&client, &[], "tenant").await;
        assert_eq!(count(&client, table).await, 0, "{table}, for no tenant");
        client.batch_execute("ROLLBACK").await.unwrap();
    }
}

#[tokio::test]
async fn a_tenants_transaction_holds_that_tenants_rows_only() {
    let (_house, client) = scene().await;
    for (tenant, other) in [(ACME, GLOBEX), (GLOBEX, ACME)] {
        inside(&client, &[tenant], "tenant").await;
        for table in ["tenant", "record", "ledger_entry", "ledger_subtree"] {
            assert!(count(&client, table).await > 0, "{table}");
            let foreign = format!("{table} WHERE tenant = '{}'", id(other));
            assert_eq!(count(&client, &foreign).await, 0, "{foreign}");
            let joined = format!("{table} a JOIN bailiwick.{table} b ON a.tenant <> b.tenant");
            assert_eq!(count(&client, &joined).await, 0, "{joined}");
        }
        assert_eq!(count(&client, "slug").await, 0, "names are the platform's");
        client.batch_execute("COMMIT").await.unwrap();
        assert_eq!(count(&client, "record").await, 0, "the tenant is gone with its transaction");
    }
}

#[tokio::test]
async fn nothing_is_written_for_another_tenant() {
    let (_house, client) = scene().await;
    let (own, other) = (id(ACME), id(GLOBEX));
    let inserts = [
        format!("INSERT INTO bailiwick.record VALUES ('{other}', 8, 'new', 1, '')"),
        format!("INSERT INTO bailiwick.ledger_entry VALUES ('{other}', 256, '', '')"),
        format!("INSERT INTO bailiwick.ledger_subtree VALUES ('{other}', 1, 1, '')"),
        format!("INSERT INTO bailiwick.slug VALUES ('stolen', '{other}')"),
        format!("INSERT INTO bailiwick.tenant VALUES ('{}', 'x', 1, NULL, 1, 0, 0, 0, '', '', '')", "c".repeat(32)),
        format!(
            "INSERT INTO bailiwick.record VALUES ('{other}', 8, 'same', 1, '') ON CONFLICT (tenant, space, key) \
                 DO UPDATE SET sealed = 'overwritten'"
        ),
    ];
    for crime in inserts {
        assert_eq!(attempt(&client, &[ACME], &crime).await, Err(DENIED.to_owned()), "{crime}");
    }
    for crime in [
        format!("UPDATE bailiwick.record SET sealed = '' WHERE tenant = '{other}'"),
        format!("UPDATE bailiwick.tenant SET epoch = 9 WHERE tenant = '{other}'"),
        format!("UPDATE bailiwick.ledger_entry SET sealed = '' WHERE tenant = '{other}'"),
        format!("DELETE FROM bailiwick.record WHERE tenant = '{other}'"),
    ] {
        assert_eq!(attempt(&client, &[ACME], &crime).await, Ok(0), "there is no such row: {crime}");
    }
    let everything = "UPDATE bailiwick.record SET sealed = ''";
    assert_eq!(attempt(&client, &[ACME], everything).await, Ok(1), "its own row, and no other");
    assert_eq!(attempt(&client, &[ACME], &format!("DELETE FROM bailiwick.record WHERE tenant = '{own}'")).await, Ok(1));
}

#[tokio::test]
async fn no_row_changes_hands() {
    let (_house, client) = scene().await;
    let other = id(GLOBEX);
    for table in TABLES {
        // Also while both are in the transaction, as they are when their commits share one.
        for tenants in [&[ACME][..], &[ACME, GLOBEX]] {
            let crime = format!("UPDATE bailiwick.{table} SET tenant = '{other}'");
            assert_eq!(attempt(&client, tenants, &crime).await, Err(DENIED.to_owned()), "{crime}");
        }
    }
    for crime in [
        "UPDATE bailiwick.record SET key = 'elsewhere'",
        "UPDATE bailiwick.record SET space = 3",
        "UPDATE bailiwick.ledger_entry SET idx = 9",
        "UPDATE bailiwick.ledger_entry SET leaf = ''",
        "UPDATE bailiwick.ledger_subtree SET hash = ''",
        "UPDATE bailiwick.tenant SET slug = 'globex'",
        "UPDATE bailiwick.slug SET slug = 'globex'",
    ] {
        assert_eq!(attempt(&client, &[ACME], crime).await, Err(DENIED.to_owned()), "{crime}");
    }
}

#[tokio::test]
async fn what_must_stay_cannot_be_removed() {
    let (_house, client) = scene().await;
    for table in ["tenant", "ledger_entry", "ledger_subtree", "slug", "guard", "pulse", "migration"] {
        let crime = format!("DELETE FROM bailiwick.{table}");
        assert_eq!(attempt(&client, &[ACME], &crime).await, Err(DENIED.to_owned()), "{crime}");
    }
    for table in TABLES {
        let crime = format!("TRUNCATE bailiwick.{table}");
        assert_eq!(attempt(&client, &[ACME], &crime).await, Err(DENIED.to_owned()), "{crime}");
    }
}

#[tokio::test]
async fn there_is_no_way_around() {
    let (house, client) = scene().await;
    for (crime, code) in [
        ("SELECT * FROM bailiwick.record_0".to_owned(), DENIED),
        ("SELECT * FROM bailiwick.tenant_1".to_owned(), DENIED),
        (format!("SET ROLE {}", house.base.owner), DENIED),
        ("ALTER TABLE bailiwick.record DISABLE ROW LEVEL SECURITY".to_owned(), DENIED),
        ("CREATE POLICY mine ON bailiwick.record USING (true)".to_owned(), DENIED),
        ("CREATE TABLE bailiwick.mine (x int)".to_owned(), DENIED),
        ("CREATE FUNCTION bailiwick.f() RETURNS int LANGUAGE sql AS 'SELECT 1'".to_owned(), DENIED),
        ("COPY bailiwick.record TO PROGRAM 'cat'".to_owned(), DENIED),
        ("INSERT INTO bailiwick.migration VALUES (99, 'x', 1)".to_owned(), DENIED),
    ] {
        let outcome = attempt(&client, &[ACME], &crime).await;
        assert_eq!(outcome, Err(code.to_owned()), "{crime}");
    }
    // PostgreSQL only warns of this one.
    attempt(&client, &[ACME], "GRANT SELECT ON bailiwick.record TO PUBLIC").await.unwrap();
    let granted = "SELECT count(*) FROM information_schema.role_table_grants WHERE grantee = 'PUBLIC' AND \
        table_schema = 'bailiwick'";
    assert_eq!(house.admin(&[granted]).trim(), "0");
    // With row security switched off a query fails rather than seeing more.
    client.batch_execute("SET row_security = off").await.unwrap();
    let error = client.query("SELECT * FROM bailiwick.record", &[]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), DENIED);
}

#[tokio::test]
async fn the_platforms_lists_show_no_contents() {
    let (_house, client) = scene().await;
    inside(&client, &[], "platform").await;
    assert_eq!((count(&client, "tenant").await, count(&client, "slug").await), (2, 2));
    for table in ["record", "ledger_entry", "ledger_subtree"] {
        assert_eq!(count(&client, table).await, 0, "{table}");
    }
    let changed = client.execute("UPDATE bailiwick.tenant SET epoch = 9", &[]).await.unwrap();
    assert_eq!(changed, 0, "a list is to be read");
    client.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn a_damaged_neighbour_is_its_own_trouble() {
    let (house, _client) = scene().await;
    house.admin(&[&format!("UPDATE bailiwick.tenant SET ledger = '' WHERE tenant = '{}'", id(ACME))]);
    let store = house.node().await;
    let (damaged, sound) = tokio::join!(
        store.commit(at(ACME, 1).entry("lost").commit()),
        store.commit(at(GLOBEX, 1).entry("kept").commit())
    );
    assert!(damaged.is_err(), "{damaged:?}");
    assert_eq!(sound.unwrap().receipts[0].size, 257);
}
