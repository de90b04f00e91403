//! What is asked: the set that decides, what it must imply, and the answer for one kind of request.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bailiwick_authz::analysis::{EffectiveSet, Question, shipped_statements};
use bailiwick_authz::schema_text;
use bailiwick_types::TenantId;
use bailiwick_types::api::proof::{Covers, ExampleRequest};
use cedar_policy::PolicySet;
use cedar_policy_symcc::Env;

use crate::cache::{Cache, Key};
use crate::environment::Environment;
use crate::example::{decide, example};
use crate::facts;
use crate::random::Material;
use crate::statement::{Piece, concerning, digest};
use crate::why::Why;
use crate::worker::{Worker, check_size, set_of};

/// The statement that stands for every role (and, for the platform, for whatever tenants write).
pub(crate) const ANY_ROLE: &str = "any-role";
/// What the ids of facts begin with.
pub(crate) const FACT: &str = "fact#";
/// What the id of the permit begins with that an invariant without permits has.
const ELSE_ALL: &str = "else-all";
/// Random requests against each question that is answered with yes.
const RANDOM_REQUESTS: usize = 8;

const EVERYTHING: &str = "permit(principal, action, resource);";

/// The isolation rule as a property: what [`shipped_statements`] enforces, said again and apart from it, so that the one
/// is held against the other.
const CEILING: &str = "forbid(principal, action, resource) \
                       when { !(principal is Operator) && principal.tenant != resource.tenant };";

/// A set that decides.
#[derive(Debug)]
pub(crate) struct Deciding {
    pub(crate) forbids: Vec<Arc<Piece>>,
    pub(crate) permits: Vec<Arc<Piece>>,
    any_role: Arc<Piece>,
}

/// Permits everything: parsed once, for it is part of nearly every question.
fn everything(id: &'static str) -> Result<Arc<Piece>, Why> {
    type Once = LazyLock<Option<Arc<Piece>>>;
    static ROLE: Once = LazyLock::new(|| Piece::parse(ANY_ROLE, EVERYTHING));
    static ELSE: Once = LazyLock::new(|| Piece::parse(ELSE_ALL, EVERYTHING));
    let once = if id == ANY_ROLE { &ROLE } else { &ELSE };
    Option::clone(once).ok_or_else(|| Why::Untranslatable(id.to_owned()))
}

/// Our own statements are constants; a test says that they parse.
pub(crate) fn constant(id: &str, text: &str) -> Result<Arc<Piece>, Why> {
    Piece::parse(id, text).ok_or_else(|| Why::Untranslatable(id.to_owned()))
}

impl Deciding {
    pub(crate) fn new(set: &EffectiveSet) -> Result<Self, Why> {
        let mut all: Vec<Arc<Piece>> = shipped_statements().map(Piece::new).collect();
        for document in set.guardrails.iter().chain(&set.policies) {
            all.extend(Piece::of(document));
        }
        Self::of(all)
    }

    pub(crate) fn of(all: Vec<Arc<Piece>>) -> Result<Self, Why> {
        let (forbids, permits) = all.into_iter().partition(|piece| piece.is_forbid());
        Ok(Self { forbids, permits, any_role: everything(ANY_ROLE)? })
    }

    /// What decides requests of a kind, as far as `covers` says.
    pub(crate) fn concerning(&self, covers: Covers, environment: &Environment) -> Vec<Arc<Piece>> {
        let mut pieces = concerning(&self.forbids, environment);
        match covers {
            // It permits all that any other statement could.
            Covers::Everything => pieces.push(Arc::clone(&self.any_role)),
            Covers::Policies => pieces.extend(concerning(&self.permits, environment)),
        }
        pieces
    }
}

/// What a set must imply.
#[derive(Debug)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) covers: Covers,
    pieces: Vec<Arc<Piece>>,
    /// Only forbids: then several properties are one question.
    is_forbids: bool,
    /// Its statements must always evaluate.
    must_not_fail: bool,
}

/// Everything that a question asks, prepared.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) tenant: TenantId,
    pub(crate) deciding: Deciding,
    pub(crate) properties: Vec<Property>,
    pub(crate) hash: Key,
}

