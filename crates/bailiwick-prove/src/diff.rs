//! What a change of policies comes to: examples of what it newly allows and denies, and what a reviewer should know.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use bailiwick_authz::analysis::EffectiveSet;
use bailiwick_types::TenantId;
use bailiwick_types::api::proof::{Covers, Difference, ExampleRequest, Outcome, PolicyDiff, SubsetResult, Verdict};
use cedar_policy_symcc::Env;

use crate::cache::Key;
use crate::environment::{Environment, environments_of};
use crate::example::{decide, example};
use crate::pool::Pool;
use crate::properties::{Deciding, constant, facts_of};
use crate::statement::{Piece, concerning};
use crate::why::Why;
use crate::worker::{Worker, check_size, set_of};

/// The most examples of each list.
const EXAMPLES_MAX: usize = 20;

struct Sides {
    current: Deciding,
    proposed: Deciding,
}

impl Sides {
    fn new(current: &EffectiveSet, proposed: &EffectiveSet) -> Result<Self, Why> {
        Ok(Self { current: Deciding::new(current)?, proposed: Deciding::new(proposed)? })
    }
}

/// Requests that one side allows and the other does not.
enum Found {
    Same,
    Differs(Box<ExampleRequest>),
    Unknown(Why),
}

fn digests(pieces: &[Arc<Piece>]) -> BTreeSet<Key> {
    pieces.iter().map(|piece| piece.digest).collect()
}

/// A request that `more` allows and `less` does not.
fn beyond(
    worker: &mut Worker,
    environment: &Environment,
    covers: Covers,
    (more, less): (&Deciding, &Deciding),
    deadline: Instant,
) -> Found {
    match try_beyond(worker, environment, covers, (more, less), deadline) {
        Ok(None) => Found::Same,
        Ok(Some(example)) => Found::Differs(Box::new(example)),
        Err(why) => Found::Unknown(why),
    }
}

fn try_beyond(
    worker: &mut Worker,
    environment: &Environment,
    covers: Covers,
    (more, less): (&Deciding, &Deciding),
    deadline: Instant,
) -> Result<Option<ExampleRequest>, Why> {
    let (more, less) = (more.concerning(covers, environment), less.concerning(covers, environment));
    if digests(&more) == digests(&less) {
        return Ok(None);
    }
    // A request for which a policy fails is denied, whatever the others say; a proof that one set allows what the other
    // one allows must not rest on a policy that fails there.
    for piece in &less {
        check_size([piece])?;
        if !worker.never_errors(piece, environment, deadline)? {
            return Err(Why::Errors);
        }
    }
    let mut inner = more.clone();
    inner.extend(facts_of(more.iter().chain(&less), environment)?);
    check_size(inner.iter().chain(&less))?;
    let (inner_set, outer_set) = (set_of(&inner)?, set_of(&less)?);
    let (inside, outside) = (worker.translate(&inner_set, environment)?, worker.translate(&outer_set, environment)?);
    let Some(Env { request, entities }) = worker.implies(&inside, &outside, deadline)? else { return Ok(None) };
    let (allowed, denied) = (decide(&inner_set, &request, &entities), decide(&outer_set, &request, &entities));
    if !allowed.is_allowed || denied.is_allowed {
        return Err(Why::Disagreement);
    }
    if !allowed.is_certain {
        return Err(Why::Errors);
    }
    let shows_context = inner.iter().chain(&less).any(|piece| piece.mentions_context);
    example(&request, &entities, &allowed, shows_context).map(Some).ok_or(Why::Disagreement)
}

/// What came of one kind of request.
#[derive(Default)]
struct Compared {
    allowed: Option<Box<ExampleRequest>>,
    denied: Option<Box<ExampleRequest>>,
    why: Option<Why>,
    notes: Vec<Note>,
}

