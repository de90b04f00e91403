//! From the text of a policy to statements that can be evaluated.
//!
//! # Invariants
//! - INV-COMPILE-1: what comes out parsed, fits the schema under strict validation, and keeps the rules of its layer.
//! - INV-COMPILE-2: a guardrail holds no `permit`; no document holds a template.
//! - INV-COMPILE-3: the ids of the statements name the document, so a decision says which text determined it.
//!
//! # Deliberately absent
//! No leniency: there is no way to evaluate a policy that did not validate.

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
}

impl Layer {
    /// What its statements' ids start with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Guardrail => "guardrail",
            Self::Tenant => "policy",
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

/// A policy document that may be evaluated.
#[derive(Debug)]
pub struct CompiledPolicy {
    layer: Layer,
    name: PolicyName,
    statements: Vec<Statement>,
    warnings: Vec<PolicyProblem>,
}

impl CompiledPolicy {
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
    pub(crate) fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

/// One statement with what the slicer needs to know of it.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) policy: Policy,
    pub(crate) scope: Scope,
    pub(crate) reads_context: bool,
    /// How deep its expression is at most.
    pub(crate) depth: usize,
}

impl Statement {
    fn new(policy: Policy, depth: usize) -> Self {
        let scope = Scope::of(&policy);
        let reads_context = policy.to_json().map_or(true, |json| mentions_context(&json));
        Self { policy, scope, reads_context, depth }
    }
}

/// Parses a document, validates it strictly against the schema and applies the rules of its layer.
///
/// # Errors
/// Every problem found, in the order of the text.
pub fn compile_policy(layer: Layer, name: &PolicyName, text: &str) -> Result<Arc<CompiledPolicy>, Vec<PolicyProblem>> {
    let (statements, warnings) =
        compile(&format!("{}:{name}", layer.prefix()), text, |effect| match (layer, effect) {
            (Layer::Guardrail, Effect::Permit) => Some(Broken {
                message: "a guardrail may only forbid",
                hint: "write `forbid (…) unless { … };`: what it does not forbid is left to the tenants' own policies",
            }),
            _ => None,
        })?;
    Ok(Arc::new(CompiledPolicy { layer, name: name.clone(), statements, warnings }))
}

/// The policies that ship with the product and are part of every decision.
pub(crate) fn shipped() -> &'static [Statement] {
    static SHIPPED: LazyLock<Vec<Statement>> = LazyLock::new(|| {
        let documents = [("isolation", ISOLATION), ("self-service", SELF_SERVICE)];
        let compiled = documents.into_iter().flat_map(|(id, text)| {
            #[expect(
                clippy::expect_used,
                reason = "constants; compiled by a test. Without `isolation` nothing may run"
            )]
            let (statements, _) = compile(id, text, |_| None).expect("the shipped policies compile");
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

struct Broken {
    message: &'static str,
    hint: &'static str,
}

type Compiled = (Vec<Statement>, Vec<PolicyProblem>);

/// Compiles on a stack of its own, which is large enough for the deepest text that [`shape::measure`] lets through,
/// whatever is left of the caller's.
fn compile(id: &str, text: &str, rule: impl Fn(Effect) -> Option<Broken>) -> Result<Compiled, Vec<PolicyProblem>> {
    let depth = shape::measure(text).map_err(|(at, why)| vec![misshapen(why).at(text, at)])?;
    stacker::grow(STACK_BYTES, || compile_here(id, text, depth, rule))
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

fn compile_here(
    id: &str,
    text: &str,
    depth: usize,
    rule: impl Fn(Effect) -> Option<Broken>,
) -> Result<Compiled, Vec<PolicyProblem>> {
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
    let named: Vec<(usize, Policy)> = named.collect();
    let warnings = validate(text, &named)?;
    Ok((named.into_iter().map(|(_, policy)| Statement::new(policy, depth)).collect(), warnings))
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
        let broken = Broken { message: "the policy's statements cannot be told apart", hint: "" };
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

/// Whether a policy, as Cedar's JSON, mentions the context. A string that reads `context` is not a mention.
fn mentions_context(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::Object(members) => {
            members.get("Var").is_some_and(|name| name == "context") || members.values().any(mentions_context)
        }
        serde_json::Value::Array(items) => items.iter().any(mentions_context),
        _ => false,
    }
}
