//! From a step to a request. Every action of the table has its arm here: one without ends the first history that asks for
//! it, and one that no history asks for fails the coverage.

mod platform;
mod tenant;

use bailiwick_types::{Action, Plane, Sensitivity};
use serde_json::{Value, json};

use crate::book::{Book, one};
use crate::script::{Aim, Ask, Caller, Whose};

/// A request, to the byte. What it draws and when it is sent is said by its step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The action that it is for.
    pub action: Option<Action>,
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// Headers, the credential's included.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty: none.
    pub body: String,
}

/// Everybody's books.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    pub(crate) tenants: Vec<Book>,
    pub(crate) platform: Book,
    /// For each tenant the operator who looks after it. Each has its own, so that what is written down of an operator (when
    /// it was last seen) is not written at one tenant's occasion or at another's.
    pub(crate) operators: Vec<String>,
}

/// What a request is put together from.
pub(crate) struct Scene<'b> {
    ask: Ask,
    /// Who asks.
    own: &'b Book,
    /// Whose things are meant, if others'.
    other: Option<&'b Book>,
    /// The tenant that an operator's request is about.
    subject: &'b Book,
}

/// What is asked: method, path, body.
pub(crate) struct Call {
    method: &'static str,
    path: String,
    body: Value,
}

pub(crate) fn call(method: &'static str, path: String) -> Call {
    Call { method, path, body: Value::Null }
}

impl Call {
    pub(crate) fn body(self, body: Value) -> Self {
        Self { body, ..self }
    }
}

/// The names that all tenants use.
pub(crate) const MOUNTS: &[&str] = &["secret", "secret", "kv", "team"];
/// Where secrets are written: mostly where something can be.
pub(crate) const SECRETS_IN: &[&str] = &["secret", "secret", "secret", "kv"];
pub(crate) const PATHS: &[&str] = &["app/db", "app/db", "app/deep/er", "outside"];
pub(crate) const POLICIES: &[&str] = &["house-rules", "night", "spare"];
pub(crate) const ROLES: &[&str] = &["viewer", "auditor", "secret-reader", "secret-writer", "admin", "no-such-role"];

impl Scene<'_> {
    pub(crate) fn pick(&self) -> u8 {
        self.ask.pick
    }

    pub(crate) fn variant(&self) -> u8 {
        self.ask.variant
    }

    pub(crate) fn of<'a>(&self, names: &[&'a str]) -> &'a str {
        names[usize::from(self.ask.pick) % names.len()]
    }

    /// A name, or one that nobody has.
    pub(crate) fn name<'a>(&self, names: &[&'a str]) -> &'a str {
        if self.ask.aim == Aim::Absent { "nothing-of-that-name" } else { self.of(names) }
    }

    /// An id out of a list: one's own, another's, or nobody's.
    pub(crate) fn id(&self, prefix: &str, from: impl Fn(&Book) -> Option<&String>) -> String {
        let found = match self.ask.aim {
            Aim::Own => from(self.own),
            Aim::Absent => None,
            Aim::Theirs(_) | Aim::AtTheirs(_) => self.other.and_then(from),
        };
        found.cloned().unwrap_or_else(|| format!("{prefix}0123456789abcdefghjkmnpqrg"))
    }

    pub(crate) fn member(&self) -> String {
        self.id("mem_", |book| one(&book.members, self.ask.pick))
    }

    pub(crate) fn account(&self) -> String {
        self.id("acc_", |book| one(&book.accounts, self.ask.pick))
    }

    pub(crate) fn binding(&self) -> String {
        self.id("bnd_", |book| one(&book.bindings, self.ask.pick))
    }

    /// A credential's owner and id, of owners whose ids begin so.
    pub(crate) fn key(&self, prefix: &str) -> (String, String) {
        let keys = |book: &Book| -> Vec<(String, String)> {
            book.keys.iter().filter(|(owner, _)| owner.starts_with(prefix)).cloned().collect()
        };
        let found = match self.ask.aim {
            Aim::Own => one(&keys(self.own), self.ask.pick).cloned(),
            Aim::Absent => None,
            Aim::Theirs(_) | Aim::AtTheirs(_) => self.other.and_then(|book| one(&keys(book), self.ask.pick).cloned()),
        };
        let nobody = |prefix: &str| format!("{prefix}0123456789abcdefghjkmnpqrg");
        found.unwrap_or_else(|| (nobody(prefix), nobody("key_")))
    }

    /// The tenant whose plane is meant.
    fn tenant(&self) -> String {
        let book = match self.ask.aim {
            Aim::AtTheirs(_) => self.other.unwrap_or(self.subject),
            Aim::Absent if self.ask.variant.is_multiple_of(4) => return "nobody".to_owned(),
            _ => self.subject,
        };
        if self.ask.variant.is_multiple_of(5) && !book.id.is_empty() { book.id.clone() } else { book.slug.clone() }
    }

    /// A page of a list: with a cursor, if there was one before.
    pub(crate) fn page(&self) -> String {
        let book = if matches!(self.ask.aim, Aim::Theirs(_)) { self.other.unwrap_or(self.own) } else { self.own };
        let cursors: Vec<&String> =
            book.cursors.iter().filter(|(of, _)| *of == self.ask.action).map(|(_, cursor)| cursor).collect();
        match (one(&cursors, self.ask.pick), self.ask.variant % 3) {
            (Some(cursor), 0) => format!("?limit=2&cursor={cursor}"),
            (_, 1) => "?limit=2".to_owned(),
            _ => String::new(),
        }
    }

    /// A role; never one that gives more than this to somebody at random too often.
    pub(crate) fn role(&self) -> &'static str {
        self.of(ROLES)
    }
}

