//! A text can be as hostile as it likes: the process lives, and what compiles also evaluates, on any thread.

use bailiwick_authz::{Authority, PrincipalKind};
use bailiwick_types::Action;

use crate::world::{ACME, ask, policy, principal, try_policy};

/// Much less than any thread of the server has.
const STACK_BYTES: usize = 256 * 1_024;

fn on_a_small_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|threads| {
        std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(threads, work).unwrap().join().unwrap()
    })
}

/// Expressions that grow with `n`, each in its own way. All are true and none can be folded away.
fn shapes(n: usize) -> Vec<(&'static str, String)> {
    let atom = "principal is Agent";
    vec![
        ("brackets", format!("{}{atom}{}", "(".repeat(n), ")".repeat(n))),
        ("not", format!("{}{atom}{}", "!(!(".repeat(n), "))".repeat(n))),
        ("and", format!("{atom}{}", format!(" && {atom}").repeat(n))),
        ("or", format!("principal is Member{} || {atom}", " || principal is Member".repeat(n))),
        ("plus", format!("1{} > 0", " + 1".repeat(n))),
        ("if", format!("{}true{}", format!("if {atom} then ").repeat(n), " else false".repeat(n))),
        ("attributes", format!("resource{} == resource.tenant", ".tenant".repeat(n))),
        ("indices", format!("resource{} == resource.tenant", "[\"tenant\"]".repeat(n))),
        ("sets", format!("{}1{}.isEmpty() == false", "[".repeat(n), "]".repeat(n))),
        ("records", format!("{}1{} != 2", "{a: ".repeat(n), "}".repeat(n))),
        ("calls", format!("{}true", "[1].contains(1) && ".repeat(n))),
    ]
}

fn document(expression: &str) -> String {
    format!("permit(principal, action, resource is Secret) when {{ {expression} }};")
}

#[test]
fn what_is_too_deep_is_refused_and_nothing_overflows() {
    for n in [30, 100, 1_000, 10_000, 60_000] {
        for (shape, expression) in shapes(n) {
            on_a_small_stack(|| match try_policy(&document(&expression)) {
                Ok(_) => assert!(n <= 100, "{shape} {n}"),
                Err(problems) => {
                    let is_refused = |text: &str| problems.iter().any(|problem| problem.message.contains(text));
                    let is_refused = is_refused("too deep") || is_refused("too many conditionals");
                    assert!(n <= 100 || is_refused, "{shape} {n}: {problems:?}");
                }
            });
        }
    }
}

#[test]
fn clauses_annotations_and_statements_are_counted_too() {
    on_a_small_stack(|| {
        let clauses = format!("permit(principal, action, resource){};", " when { true }".repeat(5_000));
        assert!(try_policy(&clauses).unwrap_err()[0].message.contains("too deep"));
        let statements = "permit(principal, action, resource);".repeat(5_000);
        assert!(try_policy(&statements).unwrap_err()[0].message.contains("too many statements"));
        let siblings = document(&format!("[{}].contains(\"\")", "\"a\",".repeat(10_000)));
        assert!(try_policy(&siblings).is_ok());
    });
}

#[test]
fn garbage_is_refused_quietly() {
    for text in
        ["([)]", "(((", ")))", "\"", "\\", "permit(principal, action, resource) when { \"", "@(", "permit(", "\0", "é"]
    {
        for n in [1, 200, 20_000] {
            let text = text.repeat(n);
            on_a_small_stack(|| assert!(try_policy(&text).is_err()));
        }
    }
}

#[test]
fn what_compiles_evaluates_on_any_thread() {
    let agent = principal(ACME, PrincipalKind::Agent);
    let mut evaluated = 0;
    for n in [1, 4, 10, 20, 40, 70, 145] {
        for (shape, expression) in shapes(n) {
            let text = document(&expression);
            let Ok(_) = try_policy(&text) else { continue };
            evaluated += 1;
            let authority = Authority::new(&[], &[policy(&text)]);
            let decision = on_a_small_stack(|| ask(&authority, &agent, Action::SecretReveal, ACME));
            assert!(decision.allowed, "{shape} {n}: {decision:?}");
        }
    }
    assert!(evaluated > 40, "{evaluated}");
}
