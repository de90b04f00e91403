//! Every statement that a node sends, each with the types of its parameters.
//!
//! # Invariants
//! - INV-SQL-1: a statement names the tenant in every key that it looks for. What does not (the lists of operators, the
//!   scheduler's) runs on the plane of the platform, see [`crate::session::Plane`].
//! - INV-SQL-2: nothing is spliced into a text; values travel as parameters.
//!
//! # Why these shapes
//! - Arrays and `unnest`, so that a group of any size is the same statement, prepared once.
//! - Joins rather than `= ANY`, because a join finds the one partition of each tenant.
//! - `1 / (count(*) = expected)::int`: a write that touches fewer rows than it must (row-level security hides rows
//!   without a word) fails there and takes the transaction with it, although COMMIT was sent along.
//!
//! # Deliberately absent
//! Advisory locks, LISTEN, temporary tables, cursors: Citus, YugabyteDB and CockroachDB do not share them.

use tokio_postgres::types::Type;

/// A statement and the types of its parameters.
pub(crate) struct Sql {
    pub(crate) text: &'static str,
    pub(crate) types: &'static [Type],
}

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident($($type:ident),*) = $text:expr;)+) => {
        /// Which statement.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub(crate) enum Query { $($(#[$doc])* $name),+ }

        impl Query {
            /// All of them, in order of their numbers.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),+];

            pub(crate) const fn sql(self) -> &'static Sql {
                match self { $(Self::$name => &Sql { text: $text, types: &[$(Type::$type),*] }),+ }
            }
        }
    };
}