/// Puts the request of a step together.
pub(crate) fn asked(ask: Ask, whose: Whose, books: &Books) -> Asked {
    let subject = match whose.tenant() {
        Some(tenant) => &books.tenants[tenant],
        None => &books.platform,
    };
    let own = if ask.action.plane() == Plane::Platform && whose == Whose::Nobody { &books.platform } else { subject };
    let other = match ask.aim {
        Aim::Theirs(tenant) | Aim::AtTheirs(tenant) => books.tenants.get(tenant),
        _ => None,
    };
    // Nobody locks everybody out but by accident.
    let caller = match (ask.action, ask.caller) {
        (Action::SelfRevoke, Caller::First) => Caller::Some(ask.pick),
        (_, caller) => caller,
    };
    let credential = match whose {
        Whose::Tenant(_) => subject.credential(caller),
        Whose::About(tenant) => books.operators[tenant].clone(),
        Whose::Nobody => books.platform.credential(caller),
    };
    let scene = Scene { ask, own, other, subject };
    let (call, is_vault) = match ask.action.plane() {
        Plane::Tenant => tenant::call_of(&scene),
        Plane::Platform => (platform::call_of(&scene), false),
    };
    finish(&scene, call, is_vault, &credential)
}

fn finish(scene: &Scene<'_>, call: Call, is_vault: bool, credential: &str) -> Asked {
    let Call { method, mut path, mut body } = call;
    let mut headers = Vec::new();
    let (variant, action) = (scene.ask.variant, scene.ask.action);
    match variant % 32 {
        // Now and then a request that nobody can mean.
        30 if body.is_object() => body["no_such_member"] = json!(1),
        31 => path.push_str(if path.contains('?') { "&no_such_parameter=1" } else { "?no_such_parameter=1" }),
        _ => {}
    }
    if !credential.is_empty() {
        headers.push(match is_vault {
            true => ("x-vault-token", credential.to_owned()),
            false => ("authorization", format!("Bearer {credential}")),
        });
    }
    if is_vault && (variant.is_multiple_of(2) || matches!(scene.ask.aim, Aim::AtTheirs(_))) {
        headers.push(("x-vault-namespace", scene.tenant()));
    }
    let is_change = !matches!(action.sensitivity(), Sensitivity::Read | Sensitivity::Reveal);
    if is_change && variant % 7 == 3 && !is_vault {
        headers.push(("idempotency-key", format!("again-{}", variant % 2)));
    }
    if is_change && variant % 11 == 5 && !is_vault {
        headers.push(("if-match", format!("\"{}\"", variant % 3)));
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    if !body.is_empty() {
        let patch = is_vault && method == "PATCH";
        let kind = if patch { "application/merge-patch+json" } else { "application/json" };
        headers.push(("content-type", kind.to_owned()));
    }
    Asked { action: Some(action), method, target: path, headers, body }
}

/// What everybody may ask.
pub(crate) fn open(which: u8) -> Asked {
    const OPEN: &[&str] =
        &["/healthz", "/readyz", "/api/v1/seal-status", "/v1/sys/health", "/v1/sys/seal-status", "/v1/sys/leader"];
    let target = OPEN[usize::from(which) % OPEN.len()].to_owned();
    Asked { action: None, method: "GET", target, headers: Vec::new(), body: String::new() }
}
