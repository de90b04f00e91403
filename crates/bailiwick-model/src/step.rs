//! What can happen next, and what it does.
//!
//! A step is what one function does between two moments at which others can get in between: at most one access to the
//! store or to a cache.

use crate::protocol::{Mutation, Protocol, Revocation};
use crate::state::{
    Commit, Durable, Entry, Epochs, Kind, Node, Outcome, Reply, Request, RequestId, Stage, State, Told, Wants,
};

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// A client sends a request, or sends it again, to a node.
    Handle {
        /// For what: place in [`State::errands`].
        errand: usize,
        /// To which node.
        node: usize,
    },
    /// A snapshot is taken from the cache, or its header is read, or what was read goes into the cache.
    Snapshot(RequestId),
    /// The credential is found in the snapshot, or read.
    KnownCredential(RequestId),
    /// The answer for the `Idempotency-Key` is looked for.
    Recall(RequestId),
    /// Policy is asked; guardrails that are not in memory are read.
    Authority(RequestId),
    /// The record that the revocation changes is read.
    Locate(RequestId),
    /// The commit is sent, with the epochs that it was decided under.
    Append(RequestId),
    /// The store checks a commit and applies it, or does not.
    Commit(RequestId),
    /// The node is told that storage is unavailable. The commit may be applied all the same, now or later.
    Unavailable(RequestId),
    /// A commit for which nobody waits is not applied.
    Drop(RequestId),
    /// The kernel makes an answer of the store's reply, or admits the request again.
    Conclude(RequestId),
    /// The answer reaches the client.
    Answer(RequestId),
    /// The client's connection breaks. The request goes on.
    CutOff {
        /// Whose.
        errand: usize,
    },
    /// A node is gone with its memory, and starts again.
    Crash {
        /// Which.
        node: usize,
    },
}

/// The steps that the product takes: name here, crate, function there. What is not in it is done by clients, by the
/// network, or by accident.
pub const PLACES: &[(&str, &str, &str)] = &[
    ("Handle", "bailiwick-http", "handle"),
    ("Snapshot", "bailiwick-app", "snapshot"),
    ("KnownCredential", "bailiwick-app", "known_credential"),
    ("Recall", "bailiwick-app", "recall"),
    ("Authority", "bailiwick-app", "authority"),
    ("Locate", "bailiwick-app", "locate"),
    ("Append", "bailiwick-app", "append"),
    ("Commit", "bailiwick-store-sqlite", "commit"),
    ("Conclude", "bailiwick-app", "conclude"),
    ("Answer", "bailiwick-http", "answer"),
];

impl Protocol {
    /// What can happen next.
    pub(crate) fn enabled(&self, state: &State, steps: &mut Vec<Step>) {
        for (errand, wish) in state.errands.iter().enumerate() {
            if wish.outcome == Outcome::Open && wish.sent <= self.faults {
                // Nodes that nothing has happened to are as good as each other.
                let known = state.nodes.iter().take_while(|node| node.is_known).count();
                steps.extend((0..self.nodes.min(known + 1)).map(|node| Step::Handle { errand, node }));
            }
        }
        for request in &state.requests {
            let id = request.id;
            steps.extend(match request.stage {
                Stage::Platform | Stage::PlatformRead(_) | Stage::Tenant(_) | Stage::TenantRead(_) => {
                    Some(Step::Snapshot(id))
                }
                Stage::Credential(_) => Some(Step::KnownCredential(id)),
                Stage::Recall(_) => Some(Step::Recall(id)),
                Stage::Authority(..) => Some(Step::Authority(id)),
                Stage::Locate(_) => Some(Step::Locate(id)),
                Stage::Append(..) => Some(Step::Append(id)),
                Stage::Concluding(_) => Some(Step::Conclude(id)),
                Stage::Answering(_) => Some(Step::Answer(id)),
                Stage::Waiting => None,
            });
        }
        for commit in &state.queue {
            steps.push(Step::Commit(commit.request));
            match commit.is_orphan {
                true => steps.push(Step::Drop(commit.request)),
                false if state.faults_left > 0 => steps.push(Step::Unavailable(commit.request)),
                false => {}
            }
        }
        if state.faults_left > 0 {
            let waiting = |errand: &usize| state.errands.get(*errand).is_some_and(|of| of.outcome == Outcome::Waiting);
            steps.extend((0..state.errands.len()).filter(waiting).map(|errand| Step::CutOff { errand }));
            let runs = |node: &usize| state.requests.iter().any(|request| request.node == *node);
            steps.extend((0..self.nodes).filter(runs).map(|node| Step::Crash { node }));
        }
    }

