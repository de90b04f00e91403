//! The tables, and how a database gets from one version of them to the next.
//!
//! # Invariants
//! - INV-SCHEMA-1: migrations only go forward and are only ever appended to.
//! - INV-SCHEMA-2: *expand, then contract*. A migration says the oldest build that can still work with its result. One that
//!   expands names the build before it, so that old and new nodes run together while they are replaced; one that contracts
//!   names the build that no longer needs what it takes away, and comes a release later.
//! - INV-SCHEMA-3: a node works with the schema that it knows, and with newer ones that say it may; with nothing else.
//!
//! # Why these shapes
//! - Partitions by hash of the tenant: smaller indexes, and vacuum works on one part at a time. Engines that distribute
//!   tables by themselves take none.
//! - `size` beside `ledger` in the tenant's row: what an append compares is eight bytes.
//! - `past` says what a record was before the commit whose first entry has the index `until`: the state at a size is the
//!   present one with the earliest of each key's rows from that size on put back.
//! - `fillfactor`: the row of a tenant is changed by every request and found by its key only, so its versions stay on
//!   their page and no index is written.
//! - `guard`: the platform's epoch once per stripe. Every commit holds one stripe while it rests on that epoch, and moving
//!   the epoch takes them all. One row that all nodes share would starve whoever wants to change it.
//! - `slug` and the index of wake-ups are about all tenants, so the tenant does not lead there, and they hold nothing else.
//!
//! # Deliberately absent
//! Foreign keys (each row is written in the transaction that holds its tenant's), triggers, functions, extensions.

use tokio_postgres::Row;

use crate::roles::quoted;
use crate::session::Session;
use crate::trouble::OpenError;
use crate::url::Url;
use crate::{SLOTS, pool};

/// The rows that a transaction may see: those of its tenants.
const OWN: &str =
    "tenant = ANY ((SELECT string_to_array(current_setting('bailiwick.tenants', true), ',')::uuid[])::uuid[])";

/// A change of the schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its number: the version of the schema after it.
    pub version: i32,
    /// What it does, in a few words.
    pub name: &'static str,
    /// The oldest build, by the newest version that it knows, that can work with the schema after it.
    pub serves_from: i32,
    /// Its statements, for a server role and a number of partitions.
    pub sql: fn(&Target) -> String,
}

/// What a schema is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The role that nodes use.
    pub server_role: String,
    /// Partitions of each table; 0 for engines that distribute tables by themselves.
    pub partitions: u16,
}

/// All of them.
const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "tenants, records and ledgers", serves_from: 1, sql: base }];

/// The newest version that this build knows.
pub fn newest() -> i32 {
    MIGRATIONS.last().map_or(0, |last| last.version)
}

/// Tables with the tenant in front, their columns, and what may be changed in them.
struct Table {
    name: &'static str,
    columns: &'static str,
    options: &'static str,
    rights: &'static str,
}

const TABLES: &[Table] = &[
    Table {
        name: "tenant",
        columns: "tenant uuid NOT NULL, slug text COLLATE \"C\" NOT NULL, state smallint NOT NULL, wake bigint, \
            epoch bigint NOT NULL, revision bigint NOT NULL, meta_version bigint NOT NULL, size bigint NOT NULL, \
            counts bytea NOT NULL, ledger bytea NOT NULL, meta bytea NOT NULL, past_from bigint NOT NULL DEFAULT 0, \
            PRIMARY KEY (tenant)",
        options: " WITH (fillfactor = 50)",
        rights: "SELECT, INSERT, \
            UPDATE (state, wake, epoch, revision, meta_version, size, counts, ledger, meta, past_from)",
    },
    Table {
        name: "record",
        columns: "tenant uuid NOT NULL, space smallint NOT NULL, key bytea NOT NULL, version bigint NOT NULL, \
            sealed bytea NOT NULL, PRIMARY KEY (tenant, space, key)",
        options: "",
        rights: "SELECT, INSERT, DELETE, UPDATE (version, sealed)",
    },
    Table {
        name: "past",
        columns: "tenant uuid NOT NULL, space smallint NOT NULL, key bytea NOT NULL, until bigint NOT NULL, \
            version bigint, sealed bytea, PRIMARY KEY (tenant, space, key, until)",
        options: "",
        rights: "SELECT, INSERT, DELETE",
    },
    Table {
        name: "ledger_entry",
        columns: "tenant uuid NOT NULL, idx bigint NOT NULL, leaf bytea NOT NULL, sealed bytea NOT NULL, \
            PRIMARY KEY (tenant, idx)",
        options: "",
        rights: "SELECT, INSERT, UPDATE (sealed)",
    },
    Table {
        name: "ledger_subtree",
        columns: "tenant uuid NOT NULL, level smallint NOT NULL, n bigint NOT NULL, hash bytea NOT NULL, \
            PRIMARY KEY (tenant, level, n)",
        options: "",
        rights: "SELECT, INSERT",
    },
];

