//! What must hold in every state, and what must happen in some, lest the model show nothing.

use stateright::{Model, Property};

use crate::protocol::{Protocol, Revocation};
use crate::state::{Entry, Kind, Outcome, Request, Stage, State, Told, Wants};

/// No request that is acknowledged after the revocation's acknowledgement was decided under an older epoch.
///
/// An answer that was durable before the revocation, and has been on its way since, is not meant: nobody can tell it from
/// one that the network has held up. So three things are asked: in the order of commits no success of the revoked
/// stands after the revocation; what was decided under an older epoch is not durable after it; and who asks after the
/// acknowledgement has no success.
pub const REVOKED: &str = "nothing decided before the revocation completes after it";
/// No acknowledged request lacks its entry.
pub const ENTRY: &str = "who was told of a success has an entry";
/// No entry twice for one request, no effect twice for one `Idempotency-Key`.
pub const ONCE: &str = "no request has two entries and no key two effects";
/// No refusal without a revocation.
pub const REFUSED: &str = "nobody is refused whose right was not revoked";
/// Every way to go on ends with the revocation answered. Every step uses something up (attempts, faults, a stage on the
/// way), so there are no circles, and it is enough that no end is reached without.
pub const PROGRESS: &str = "the revocation is answered in the end";

/// Every property of a world; what must never fail, and what must happen in some state.
pub(crate) fn all(world: &Protocol) -> Vec<Property<Protocol>> {
    let mut all = vec![
        Property::always(REVOKED, is_strict),
        Property::always(ENTRY, |_, state: &State| has_entries(state)),
        Property::always(ONCE, |_, state: &State| is_once(state)),
        Property::always(REFUSED, |_, state: &State| state.store.is_revoked || !is_anybody_refused(state)),
        Property::always(PROGRESS, progresses),
        Property::sometimes("a request succeeds", |_, state: &State| successes(state).next().is_some()),
        Property::sometimes("the revocation is acknowledged", |_, state: &State| state.is_acknowledged()),
        Property::sometimes("a request meets an epoch that is over and is refused", |_, state: &State| {
            state.errands.iter().any(|errand| errand.outcome == Outcome::Refused { was_stale: true })
        }),
        Property::sometimes("an answer that was durable before the revocation arrives after it", |_, state: &State| {
            successes(state).any(|outcome| matches!(outcome, Outcome::Done { heard_late: true, .. }))
        }),
    ];
    if world.faults > 0 {
        all.push(Property::sometimes("a commit is applied for which nobody waits", |_, state: &State| {
            state.store.ledger.iter().any(|entry| entry.is_unheard)
        }));
    }
    if world.faults > 0 && world.errands.contains(&Wants::Change) {
        all.push(Property::sometimes("a retry gets the answer that was lost", |_, state: &State| {
            let is_replay = |entry: &Entry| entry.kind == Kind::Replay;
            successes(state).any(|outcome| entry_of(state, outcome).is_some_and(is_replay))
        }));
    }
    match world.revocation {
        // A guardrail that is put twice is put twice.
        Revocation::Credential if world.faults > 0 => {
            all.push(Property::sometimes(
                "a revocation whose answer was lost is repeated without effect",
                |_, state: &State| {
                    state.is_acknowledged() && state.store.ledger.iter().any(|entry| entry.kind == Kind::Repetition)
                },
            ));
        }
        Revocation::Credential => {}
        // Unlike a bad credential this is a decision, and its commit names the epochs too.
        Revocation::Guardrail => all.push(Property::sometimes("a denial is an entry", |_, state: &State| {
            state.store.ledger.iter().any(|entry| entry.kind == Kind::Denial)
        })),
    }
    all
}

/// What was answered with a success, the revoker not counted.
fn successes(state: &State) -> impl Iterator<Item = Outcome> + '_ {
    let others = state.errands.iter().filter(|errand| errand.wants != Wants::Revoke);
    others.map(|errand| errand.outcome).filter(|outcome| matches!(outcome, Outcome::Done { .. }))
}

fn entry_of(state: &State, outcome: Outcome) -> Option<&Entry> {
    let Outcome::Done { request, .. } = outcome else { return None };
    state.store.ledger.iter().find(|entry| entry.request == request)
}

fn is_strict(world: &Protocol, state: &State) -> bool {
    if successes(state).any(|outcome| matches!(outcome, Outcome::Done { sent_late: true, .. })) {
        return false;
    }
    let Some(at) = state.store.revoked_at() else { return true };
    let Some((revocation, after)) = state.store.ledger.get(at..).and_then(<[Entry]>::split_first) else { return true };
    let is_old = |entry: &Entry| match world.revocation {
        Revocation::Credential => entry.under.tenant <= revocation.under.tenant,
        Revocation::Guardrail => entry.under.platform <= revocation.under.platform,
    };
    let is_success = |entry: &Entry| matches!(entry.kind, Kind::Effect | Kind::Replay);
    // Whatever is told after the acknowledgement was durable before the revocation.
    let is_told_in_time = |outcome| match outcome {
        Outcome::Done { request, heard_late: true, .. } => {
            state.store.entry_of(request).is_some_and(|entry| entry < at)
        }
        _ => true,
    };
    !after.iter().any(|entry| is_old(entry) || is_success(entry)) && successes(state).all(is_told_in_time)
}

fn has_entries(state: &State) -> bool {
    let mut told = state.errands.iter().map(|errand| errand.outcome);
    told.all(|outcome| !matches!(outcome, Outcome::Done { .. }) || entry_of(state, outcome).is_some())
}

fn is_once(state: &State) -> bool {
    let ledger = &state.store.ledger;
    let of_request = |entry: &Entry| ledger.iter().filter(|other| other.request == entry.request).count();
    let effects = |errand: usize| {
        ledger.iter().filter(|entry| entry.request.errand == errand && entry.kind == Kind::Effect).count()
    };
    let mut changes = state.errands.iter().enumerate().filter(|(_, errand)| errand.wants == Wants::Change);
    ledger.iter().all(|entry| of_request(entry) == 1) && changes.all(|(place, _)| effects(place) <= 1)
}

fn is_anybody_refused(state: &State) -> bool {
    let is_told = state.errands.iter().any(|errand| matches!(errand.outcome, Outcome::Refused { .. }));
    let is_about_to_be = |request: &Request| request.stage == Stage::Answering(Told::Refused);
    is_told || state.requests.iter().any(is_about_to_be)
}

fn progresses(world: &Protocol, state: &State) -> bool {
    let mut steps = Vec::new();
    world.actions(state, &mut steps);
    !steps.is_empty() || state.is_acknowledged()
}