    /// Takes a step. `None` if it cannot be taken.
    pub(crate) fn take(&self, state: &mut State, step: Step) -> Option<()> {
        match step {
            Step::Handle { errand, node } => self.handle(state, errand, node),
            Step::Commit(id) => self.commit(state, id),
            Step::Unavailable(id) => {
                state.faults_left = state.faults_left.checked_sub(1)?;
                state.queue.iter_mut().find(|commit| commit.request == id)?.is_orphan = true;
                conclude_with(state, id, Reply::Unavailable)
            }
            Step::Drop(id) => taken(&mut state.queue, |commit| commit.request == id).map(drop),
            Step::Answer(id) => answer(state, id),
            Step::CutOff { errand } => {
                state.faults_left = state.faults_left.checked_sub(1)?;
                give_up(state, |id| id.errand == errand)
            }
            Step::Crash { node } => {
                state.faults_left = state.faults_left.checked_sub(1)?;
                let (lost, left): (Vec<Request>, _) =
                    state.requests.drain(..).partition(|request| request.node == node);
                state.requests = left;
                *state.nodes.get_mut(node)? = Node { is_known: true, ..Node::default() };
                for commit in &mut state.queue {
                    commit.is_orphan |= lost.iter().any(|request| request.id == commit.request);
                }
                for request in lost.iter().filter(|request| request.is_heard) {
                    state.errands.get_mut(request.id.errand)?.outcome = Outcome::Open;
                }
                Some(())
            }
            Step::Snapshot(id)
            | Step::KnownCredential(id)
            | Step::Recall(id)
            | Step::Authority(id)
            | Step::Locate(id)
            | Step::Append(id)
            | Step::Conclude(id) => self.go_on(state, id),
        }
    }

    /// A request arrives.
    fn handle(&self, state: &mut State, errand: usize, node: usize) -> Option<()> {
        let is_late = state.is_acknowledged();
        let wish = state.errands.get_mut(errand)?;
        let id = RequestId { errand, attempt: wish.sent };
        wish.sent = wish.sent.checked_add(1)?;
        wish.outcome = Outcome::Waiting;
        state.nodes.get_mut(node)?.is_known = true;
        let (stage, was_stale, is_heard) = (Stage::Platform, false, true);
        state.requests.push(Request { id, node, stage, is_late, was_stale, is_heard });
        Some(())
    }

    /// A request takes its next step on its node.
    fn go_on(&self, state: &mut State, id: RequestId) -> Option<()> {
        let wants = state.errands.get(id.errand)?.wants;
        let request = state.requests.iter_mut().find(|request| request.id == id)?;
        let node = state.nodes.get_mut(request.node)?;
        let store = &state.store;
        request.stage = match request.stage.clone() {
            Stage::Platform => match (node.platform, self.revocation) {
                (Some(epoch), _) => self.admitted_by_platform(wants, epoch),
                (None, Revocation::Guardrail) => Stage::PlatformRead(store.epochs.platform),
                // It never changes here, so it does not matter when it is read.
                (None, Revocation::Credential) => {
                    node.platform = Some(store.epochs.platform);
                    Stage::Tenant(store.epochs.platform)
                }
            },
            Stage::PlatformRead(epoch) => {
                node.platform = Some(epoch);
                self.admitted_by_platform(wants, epoch)
            }
            Stage::Tenant(platform) => match node.tenant.filter(|cached| cached.platform == platform) {
                Some(cached) => self.admitted(wants, cached),
                None => Stage::TenantRead(Epochs { platform, tenant: store.epochs.tenant }),
            },
            Stage::TenantRead(read) => {
                node.tenant = Some(read);
                self.admitted(wants, read)
            }
            Stage::Credential(under) => match Self::is_dead(node, store, under) {
                true => Stage::Answering(Told::Refused),
                false if wants == Wants::Change => Stage::Recall(under),
                false => self.allowed(under, Kind::Effect),
            },
            Stage::Recall(under) => match store.remembered.contains(&id.errand) {
                true if self.has(Mutation::ReplayUnasked) => Stage::Append(under, Kind::Replay, None),
                true => self.allowed(under, Kind::Replay),
                false => self.allowed(under, Kind::Effect),
            },
            Stage::Authority(under, kind) => match self.asked(node, store, under, kind) {
                Ok(stage) => stage,
                Err(Stale) => {
                    node.platform = None;
                    request.was_stale = true;
                    Stage::Platform
                }
            },
            Stage::Locate(under) => match (self.revocation, store.is_revoked) {
                // Doing so twice changes nothing.
                (Revocation::Credential, true) => Stage::Append(under, Kind::Repetition, None),
                _ => Stage::Append(under, Kind::Revocation, Some(store.version)),
            },
            Stage::Append(under, kind, replaces) => {
                let is_told = self.has(Mutation::AcknowledgeBeforeCommit);
                let remembers = kind == Kind::Effect && wants == Wants::Change;
                state.queue.push(Commit { request: id, kind, under, replaces, remembers, is_orphan: is_told });
                if is_told { Stage::Answering(told(kind)) } else { Stage::Waiting }
            }
            Stage::Concluding(reply) => {
                request.was_stale |= matches!(reply, Reply::StalePlatform | Reply::StaleTenant);
                self.concluded(node, store, id, reply)?
            }
            Stage::Waiting | Stage::Answering(_) => return None,
        };
        Some(())
    }

