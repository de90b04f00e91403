//! The check: a history, and the same history without one of its tenants.

use std::fmt;

use bailiwick_testkit::{Answer, hide_sealed_keys};
use bailiwick_types::Action;
use serde_json::Value;

use crate::leak::Leak;
use crate::run::{Run, Seen, Stored, run};
use crate::script::{Act, Script, Step, Whose};

/// Why a history fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The history.
    pub script: Script,
    /// The tenant that was taken out.
    pub without: usize,
    /// Who sees a difference, and which.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.script)?;
        writeln!(f, "\nwithout tenant {}: {}", self.without, self.what)
    }
}

impl Failure {
    /// The history as it is kept: with a note of what it was about.
    pub fn kept(&self) -> String {
        let what = self.what.lines().next().unwrap_or_default();
        format!("# without {}: {what}\n{}", self.without, self.script)
    }
}

/// The script without a tenant: without what it does, and without what operators do about it.
pub fn without(script: &Script, tenant: usize) -> Script {
    let steps = script.steps.iter().filter(|step| step.whose.tenant() != Some(tenant)).cloned().collect();
    Script { steps, ..script.clone() }
}

/// Runs a script, and runs it again without a tenant. Returns the whole run, or who has seen a difference.
///
/// # Errors
/// The difference; or an answer that is a fault.
pub fn check(script: &Script, tenant: usize, leak: Option<Leak>) -> Result<Run, Box<Failure>> {
    let together = run(script, None, leak);
    let failed = |what: String| Box::new(Failure { script: script.clone(), without: tenant, what });
    if let Some(what) = fault(script, &together) {
        return Err(failed(what));
    }
    let alone = run(&without(script, tenant), Some(&together.asked), leak);
    match difference(script, &together, &alone, tenant) {
        Some(what) => Err(failed(what)),
        None => Ok(together),
    }
}

/// Runs a script twice.
///
/// # Errors
/// The first thing that is not the same.
pub fn check_repeats(script: &Script) -> Result<(), Box<Failure>> {
    let (once, again) = (run(script, None, None), run(script, None, None));
    let failed = |what: String| Err(Box::new(Failure { script: script.clone(), without: usize::MAX, what }));
    for step in &script.steps {
        // The size of a file is the engine's own affair.
        let is_of_engine = matches!(step.act, Act::Ask(ask) if ask.action == Action::PlatformHealth);
        let (one, other) = (once.seen.get(&step.number), again.seen.get(&step.number));
        let (one, other) = (one.map(bared), other.map(bared));
        if one != other && !is_of_engine {
            return failed(format!(
                "a second run differs at step {}\n{}\n{}",
                step.number,
                show(one.as_ref()),
                show(other.as_ref())
            ));
        }
    }
    if once.stored != again.stored || once.platform != again.platform || once.asked != again.asked {
        return failed("a second run leaves something else".to_owned());
    }
    Ok(())
}

/// An answer that says that the server is wrong.
fn fault(script: &Script, run: &Run) -> Option<String> {
    script.steps.iter().find_map(|step| match run.seen.get(&step.number) {
        Some(Seen::Answer(answer)) if answer.status == 500 => {
            let asked = &run.asked[&step.number];
            Some(format!("step {} is a fault: {} {}\n{}", step.number, asked.method, asked.target, answer.text()))
        }
        _ => None,
    })
}