/// Something about one statement and one kind of request.
struct Note {
    statement: String,
    kind: Kind,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    /// It can match.
    Matches,
    /// It can match, and forbids stop it wherever it does.
    Shadowed(Vec<String>),
    /// It can match things of another tenant.
    Unscoped,
    /// With it nobody can do this any more, which somebody could before.
    Closes(&'static str),
}

fn compare(sides: &Sides, environment: &Environment, worker: &mut Worker, deadline: Instant) -> Compared {
    let mut compared = Compared::default();
    for covers in [Covers::Policies, Covers::Everything] {
        for is_allowed in [true, false] {
            let place = if is_allowed { &compared.allowed } else { &compared.denied };
            if place.is_some() {
                continue;
            }
            let pair = if is_allowed { (&sides.proposed, &sides.current) } else { (&sides.current, &sides.proposed) };
            match beyond(worker, environment, covers, pair, deadline) {
                Found::Same => {}
                Found::Differs(found) if is_allowed => compared.allowed = Some(found),
                Found::Differs(found) => compared.denied = Some(found),
                Found::Unknown(why) => compared.why = compared.why.or(Some(why)),
            }
        }
    }
    match notes(sides, environment, worker, deadline) {
        Ok(notes) => compared.notes = notes,
        Err(why) => compared.why = compared.why.or(Some(why)),
    }
    compared
}

/// The statements of the proposal that the current set does not have.
fn added(sides: &Sides) -> impl Iterator<Item = &Arc<Piece>> {
    let known: HashSet<Key> =
        sides.current.forbids.iter().chain(&sides.current.permits).map(|piece| piece.digest).collect();
    sides.proposed.forbids.iter().chain(&sides.proposed.permits).filter(move |piece| !known.contains(&piece.digest))
}

fn notes(sides: &Sides, environment: &Environment, worker: &mut Worker, deadline: Instant) -> Result<Vec<Note>, Why> {
    let mut notes = Vec::new();
    let new: Vec<Arc<Piece>> = concerning(&added(sides).cloned().collect::<Vec<_>>(), environment);
    for piece in &new {
        check_size([piece])?;
        let Some(Env { request, entities }) = worker.never_matches(piece, environment, deadline)? else { continue };
        let mut note = |kind| notes.push(Note { statement: piece.id.clone(), kind });
        note(Kind::Matches);
        if piece.is_forbid() {
            continue;
        }
        let mut among = concerning(&sides.proposed.forbids, environment);
        let forbids = set_of(&among)?;
        among.push(Arc::clone(piece));
        check_size(&among)?;
        let with_forbids = worker.translate(&set_of(&among)?, environment)?;
        if worker.always_denies(&with_forbids, deadline)?.is_none() {
            note(Kind::Shadowed(decide(&forbids, &request, &entities).determining));
        }
        if piece.is_open_to_any_resource() && !environment.resource().to_string().eq("Tenant") {
            let alone = worker.translate(&set_of([piece])?, environment)?;
            let home = constant("home", HOME)?;
            let home = worker.translate(&set_of([&home])?, environment)?;
            if worker.implies(&alone, &home, deadline)?.is_some() {
                note(Kind::Unscoped);
            }
        }
    }
    if new.iter().any(|piece| piece.is_forbid()) {
        let all = |deciding: &Deciding| deciding.concerning(Covers::Everything, environment);
        let (after, before) = (all(&sides.proposed), all(&sides.current));
        check_size(&after)?;
        check_size(&before)?;
        let is_closed = {
            let after = worker.translate(&set_of(&after)?, environment)?;
            worker.always_denies(&after, deadline)?.is_none()
        };
        let before = worker.translate(&set_of(&before)?, environment)?;
        if is_closed && worker.always_denies(&before, deadline)?.is_some() {
            let who = environment.principal().to_string();
            notes.push(Note { statement: who, kind: Kind::Closes(environment.action.as_str()) });
        }
    }
    Ok(notes)
}

/// What stays at home by itself.
const HOME: &str = "permit(principal, action, resource) when { principal.tenant == resource.tenant };";

pub(crate) fn diff(
    pool: &Pool,
    tenant: TenantId,
    current: &EffectiveSet,
    proposed: &EffectiveSet,
    deadline: Instant,
    solver: impl FnOnce() -> Option<String>,
) -> PolicyDiff {
    let mut shown = PolicyDiff {
        outcome: Outcome::Proved,
        reason: None,
        allowed: vec![],
        denied: vec![],
        warnings: vec![],
        solver: None,
    };
    let mut whys = BTreeSet::new();
    match Sides::new(current, proposed) {
        Ok(sides) => run_diff(pool, tenant, sides, current.plane, deadline, &mut shown, &mut whys),
        Err(why) => {
            whys.insert(why);
        }
    }
    shown.solver = solver();
    if !whys.is_empty() {
        shown.outcome = Outcome::Unproven;
        shown.reason = Some(whys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    shown
}

fn run_diff(
    pool: &Pool,
    tenant: TenantId,
    sides: Sides,
    plane: bailiwick_types::Plane,
    deadline: Instant,
    shown: &mut PolicyDiff,
    whys: &mut BTreeSet<Why>,
) {
    let sides = Arc::new(sides);
    let all = environments_of(plane);
    let touched: Vec<&'static Environment> = all.into_iter().filter(|each| is_touched(&sides, each)).collect();
    let (task, places) = (Arc::clone(&sides), touched.clone());
    let found = pool.run(tenant, touched.len().max(1), deadline, move |worker, at| match places.get(at) {
        Some(environment) => Some(compare(&task, environment, worker, deadline)),
        // Nothing is touched. Say so only if there is somebody to ask.
        None => worker.version().err().map(|why| Compared { why: Some(why), ..Compared::default() }),
    });
    let found = match found {
        Ok(found) => found,
        Err(why) => {
            whys.insert(why);
            return;
        }
    };
    let mut notes: Vec<Note> = Vec::new();
    for (at, compared) in found.into_iter().enumerate() {
        let compared = match compared {
            Some(Some(compared)) => compared,
            Some(None) => continue,
            None => Compared { why: Some(Why::TimedOut), ..Compared::default() },
        };
        whys.extend(compared.why);
        notes.extend(compared.notes);
        let Some(environment) = touched.get(at) else { continue };
        for (list, example) in [(&mut shown.allowed, compared.allowed), (&mut shown.denied, compared.denied)] {
            if let Some(example) = example {
                collect(list, *example, environment);
            }
        }
    }
    // Whether a statement never matches is known only if every kind of request was asked about.
    shown.warnings = warnings(&sides, &notes, whys.is_empty());
}

fn is_touched(sides: &Sides, environment: &Environment) -> bool {
    [Covers::Policies, Covers::Everything].into_iter().any(|covers| {
        digests(&sides.current.concerning(covers, environment))
            != digests(&sides.proposed.concerning(covers, environment))
    })
}

/// Requests that differ in their action alone are one example.
fn collect(list: &mut Vec<Difference>, example: ExampleRequest, environment: &Environment) {
    let action = environment.action.as_str().to_owned();
    let like = |known: &&mut Difference| {
        known.example.principal.kind == example.principal.kind
            && known.example.resource.kind == example.resource.kind
            && known.example.determining == example.determining
    };
    if let Some(known) = list.iter_mut().find(like) {
        known.actions.push(action);
    } else if list.len() < EXAMPLES_MAX {
        list.push(Difference { example, actions: vec![action] });
    }
}

fn warnings(sides: &Sides, notes: &[Note], is_complete: bool) -> Vec<String> {
    let mut all = BTreeSet::new();
    for piece in added(sides) {
        let of: Vec<&Kind> = notes.iter().filter(|note| note.statement == piece.id).map(|note| &note.kind).collect();
        let matches = of.iter().filter(|kind| ***kind == Kind::Matches).count();
        let shadowed: Vec<&Vec<String>> = of
            .iter()
            .filter_map(|kind| match kind {
                Kind::Shadowed(by) => Some(by),
                _ => None,
            })
            .collect();
        if matches == 0 && is_complete {
            all.insert(format!("{}: never matches: no request can satisfy it", piece.id));
        }
        if matches > 0 && shadowed.len() == matches {
            let by: BTreeSet<&str> = shadowed.iter().flat_map(|by| by.iter().map(String::as_str)).collect();
            let by = by.into_iter().collect::<Vec<_>>().join(", ");
            all.insert(format!("{}: shadowed by a forbid: wherever it would allow, {by} forbids", piece.id));
        }
        if of.iter().any(|kind| **kind == Kind::Unscoped) {
            all.insert(format!("{}: unscoped: only the isolation rule keeps it inside the tenant", piece.id));
        }
    }
    let mut closed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for note in notes {
        if let Kind::Closes(action) = note.kind {
            closed.entry(action).or_default().insert(&note.statement);
        }
    }
    for (action, who) in closed {
        let who = who.into_iter().collect::<Vec<_>>().join(", ");
        all.insert(format!("always denies: no role and no policy can allow `{action}` to {who} any more"));
    }
    all.into_iter().collect()
}

pub(crate) fn subset(
    pool: &Pool,
    tenant: TenantId,
    proposal: &EffectiveSet,
    current: &EffectiveSet,
    deadline: Instant,
    solver: impl FnOnce() -> Option<String>,
) -> SubsetResult {
    let mut verdict = Verdict {
        property: "subset".to_owned(),
        outcome: Outcome::Proved,
        reason: None,
        counterexample: None,
        environments: 0,
    };
    match run_subset(pool, tenant, proposal, current, deadline) {
        Ok(found) => {
            verdict.environments = found.len();
            for each in found {
                match each {
                    Found::Same => {}
                    Found::Differs(example) => {
                        verdict.outcome = Outcome::Refuted;
                        verdict.reason = None;
                        verdict.counterexample.get_or_insert(example);
                    }
                    Found::Unknown(why) if verdict.outcome == Outcome::Proved => {
                        verdict.outcome = Outcome::Unproven;
                        verdict.reason = Some(why.to_string());
                    }
                    Found::Unknown(_) => {}
                }
            }
        }
        Err(why) => {
            verdict.outcome = Outcome::Unproven;
            verdict.reason = Some(why.to_string());
        }
    }
    SubsetResult { verdict, solver: solver() }
}

fn run_subset(
    pool: &Pool,
    tenant: TenantId,
    proposal: &EffectiveSet,
    current: &EffectiveSet,
    deadline: Instant,
) -> Result<Vec<Found>, Why> {
    let sides = Arc::new(Sides::new(current, proposal)?);
    let all = environments_of(current.plane);
    let places = all.clone();
    let found = pool.run(tenant, all.len(), deadline, move |worker, at| {
        let Some(environment) = places.get(at) else { return Found::Same };
        if let Err(why) = worker.version() {
            return Found::Unknown(why);
        }
        for covers in [Covers::Policies, Covers::Everything] {
            match beyond(worker, environment, covers, (&sides.proposed, &sides.current), deadline) {
                Found::Same => {}
                other => return other,
            }
        }
        Found::Same
    })?;
    Ok(found.into_iter().map(|each| each.unwrap_or(Found::Unknown(Why::TimedOut))).collect())
}
