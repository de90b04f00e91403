//! The OpenAPI 3.1 description, from the route table and the shapes that its rows name.

use bailiwick_types::api::Problem;
use bailiwick_types::{Action, Sensitivity};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::route::{Access, DoorKind, Route};
use crate::server::routes;

/// The document, as pretty JSON with a newline at its end.
pub fn document() -> String {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes().iter().filter(|route| route.door == DoorKind::Api) {
        let body = route.body.map(|shape| shape(&mut generator));
        let answer = route.answer.map(|shape| shape(&mut generator));
        let item = paths.entry(openapi_path(route.path)).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(route.method.to_lowercase(), operation(route, body.as_ref(), answer.as_ref()));
        }
    }
    let problem = generator.subschema_for::<Problem>();
    let schemas: Value = generator.take_definitions(true).into_iter().collect::<Map<_, _>>().into();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bailiwick",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The control plane for non-human identities. `{tenant}` takes an id or a slug and may only \
                            restate the credential's own tenant. Lists are paged by cursors; changes take an \
                            `Idempotency-Key`; failures are RFC 9457 problems with stable codes.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
        },
        "servers": [{ "url": "/" }],
        "security": [{ "credential": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "credential": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "a Bailiwick credential: `bwk_…` of a tenant, `bwo_…` of an operator"
                }
            },
            "responses": {
                "Problem": {
                    "description": "a refusal or failure (RFC 9457)",
                    "content": { "application/problem+json": { "schema": problem } }
                }
            }
        }
    });
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// `{*path}` is `{path}` in OpenAPI; that it may hold slashes is said in the parameter.
fn openapi_path(path: &str) -> String {
    path.replace("{*", "{")
}

fn operation(route: &Route, body: Option<&schemars::Schema>, answer: Option<&schemars::Schema>) -> Value {
    let mut operation = Map::new();
    operation.insert("operationId".into(), operation_id(route).into());
    operation.insert("summary".into(), route.summary.into());
    match route.access {
        Access::Action(action) => {
            operation.insert("x-bailiwick-action".into(), action.as_str().into());
            operation.insert("tags".into(), json!([tag(action)]));
        }
        Access::Open(why) => {
            operation.insert("security".into(), json!([]));
            operation.insert("description".into(), format!("Open to everybody: {why}.").into());
            operation.insert("tags".into(), json!(["installation"]));
        }
    }
    let mut parameters: Vec<Value> = Vec::new();
    for segment in route.path.split('/') {
        let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { continue };
        let (name, about) = match name.strip_prefix('*') {
            Some(name) => (name, "segments joined by `/`"),
            None => (name, ""),
        };
        let mut parameter = json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
        if let (false, Some(object)) = (about.is_empty(), parameter.as_object_mut()) {
            object.insert("description".into(), about.into());
        }
        parameters.push(parameter);
    }
    for query in &route.query {
        parameters.push(json!({
            "name": query.name, "in": "query", "description": query.about, "schema": { "type": "string" }
        }));
    }
    let is_change = matches!(
        route.access,
        Access::Action(action) if matches!(action.sensitivity(), Sensitivity::Write | Sensitivity::Security)
    );
    // What is streamed, out or in, is not kept.
    if is_change && !route.is_upload && route.answer.is_some() {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "schema": { "type": "string", "maxLength": 128 },
            "description": "the same key with the same request gets the same answer for 24 hours, and is done once"
        }));
    }
    if !parameters.is_empty() {
        operation.insert("parameters".into(), parameters.into());
    }
    if route.is_upload {
        let content = json!({ crate::native::BUNDLE: { "schema": { "type": "string", "format": "binary" } } });
        operation.insert("requestBody".into(), json!({ "required": true, "content": content }));
    }
    if let Some(schema) = body {
        operation.insert(
            "requestBody".into(),
            json!({ "required": true, "content": { "application/json": { "schema": schema } } }),
        );
    }
    let success = match answer {
        Some(schema) => json!({ "description": "done", "content": { "application/json": { "schema": schema } } }),
        None => json!({ "description": "done" }),
    };
    operation.insert(
        "responses".into(),
        json!({ route.status.to_string(): success, "default": { "$ref": "#/components/responses/Problem" } }),
    );
    operation.into()
}

fn tag(action: Action) -> &'static str {
    action.as_str().split_once(':').map_or("", |(noun, _)| noun)
}

/// The action's name, and where several routes share it, what tells them apart.
fn operation_id(route: &Route) -> String {
    let words = route.path.trim_start_matches("/api/v1/").split('/');
    let place: Vec<&str> =
        words.map(|word| word.trim_matches(['{', '}', '*'])).filter(|word| !word.is_empty()).collect();
    let suffix = if route.path.ends_with('/') { "-folder" } else { "" };
    format!("{}-{}{suffix}", route.method.to_lowercase(), place.join("-").replace(':', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_ids_are_unique() {
        let mut ids: Vec<String> =
            routes().iter().filter(|route| route.door == DoorKind::Api).map(operation_id).collect();
        ids.sort();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn the_document_refers_to_nothing_that_it_does_not_hold() {
        let document: Value = serde_json::from_str(&document()).unwrap();
        let mut stack = vec![&document];
        while let Some(value) = stack.pop() {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(target)) = map.get("$ref") {
                        let pointer = target.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{target}");
                    }
                    stack.extend(map.values());
                }
                Value::Array(items) => stack.extend(items),
                _ => {}
            }
        }
    }
}