statements! {
    Header(UUID) = "SELECT tenant, slug, state, epoch, ledger, counts, meta, meta_version, revision, wake \
        FROM bailiwick.tenant WHERE tenant = $1";
    Headers(TEXT, UUID, INT8) = "SELECT t.tenant, t.slug, t.state, t.epoch, t.ledger, t.counts, t.meta, t.meta_version, \
        t.revision, t.wake FROM bailiwick.slug s JOIN bailiwick.tenant t ON t.tenant = s.tenant \
        WHERE s.slug > $1 AND s.tenant <> $2 ORDER BY s.slug LIMIT $3";
    TenantBySlug(TEXT) = "SELECT tenant FROM bailiwick.slug WHERE slug = $1";
    Totals(UUID) = "SELECT state, count(*) FROM bailiwick.tenant WHERE tenant <> $1 GROUP BY state ORDER BY state";
    Due(INT8, INT8) = "SELECT wake, tenant FROM bailiwick.tenant WHERE wake <= $1 ORDER BY wake LIMIT $2";

    /// With the revision that it is of.
    Record(UUID, INT2, BYTEA) = "SELECT t.revision, r.version, r.sealed FROM bailiwick.tenant t \
        LEFT JOIN bailiwick.record r ON r.tenant = t.tenant AND r.space = $2 AND r.key = $3 WHERE t.tenant = $1";
    Records(UUID, INT2, BYTEA, BYTEA, INT8) = "SELECT key, version, sealed FROM bailiwick.record \
        WHERE tenant = $1 AND space = $2 AND key >= $3 AND key < $4 ORDER BY key LIMIT $5";
    RecordsToEnd(UUID, INT2, BYTEA, INT8) = "SELECT key, version, sealed FROM bailiwick.record \
        WHERE tenant = $1 AND space = $2 AND key >= $3 ORDER BY key LIMIT $4";
    Keys(UUID, INT2, BYTEA, BYTEA, INT8) = "SELECT key FROM bailiwick.record \
        WHERE tenant = $1 AND space = $2 AND key >= $3 AND key < $4 ORDER BY key LIMIT $5";
    KeysToEnd(UUID, INT2, BYTEA, INT8) = "SELECT key FROM bailiwick.record \
        WHERE tenant = $1 AND space = $2 AND key >= $3 ORDER BY key LIMIT $4";
    PastFrom(UUID) = "SELECT past_from FROM bailiwick.tenant WHERE tenant = $1";
    /// The present, with the earliest of what changed since put back.
    RecordsAt(UUID, INT2, INT8, BYTEA, INT8) = "SELECT key, version, sealed FROM (SELECT DISTINCT ON (p.key) p.key, p.version, \
        p.sealed FROM bailiwick.past p WHERE p.tenant = $1 AND p.space = $2 AND p.until >= $3 AND p.key >= $4 \
        ORDER BY p.key, p.until) was WHERE sealed IS NOT NULL \
        UNION ALL SELECT r.key, r.version, r.sealed FROM bailiwick.record r \
        WHERE r.tenant = $1 AND r.space = $2 AND r.key >= $4 AND NOT EXISTS (SELECT 1 FROM bailiwick.past p \
        WHERE p.tenant = $1 AND p.space = $2 AND p.key = r.key AND p.until >= $3) ORDER BY 1 LIMIT $5";
    Entries(UUID, INT8, INT8) = "SELECT idx, leaf, sealed FROM bailiwick.ledger_entry \
        WHERE tenant = $1 AND idx >= $2 ORDER BY idx LIMIT $3";
    Leaves(UUID, INT8, INT8) = "SELECT leaf FROM bailiwick.ledger_entry \
        WHERE tenant = $1 AND idx >= $2 AND idx < $3 ORDER BY idx";
    Subtrees(UUID, INT2, INT8, INT8) = "SELECT hash FROM bailiwick.ledger_subtree \
        WHERE tenant = $1 AND level = $2 AND n >= $3 AND n < $4 ORDER BY n";

    /// Tenants' rows, locked; those that another node has locked are left out.
    LockFree(UUID_ARRAY) = "SELECT t.tenant, t.state, t.wake, t.epoch, t.revision, t.meta_version, t.counts, t.ledger \
        FROM unnest($1) u(tenant) JOIN bailiwick.tenant t ON t.tenant = u.tenant \
        ORDER BY t.tenant FOR NO KEY UPDATE OF t SKIP LOCKED";
    /// As [`Query::LockFree`], but waits for those.
    LockAll(UUID_ARRAY) = "SELECT t.tenant, t.state, t.wake, t.epoch, t.revision, t.meta_version, t.counts, t.ledger \
        FROM unnest($1) u(tenant) JOIN bailiwick.tenant t ON t.tenant = u.tenant \
        ORDER BY t.tenant FOR NO KEY UPDATE OF t";
    /// Which of these tenants there are.
    Existing(UUID_ARRAY) = "SELECT t.tenant FROM unnest($1) u(tenant) JOIN bailiwick.tenant t ON t.tenant = u.tenant";
    SlugsTaken(TEXT_ARRAY) = "SELECT s.slug FROM unnest($1) u(slug) JOIN bailiwick.slug s ON s.slug = u.slug";
    Versions(UUID_ARRAY, INT2_ARRAY, BYTEA_ARRAY) = "SELECT u.at, r.version \
        FROM unnest($1, $2, $3) WITH ORDINALITY u(tenant, space, key, at) JOIN bailiwick.record r \
        ON r.tenant = u.tenant AND r.space = u.space AND r.key = u.key";
    /// Any stripe of the platform's epoch that nobody holds, from this one on.
    GuardFree(UUID, INT2) = "SELECT epoch FROM bailiwick.guard WHERE tenant = $1 AND stripe >= $2 \
        ORDER BY stripe LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED";
    /// This stripe, once nobody else holds it.
    GuardWait(UUID, INT2) = "SELECT epoch FROM bailiwick.guard WHERE tenant = $1 AND stripe = $2 FOR NO KEY UPDATE";
    /// All stripes: waits until nobody decides under the old epoch any more.
    GuardMove(UUID, INT8, INT8) = "WITH w AS (UPDATE bailiwick.guard SET epoch = $2 WHERE tenant = $1 RETURNING 1) \
        SELECT 1 / (count(*) = $3)::int FROM w";
    GuardMake(UUID, INT2_ARRAY, INT8) = "INSERT INTO bailiwick.guard (tenant, stripe, epoch) \
        SELECT $1, stripe, $3 FROM unnest($2) u(stripe)";

    NewSlugs(TEXT_ARRAY, UUID_ARRAY) = "INSERT INTO bailiwick.slug (slug, tenant) \
        SELECT slug, tenant FROM unnest($1, $2) u(slug, tenant)";
    NewTenants(UUID_ARRAY, TEXT_ARRAY, INT2_ARRAY, INT8_ARRAY, INT8_ARRAY, INT8_ARRAY, INT8_ARRAY, INT8_ARRAY,
        BYTEA_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY) = "INSERT INTO bailiwick.tenant \
        (tenant, slug, state, wake, epoch, revision, meta_version, size, counts, ledger, meta) \
        SELECT tenant, slug, state, wake, epoch, revision, meta_version, size, counts, ledger, meta \
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
        u(tenant, slug, state, wake, epoch, revision, meta_version, size, counts, ledger, meta)";
    /// What almost every commit changes of a row, and no index contains.
    Progress(UUID_ARRAY, INT8_ARRAY, INT8_ARRAY, INT8_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, INT8) =
        "WITH w AS (UPDATE bailiwick.tenant t SET epoch = u.epoch, revision = u.revision, size = u.size, \
        counts = u.counts, ledger = u.ledger FROM unnest($1, $2, $3, $4, $5, $6) \
        u(tenant, epoch, revision, size, counts, ledger) WHERE t.tenant = u.tenant RETURNING 1) \
        SELECT 1 / (count(*) = $7)::int FROM w";
    /// The rest of it.
    Row(UUID_ARRAY, INT2_ARRAY, INT8_ARRAY, INT8_ARRAY, BYTEA_ARRAY, INT8) =
        "WITH w AS (UPDATE bailiwick.tenant t SET state = u.state, wake = u.wake, meta_version = u.meta_version, \
        meta = coalesce(u.meta, t.meta) FROM unnest($1, $2, $3, $4, $5) u(tenant, state, wake, meta_version, meta) \
        WHERE t.tenant = u.tenant RETURNING 1) SELECT 1 / (count(*) = $6)::int FROM w";
    PutRecords(UUID_ARRAY, INT2_ARRAY, BYTEA_ARRAY, INT8_ARRAY, BYTEA_ARRAY) = "INSERT INTO bailiwick.record \
        (tenant, space, key, version, sealed) SELECT tenant, space, key, version, sealed \
        FROM unnest($1, $2, $3, $4, $5) u(tenant, space, key, version, sealed)";
    ReplaceRecords(UUID_ARRAY, INT2_ARRAY, BYTEA_ARRAY, INT8_ARRAY, BYTEA_ARRAY, INT8) =
        "WITH w AS (UPDATE bailiwick.record r SET version = u.version, sealed = u.sealed \
        FROM unnest($1, $2, $3, $4, $5) u(tenant, space, key, version, sealed) \
        WHERE r.tenant = u.tenant AND r.space = u.space AND r.key = u.key RETURNING 1) \
        SELECT 1 / (count(*) = $6)::int FROM w";
    RemoveRecords(UUID_ARRAY, INT2_ARRAY, BYTEA_ARRAY, INT8) = "WITH w AS (DELETE FROM bailiwick.record r \
        USING unnest($1, $2, $3) u(tenant, space, key) \
        WHERE r.tenant = u.tenant AND r.space = u.space AND r.key = u.key RETURNING 1) \
        SELECT 1 / (count(*) = $4)::int FROM w";
    /// What records are, before the group changes them. Of several commits without entries at one size, what was before the
    /// first is what was at that size.
    KeepPast(UUID_ARRAY, INT2_ARRAY, BYTEA_ARRAY, INT8_ARRAY) = "INSERT INTO bailiwick.past \
        (tenant, space, key, until, version, sealed) SELECT u.tenant, u.space, u.key, u.until, r.version, r.sealed \
        FROM unnest($1, $2, $3, $4) u(tenant, space, key, until) LEFT JOIN bailiwick.record r \
        ON r.tenant = u.tenant AND r.space = u.space AND r.key = u.key ON CONFLICT DO NOTHING";
    /// What records were between two commits of the group.
    PutPast(UUID_ARRAY, INT2_ARRAY, BYTEA_ARRAY, INT8_ARRAY, INT8_ARRAY, BYTEA_ARRAY) = "INSERT INTO bailiwick.past \
        (tenant, space, key, until, version, sealed) SELECT tenant, space, key, until, version, sealed \
        FROM unnest($1, $2, $3, $4, $5, $6) u(tenant, space, key, until, version, sealed) ON CONFLICT DO NOTHING";
    KnownFrom(UUID, INT8) = "UPDATE bailiwick.tenant SET past_from = greatest(past_from, $2) WHERE tenant = $1";
    ForgetPast(UUID, INT8, INT8) = "WITH w AS (DELETE FROM bailiwick.past WHERE tenant = $1 AND (space, key, until) IN \
        (SELECT space, key, until FROM bailiwick.past WHERE tenant = $1 AND until < $2 LIMIT $3) RETURNING 1) \
        SELECT count(*) FROM w";
    PutEntries(UUID_ARRAY, INT8_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY) = "INSERT INTO bailiwick.ledger_entry \
        (tenant, idx, leaf, sealed) SELECT tenant, idx, leaf, sealed FROM unnest($1, $2, $3, $4) u(tenant, idx, leaf, sealed)";
    PutSubtrees(UUID_ARRAY, INT2_ARRAY, INT8_ARRAY, BYTEA_ARRAY) = "INSERT INTO bailiwick.ledger_subtree \
        (tenant, level, n, hash) SELECT tenant, level, n, hash FROM unnest($1, $2, $3, $4) u(tenant, level, n, hash)";

    /// Entries of tenants whose rows are as this node believes, in one round trip. Answers whose rows were.
    Append(UUID_ARRAY, INT8_ARRAY, INT8_ARRAY, INT8_ARRAY, INT8_ARRAY, INT8_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY,
        UUID, INT2) = "WITH g AS MATERIALIZED (SELECT epoch FROM bailiwick.guard WHERE tenant = $10 AND stripe >= $11 \
        ORDER BY stripe LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED), \
        w AS (UPDATE bailiwick.tenant t SET size = u.new_size, ledger = u.ledger \
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        u(tenant, epoch, revision, guard, size, new_size, ledger, leaf, sealed) \
        WHERE t.tenant = u.tenant AND t.epoch = u.epoch AND t.revision = u.revision AND t.size = u.size \
        AND (u.guard IS NULL OR u.guard = (SELECT epoch FROM g)) \
        RETURNING t.tenant, u.size AS idx, u.leaf, u.sealed), \
        e AS (INSERT INTO bailiwick.ledger_entry (tenant, idx, leaf, sealed) SELECT tenant, idx, leaf, sealed FROM w) \
        SELECT tenant FROM w";
    /// Further entries of the tenants whose rows [`Query::Append`] has changed to this size.
    AppendMore(UUID_ARRAY, INT8_ARRAY, INT8_ARRAY, BYTEA_ARRAY, BYTEA_ARRAY) = "INSERT INTO bailiwick.ledger_entry \
        (tenant, idx, leaf, sealed) SELECT u.tenant, u.idx, u.leaf, u.sealed \
        FROM unnest($1, $2, $3, $4, $5) u(tenant, new_size, idx, leaf, sealed) \
        JOIN bailiwick.tenant t ON t.tenant = u.tenant AND t.size = u.new_size";

    /// Entries at these places, for whoever has to find out whether they are theirs.
    EntriesAt(UUID_ARRAY, INT8_ARRAY) = "SELECT e.tenant, e.idx, e.leaf FROM unnest($1, $2) u(tenant, idx) \
        JOIN bailiwick.ledger_entry e ON e.tenant = u.tenant AND e.idx = u.idx";

    /// Whoever still believes in the rows as they were believes in vain.
    Fence(UUID_ARRAY) = "UPDATE bailiwick.tenant t SET revision = t.revision + 1 FROM unnest($1) u(tenant) \
        WHERE t.tenant = u.tenant";

    PutCounts(UUID_ARRAY, BYTEA_ARRAY) = "UPDATE bailiwick.tenant t SET counts = u.counts \
        FROM unnest($1, $2) u(tenant, counts) WHERE t.tenant = u.tenant";
    SomeRecords(UUID, INT8) = "SELECT space, key FROM bailiwick.record WHERE tenant = $1 LIMIT $2";
    Empty(UUID, INT8, INT8) = "UPDATE bailiwick.ledger_entry SET sealed = '' \
        WHERE tenant = $1 AND idx >= $2 AND idx < $3 AND sealed <> ''";

    Beat(UUID, INT2) = "UPDATE bailiwick.pulse SET beat = beat + 1 WHERE tenant = $1 AND slot = $2 RETURNING beat";
    Pulse(UUID, INT2) = "SELECT beat FROM bailiwick.pulse WHERE tenant = $1 AND slot = $2";
    Clock() = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    Size() = "SELECT pg_database_size(current_database())";
}