impl Prepared {
    pub(crate) fn new(question: &Question) -> Result<Self, Why> {
        let deciding = Deciding::new(&question.set)?;
        let mut properties = vec![Property {
            name: "isolation".to_owned(),
            covers: Covers::Everything,
            pieces: vec![constant("isolation-ceiling", CEILING)?],
            is_forbids: true,
            must_not_fail: false,
        }];
        for guardrail in &question.set.guardrails {
            properties.push(Property {
                name: format!("guardrail:{}", guardrail.name()),
                covers: Covers::Everything,
                pieces: Piece::of(guardrail),
                is_forbids: true,
                // A request for which a guardrail fails is denied.
                must_not_fail: false,
            });
        }
        for invariant in &question.invariants {
            let pieces = Piece::of(&invariant.text);
            let is_forbids = pieces.iter().all(|piece| piece.is_forbid());
            properties.push(Property {
                name: format!("invariant:{}", invariant.text.name()),
                covers: invariant.covers,
                pieces,
                is_forbids,
                must_not_fail: true,
            });
        }
        let hash = hash(&deciding, &properties);
        Ok(Self { tenant: question.tenant, deciding, properties, hash })
    }
}

fn hash(deciding: &Deciding, properties: &[Property]) -> Key {
    let mut parts: Vec<Vec<u8>> = vec![b"bailiwick proof 1".to_vec(), schema_text().as_bytes().to_vec()];
    let mut statement = |of: &str, piece: &Piece| {
        parts.push([of.as_bytes(), b"\0", piece.id.as_bytes(), b"\0", &piece.digest].concat());
    };
    for piece in deciding.forbids.iter().chain(&deciding.permits) {
        statement("decides", piece);
    }
    for property in properties {
        for piece in &property.pieces {
            statement(&format!("{} of {}", property.name, property.covers.as_str()), piece);
        }
    }
    // The order in which policies are stored says nothing.
    if let Some(rest) = parts.get_mut(2..) {
        rest.sort_unstable();
    }
    digest(parts.iter().map(Vec::as_slice))
}

/// What came of one property for one kind of request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Proved,
    Refuted(Box<ExampleRequest>),
    Unproven(Why),
}

/// Answers all properties for one kind of request.
pub(crate) fn answer(
    prepared: &Prepared,
    environment: &Environment,
    worker: &mut Worker,
    cache: &Cache,
    deadline: Instant,
) -> Vec<Answer> {
    // Some questions have their answer without a solver. What is called proved must not depend on which those are.
    if let Err(why) = worker.version() {
        return vec![Answer::Unproven(why); prepared.properties.len()];
    }
    let mut answers: Vec<Option<Answer>> = prepared.properties.iter().map(|_| None).collect();
    for covers in [Covers::Everything, Covers::Policies] {
        let inner = prepared.deciding.concerning(covers, environment);
        let mut asking = Asking { tenant: prepared.tenant, environment, worker, cache, deadline, inner };
        let mut together: Vec<usize> = Vec::new();
        let mut apart: Vec<usize> = Vec::new();
        for (at, property) in prepared.properties.iter().enumerate().filter(|(_, property)| property.covers == covers) {
            let pieces = concerning(&property.pieces, environment);
            if let Err(why) = asking.check_evaluates(property, &pieces) {
                put(&mut answers, at, Answer::Unproven(why));
            } else if property.is_forbids && pieces.is_empty() {
                // It says nothing about requests of this kind.
                put(&mut answers, at, Answer::Proved);
            } else if property.is_forbids {
                together.push(at);
            } else {
                apart.push(at);
            }
        }
        let of = |places: &[usize]| -> Vec<Arc<Piece>> {
            let properties = places.iter().filter_map(|at| prepared.properties.get(*at));
            properties.flat_map(|property| concerning(&property.pieces, environment)).collect()
        };
        // One question for all that only forbid; only if it is not answered with yes, one for each.
        if together.len() > 1 && matches!(asking.ask(&of(&together), true), Answer::Proved) {
            for at in together.drain(..) {
                put(&mut answers, at, Answer::Proved);
            }
        }
        for (places, is_forbids) in [(together, true), (apart, false)] {
            for at in places {
                let found = asking.ask(&of(&[at]), is_forbids);
                put(&mut answers, at, found);
            }
        }
    }
    answers.into_iter().map(|answer| answer.unwrap_or(Answer::Unproven(Why::TimedOut))).collect()
}

fn put(answers: &mut [Option<Answer>], at: usize, answer: Answer) {
    if let Some(place) = answers.get_mut(at) {
        *place = Some(answer);
    }
}

/// Everything that is the same for all properties of one kind of request.
struct Asking<'a> {
    tenant: TenantId,
    environment: &'a Environment,
    worker: &'a mut Worker,
    cache: &'a Cache,
    deadline: Instant,
    inner: Vec<Arc<Piece>>,
}

