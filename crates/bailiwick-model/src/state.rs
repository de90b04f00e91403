//! What there is at one moment: the store, commits on their way to it, nodes, requests and clients.
//!
//! Everything is a value that can be compared and hashed, in an order that does not depend on how it came about: two
//! histories that lead to the same state are continued once.

use std::collections::BTreeMap;

/// The world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// What is on disk.
    pub store: Durable,
    /// Commits that were sent and are neither applied nor refused yet. The store takes them in any order.
    pub queue: Vec<Commit>,
    /// The servers.
    pub nodes: Vec<Node>,
    /// Requests that are being processed.
    pub requests: Vec<Request>,
    /// What clients want, and what they were told.
    pub errands: Vec<Errand>,
    /// How many more things may go wrong.
    pub faults_left: u8,
}

/// What is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Durable {
    /// The epochs of the platform and of the tenant.
    pub epochs: Epochs,
    /// The version of the record that the revocation changes: a credential's, or a guardrail's.
    pub version: u8,
    /// What that record says: the right to act is gone.
    pub is_revoked: bool,
    /// Whose answers are remembered for their `Idempotency-Key`: places in [`State::errands`].
    pub remembered: Vec<usize>,
    /// The entries of both planes, in the order of their commits.
    pub ledger: Vec<Entry>,
}

/// A pair of epochs: what is in force, or what a decision was made under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epochs {
    /// The platform's, for guardrails.
    pub platform: u8,
    /// The tenant's.
    pub tenant: u8,
}

/// A ledger entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Whose.
    pub request: RequestId,
    /// What it says.
    pub kind: Kind,
    /// What it was decided under.
    pub under: Epochs,
    /// Nobody was waiting for it any more when it was applied.
    pub is_unheard: bool,
}

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The request was allowed, and this is its effect.
    Effect,
    /// The request was allowed, and got the answer that its `Idempotency-Key` got before.
    Replay,
    /// The request was denied by policy.
    Denial,
    /// The right was taken away.
    Revocation,
    /// The right was gone already.
    Repetition,
}

/// A request: the errand that it is for, and which attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    /// Place in [`State::errands`].
    pub errand: usize,
    /// From 0.
    pub attempt: u8,
}

/// A commit on its way to the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commit {
    /// Whose.
    pub request: RequestId,
    /// What its entry will say.
    pub kind: Kind,
    /// The epochs that it names.
    pub under: Epochs,
    /// The version of the record that it replaces, if it changes one.
    pub replaces: Option<u8>,
    /// Whether it writes down the answer for an `Idempotency-Key`, which must not be there yet.
    pub remembers: bool,
    /// Nobody waits for it any more: its node has crashed, or was told that storage is unavailable.
    pub is_orphan: bool,
}

/// A server's memory.
///
/// Snapshots of one node with the same epochs are taken for one. In the product there can be several, each with facts of
/// its own; taking them for one makes facts older, never newer, so nothing is hidden by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Node {
    /// Whether it has ever been asked anything.
    pub is_known: bool,
    /// The epoch of the platform's cached snapshot.
    pub platform: Option<u8>,
    /// The epochs of the tenant's cached snapshot.
    pub tenant: Option<Epochs>,
    /// What the platform's snapshots know: whether a guardrail forbids the act.
    pub guardrails: BTreeMap<u8, bool>,
    /// What the tenant's snapshots know: whether the credential is revoked.
    pub credentials: BTreeMap<Epochs, bool>,
    /// The authorities built in the tenant's snapshots: whether a guardrail forbids the act.
    pub authorities: BTreeMap<Epochs, bool>,
}

/// A request that a node is processing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    /// Which.
    pub id: RequestId,
    /// Where.
    pub node: usize,
    /// How far it is.
    pub stage: Stage,
    /// Whether it was sent after the revocation had been acknowledged.
    pub is_late: bool,
    /// Whether it has been told once that its epoch is over.
    pub was_stale: bool,
    /// Whether its client still listens.
    pub is_heard: bool,
}

/// How far a request is: what it does next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Take the platform's snapshot from the cache, or read the platform's header.
    Platform,
    /// Put what was read into the cache, whatever is there by now.
    PlatformRead(u8),
    /// Take the tenant's snapshot from the cache, or read the tenant's header.
    Tenant(u8),
    /// Put what was read into the cache, whatever is there by now.
    TenantRead(Epochs),
    /// Find the credential in the snapshot, or read it.
    Credential(Epochs),
    /// Look for the answer that the `Idempotency-Key` got before.
    Recall(Epochs),
    /// Ask policy.
    Authority(Epochs, Kind),
    /// Read the record that the revocation changes.
    Locate(Epochs),
    /// Send the commit.
    Append(Epochs, Kind, Option<u8>),
    /// Wait for the store.
    Waiting,
    /// Make of the store's reply what the kernel makes of it.
    Concluding(Reply),
    /// Tell the client.
    Answering(Told),
}

/// What the store says to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    /// It is durable, and bumped these planes' epochs (platform, tenant).
    Committed(bool, bool),
    /// The platform's epoch is another.
    StalePlatform,
    /// The tenant's epoch is another.
    StaleTenant,
    /// A record is not as expected.
    Conflict,
    /// It may be durable, or become so, or never.
    Unavailable,
}

/// What a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// 2xx.
    Success,
    /// 401 or 403.
    Refused,
    /// 503: perhaps try again.
    Unavailable,
}

/// Something that a client wants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Errand {
    /// What.
    pub wants: Wants,
    /// How often it has asked.
    pub sent: u8,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a client can want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wants {
    /// To change something, with an `Idempotency-Key`, by a right that is about to be revoked.
    Change,
    /// To read something, by that right.
    Read,
    /// To revoke the right.
    Revoke,
}

/// What has come of an errand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing: not asked yet, or the answer was lost, or it was to try again.
    Open,
    /// It has asked and listens.
    Waiting,
    /// A success.
    Done {
        /// The request that succeeded.
        request: RequestId,
        /// Whether that request was sent after the revocation had been acknowledged.
        sent_late: bool,
        /// Whether its answer arrived after the revocation had been acknowledged.
        heard_late: bool,
    },
    /// A refusal; whether the request had met an epoch that was over.
    Refused {
        /// Whether it had been admitted twice.
        was_stale: bool,
    },
}

impl Durable {
    /// Where the revocation stands in the ledger.
    pub fn revoked_at(&self) -> Option<usize> {
        self.ledger.iter().position(|entry| entry.kind == Kind::Revocation)
    }

    /// Where a request's entry stands.
    pub fn entry_of(&self, request: RequestId) -> Option<usize> {
        self.ledger.iter().position(|entry| entry.request == request)
    }
}

impl State {
    /// Whether somebody has been told that the right is revoked.
    pub fn is_acknowledged(&self) -> bool {
        self.errands
            .iter()
            .any(|errand| errand.wants == Wants::Revoke && matches!(errand.outcome, Outcome::Done { .. }))
    }
}