/// The first version.
fn base(target: &Target) -> String {
    let server = quoted(&target.server_role);
    let mut sql = String::new();
    let mut add = |line: &str| {
        sql.push_str(line);
        sql.push('\n');
    };
    for Table { name, columns, options, rights } in TABLES {
        if target.partitions == 0 {
            add(&format!("CREATE TABLE bailiwick.{name} ({columns});"));
        } else {
            add(&format!("CREATE TABLE bailiwick.{name} ({columns}) PARTITION BY HASH (tenant);"));
            for part in 0..target.partitions {
                add(&format!(
                    "CREATE TABLE bailiwick.{name}_{part} PARTITION OF bailiwick.{name} \
                     FOR VALUES WITH (MODULUS {}, REMAINDER {part}){options};",
                    target.partitions
                ));
                // Nobody is meant to come here past the table that it is a part of.
                add(&format!("ALTER TABLE bailiwick.{name}_{part} ENABLE ROW LEVEL SECURITY;"));
                add(&format!("ALTER TABLE bailiwick.{name}_{part} FORCE ROW LEVEL SECURITY;"));
            }
        }
        fence(&mut add, name, &server, rights);
        add(&format!("CREATE POLICY own ON bailiwick.{name} USING ({OWN}) WITH CHECK ({OWN});"));
    }
    add("CREATE INDEX past_until ON bailiwick.past (tenant, until);");
    add("CREATE INDEX tenant_due ON bailiwick.tenant (wake) WHERE wake IS NOT NULL;");
    add("CREATE POLICY platform ON bailiwick.tenant FOR SELECT \
         USING ((SELECT current_setting('bailiwick.plane', true)) = 'platform');");

    add("CREATE TABLE bailiwick.slug (slug text COLLATE \"C\" NOT NULL, tenant uuid NOT NULL, PRIMARY KEY (slug));");
    fence(&mut add, "slug", &server, "SELECT, INSERT");
    add(&format!("CREATE POLICY own ON bailiwick.slug FOR INSERT WITH CHECK ({OWN});"));
    add("CREATE POLICY platform ON bailiwick.slug FOR SELECT \
         USING ((SELECT current_setting('bailiwick.plane', true)) IN ('platform', 'directory'));");

    add("CREATE TABLE bailiwick.guard (tenant uuid NOT NULL, stripe smallint NOT NULL, epoch bigint NOT NULL, \
         PRIMARY KEY (tenant, stripe)) WITH (fillfactor = 10);");
    fence(&mut add, "guard", &server, "SELECT, INSERT, UPDATE (epoch)");
    // An epoch is no secret, and every tenant's commits rest on the platform's.
    add("CREATE POLICY shared ON bailiwick.guard USING (true) WITH CHECK (true);");

    add("CREATE TABLE bailiwick.pulse (tenant uuid NOT NULL, slot smallint NOT NULL, beat bigint NOT NULL, \
         PRIMARY KEY (tenant, slot)) WITH (fillfactor = 10);");
    add(&format!(
        "INSERT INTO bailiwick.pulse (tenant, slot, beat) \
         SELECT '00000000-0000-0000-0000-000000000000', slot, 0 FROM generate_series(0, {}) slot;",
        SLOTS - 1
    ));
    fence(&mut add, "pulse", &server, "SELECT, UPDATE (beat)");
    add(&format!("CREATE POLICY own ON bailiwick.pulse USING ({OWN}) WITH CHECK ({OWN});"));
    sql
}

/// Row-level security, enabled and forced, and the rights of the server's role: only these, and never to change whose a
/// row is.
fn fence(add: &mut impl FnMut(&str), table: &str, server: &str, rights: &str) {
    add(&format!("ALTER TABLE bailiwick.{table} ENABLE ROW LEVEL SECURITY;"));
    add(&format!("ALTER TABLE bailiwick.{table} FORCE ROW LEVEL SECURITY;"));
    add(&format!("REVOKE ALL ON bailiwick.{table} FROM PUBLIC;"));
    add(&format!("GRANT {rights} ON bailiwick.{table} TO {server};"));
}

