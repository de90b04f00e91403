//! The shapes of bodies as the OpenAPI document has them: which members there are, and what they cannot be.

use bailiwick_http::Route;
use bailiwick_testkit::{ANONYMOUS, World};
use serde_json::{Value, json};

/// The document, as anybody gets it.
pub(crate) struct Document(Value);

/// One documented member of a body.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) is_required: bool,
    /// Values that it cannot have by its type, as JSON text.
    pub(crate) wrong: Vec<String>,
}

impl Document {
    pub(crate) fn of(world: &World) -> Self {
        Self(world.get(ANONYMOUS, "/api/v1/openapi.json").expect(200))
    }

    /// The members of a route's body; `None` if it takes none.
    pub(crate) fn members(&self, route: &Route) -> Option<Vec<Member>> {
        let path = route.path.replace("{*", "{");
        let operation = &self.0["paths"][path][route.method.to_lowercase()];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        (!schema.is_null()).then(|| self.members_of(self.resolved(schema)))
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(target) => self.resolved(self.0.pointer(target.strip_prefix('#').unwrap()).unwrap()),
            None => schema,
        }
    }

    fn members_of(&self, schema: &Value) -> Vec<Member> {
        let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
        let members = schema["properties"].as_object().unwrap().iter().map(|(name, member)| Member {
            name: name.clone(),
            is_required: required(name),
            wrong: self.wrong(member),
        });
        members.collect()
    }

    /// What does not fit a schema.
    fn wrong(&self, schema: &Value) -> Vec<String> {
        let schema = self.resolved(schema);
        let kinds = self.kinds(schema);
        let is = |kind: &str| kinds.iter().any(|known| known == kind);
        let mut wrong = Vec::new();
        let mut all = |kind: &str, examples: &[&str]| {
            if !is(kind) {
                wrong.extend(examples.iter().map(|&example| example.to_owned()));
            }
        };
        all("null", &["null"]);
        all("boolean", &["true", "false"]);
        all("string", &[r#""hunter2""#, r#""""#]);
        all("array", &["[]", r#"["hunter2"]"#, "[[]]"]);
        all("object", &["{}", r#"{"hunter2":1}"#]);
        if is("integer") {
            wrong.extend(
                ["1.5", "1e3", "-0.0", "-1", "-9223372036854775809", "18446744073709551616", "1e999"]
                    .map(str::to_owned),
            );
            for (format, beyond) in [("uint8", "256"), ("uint32", "4294967296"), ("uint64", "18446744073709551615.0")] {
                if self.format(schema) == Some(format) {
                    wrong.push(beyond.to_owned());
                }
            }
        } else {
            wrong.extend(["0", "7", "-1", "1.5", "1e999", "18446744073709551616"].map(str::to_owned));
        }
        if is("array") {
            wrong.extend(self.wrong(&schema["items"]).into_iter().map(|item| format!("[{item}]")));
        }
        if is("object") && schema["additionalProperties"].is_object() {
            let values = self.wrong(&schema["additionalProperties"]);
            wrong.extend(values.into_iter().map(|value| format!(r#"{{"hunter2":{value}}}"#)));
        }
        if is("object") && schema["properties"].is_object() {
            wrong.push(r#"{"surplus":1}"#.to_owned());
            for member in self.members_of(schema) {
                wrong.extend(member.wrong.iter().map(|value| format!(r#"{{"{}":{value}}}"#, member.name)));
            }
        }
        wrong
    }

    fn kinds(&self, schema: &Value) -> Vec<String> {
        let alternatives = |name: &str| schema[name].as_array().cloned().unwrap_or_default();
        let mut kinds: Vec<String> = match &schema["type"] {
            Value::String(kind) => vec![kind.clone()],
            Value::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap().to_owned()).collect(),
            _ => Vec::new(),
        };
        for schema in [alternatives("anyOf"), alternatives("oneOf")].concat() {
            kinds.extend(self.kinds(self.resolved(&schema)));
        }
        kinds
    }

    fn format<'a>(&'a self, schema: &'a Value) -> Option<&'a str> {
        schema["format"].as_str()
    }
}

#[test]
fn every_body_of_the_native_api_is_documented() {
    // What is not documented would not be tried with wrong types.
    let world = World::two_tenants();
    let document = Document::of(&world);
    let mut members = 0;
    for (route, row) in crate::routes::routes_with_rows(&world) {
        let is_native = route.door == bailiwick_http::DoorKind::Api;
        if !is_native {
            continue;
        }
        let sides = crate::routes::Sides { own: &world.acme, other: &world.globex, platform: &world.platform };
        let documented = document.members(route);
        assert_eq!(documented.is_some(), route.body.is_some(), "{}", route.name());
        assert!(documented.is_some() || (row.body)(&sides).is_null(), "{} takes a body", route.name());
        for member in documented.unwrap_or_default() {
            assert!(member.wrong.len() >= 8, "{} {member:?}", route.name());
            members += 1;
        }
    }
    assert!(members > 80, "{members}");
}