impl Asking<'_> {
    /// Whether `inner` implies `outer`.
    fn ask(&mut self, outer: &[Arc<Piece>], is_forbids: bool) -> Answer {
        match self.try_ask(outer, is_forbids) {
            Ok(answer) => answer,
            Err(why) => Answer::Unproven(why),
        }
    }

    /// Asks with few forbids first. To leave a forbid out allows more, so what is proved without it is proved with it;
    /// and where a request is found that a forbid stops which was left out, that one joins, and it is asked again.
    fn try_ask(&mut self, outer: &[Arc<Piece>], is_forbids: bool) -> Result<Answer, Why> {
        let mut outer = outer.to_vec();
        if is_forbids {
            outer.push(everything(ELSE_ALL)?);
        }
        let mut used = related(&self.inner, &outer);
        let (first, whole) = (key(self.environment, &used, &outer), key(self.environment, &self.inner, &outer));
        if self.cache.is_proved(self.tenant, &first) || self.cache.is_proved(self.tenant, &whole) {
            return Ok(Answer::Proved);
        }
        check_size(&outer)?;
        let outer_set = set_of(&outer)?;
        let translated = self.worker.translate(&outer_set, self.environment)?;
        let mut all: Option<(Vec<Arc<Piece>>, PolicySet)> = None;
        loop {
            check_size(used.iter().chain(&outer))?;
            let used_set = set_of(&used)?;
            let inner = self.worker.translate(&used_set, self.environment)?;
            let Some(env) = self.worker.implies(&inner, &translated, self.deadline)? else {
                self.contradict(&used, &used_set, &outer, &outer_set, &whole)?;
                self.cache.remember(self.tenant, key(self.environment, &used, &outer));
                self.cache.remember(self.tenant, whole);
                return Ok(Answer::Proved);
            };
            // Everything that there is, and what is true of every request besides.
            let (pieces, set) = match &mut all {
                Some(all) => all,
                none => {
                    let mut pieces = self.inner.clone();
                    pieces.extend(facts_of(self.inner.iter().chain(&outer), self.environment)?);
                    let set = set_of(&pieces)?;
                    none.insert((pieces, set))
                }
            };
            let decided = decide(set, &env.request, &env.entities);
            if decided.is_allowed {
                return Ok(self.shown(&env, pieces, set, &outer_set));
            }
            let is_known = |piece: &Arc<Piece>| used.iter().any(|known| known.id == piece.id);
            let stops = |piece: &&Arc<Piece>| decided.reasons.contains(&piece.id) && !is_known(piece);
            let joining: Vec<Arc<Piece>> = pieces.iter().filter(stops).cloned().collect();
            if joining.is_empty() {
                return Err(Why::Disagreement);
            }
            used.extend(joining);
        }
    }

    /// Holds random requests against what the solver calls proved.
    fn contradict(
        &self,
        inner: &[Arc<Piece>],
        inner_set: &PolicySet,
        outer: &[Arc<Piece>],
        outer_set: &PolicySet,
        seed: &Key,
    ) -> Result<(), Why> {
        let material = Material::of(inner.iter().chain(outer));
        for (request, entities) in material.requests(self.environment, seed, RANDOM_REQUESTS) {
            let inside = decide(inner_set, &request, &entities);
            if inside.is_allowed && inside.is_certain && !decide(outer_set, &request, &entities).is_allowed {
                tracing::error!("a random request contradicts the solver");
                return Err(Why::Disagreement);
            }
        }
        Ok(())
    }

    /// The solver's request, if Cedar agrees about it.
    fn shown(&self, env: &Env, deciding: &[Arc<Piece>], inner: &PolicySet, outer: &PolicySet) -> Answer {
        let inside = decide(inner, &env.request, &env.entities);
        let outside = decide(outer, &env.request, &env.entities);
        if inside.is_allowed && !inside.is_certain {
            return Answer::Unproven(Why::Errors);
        }
        if !inside.is_allowed || outside.is_allowed {
            return Answer::Unproven(Why::Disagreement);
        }
        let shows_context = deciding.iter().any(|piece| piece.mentions_context);
        match example(&env.request, &env.entities, &inside, shows_context) {
            Some(found) => Answer::Refuted(Box::new(found)),
            None => Answer::Unproven(Why::Disagreement),
        }
    }

    /// What an invariant says must not depend on whether it can be evaluated.
    fn check_evaluates(&mut self, property: &Property, pieces: &[Arc<Piece>]) -> Result<(), Why> {
        if !property.must_not_fail {
            return Ok(());
        }
        for piece in pieces {
            let key = key(self.environment, std::slice::from_ref(piece), &[]);
            if self.cache.is_proved(self.tenant, &key) {
                continue;
            }
            check_size([piece])?;
            if !self.worker.never_errors(piece, self.environment, self.deadline)? {
                return Err(Why::MayFail);
            }
            self.cache.remember(self.tenant, key);
        }
        Ok(())
    }
}

