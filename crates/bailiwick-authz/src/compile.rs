//! From the text of a policy to statements that can be evaluated.
//!
//! # Invariants
//! - INV-COMPILE-1: what comes out parsed, fits the schema under strict validation (now, or when it was stored), and
//!   keeps the rules of its layer.
//! - INV-COMPILE-2: a guardrail holds no `permit`; no document holds a template.
//! - INV-COMPILE-3: the ids of the statements name the document, so a decision says which text determined it.
//!
//! # Deliberately absent
//! No leniency: there is no way to store a policy that does not validate.

use std::sync::{Arc, LazyLock};

use bailiwick_types::PolicyName;
use cedar_policy::ffi::DetailedError;
use cedar_policy::{Effect, Policy, PolicyId, PolicySet, ValidationError, ValidationMode, Validator};

use crate::schema::schema;
use crate::shape::{self, Misshapen};
use crate::slice::Scope;

/// Who wrote a policy, and so what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The operator: only `forbid`, and no tenant can relax it.
    Guardrail,
    /// The tenant: `permit` and `forbid`, inside the tenant.
    Tenant,
    /// Either: the most that may ever be allowed. Decides nothing; what decides is held against it.
    Invariant,
}

impl Layer {
    /// What its statements' ids start with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Guardrail => "guardrail",
            Self::Tenant => "policy",
            Self::Invariant => "invariant",
        }
    }
}

/// Something wrong with a policy, or worth knowing about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyProblem {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The most problems that are reported of one document.
pub const PROBLEMS_MAX: usize = 50;

/// About how much memory a statement takes,
const STATEMENT_BYTES: usize = 2_048;
/// and each byte of its text.
const BYTES_PER_TEXT_BYTE: usize = 16;

/// A policy document that may be evaluated.
#[derive(Debug)]
pub struct CompiledPolicy {
    layer: Layer,
    name: PolicyName,
    statements: Vec<Arc<Statement>>,
    warnings: Vec<PolicyProblem>,
    bytes: usize,
}

impl CompiledPolicy {
    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
    /// Who wrote it.
    pub fn layer(&self) -> Layer {
        self.layer
    }
    /// Its name.
    pub fn name(&self) -> &PolicyName {
        &self.name
    }
    /// The ids of its statements: `policy:NAME`, or `policy:NAME#1`, `policy:NAME#2`, … if there are several.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().map(|statement| statement.policy.id().as_ref())
    }
    /// What is worth knowing though it is not wrong, such as a statement that can never match.
    pub fn warnings(&self) -> &[PolicyProblem] {
        &self.warnings
    }
    pub(crate) fn statements(&self) -> &[Arc<Statement>] {
        &self.statements
    }
}

/// One statement with what the slicer needs to know of it.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) policy: Policy,
    pub(crate) scope: Scope,
    pub(crate) reads: Reads,
    /// How deep its expression is at most.
    pub(crate) depth: usize,
}

impl Statement {
    fn new(policy: Policy, depth: usize) -> Self {
        let scope = Scope::of(&policy);
        let reads = policy.to_json().map_or(Reads::ALL, |json| Reads::of(&json));
        Self { policy, scope, reads, depth }
    }
}

/// Parses a document, validates it strictly against the schema and applies the rules of its layer.
///
/// # Errors
/// The problems found, in the order of the text; at most [`PROBLEMS_MAX`].
pub fn compile_policy(layer: Layer, name: &PolicyName, text: &str) -> Result<Arc<CompiledPolicy>, Vec<PolicyProblem>> {
    document(layer, name, text, Check::Strict)
}

/// Compiles a document that [`compile_policy`] took before it was stored: all but the validation, which takes most of
/// the time. Only for what comes out of the sealed store. If the schema has changed since, what does not fit any more
/// fails when it is evaluated, and so denies. Knows no warnings.
///
/// # Errors
/// As [`compile_policy`].
pub fn restore_policy(layer: Layer, name: &PolicyName, text: &str) -> Result<Arc<CompiledPolicy>, Vec<PolicyProblem>> {
    document(layer, name, text, Check::Restored)
}

