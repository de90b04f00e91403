//! Whether a database is as strong as the promise needs, looked at before anything else.
//!
//! A role that owns the tables, or that bypasses row-level security, would make every other fence of this crate a
//! comment. So would a server that answers before a commit is on its disk.

use std::time::Duration;

use tokio_postgres::Row;

use crate::pool;
use crate::schema::{FENCED, applied, check_version, newest};
use crate::session::Session;
use crate::trouble::OpenError;
use crate::url::Url;

/// Looks at role, schema and server.
///
/// # Errors
/// [`OpenError`]: everything that is weaker than it must be, at once.
pub(crate) async fn check(url: &Url, wait: Duration) -> Result<(), OpenError> {
    let session = pool::look(url, wait).await?;
    let looked = async {
        let mut weak = server(&session).await?;
        weak.extend(role(&session).await?);
        Ok::<_, tokio_postgres::Error>(weak)
    };
    let mut weak = looked.await.map_err(|error| OpenError::of(&error))?;
    check_version(applied(&session).await?.as_deref(), newest())?;
    weak.extend(tables(&session).await.map_err(|error| OpenError::of(&error))?);
    if weak.is_empty() { Ok(()) } else { Err(OpenError::Weak(weak)) }
}

async fn rows(session: &Session, sql: &str) -> Result<Vec<Row>, tokio_postgres::Error> {
    session.client().query_typed(sql, &[]).await
}

/// What the server does with a commit.
async fn server(session: &Session) -> Result<Vec<String>, tokio_postgres::Error> {
    const SQL: &str = "SELECT current_setting('server_version_num')::int, version(), \
        coalesce(current_setting('fsync', true), 'on'), coalesce(current_setting('full_page_writes', true), 'on'), \
        coalesce(current_setting('synchronous_commit', true), 'on'), current_setting('server_encoding')";
    let mut weak = Vec::new();
    for row in rows(session, SQL).await? {
        let (number, name): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
        if name.starts_with("PostgreSQL 1") && number < 150_000 && !name.contains("YB") {
            weak.push(format!("PostgreSQL 15 is the oldest that is supported, and this is {number}"));
        }
        for (column, setting) in [(2, "fsync"), (3, "full_page_writes"), (4, "synchronous_commit")] {
            if row.try_get::<_, String>(column)? == "off" {
                weak.push(format!("`{setting}` is off: what was acknowledged could be lost"));
            }
        }
        let encoding: String = row.try_get(5)?;
        if !encoding.eq_ignore_ascii_case("utf8") {
            weak.push(format!("the database's encoding is {encoding}, not UTF8"));
        }
    }
    Ok(weak)
}

/// What the role is.
async fn role(session: &Session) -> Result<Vec<String>, tokio_postgres::Error> {
    const SQL: &str = "SELECT current_user::text, rolsuper, rolbypassrls, rolcreaterole, rolreplication FROM pg_roles \
        WHERE rolname = current_user";
    let mut weak = Vec::new();
    for row in rows(session, SQL).await? {
        let name: String = row.try_get(0)?;
        for (column, what) in [
            (1, "is a superuser"),
            (2, "may bypass row-level security"),
            (3, "may make roles"),
            (4, "may replicate: it could read everything"),
        ] {
            if row.try_get::<_, bool>(column)? {
                weak.push(format!("the role `{name}` {what}"));
            }
        }
    }
    Ok(weak)
}

/// What the role may do with the tables, and what the tables do to it.
async fn tables(session: &Session) -> Result<Vec<String>, tokio_postgres::Error> {
    const CLASSES: &str = "SELECT c.relname::text, c.relrowsecurity, c.relforcerowsecurity, c.relispartition, \
        pg_has_role(current_user, c.relowner, 'MEMBER'), \
        has_table_privilege(current_user, c.oid, 'TRUNCATE, TRIGGER, REFERENCES'), \
        has_table_privilege(current_user, c.oid, 'DELETE'), \
        has_any_column_privilege(current_user, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'), \
        EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped \
            AND has_column_privilege(current_user, c.oid, a.attnum, 'UPDATE')) \
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = 'bailiwick' AND c.relkind IN ('r', 'p') AND c.relname <> 'migration' ORDER BY 1";
    const POLICIES: &str = "SELECT tablename::text, policyname::text, permissive, roles::text, \
        coalesce(qual, '') || coalesce(with_check, '') FROM pg_policies WHERE schemaname = 'bailiwick' ORDER BY 1, 2";
    const SCHEMA: &str = "SELECT has_schema_privilege(current_user, 'bailiwick', 'CREATE'), \
        pg_has_role(current_user, nspowner, 'MEMBER') FROM pg_namespace WHERE nspname = 'bailiwick'";

    let mut weak = Vec::new();
    for row in rows(session, SCHEMA).await? {
        if row.try_get::<_, bool>(0)? || row.try_get::<_, bool>(1)? {
            weak.push("the role owns the schema or may make things in it".to_owned());
        }
    }
    let mut found = Vec::new();
    for row in rows(session, CLASSES).await? {
        let name: String = row.try_get(0)?;
        let (is_part, is_owner): (bool, bool) = (row.try_get(3)?, row.try_get(4)?);
        let mut say = |what: &str| weak.push(format!("`bailiwick.{name}`: {what}"));
        if is_owner {
            say("the role owns it, or may act as who does");
        }
        if !row.try_get::<_, bool>(1)? || !row.try_get::<_, bool>(2)? {
            say("row-level security is not enabled and forced");
        }
        if row.try_get(5)? {
            say("the role may truncate it, or put a trigger on it");
        }
        if row.try_get::<_, bool>(6)? && !["record", "past"].contains(&name.as_str()) {
            say("the role may delete from it");
        }
        if is_part && row.try_get(7)? {
            say("the role may come here past the table that this is a part of");
        }
        if row.try_get(8)? {
            say("the role may change whose a row is");
        }
        found.push(name);
    }
    for (table, _) in FENCED {
        if !found.iter().any(|name| name == table) {
            weak.push(format!("`bailiwick.{table}` is not there"));
        }
    }
    let mut policies = Vec::new();
    for row in rows(session, POLICIES).await? {
        let (table, name, kind, roles, text): (String, String, String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        let is_bound = match (table.as_str(), name.as_str()) {
            ("guard", "shared") => true,
            (_, "own") => text.contains("bailiwick.tenants") && !text.contains(" OR "),
            (_, "platform") => text.contains("bailiwick.plane") && !text.contains(" OR "),
            _ => false,
        };
        if !is_bound || kind != "PERMISSIVE" || roles != "{public}" {
            weak.push(format!("`bailiwick.{table}`: the policy `{name}` is not as it was made"));
        }
        policies.push((table, name));
    }
    for (table, names) in FENCED {
        for name in *names {
            if !policies.iter().any(|(of, policy)| of == table && policy == name) {
                weak.push(format!("`bailiwick.{table}`: the policy `{name}` is gone"));
            }
        }
    }
    Ok(weak)
}