/// All permits, and those forbids that may have to do with `outer`: the same text, the same names, or no names at all.
fn related(inner: &[Arc<Piece>], outer: &[Arc<Piece>]) -> Vec<Arc<Piece>> {
    let is_thing = |name: &&cedar_policy::EntityUid| name.type_name().to_string() != "Action";
    let names: BTreeSet<_> = outer.iter().flat_map(|piece| &piece.names).filter(is_thing).collect();
    let is_related = |piece: &&Arc<Piece>| {
        !piece.is_forbid()
            || outer.iter().any(|other| other.digest == piece.digest)
            || piece.names.iter().filter(is_thing).all(|name| names.contains(name))
            || piece.names.iter().any(|name| names.contains(name))
    };
    inner.iter().filter(is_related).cloned().collect()
}

/// The facts about what these statements name, for requests of a kind.
pub(crate) fn facts_of<'p>(
    pieces: impl IntoIterator<Item = &'p Arc<Piece>>,
    environment: &Environment,
) -> Result<Vec<Arc<Piece>>, Why> {
    let names: BTreeSet<_> = pieces.into_iter().flat_map(|piece| piece.names.iter().cloned()).collect();
    let mut all = Vec::new();
    for (at, text) in facts::statements(&names).iter().enumerate() {
        let piece = constant(&format!("{FACT}{at}"), text)?;
        if piece.concerns(environment) {
            all.push(piece);
        }
    }
    Ok(all)
}

/// What a question is known by. Actions of one kind of principal and resource differ in nothing that a statement sees
/// that does not look at the action itself: which statements are about an action is in the list of them.
fn key(environment: &Environment, inner: &[Arc<Piece>], outer: &[Arc<Piece>]) -> Key {
    let looks_at_action = inner.iter().chain(outer).any(|piece| piece.mentions_action);
    let (principal, resource) = (environment.principal_name.as_str(), environment.resource_name.as_str());
    let action = if looks_at_action { environment.action.as_str() } else { "" };
    let sorted = |pieces: &[Arc<Piece>]| {
        let mut digests: Vec<Key> = pieces.iter().map(|piece| piece.digest).collect();
        digests.sort_unstable();
        digests.dedup();
        digests
    };
    let (inner, outer) = (sorted(inner), sorted(outer));
    let heads: [&[u8]; 4] = [principal.as_bytes(), action.as_bytes(), resource.as_bytes(), b"implies"];
    let parts = heads.into_iter().chain(inner.iter().map(<[u8; 32]>::as_slice));
    digest(parts.chain([&b"that"[..]]).chain(outer.iter().map(<[u8; 32]>::as_slice)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use parking_lot::Mutex;

    use super::*;
    use crate::environment::environments;
    use crate::worker::Setup;

    /// If the facts contradicted each other, everything could be proved.
    #[test]
    fn the_facts_leave_requests_of_every_kind() {
        let setup = Setup { path: PathBuf::from("cvc5"), limit: Duration::from_secs(30), version: Mutex::new(None) };
        let mut worker = Worker::new(Arc::new(setup)).unwrap();
        worker.version().expect("cvc5 is needed: `apt-get install cvc5` or `cargo xtask setup`");
        let names = [
            r#"Tenant::"ten_a""#,
            r#"Tenant::"ten_b""#,
            r#"Platform::"platform""#,
            r#"Mount::"secret""#,
            r#"Mount::"kv""#,
            r#"Folder::"secret/app/web""#,
            r#"Folder::"kv/app""#,
            r#"Secret::"secret/app/web/db""#,
        ];
        let probe = format!("permit(principal, action, resource) when {{ [{}].isEmpty() }};", names[0]);
        let mut pieces = vec![constant("probe", &probe).unwrap()];
        for (at, name) in names.iter().enumerate() {
            let text = format!("permit(principal, action, resource) when {{ resource in {name} }};");
            pieces.push(constant(&format!("probe{at}"), &text).unwrap());
        }
        let any = constant(ANY_ROLE, EVERYTHING).unwrap();
        let mut kinds = std::collections::HashSet::new();
        for environment in environments() {
            if !kinds.insert((environment.principal().clone(), environment.resource().clone())) {
                continue;
            }
            let mut set = facts_of(&pieces, environment).unwrap();
            assert!(set.len() > 4);
            set.push(Arc::clone(&any));
            let translated = worker.translate(&set_of(&set).unwrap(), environment).unwrap();
            let left = worker.always_denies(&translated, Instant::now() + Duration::from_secs(60)).unwrap();
            assert!(left.is_some(), "{} {}", environment.principal(), environment.resource());
        }
    }
}