/// Every table that row-level security is forced on, with the names of its policies.
pub(crate) const FENCED: &[(&str, &[&str])] = &[
    ("tenant", &["own", "platform"]),
    ("record", &["own"]),
    ("past", &["own"]),
    ("ledger_entry", &["own"]),
    ("ledger_subtree", &["own"]),
    ("slug", &["own", "platform"]),
    ("guard", &["shared"]),
    ("pulse", &["own"]),
];

/// A migration that a database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: i32,
    /// What it was called.
    pub name: String,
    /// See [`Migration::serves_from`].
    pub serves_from: i32,
    /// When it was applied, as the database says it.
    pub at: String,
}

/// A migration, applied or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub version: i32,
    /// What it does.
    pub name: String,
    /// When it was applied; `None`: it is to come.
    pub applied: Option<String>,
}

const APPLIED: &str = "SELECT version, name, serves_from, applied_at::text FROM bailiwick.migration ORDER BY version";

/// What a database has, or `None` if it has no schema of ours.
pub(crate) async fn applied(session: &Session) -> Result<Option<Vec<Applied>>, OpenError> {
    let unreachable = |error: tokio_postgres::Error| OpenError::of(&error);
    let client = session.client();
    let there = client.query_typed_one("SELECT to_regclass('bailiwick.migration') IS NOT NULL", &[]).await;
    if !there.and_then(|row| row.try_get::<_, bool>(0)).map_err(unreachable)? {
        return Ok(None);
    }
    let rows = client.query_typed(APPLIED, &[]).await.map_err(unreachable)?;
    let of = |row: &Row| {
        Ok(Applied {
            version: row.try_get(0)?,
            name: row.try_get(1)?,
            serves_from: row.try_get(2)?,
            at: row.try_get(3)?,
        })
    };
    rows.iter().map(of).collect::<Result<Vec<_>, _>>().map(Some).map_err(unreachable)
}

/// Whether a build that knows versions up to `known` can work with what a database has.
pub(crate) fn check_version(applied: Option<&[Applied]>, known: i32) -> Result<(), OpenError> {
    let found = applied.unwrap_or_default();
    let Some(last) = found.last() else {
        return Err(OpenError::Schema("the database has no schema of Bailiwick's".to_owned()));
    };
    if last.version < known {
        return Err(OpenError::Schema(format!(
            "the schema is at version {}, and this build needs {known}",
            last.version
        )));
    }
    match found.iter().find(|migration| migration.serves_from > known) {
        None => Ok(()),
        Some(newer) => Err(OpenError::Schema(format!(
            "the schema is at version {}, whose step {} (`{}`) serves builds from version {} on; this one knows {known}",
            last.version, newer.version, newer.name, newer.serves_from
        ))),
    }
}

/// Brings a database to the newest version. Runs as the owner of the schema.
pub struct Migrator {
    session: Session,
    target: Target,
    migrations: &'static [Migration],
}

impl Migrator {
    /// Connects as the owner.
    ///
    /// # Errors
    /// [`OpenError::Unreachable`] and [`OpenError::Unsafe`].
    pub async fn connect(owner: &Url, server_role: &str, partitions: u16) -> Result<Self, OpenError> {
        Self::with(owner, server_role, partitions, MIGRATIONS).await
    }

    /// As [`Migrator::connect`], with other migrations: for tests of what is not written yet.
    ///
    /// # Errors
    /// [`OpenError::Unreachable`].
    #[doc(hidden)]
    pub async fn with(
        owner: &Url,
        server_role: &str,
        partitions: u16,
        migrations: &'static [Migration],
    ) -> Result<Self, OpenError> {
        let session = pool::look(owner, pool::START_WAIT).await?;
        Ok(Self { session, target: Target { server_role: server_role.to_owned(), partitions }, migrations })
    }

    /// All migrations, in order: what the database has, and what is to come.
    ///
    /// # Errors
    /// [`OpenError::Schema`] if the database has one that this build does not know.
    pub async fn steps(&self) -> Result<Vec<Step>, OpenError> {
        let applied = applied(&self.session).await?.unwrap_or_default();
        let mut steps: Vec<Step> = applied
            .iter()
            .map(|found| Step { version: found.version, name: found.name.clone(), applied: Some(found.at.clone()) })
            .collect();
        for migration in self.migrations {
            if !applied.iter().any(|found| found.version == migration.version) {
                let (version, name) = (migration.version, migration.name.to_owned());
                steps.push(Step { version, name, applied: None });
            }
        }
        Ok(steps)
    }

