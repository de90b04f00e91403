//! A request that the solver found, evaluated by Cedar's own authorizer and written so that a person can read it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bailiwick_types::api::proof::{ExampleParty, ExampleRequest};
use cedar_policy::{Authorizer, Decision, Entities, EntityUid, EvalResult, PolicySet, Request};

use crate::properties::{ANY_ROLE, FACT};

/// What Cedar says about a request.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) is_allowed: bool,
    /// Whether everything could be evaluated.
    pub(crate) is_certain: bool,
    pub(crate) determining: Vec<String>,
    /// The ids of the same, as they are in the set.
    pub(crate) reasons: Vec<String>,
}

/// The real decision.
pub(crate) fn decide(set: &PolicySet, request: &Request, entities: &Entities) -> Decided {
    let response = Authorizer::new().is_authorized(request, set, entities);
    let reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
    let named = reasons.iter().filter(|id| !id.starts_with(FACT));
    let mut determining: Vec<String> =
        named.map(|id| if id == ANY_ROLE { "any role".to_owned() } else { id.clone() }).collect();
    determining.sort_unstable();
    Decided {
        is_allowed: response.decision() == Decision::Allow,
        is_certain: response.diagnostics().errors().next().is_none(),
        determining,
        reasons,
    }
}

fn text(value: &EvalResult) -> String {
    match value {
        EvalResult::String(text) => text.clone(),
        EvalResult::EntityUid(uid) => uid.id().unescaped().to_owned(),
        other => other.to_string(),
    }
}

fn party(uid: &EntityUid, entities: &Entities) -> ExampleParty {
    let mut party =
        ExampleParty { kind: uid.type_name().to_string(), id: uid.id().unescaped().to_owned(), ..Default::default() };
    if let Some(entity) = entities.get(uid) {
        let attribute = |name: &str| entity.attr(name).and_then(Result::ok).map(|value| text(&value));
        party.tenant = attribute("tenant").unwrap_or_default();
        party.name = attribute("name").filter(|name| !name.is_empty());
        let tags = entity.tags().filter_map(|(name, value)| Some((name.to_owned(), text(&value.ok()?))));
        party.tags = tags.collect();
    }
    let containers = entities.ancestors(uid).into_iter().flatten();
    let is_own_ground = |kind: &str| kind == "Tenant" || kind == "Platform";
    party.within = containers
        .filter(|container| !is_own_ground(&container.type_name().to_string()))
        .map(ToString::to_string)
        .collect();
    party.within.sort_unstable();
    party
}

fn described(party: &ExampleParty) -> String {
    let mut text = if party.id.is_empty() {
        format!("some {}", party.kind)
    } else {
        format!("{} \"{}\"", party.kind, party.id.escape_debug())
    };
    if !party.tags.is_empty() {
        let tags = party.tags.iter().map(|(name, value)| format!("{}={}", name.escape_debug(), value.escape_debug()));
        let _ = write!(text, " [{}]", tags.collect::<Vec<_>>().join(", "));
    }
    if !party.within.is_empty() {
        let _ = write!(text, " in {}", party.within.join(", "));
    }
    text
}

/// A request with who lets it through or stops it.
pub(crate) fn example(
    request: &Request,
    entities: &Entities,
    decided: &Decided,
    shows_context: bool,
) -> Option<ExampleRequest> {
    let (principal, action, resource) = (request.principal()?, request.action()?, request.resource()?);
    let (who, what) = (party(principal, entities), party(resource, entities));
    let action = action.id().unescaped().to_owned();
    let mut context = BTreeMap::new();
    if let Some(given) = request.context().filter(|_| shows_context) {
        for name in ["now", "source", "door"] {
            if let Some(value) = given.get(name) {
                context.insert(name.to_owned(), text(&value));
            }
        }
    }
    let verb = if decided.is_allowed { "may" } else { "may not" };
    let mut sentence = format!("{} {verb} {action} {}", described(&who), described(&what));
    if who.tenant != what.tenant {
        let _ = write!(
            sentence,
            ", which is another tenant's (\"{}\", not \"{}\")",
            what.tenant.escape_debug(),
            who.tenant.escape_debug()
        );
    }
    if !context.is_empty() {
        let pairs: Vec<_> = context.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let _ = write!(sentence, ", with {}", pairs.join(", "));
    }
    match (decided.determining.is_empty(), decided.is_allowed) {
        (false, true) => {
            let _ = write!(sentence, ": allowed by {}", decided.determining.join(", "));
        }
        (false, false) => {
            let _ = write!(sentence, ": forbidden by {}", decided.determining.join(", "));
        }
        (true, _) => sentence.push_str(": nothing allows it"),
    }
    let determining = decided.determining.clone();
    Some(ExampleRequest { principal: who, action, resource: what, context, determining, sentence })
}