fn document(
    layer: Layer,
    name: &PolicyName,
    text: &str,
    check: Check,
) -> Result<Arc<CompiledPolicy>, Vec<PolicyProblem>> {
    let rule = |effect| match (layer, effect) {
        (Layer::Guardrail, Effect::Permit) => Some(Broken {
            message: "a guardrail may only forbid",
            hint: "write `forbid (…) unless { … };`: what it does not forbid is left to the tenants' own policies",
        }),
        _ => None,
    };
    let (statements, warnings) = compile(&format!("{}:{name}", layer.prefix()), text, check, rule)?;
    // As measured, for policies of a hundred bytes and of seven thousand.
    let bytes = STATEMENT_BYTES * statements.len() + BYTES_PER_TEXT_BYTE * text.len();
    Ok(Arc::new(CompiledPolicy { layer, name: name.clone(), statements, warnings, bytes }))
}

/// The texts that ship with the product and are part of every decision: `isolation`, then `self-service`.
pub const SHIPPED_TEXTS: [(&str, &str); 2] = [("isolation", ISOLATION), ("self-service", SELF_SERVICE)];

/// The policies that ship with the product and are part of every decision.
pub(crate) fn shipped() -> &'static [Arc<Statement>] {
    static SHIPPED: LazyLock<Vec<Arc<Statement>>> = LazyLock::new(|| {
        let compiled = SHIPPED_TEXTS.into_iter().flat_map(|(id, text)| {
            #[expect(
                clippy::expect_used,
                reason = "constants; compiled by a test. Without `isolation` nothing may run"
            )]
            let (statements, _) = compile(id, text, Check::Strict, |_| None).expect("the shipped policies compile");
            statements
        });
        compiled.collect()
    });
    &SHIPPED
}

/// No permit of anybody outvotes this. Operators act on the platform plane only, by the schema and by
/// [`Authority::decide`](crate::Authority::decide).
pub(crate) const ISOLATION: &str = "forbid(principal, action, resource)
unless { principal is Operator || principal.tenant == resource.tenant };";

/// What every principal may do with itself.
pub(crate) const SELF_SERVICE: &str = r#"permit(
  principal,
  action in [
    Action::"self:show", Action::"self:revoke", Action::"capabilities:show", Action::"operator-self:show"
  ],
  resource
);"#;

/// How much of a document is checked.
#[derive(Clone, Copy)]
enum Check {
    Strict,
    Restored,
}

struct Broken {
    message: &'static str,
    hint: &'static str,
}

type Compiled = (Vec<Arc<Statement>>, Vec<PolicyProblem>);

/// Compiles on a stack of its own, which is large enough for the deepest text that [`shape::measure`] lets through,
/// whatever is left of the caller's.
fn compile(
    id: &str,
    text: &str,
    check: Check,
    rule: impl Fn(Effect) -> Option<Broken>,
) -> Result<Compiled, Vec<PolicyProblem>> {
    let depth = shape::measure(text).map_err(|(at, why)| vec![misshapen(why).at(text, at)])?;
    stacker::grow(STACK_BYTES, || {
        let named = parse(id, text, rule)?;
        let warnings = match check {
            Check::Strict => validate(text, &named)?,
            Check::Restored => Vec::new(),
        };
        Ok((named.into_iter().map(|(_, policy)| Arc::new(Statement::new(policy, depth))).collect(), warnings))
    })
}

/// Reserved, not used: pages that are never touched cost nothing. The deepest text takes about a tenth.
const STACK_BYTES: usize = 64 * 1_048_576;

fn misshapen(why: Misshapen) -> Broken {
    let (message, hint) = match why {
        Misshapen::Nested => ("brackets are nested too deeply", "at most 24 inside each other"),
        Misshapen::Deep => {
            ("the expression is too deep", "at most 160 operators above each other; use several statements, or a set")
        }
        Misshapen::Branching => {
            ("too many conditionals inside each other", "at most 4; use `&&`, `||` or several statements")
        }
        Misshapen::Long => ("the policy has too many statements", "at most 128; use several policies"),
        Misshapen::Unopened => ("this bracket closes nothing", "remove it, or open it before"),
        Misshapen::Unclosed => ("this bracket is never closed", "close it"),
    };
    Broken { message, hint }
}