fn difference(script: &Script, together: &Run, alone: &Run, tenant: usize) -> Option<String> {
    let gone = together.stored.get(&tenant).map(|stored| stored.header.tenant.to_string()).unwrap_or_default();
    for step in script.steps.iter().filter(|step| step.whose.tenant() != Some(tenant)) {
        let (one, other) = (together.seen.get(&step.number), alone.seen.get(&step.number));
        let (one, other) = (one.map(|seen| masked(step, seen, &gone)), other.map(|seen| masked(step, seen, &gone)));
        if one != other {
            let asked = together.asked.get(&step.number);
            let asked = asked.map(|asked| format!("{} {}", asked.method, asked.target)).unwrap_or_default();
            let (one, other) = (show(one.as_ref()), show(other.as_ref()));
            return Some(format!(
                "{:?} sees it at step {}: {asked}\n  with: {one}\n  without: {other}",
                step.whose, step.number
            ));
        }
    }
    let left = |run: &Run| -> Vec<usize> { run.stored.keys().copied().filter(|other| *other != tenant).collect() };
    if left(together) != left(alone) {
        return Some(format!("there are other tenants: {:?} and {:?}", left(together), left(alone)));
    }
    left(together).into_iter().find_map(|other| {
        let (one, two) = (bare(&together.stored[&other]), bare(&alone.stored[&other]));
        let what = if one.header != two.header {
            format!("its row\n  with: {:?}\n  without: {:?}", one.header, two.header)
        } else if one.records != two.records {
            let first = one.records.iter().zip(&two.records).find(|(one, two)| one != two);
            format!("its records: {:?}", first.map(|(one, _)| (one.0, String::from_utf8_lossy(&one.1).into_owned())))
        } else if one.entries != two.entries {
            let first = one.entries.iter().zip(&two.entries).position(|(one, two)| one != two);
            format!("its ledger, from entry {first:?} on")
        } else {
            return None;
        };
        Some(format!("of tenant {other} something else is stored: {what}"))
    })
}

fn show(seen: Option<&Seen>) -> String {
    match seen {
        None => "not asked".to_owned(),
        Some(Seen::Nothing) => "no answer".to_owned(),
        Some(Seen::Answer(answer)) => {
            let text: String = answer.text().chars().take(600).collect();
            format!("{} {:?} {text}", answer.status, answer.headers)
        }
    }
}

/// What is compared of an answer. Everything; but an operator's view of the whole platform is a view of everybody, and
/// only what it shows of the others is asked to be the same.
fn masked(step: &Step, seen: &Seen, gone: &str) -> Seen {
    let Seen::Answer(answer) = seen else { return seen.clone() };
    let action = match step.act {
        Act::Ask(ask) => Some(ask.action),
        _ => None,
    };
    let is_of_all = matches!(
        action,
        Some(
            Action::PlatformHealth
                | Action::PlatformLedgerRead
                | Action::PlatformLedgerProve
                | Action::PlatformLedgerExport
                | Action::RootKeyRotate
                | Action::OperatorCredentialList
        )
    );
    let mut answer = hide_sealed_keys(answer.clone());
    match step.whose {
        Whose::Nobody if is_of_all => answer.body.clear(),
        Whose::Nobody if action == Some(Action::TenantList) => edit(&mut answer, |body| {
            if let Some(items) = body["items"].as_array_mut() {
                items.retain(|item| item["id"] != gone);
                items.iter_mut().for_each(hide_certificate);
            }
        }),
        Whose::About(_) => edit(&mut answer, hide_certificate),
        _ => {}
    }
    Seen::Answer(answer)
}

/// What was seen, without what nobody can repeat.
fn bared(seen: &Seen) -> Seen {
    match seen {
        Seen::Answer(answer) => Seen::Answer(hide_sealed_keys(answer.clone())),
        seen => seen.clone(),
    }
}

fn edit(answer: &mut Answer, change: impl FnOnce(&mut Value)) {
    let mut body = answer.json();
    if body.is_object() {
        change(&mut body);
        answer.body = body.to_string().into_bytes();
    }
}

/// A deleted tenant's certificate names the platform's checkpoint, on purpose: it is for operators, who see the platform.
fn hide_certificate(tenant: &mut Value) {
    if tenant["certificate"].is_string() {
        tenant["certificate"] = Value::Null;
    }
}

fn bare(stored: &Stored) -> Stored {
    let mut stored = stored.clone();
    if let Ok(mut meta) = serde_json::from_slice::<Value>(&stored.header.meta) {
        hide_certificate(&mut meta);
        stored.header.meta = meta.to_string().into_bytes();
    }
    stored
}
