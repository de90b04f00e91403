//! The database file from below, and what the doors may say about it.
#![expect(clippy::unwrap_used, reason = "test support")]

use std::sync::Arc;

use bailiwick_store::Space;
use bailiwick_types::TenantId;
use rusqlite::{Connection, params};

use crate::harness::house::{Ground, Holder, House, Tenant};
use crate::harness::{Ask, Told};

/// Two tenants that hold the same names, on a ground that can be copied.
pub(super) struct Scene {
    ground: Arc<Ground>,
    pub(super) acme: Tenant,
    pub(super) globex: Tenant,
    /// An account of acme's that may do nothing.
    pub(super) nobody: Holder,
}

pub(super) const ACME: &str = "acme-7f1d52c09be3";
pub(super) const GLOBEX: &str = "globex-3a86e4d1f05c";
const OTHER: &str = "acme-other-92d07be1";

impl Scene {
    pub(super) async fn set() -> Self {
        let house = House::new().await;
        let acme = house.tenant_named("acme").await;
        let globex = house.tenant_named("globex").await;
        for (tenant, value) in [(&acme, ACME), (&globex, GLOBEX)] {
            for version in 1..=3 {
                house.write(tenant, "app/db", &format!("{value}-{version}")).await;
            }
            house.write(tenant, "app/other", OTHER).await;
            let text = if tenant.slug == "acme" { "forbid" } else { "permit" };
            let ask = Ask::put(tenant.at("/policies/everybody")).by(&tenant.owner);
            let text = format!("{text}(principal is ServiceAccount, action == Action::\"secret:reveal\", resource);");
            house.ask(ask.json(serde_json::json!({ "text": text }))).await.ok();
        }
        let nobody = house.account(&acme, "").await;
        house.account(&globex, "").await;
        Self { ground: house.stop(), acme, globex, nobody }
    }

    /// The same tenants, later.
    pub(super) fn standing_on(self, ground: Arc<Ground>) -> Self {
        Self { ground, ..self }
    }

    /// A copy of the installation with its file edited, running.
    pub(super) async fn edited(&self, edit: impl FnOnce(&File)) -> House {
        let ground = self.ground.copy();
        let file = File(Connection::open(ground.database()).unwrap());
        edit(&file);
        drop(file);
        House::start(ground).await
    }

    pub(super) async fn reveal(&self, house: &House, tenant: &Tenant, path: &str) -> Told {
        house.ask(Ask::get(tenant.at(&format!("/secrets/secret/{path}"))).by(&tenant.owner)).await
    }

    /// Everything but the one thing that was touched works, for both tenants, and acme's data is not globex's.
    pub(super) async fn rest_works(&self, house: &House) {
        for (tenant, value) in [(&self.acme, ACME), (&self.globex, GLOBEX)] {
            let told = self.reveal(house, tenant, "app/other").await.ok();
            assert!(told.text().contains(OTHER));
            house.write(tenant, "app/new", value).await;
            let told = self.reveal(house, tenant, "app/new").await.ok();
            assert!(told.text().contains(value));
            house.ask(Ask::get(tenant.at("/ledger/checkpoint")).by(&tenant.owner)).await.ok();
        }
        house.ask(Ask::get("/api/v1/tenants").by(house.ground.operator())).await.ok();
    }
}

/// A fault says its request's id, and nothing else at all.
#[track_caller]
pub(super) fn is_fault(told: &Told) {
    assert_eq!(told.status, 500, "{}", told.text());
    let body = serde_json::json!({
        "type": "urn:bailiwick:error:internal",
        "title": "internal error",
        "status": 500,
        "code": "internal",
        "request_id": told.request_id(),
    });
    assert_eq!(told.value(), body);
}

/// A place of a record: its space and key.
pub(super) type At = (Space, Vec<u8>);

/// The open file.
pub(super) struct File(pub(super) Connection);

impl File {
    pub(super) fn number(&self, tenant: &Tenant) -> i64 {
        let id: TenantId = tenant.id.parse().unwrap();
        let sql = "SELECT no FROM tenant WHERE id = ?1";
        self.0.query_row(sql, [id.as_bytes()], |row| row.get(0)).unwrap()
    }

    /// The keys of a space that hold this text, in order.
    pub(super) fn keys(&self, tenant: &Tenant, space: Space, text: &str) -> Vec<At> {
        let sql = "SELECT key FROM record WHERE tenant_no = ?1 AND space = ?2 ORDER BY key";
        let mut statement = self.0.prepare(sql).unwrap();
        let rows = statement.query_map(params![self.number(tenant), space.number()], |row| row.get(0)).unwrap();
        let keys: Vec<Vec<u8>> = rows.collect::<Result<_, _>>().unwrap();
        let holds = |key: &[u8]| text.is_empty() || key.windows(text.len()).any(|window| window == text.as_bytes());
        keys.into_iter().filter(|key| holds(key)).map(|key| (space, key)).collect()
    }

    pub(super) fn sealed(&self, tenant: &Tenant, at: &At) -> Vec<u8> {
        let sql = "SELECT sealed FROM record WHERE tenant_no = ?1 AND space = ?2 AND key = ?3";
        self.0.query_row(sql, params![self.number(tenant), at.0.number(), at.1], |row| row.get(0)).unwrap()
    }

    /// Puts bytes in the place of others.
    pub(super) fn put(&self, tenant: &Tenant, at: &At, sealed: &[u8]) {
        let sql = "UPDATE record SET sealed = ?4 WHERE tenant_no = ?1 AND space = ?2 AND key = ?3";
        let changed = self.0.execute(sql, params![self.number(tenant), at.0.number(), at.1, sealed]).unwrap();
        assert_eq!(changed, 1);
    }

    /// Adds a row.
    pub(super) fn insert(&self, tenant: &Tenant, at: &At, version: i64, sealed: &[u8]) {
        let sql = "INSERT INTO record (tenant_no, space, key, version, sealed) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = params![self.number(tenant), at.0.number(), at.1, version, sealed];
        assert_eq!(self.0.execute(sql, row).unwrap(), 1);
    }

    /// Runs a statement that changes exactly so many rows.
    pub(super) fn change(&self, rows: usize, sql: &str, values: impl rusqlite::Params) {
        assert_eq!(self.0.execute(sql, values).unwrap(), rows, "{sql}");
    }
}