    fn admitted_by_platform(&self, wants: Wants, platform: u8) -> Stage {
        match (wants, self.revocation) {
            // An operator, who is in no tenant.
            (Wants::Revoke, Revocation::Guardrail) => Stage::Locate(Epochs { platform, tenant: 0 }),
            _ => Stage::Tenant(platform),
        }
    }

    /// What a request does once it has its tenant's snapshot. Where no credential ever dies none is looked for.
    fn admitted(&self, wants: Wants, under: Epochs) -> Stage {
        match (wants, self.revocation) {
            // The revoker's own right is not in question.
            (Wants::Revoke, _) => Stage::Locate(under),
            (_, Revocation::Credential) => Stage::Credential(under),
            (Wants::Change, Revocation::Guardrail) => Stage::Recall(under),
            (Wants::Read, Revocation::Guardrail) => Stage::Authority(under, Kind::Effect),
        }
    }

    /// Policy is asked next; where no guardrail ever changes it says yes.
    fn allowed(&self, under: Epochs, kind: Kind) -> Stage {
        match self.revocation {
            Revocation::Guardrail => Stage::Authority(under, kind),
            Revocation::Credential => Stage::Append(under, kind, None),
        }
    }

    /// What the snapshot knows of the credential, or learns now.
    fn is_dead(node: &mut Node, store: &Durable, under: Epochs) -> bool {
        *node.credentials.entry(under).or_insert(store.is_revoked)
    }

    /// What policy says, from what the snapshots know of guardrails or learn now.
    fn asked(&self, node: &mut Node, store: &Durable, under: Epochs, kind: Kind) -> Result<Stage, Stale> {
        let denial = Stage::Append(under, Kind::Denial, None);
        let built = node.authorities.get(&under).copied();
        if let Some(is_denied) = built {
            return Ok(if is_denied { denial } else { Stage::Append(under, kind, None) });
        }
        let Some(platform) = node.platform else {
            node.platform = Some(store.epochs.platform);
            return Ok(Stage::Authority(under, kind));
        };
        if platform != under.platform && !self.has(Mutation::GuardrailsOfAnyEpoch) {
            return Err(Stale);
        }
        let is_denied = *node.guardrails.entry(platform).or_insert(store.is_revoked);
        node.authorities.insert(under, is_denied);
        Ok(if is_denied { denial } else { Stage::Append(under, kind, None) })
    }

    /// The store takes a commit out of the queue, checks it, and applies it as a whole or not at all.
    fn commit(&self, state: &mut State, id: RequestId) -> Option<()> {
        let commit = taken(&mut state.queue, |commit| commit.request == id)?;
        let store = &mut state.store;
        let reply = self.checked(store, &commit).unwrap_or_else(|| self.applied(store, &commit));
        if commit.is_orphan { Some(()) } else { conclude_with(state, id, reply) }
    }

