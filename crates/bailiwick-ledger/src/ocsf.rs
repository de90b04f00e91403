//! Entries as events of the Open Cybersecurity Schema Framework, version 1.8.0: <https://schema.ocsf.io/1.8.0>.
//!
//! | entry | class |
//! | --- | --- |
//! | nobody was authenticated | Authentication 3002 |
//! | a member, account, credential, policy, tenant, … was made, changed or ended | Entity Management 3004 |
//! | everything else, and every action that is not in the action table | API Activity 6003 |
//!
//! An authorisation that was refused is a failed activity of its class, never a failed authentication.
//!
//! # Invariants
//! - INV-OCSF-1: every event names its tenant, ledger and index, so that it can be found again and proved.
//! - INV-OCSF-2: times are in milliseconds.
//!
//! # Deliberately absent
//! No `raw_data`. Nothing that the entry does not say. No classes that 1.8.0 does not have (User Management 3007 came
//! with 1.9).

use std::net::IpAddr;

use bailiwick_types::{Action, ErrorClass, ResourceKind, Sensitivity};
use serde_json::{Map, Value, json};

use crate::entry::{ActorKind, Decision, Entry};

/// The version of the schema that the events are valid in.
pub const SCHEMA_VERSION: &str = "1.8.0";

const PRODUCT: &str = "Bailiwick";

/// Where entries come from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The origin of the ledger.
    pub origin: &'a str,
    /// The version of the server.
    pub product_version: &'a str,
}