/// The statements under their own ids, with where each begins, if they keep the rules of their layer.
fn parse(
    id: &str,
    text: &str,
    rule: impl Fn(Effect) -> Option<Broken>,
) -> Result<Vec<(usize, Policy)>, Vec<PolicyProblem>> {
    let parsed: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        sorted(errors.iter().map(|error| problem(text, 0, &DetailedError::from(error))))
    })?;

    if let Some(template) = parsed.templates().next() {
        let at = text.find(template.to_cedar().trim()).unwrap_or(0);
        let broken = Broken {
            message: "templates are not allowed here",
            hint: "name the principal or resource instead of `?principal` or `?resource`, or bind a role",
        };
        return Err(vec![broken.at(text, at)]);
    }
    let statements = numbered(text, &parsed);
    if statements.is_empty() {
        let broken = Broken {
            message: "the policy has no statement",
            hint: "start with `permit (principal, action, resource);`",
        };
        return Err(vec![broken.at(text, 0)]);
    }
    let broken = sorted(statements.iter().filter_map(|(at, policy)| Some(rule(policy.effect())?.at(text, *at))));
    if !broken.is_empty() {
        return Err(broken);
    }

    let is_single = statements.len() == 1;
    let named = statements.into_iter().enumerate().map(|(index, (at, policy))| {
        let id = if is_single { id.to_owned() } else { format!("{id}#{}", index + 1) };
        (at, policy.new_id(PolicyId::new(id)))
    });
    Ok(named.collect())
}

/// The statements in the order of the text, with where each begins.
fn numbered(text: &str, parsed: &PolicySet) -> Vec<(usize, Policy)> {
    // The parser names them `policy0`, `policy1`, … in the order of the text.
    let number = |policy: &Policy| policy.id().to_string().trim_start_matches("policy").parse().unwrap_or(usize::MAX);
    let mut policies: Vec<Policy> = parsed.policies().cloned().collect();
    policies.sort_by_key(number);
    let mut from = 0;
    let with_position = policies.into_iter().map(|policy| {
        let source = policy.to_cedar().unwrap_or_default();
        let found = text.get(from..).and_then(|rest| rest.find(source.trim()));
        let at = found.map_or(from, |offset| from + offset);
        from = at + source.trim().len();
        (at, policy)
    });
    with_position.collect()
}

/// How far a policy may look: at the principal and at the resource, not at what their attributes name and not at things
/// that it names itself. Only those two are loaded, so to look further would fail every request it concerns.
const LEVEL: u32 = 1;

/// Strict validation: warnings, or errors.
fn validate(text: &str, statements: &[(usize, Policy)]) -> Result<Vec<PolicyProblem>, Vec<PolicyProblem>> {
    static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| Validator::new(schema().clone()));
    let set = PolicySet::from_policies(statements.iter().map(|(_, policy)| policy.clone())).map_err(|_| {
        let broken =
            Broken { message: "the policy's statements cannot be told apart", hint: "give each its own policy" };
        vec![broken.at(text, 0)]
    })?;
    let start = |id: &PolicyId| statements.iter().find(|(_, policy)| policy.id() == id).map_or(0, |(at, _)| *at);
    let result = VALIDATOR.validate_with_level(&set, ValidationMode::Strict, LEVEL);
    let errors = sorted(result.validation_errors().map(|error| {
        let mut problem = problem(text, start(error.policy_id()), &DetailedError::from(error));
        if matches!(error, ValidationError::EntityDerefLevelViolation(_)) {
            problem.message = "this looks further than the principal and the resource of the request".to_owned();
            problem.hint = Some("compare it as a whole: what it names, or is, is not loaded".to_owned());
        }
        problem
    }));
    if !errors.is_empty() || !result.validation_passed() {
        return Err(errors);
    }
    let warnings = result.validation_warnings();
    Ok(sorted(warnings.map(|warning| problem(text, start(warning.policy_id()), &DetailedError::from(warning)))))
}

impl Broken {
    fn at(&self, text: &str, offset: usize) -> PolicyProblem {
        let (line, column) = position(text, offset);
        PolicyProblem { line, column, message: self.message.to_owned(), hint: Some(self.hint.to_owned()) }
    }
}

fn sorted(problems: impl Iterator<Item = PolicyProblem>) -> Vec<PolicyProblem> {
    let mut problems: Vec<_> = problems.collect();
    problems.sort();
    problems.dedup();
    problems.truncate(PROBLEMS_MAX);
    problems
}

