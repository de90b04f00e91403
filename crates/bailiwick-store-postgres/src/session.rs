//! One connection, and the one place where a transaction is opened on it for some tenants.
//!
//! # Invariants
//! - INV-SESSION-1: rows are read and written only between the `BEGIN` that [`Session::begin`] sends and its `COMMIT`, and
//!   that `BEGIN` says which tenants' rows there are, for this transaction only. Nothing about a tenant outlives it, so a
//!   connection may be anybody's next, behind a pooler too.
//! - INV-SESSION-2: a session whose transaction did not come to its end is closed, not given to the next.

use std::fmt::Write as _;
use std::future::Future;

use bailiwick_types::TenantId;
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use crate::sql::Query;
use crate::trouble::Trouble;

/// A parameter of a statement.
pub(crate) type Param<'a> = &'a (dyn ToSql + Sync);

/// Which rows there are in a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plane {
    /// Those of these tenants.
    Tenants(Vec<TenantId>),
    /// Those of these tenants, and everybody's slug: a tenant is being made.
    Directory(Vec<TenantId>),
    /// Everybody's rows in `tenant` and `slug`, to read: the operators' lists and the scheduler's.
    Platform,
}

/// How a transaction is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One state for all of its reads.
    Read,
    /// Each statement sees what was committed before it.
    Write,
    /// As [`Mode::Write`], for rows that nobody else is expected to hold: it is found out soon if somebody does.
    Hurry,
}

/// What a node tells a server that it does not know in advance: see `docs/operating/postgres.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statements {
    /// Prepared once per connection, and sent many at a time.
    Prepared,
    /// Sent as text, one at a time: what a pooler in transaction mode needs that knows no prepared statements.
    Text,
}

/// A connection.
pub(crate) struct Session {
    client: Client,
    prepared: Vec<Statement>,
    statements: Statements,
    driver: JoinHandle<()>,
}

/// How long [`Mode::Hurry`] waits for a row.
const HURRY: &str = "100ms";

/// The bounds of a transaction, for servers that were not given them with the connection.
pub(crate) const BOUNDS: &[(&str, &str)] = &[
    // A node that was cut off holds its locks no longer than this.
    ("idle_in_transaction_session_timeout", "10s"),
    ("lock_timeout", "5s"),
    // Every statement here looks up keys. Plans must not depend on how large the tables were when one was made.
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
];

impl Session {
    /// Takes over a connection, whose other half is driven by `driver`.
    pub(crate) async fn new(client: Client, driver: JoinHandle<()>, statements: Statements) -> Result<Self, Trouble> {
        let mut session = Self { client, prepared: Vec::new(), statements, driver };
        if statements == Statements::Prepared {
            let all = Query::ALL.iter().map(|query| session.client.prepare_typed(query.sql().text, query.sql().types));
            session.prepared = futures_util::future::try_join_all(all).await?;
        }
        Ok(session)
    }

    /// Takes over a connection that knows no statements.
    pub(crate) fn bare(client: Client, driver: JoinHandle<()>) -> Self {
        Self { client, prepared: Vec::new(), statements: Statements::Text, driver }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// For what is looked at before there are tables to prepare statements on.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Opens a transaction for these rows. The only place that says so.
    pub(crate) async fn begin(&self, mode: Mode, plane: &Plane) -> Result<(), Trouble> {
        let mut text = match mode {
            Mode::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;".to_owned(),
            Mode::Write | Mode::Hurry => "BEGIN ISOLATION LEVEL READ COMMITTED;".to_owned(),
        };
        let (name, tenants): (&str, &[TenantId]) = match plane {
            Plane::Tenants(tenants) => ("tenant", tenants),
            Plane::Directory(tenants) => ("directory", tenants),
            Plane::Platform => ("platform", &[]),
        };
        text.push_str("SELECT set_config('bailiwick.tenants','");
        for (at, tenant) in tenants.iter().enumerate() {
            // Hexadecimal digits and hyphens: nothing that could end the text.
            let _ = write!(text, "{}{}", if at == 0 { "" } else { "," }, uuid(*tenant).hyphenated());
        }
        let _ = write!(text, "',true),set_config('bailiwick.plane','{name}',true)");
        if self.statements == Statements::Text {
            for (setting, value) in BOUNDS {
                let _ = write!(text, ",set_config('{setting}','{value}',true)");
            }
        }
        if mode == Mode::Hurry {
            let _ = write!(text, ",set_config('lock_timeout','{HURRY}',true)");
        }
        Ok(self.client.batch_execute(&text).await?)
    }

    /// Ends it. `Ok` means durable only if every statement before was `Ok` too: a transaction that failed is rolled back
    /// by its COMMIT.
    pub(crate) async fn commit(&self) -> Result<(), Trouble> {
        Ok(self.client.batch_execute("COMMIT").await?)
    }

    pub(crate) async fn rollback(&self) -> Result<(), Trouble> {
        Ok(self.client.batch_execute("ROLLBACK").await?)
    }

    /// Sends a statement. The message leaves with the first poll, so statements that are polled in order arrive in order.
    pub(crate) async fn query(&self, query: Query, params: &[Param<'_>]) -> Result<Vec<Row>, Trouble> {
        if let Some(statement) = self.prepared.get(query as usize) {
            return Ok(self.client.query(statement, params).await?);
        }
        let typed: Vec<(Param<'_>, Type)> = params.iter().copied().zip(query.sql().types.iter().cloned()).collect();
        Ok(self.client.query_typed(query.sql().text, &typed).await?)
    }

    /// A transaction around work that needs no answer before its end, in one round trip where the connection allows it.
    pub(crate) async fn whole<T>(
        &self,
        mode: Mode,
        plane: &Plane,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        match self.statements {
            Statements::Prepared => {
                // Polled in this order, sent in this order. What fails takes what comes after it along.
                let (begun, done, ended) = futures_util::join!(self.begin(mode, plane), work, self.commit());
                begun?;
                both(done, ended)
            }
            Statements::Text => {
                self.begin(mode, plane).await?;
                let value = work.await?;
                self.commit().await.map_err(Trouble::ambiguous)?;
                Ok(value)
            }
        }
    }

    /// As [`Session::whole`], for the second half of a transaction.
    pub(crate) async fn finish<T>(&self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        match self.statements {
            Statements::Prepared => {
                let (done, ended) = futures_util::join!(work, self.commit());
                both(done, ended)
            }
            Statements::Text => {
                let value = work.await?;
                self.commit().await.map_err(Trouble::ambiguous)?;
                Ok(value)
            }
        }
    }

    /// Whether several statements may be under way at once.
    pub(crate) fn pipelines(&self) -> bool {
        self.statements == Statements::Prepared
    }
}

/// What became of statements that COMMIT was sent along with: if the connection went while they were under way, nobody here
/// knows.
fn both<T>(done: Result<T, Trouble>, ended: Result<(), Trouble>) -> Result<T, Trouble> {
    let value = done.map_err(Trouble::ambiguous)?;
    ended.map_err(Trouble::ambiguous)?;
    Ok(value)
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A tenant's id as the database has it.
pub(crate) fn uuid(tenant: TenantId) -> Uuid {
    Uuid::from_bytes(*tenant.as_bytes())
}

/// The reverse.
pub(crate) fn tenant(id: Uuid) -> TenantId {
    TenantId::from_bytes(*id.as_bytes())
}