    /// The statements that [`Migrator::run`] would carry out.
    ///
    /// # Errors
    /// As [`Migrator::steps`].
    pub async fn plan(&self) -> Result<String, OpenError> {
        let mut text = String::new();
        for migration in self.pending().await? {
            text.push_str(&format!(
                "-- {}: {}\nBEGIN;\n{}COMMIT;\n",
                migration.version,
                migration.name,
                self.script(migration)
            ));
        }
        Ok(text)
    }

    async fn pending(&self) -> Result<Vec<&'static Migration>, OpenError> {
        let applied = applied(&self.session).await?.unwrap_or_default();
        Ok(self.migrations.iter().filter(|one| !applied.iter().any(|found| found.version == one.version)).collect())
    }

    /// One migration, with the row that says that it was applied. The row comes first: whoever runs the same at the same
    /// time waits for it, and then finds that it is there.
    fn script(&self, migration: &Migration) -> String {
        let Migration { version, name, serves_from, sql } = migration;
        let mut script = String::new();
        if *version == 1 {
            let server = quoted(&self.target.server_role);
            script.push_str(&format!(
                "CREATE SCHEMA IF NOT EXISTS bailiwick;\n\
                 CREATE TABLE IF NOT EXISTS bailiwick.migration (version integer PRIMARY KEY, name text NOT NULL, \
                 serves_from integer NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());\n\
                 GRANT USAGE ON SCHEMA bailiwick TO {server};\n\
                 GRANT SELECT ON bailiwick.migration TO {server};\n"
            ));
        }
        script.push_str(&format!(
            "INSERT INTO bailiwick.migration (version, name, serves_from) VALUES ({version}, '{name}', {serves_from});\n"
        ));
        script.push_str(&sql(&self.target));
        script
    }

    /// Applies what is to come, one transaction each. Calls `done` after each.
    ///
    /// # Errors
    /// [`OpenError::Schema`] with what the database said; what was applied before stays.
    pub async fn run(&self, mut done: impl FnMut(&Migration)) -> Result<(), OpenError> {
        for migration in self.pending().await? {
            let script = format!("BEGIN;\n{}COMMIT;", self.script(migration));
            if let Err(error) = self.session.client().batch_execute(&script).await {
                let _ = self.session.rollback().await;
                let now = applied(&self.session).await?.unwrap_or_default();
                if now.iter().any(|found| found.version == migration.version) {
                    // Somebody else was faster.
                    continue;
                }
                let why = crate::trouble::with_source(&error);
                return Err(OpenError::Schema(format!("migration {} failed: {why}", migration.version)));
            }
            done(migration);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(version: i32, serves_from: i32) -> Applied {
        Applied { version, name: format!("step {version}"), serves_from, at: String::new() }
    }

    #[test]
    fn a_node_works_with_its_own_schema_and_with_expanded_ones() {
        assert!(check_version(Some(&[has(1, 1)]), 1).is_ok());
        assert!(check_version(Some(&[has(1, 1), has(2, 1)]), 1).is_ok(), "expanded");
        assert!(check_version(Some(&[has(1, 1), has(2, 1), has(3, 2)]), 2).is_ok());
    }

    #[test]
    fn a_node_refuses_what_it_does_not_know() {
        for (found, known) in [
            (None, 1),
            (Some(vec![]), 1),
            (Some(vec![has(1, 1)]), 2),
            (Some(vec![has(1, 1), has(2, 1), has(3, 2)]), 1),
            (Some(vec![has(1, 1), has(2, 2), has(3, 1)]), 1),
        ] {
            let refused = check_version(found.as_deref(), known);
            assert!(matches!(refused, Err(OpenError::Schema(_))), "{found:?} {known}");
        }
    }

    #[test]
    fn migrations_are_numbered_in_order_and_fence_every_table() {
        for (at, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, at);
            assert!(migration.serves_from <= migration.version);
        }
        let target = Target { server_role: "server".to_owned(), partitions: 2 };
        let all: String = MIGRATIONS.iter().map(|migration| (migration.sql)(&target)).collect();
        for (table, _) in FENCED {
            assert!(all.contains(&format!("ALTER TABLE bailiwick.{table} FORCE ROW LEVEL SECURITY;")), "{table}");
        }
        let tables = all.matches("CREATE TABLE").count();
        assert_eq!(all.matches("FORCE ROW LEVEL SECURITY").count(), tables, "each table and partition is fenced");
    }
}