/// Cedar's error in our shape. `start` is where to point if it does not say.
fn problem(text: &str, start: usize, error: &DetailedError) -> PolicyProblem {
    let label = error.source_locations.first();
    let (line, column) = position(text, label.map_or(start, |label| label.loc.start));
    // "for policy `policy:x#1`, …": the position says that already.
    let without_policy = |text: &str| {
        let rest = text.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, "));
        rest.map_or(text, |(_, rest)| rest).to_owned()
    };
    let message = without_policy(&error.message);
    let hint = error.help.as_deref().or_else(|| label?.label.as_deref()).map(without_policy);
    PolicyProblem { line, column, message, hint }
}

/// Line and column, from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (u32, u32) {
    let before = (0..=offset.min(text.len())).rev().find_map(|at| text.get(..at)).unwrap_or_default();
    let line = before.matches('\n').count();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    let counted = |n: usize| u32::try_from(n).unwrap_or(u32::MAX - 1) + 1;
    (counted(line), counted(column))
}

/// What a policy reads of the context. What nobody reads is not built: a time or an address costs as much as the rest of
/// a decision. And a decision that read none of it holds for every context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reads {
    pub(crate) now: bool,
    pub(crate) source: bool,
    pub(crate) door: bool,
}

impl Reads {
    pub(crate) const NONE: Self = Self { now: false, source: false, door: false };
    pub(crate) const ALL: Self = Self { now: true, source: true, door: true };

    pub(crate) fn and(self, other: Self) -> Self {
        Self { now: self.now | other.now, source: self.source | other.source, door: self.door | other.door }
    }

    /// From a policy as Cedar's JSON: `context.now` and `context has now` are of `now`, any other mention is of all.
    fn of(json: &serde_json::Value) -> Self {
        let all =
            |values: &mut dyn Iterator<Item = &serde_json::Value>| values.map(Self::of).fold(Self::NONE, Self::and);
        match json {
            serde_json::Value::Object(members) => {
                let is_context = |value: &serde_json::Value| value.get("Var").is_some_and(|name| name == "context");
                let attribute = members.get("attr").and_then(serde_json::Value::as_str);
                match (members.get("left"), attribute) {
                    (Some(left), Some(attribute)) if is_context(left) => match attribute {
                        "now" => Self { now: true, ..Self::NONE },
                        "source" => Self { source: true, ..Self::NONE },
                        "door" => Self { door: true, ..Self::NONE },
                        _ => Self::ALL,
                    },
                    _ if is_context(json) => Self::ALL,
                    _ => all(&mut members.values()),
                }
            }
            serde_json::Value::Array(items) => all(&mut items.iter()),
            _ => Self::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_condition_reads_of_the_context_is_found_wherever_it_is() {
        let now = Reads { now: true, ..Reads::NONE };
        let source = Reads { source: true, ..Reads::NONE };
        let door = Reads { door: true, ..Reads::NONE };
        for (condition, expected) in [
            ("principal == resource", Reads::NONE),
            ("principal.hasTag(\"context\") && resource.hasTag(\"now\")", Reads::NONE),
            ("[\"context\"].contains(\"door\")", Reads::NONE),
            ("context.door == \"api\"", door),
            ("context[\"door\"] == \"api\"", door),
            ("context.now < datetime(\"2024-01-01\")", now),
            ("context.now.toDate() == context.now", now),
            ("context has source", source),
            ("context has source && context.source.isLoopback()", source),
            ("if context.door like \"a*\" then context.now == context.now else false", door.and(now)),
            ("[context.door, \"x\"].contains(\"api\")", door),
            ("{a: context.door}.a == \"api\" || (context has source && context.source.isIpv4())", door.and(source)),
            ("principal.hasTag(context.door)", door),
            ("context == context", Reads::ALL),
            ("{context: context} has context", Reads::ALL),
            ("[context].contains(context)", Reads::ALL),
        ] {
            let text = format!("permit(principal, action, resource) when {{ {condition} }};");
            let policy = compile_policy(Layer::Tenant, &"p".parse().unwrap(), &text);
            let policy = policy.unwrap_or_else(|problems| panic!("{condition}: {problems:?}"));
            assert_eq!(policy.statements()[0].reads, expected, "{condition}");
        }
    }
}
