//! How many connections the database has left, which all of its nodes share.
//!
//! Nodes do not know of each other. What keeps one from taking what another needs is that each leaves [`RESERVE`] of them:
//! as many as a node begins with, so that one that starts, or comes back, always finds its first.

use crate::session::Session;

/// Connections that a node leaves to others when it takes more than one of a kind: one of each kind for one more node.
pub(crate) const RESERVE: i64 = 3;

/// What is left of the server's limit, the role's and the database's, whichever is least. Other roles' connections are
/// seen as that there is one, and that is all that is asked.
const LEFT: &str = "WITH used AS (SELECT usesysid, datid FROM pg_stat_activity \
        WHERE usesysid IS NOT NULL AND datid IS NOT NULL) \
    SELECT least(\
        current_setting('max_connections', true)::bigint \
            - coalesce(current_setting('superuser_reserved_connections', true)::bigint, 0) \
            - coalesce(current_setting('reserved_connections', true)::bigint, 0) - (SELECT count(*) FROM used), \
        (SELECT nullif(rolconnlimit, -1) - (SELECT count(*) FROM used WHERE usesysid = r.oid) \
            FROM pg_roles r WHERE rolname = current_user), \
        (SELECT nullif(datconnlimit, -1) - (SELECT count(*) FROM used WHERE datid = d.oid) \
            FROM pg_database d WHERE datname = current_database()))";

/// How many more connections this role could make. `None`: the database does not say, and then nobody counts.
pub(crate) async fn left(session: &Session) -> Option<i64> {
    if !session.pipelines() {
        // Behind a pooler the database's connections are not the nodes': how many those may have is the pooler's to say.
        return None;
    }
    match session.client().query_typed_one(LEFT, &[]).await.and_then(|row| row.try_get(0)) {
        Ok(left) => left,
        Err(error) => {
            tracing::debug!(%error, "the database does not say how many connections are left");
            None
        }
    }
}