/// A class with one of its activities.
struct Class {
    category: (u64, &'static str),
    class: (u64, &'static str),
    activity: (u64, String),
}

/// The entry as an event.
pub fn event(entry: &Entry, index: u64, source: &Source<'_>) -> Value {
    let class = class_of(entry);
    let (class_uid, class_name) = class.class;
    let (activity_id, activity_name) = class.activity;
    let is_ok = entry.outcome == "ok";
    let (severity_id, severity) = severity(entry);
    let mut event = json!({
        "category_uid": class.category.0,
        "category_name": class.category.1,
        "class_uid": class_uid,
        "class_name": class_name,
        "activity_id": activity_id,
        "activity_name": activity_name,
        "type_uid": class_uid * 100 + activity_id,
        "type_name": format!("{class_name}: {activity_name}"),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": if is_ok { 1 } else { 2 },
        "status": if is_ok { "Success" } else { "Failure" },
        "status_code": entry.code,
        "status_detail": (!is_ok).then_some(&entry.outcome),
        "time": entry.time.unix_ms(),
        "message": format!("{} {} {}: {}", entry.action, entry.resource.kind, entry.resource.id, entry.outcome),
        "metadata": {
            "version": SCHEMA_VERSION,
            "product": { "name": PRODUCT, "vendor_name": PRODUCT, "version": source.product_version },
            "tenant_uid": entry.tenant,
            "log_name": source.origin,
            "sequence": index,
            "uid": format!("{}/{index}", source.origin),
            "correlation_uid": entry.request,
        },
        "actor": actor(entry),
        "src_endpoint": src_endpoint(entry),
        "unmapped": {
            "door": entry.door,
            "operator": entry.actor.operator,
            "detail": (!entry.detail.is_empty()).then_some(&entry.detail),
        },
    });
    let own = match class_uid {
        3002 => json!({
            "user": user(entry),
            "service": { "name": PRODUCT, "version": source.product_version },
            "is_remote": entry.source.is_some(),
        }),
        3004 => json!({ "entity": thing(entry) }),
        _ => json!({
            "api": { "operation": entry.action, "service": { "name": PRODUCT }, "group": { "name": entry.door } },
            "resources": [thing(entry)],
        }),
    };
    if let (Value::Object(event), Value::Object(own)) = (&mut event, own) {
        event.extend(own);
    }
    without_nulls(event)
}

fn class_of(entry: &Entry) -> Class {
    const IAM: (u64, &str) = (3, "Identity & Access Management");
    const APPLICATION: (u64, &str) = (6, "Application Activity");
    let class = |category, class, (id, name): (u64, &str)| Class { category, class, activity: (id, name.to_owned()) };
    if entry.outcome == ErrorClass::Unauthenticated.as_str() {
        return class(IAM, (3002, "Authentication"), (1, "Logon"));
    }
    let Ok(action) = entry.action.parse::<Action>() else {
        return class(APPLICATION, (6003, "API Activity"), (99, &entry.action));
    };
    let (noun, verb) = entry.action.split_once(':').unwrap_or_default();
    match lifecycle(action, &entry.resource.kind, noun, verb) {
        Some(activity) => class(IAM, (3004, "Entity Management"), activity),
        None => class(APPLICATION, (6003, "API Activity"), crud(action, verb)),
    }
}

/// The Entity Management activity of an action that makes, changes or ends the very thing that the entry names.
///
/// Where an entry names the container instead (a key is issued to an account, an account is made in a tenant), the
/// event would say that the container was made. That is an API call, with the container as its resource.
fn lifecycle(action: Action, kind: &str, noun: &str, verb: &str) -> Option<(u64, &'static str)> {
    let entity = match noun {
        "member" => ResourceKind::Member,
        "account" => ResourceKind::Account,
        "key" | "member-credential" | "operator-credential" | "self" => ResourceKind::Credential,
        "binding" => ResourceKind::Binding,
        "policy" => ResourceKind::Policy,
        "mount" => ResourceKind::Mount,
        "keyring" => ResourceKind::Keyring,
        "tenant" => ResourceKind::Tenant,
        "operator" => ResourceKind::Operator,
        "guardrail" => ResourceKind::Guardrail,
        "invariant" => ResourceKind::Invariant,
        "platform-invariant" => ResourceKind::PlatformInvariant,
        "installation" => ResourceKind::Platform,
        // Secrets are data, not entities; each access to them is an API call.
        _ => return None,
    };
    if kind != entity.as_str() || !matches!(action.sensitivity(), Sensitivity::Write | Sensitivity::Security) {
        return None;
    }
    Some(match verb {
        "create" | "issue" => (1, "Create"),
        "delete" | "revoke" => (4, "Delete"),
        "unseal" => (10, "Activate"),
        "seal" => (11, "Deactivate"),
        "suspend" => (12, "Suspend"),
        "resume" => (13, "Resume"),
        _ => (3, "Update"),
    })
}

fn crud(action: Action, verb: &str) -> (u64, &'static str) {
    match (action.sensitivity(), verb) {
        (Sensitivity::Read | Sensitivity::Reveal, _) => (2, "Read"),
        (_, "create" | "issue") => (1, "Create"),
        (_, "delete" | "destroy" | "purge" | "revoke") => (4, "Delete"),
        _ => (3, "Update"),
    }
}

fn severity(entry: &Entry) -> (u64, &'static str) {
    let is = |class: ErrorClass| entry.outcome == class.as_str();
    if is(ErrorClass::Fault) {
        (3, "Medium")
    } else if is(ErrorClass::Denied) || is(ErrorClass::Unauthenticated) {
        (2, "Low")
    } else {
        (1, "Informational")
    }
}

fn actor(entry: &Entry) -> Value {
    let decision = match entry.decision {
        Decision::Allow => Some("allow"),
        Decision::Deny => Some("deny"),
        Decision::None => None,
    };
    let authorizations: Vec<Value> = match decision {
        None => Vec::new(),
        Some(decision) if entry.policies.is_empty() => vec![json!({ "decision": decision })],
        Some(decision) => {
            entry.policies.iter().map(|id| json!({ "decision": decision, "policy": { "uid": id } })).collect()
        }
    };
    json!({
        "user": user(entry),
        "app_name": (entry.actor.kind == ActorKind::System).then_some(PRODUCT),
        "authorizations": (!authorizations.is_empty()).then_some(authorizations),
    })
}

fn user(entry: &Entry) -> Value {
    let (type_id, kind) = match entry.actor.kind {
        ActorKind::Member => (1, "User"),
        ActorKind::Operator => (2, "Admin"),
        ActorKind::System => (3, "System"),
        ActorKind::Service => (4, "Service"),
        ActorKind::Agent => (99, "Agent"),
        ActorKind::Anonymous => (0, "Unknown"),
    };
    let name = match (&entry.actor.id, entry.actor.kind) {
        (Some(_), _) => None,
        (None, ActorKind::System) => Some("system"),
        // A user has to have a name or an id.
        (None, _) => Some("anonymous"),
    };
    json!({
        "uid": entry.actor.id,
        "name": name,
        "type_id": type_id,
        "type": kind,
        "credential_uid": entry.actor.credential,
    })
}

fn src_endpoint(entry: &Entry) -> Value {
    match &entry.source {
        Some(address) if address.parse::<IpAddr>().is_ok() => json!({ "ip": address }),
        Some(name) => json!({ "name": name }),
        None => json!({ "svc_name": entry.door }),
    }
}

/// What was acted on: a resource or a managed entity.
fn thing(entry: &Entry) -> Value {
    let resource = &entry.resource;
    json!({
        "type": resource.kind,
        "uid": (!resource.id.is_empty()).then_some(&resource.id),
        // It has to have a name or an id.
        "name": resource.id.is_empty().then_some(&resource.kind),
        "version": resource.version.map(|version| version.to_string()),
    })
}

/// The event without what the entry does not say.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let present = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(present.map(|(name, value)| (name, without_nulls(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[cfg(test)]
#[path = "ocsf_tests.rs"]
mod tests;