    /// Guards, then epochs, then versions: the first that does not hold.
    fn checked(&self, store: &Durable, commit: &Commit) -> Option<Reply> {
        let is_of_platform = self.is_of_platform(commit.kind);
        let has_platform = store.epochs.platform == commit.under.platform;
        let has_tenant = store.epochs.tenant == commit.under.tenant;
        if !is_of_platform && !has_platform && !self.has(Mutation::NoGuardCheck) {
            return Some(Reply::StalePlatform);
        }
        let (has_own, stale) =
            if is_of_platform { (has_platform, Reply::StalePlatform) } else { (has_tenant, Reply::StaleTenant) };
        if !has_own && !self.has(Mutation::NoEpochCheck) {
            return Some(stale);
        }
        let is_remembered = commit.remembers && store.remembered.contains(&commit.request.errand);
        let is_changed = commit.replaces.is_some_and(|version| version != store.version);
        (is_changed || is_remembered && !self.has(Mutation::RememberBlindly)).then_some(Reply::Conflict)
    }

    fn applied(&self, store: &mut Durable, commit: &Commit) -> Reply {
        let Commit { request, kind, under, is_orphan: is_unheard, .. } = *commit;
        store.ledger.push(Entry { request, kind, under, is_unheard });
        if commit.remembers && !store.remembered.contains(&request.errand) {
            store.remembered.push(request.errand);
        }
        let bumps = kind == Kind::Revocation && !self.has(Mutation::NoBump);
        if kind == Kind::Revocation {
            store.is_revoked = true;
            store.version = store.version.saturating_add(1);
        }
        let (platform, tenant) = (bumps && self.is_of_platform(kind), bumps && !self.is_of_platform(kind));
        store.epochs.platform = store.epochs.platform.saturating_add(u8::from(platform));
        store.epochs.tenant = store.epochs.tenant.saturating_add(u8::from(tenant));
        Reply::Committed(platform, tenant)
    }

    fn is_of_platform(&self, kind: Kind) -> bool {
        self.revocation == Revocation::Guardrail && matches!(kind, Kind::Revocation | Kind::Repetition)
    }

    /// What the kernel makes of the store's reply: an answer, or another admission.
    fn concluded(&self, node: &mut Node, store: &Durable, id: RequestId, reply: Reply) -> Option<Stage> {
        let (forgets_platform, forgets_tenant) = match reply {
            Reply::Committed(platform, tenant) => (platform, tenant),
            Reply::StalePlatform => (true, false),
            Reply::StaleTenant => (false, true),
            Reply::Conflict | Reply::Unavailable => (false, false),
        };
        node.platform = node.platform.filter(|_| !forgets_platform);
        node.tenant = node.tenant.filter(|_| !forgets_tenant);
        Some(match reply {
            Reply::Committed(..) => {
                let entry = store.ledger.iter().find(|entry| entry.request == id)?;
                Stage::Answering(told(entry.kind))
            }
            Reply::StalePlatform | Reply::StaleTenant | Reply::Conflict => Stage::Platform,
            Reply::Unavailable if self.has(Mutation::AcknowledgeAmbiguous) => Stage::Answering(Told::Success),
            Reply::Unavailable => Stage::Answering(Told::Unavailable),
        })
    }
}

/// The platform's cached snapshot is not of the epoch that the request is decided under.
struct Stale;

fn told(kind: Kind) -> Told {
    if kind == Kind::Denial { Told::Refused } else { Told::Success }
}

/// The request that waits for the store's reply has it.
fn conclude_with(state: &mut State, id: RequestId, reply: Reply) -> Option<()> {
    let request = state.requests.iter_mut().find(|request| request.id == id)?;
    request.stage = Stage::Concluding(reply);
    Some(())
}

/// The request ends; its client hears the answer, if it still listens.
fn answer(state: &mut State, id: RequestId) -> Option<()> {
    let heard_late = state.is_acknowledged();
    let request = taken(&mut state.requests, |request| request.id == id)?;
    let Stage::Answering(told) = request.stage else { return None };
    let errand = state.errands.get_mut(id.errand)?;
    if request.is_heard {
        errand.outcome = match told {
            Told::Success => Outcome::Done { request: id, sent_late: request.is_late, heard_late },
            Told::Refused => Outcome::Refused { was_stale: request.was_stale },
            Told::Unavailable => Outcome::Open,
        };
    }
    Some(())
}

/// A client stops to listen.
fn give_up(state: &mut State, whose: impl Fn(RequestId) -> bool) -> Option<()> {
    let request = state.requests.iter_mut().find(|request| request.is_heard && whose(request.id))?;
    request.is_heard = false;
    state.errands.get_mut(request.id.errand)?.outcome = Outcome::Open;
    Some(())
}

fn taken<T>(from: &mut Vec<T>, which: impl Fn(&T) -> bool) -> Option<T> {
    let at = from.iter().position(which)?;
    Some(from.swap_remove(at))
}
