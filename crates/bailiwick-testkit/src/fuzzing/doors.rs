//! What the doors read before anybody is authenticated: JSON, paths, queries, cursors.

use std::fmt;

use bailiwick_app::fuzzing as app;
use bailiwick_http::fuzzing as http;
use bailiwick_types::limits::JSON_DEPTH_MAX;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

// --- JSON ------------------------------------------------------------------------------------------------------------

/// How many members a document has, those named twice included; and how deep it is.
struct Counted {
    members: usize,
    depth: usize,
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Count;
        const LEAF: Counted = Counted { members: 0, depth: 0 };
        impl<'de> Visitor<'de> for Count {
            type Value = Counted;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, _: bool) -> Result<Counted, E> {
                Ok(LEAF)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Counted, E> {
                Ok(LEAF)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Counted, E> {
                Ok(LEAF)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Counted, E> {
                Ok(LEAF)
            }
            fn visit_str<E>(self, _: &str) -> Result<Counted, E> {
                Ok(LEAF)
            }
            fn visit_unit<E>(self) -> Result<Counted, E> {
                Ok(LEAF)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Counted, A::Error> {
                let mut all = Counted { members: 0, depth: 1 };
                while let Some(inner) = seq.next_element::<Counted>()? {
                    all.members += inner.members;
                    all.depth = all.depth.max(inner.depth + 1);
                }
                Ok(all)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Counted, A::Error> {
                let mut all = Counted { members: 0, depth: 1 };
                while let Some((_, inner)) = map.next_entry::<String, Counted>()? {
                    all.members += inner.members + 1;
                    all.depth = all.depth.max(inner.depth + 1);
                }
                Ok(all)
            }
        }
        deserializer.deserialize_any(Count)
    }
}

fn members(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.values().map(|value| members(value) + 1).sum(),
        Value::Array(items) => items.iter().map(members).sum(),
        _ => 0,
    }
}

pub(super) fn json(input: &[u8]) {
    let shapes = http::json_bodies(input);
    if !http::json_check(input) {
        assert!(shapes.is_empty(), "a body was read that is no JSON");
        return;
    }
    let value: Value = serde_json::from_slice(input).expect("what we take for JSON, others do");
    let counted: Counted = serde_json::from_slice(input).expect("what we take for JSON, others do");
    assert_eq!(counted.members, members(&value), "a member named twice was taken");
    assert!(counted.depth <= JSON_DEPTH_MAX, "too deep");
    assert!(http::json_check(value.to_string().as_bytes()), "the same document was refused");
    assert!(value.is_object() || shapes.is_empty(), "a body was read that is no object");
    for shape in shapes {
        let again = http::json_bodies(shape.to_string().as_bytes());
        assert!(again.contains(&shape), "{shape}");
    }
}

pub(super) fn bodies() -> Vec<Vec<u8>> {
    bytes(&[
        r#"{"slug":"acme","name":"Acme","admin_email":"a@b.example","admin_ttl":"90d"}"#,
        r#"{"name":"x","role":"owner","email":null}"#,
        r#"{"kind":"agent","name":"x","labels":{"a":"b"},"owner":"mem_0123456789abcdefghjkmnpqrg","expires":"2027-01-01T00:00:00Z"}"#,
        r#"{"description":"d","ttl":"1h","source_networks":["10.0.0.0/8","::1"]}"#,
        r#"{"data":{"a":1.5e3,"b":[true,null,{"c":"\u0041"}]},"cas":3,"options":{"cas":"1"}}"#,
        r#"{"name":"kv","config":{"max_versions":3,"cas_required":true,"delete_version_after_seconds":60}}"#,
        r#"{"versions":[1,2,"3"],"max_versions":"5","delete_version_after":"1h","cas_required":"true"}"#,
        r#"{"custom_metadata":{"a":"b","c":null},"paths":["a","b"],"keys":"a,b"}"#,
        r#"{"principal":"x","action":"secret:reveal","resource":"secret/a/b","with_policies":{"p":null},"source":"::1"}"#,
        r#"{"quotas":{"secrets":5,"accounts":null}}"#,
        r#"{"provider":"shamir","shares":5,"threshold":3,"key":"bws_x","reset":true,"purpose":"records"}"#,
        r#"{"a":1,"a":2}"#,
        r#"[[[[[[[[[[]]]]]]]]]]"#,
        "\u{feff}{}",
        "null",
    ])
}

// --- paths, queries, cursors -----------------------------------------------------------------------------------------

pub(super) fn path(input: &[u8]) {
    let Ok(raw) = std::str::from_utf8(input) else { return };
    let Some(decoded) = http::path(raw) else { return };
    let slashes = |text: &str| text.matches('/').count();
    assert_eq!(slashes(&decoded), slashes(raw), "a slash came out of an escape");
    let escaped: String =
        decoded.bytes().map(|byte| if byte == b'/' { "/".to_owned() } else { format!("%{byte:02X}") }).collect();
    assert_eq!(http::path(&escaped).as_ref(), Some(&decoded), "two readings of one path");
}

pub(super) fn paths() -> Vec<Vec<u8>> {
    bytes(&["a/b", "%61/%2F", "a%2fb", "%", "%4", "%zz", "%C3%A9", "%ff", "a%252fb", "%2e%2e", "%00", "a+b"])
}

pub(super) fn query(input: &[u8]) {
    let Ok(raw) = std::str::from_utf8(input) else { return };
    let Some(pairs) = http::query(raw) else { return };
    assert!(pairs.len() <= 64);
    let again: Vec<String> = pairs
        .iter()
        .map(|(name, value)| {
            let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
            format!("{}={}", escape(name), escape(value))
        })
        .collect();
    assert_eq!(http::query(&again.join("&")), Some(pairs), "two readings of one query");
}

pub(super) fn queries() -> Vec<Vec<u8>> {
    bytes(&[
        "limit=5&cursor=abc",
        "list=true",
        "a=%20+b&&c",
        "=",
        "&",
        "a=%ff",
        "a=%zz",
        "label=x%3Dy",
        "a=1&a=2",
        "é=ü",
    ])
}

pub(super) fn cursor(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some((mac, position)) = app::cursor(text) else { return };
    assert_eq!(app::cursor_text(&mac, &position), text, "a cursor has one spelling");
}

pub(super) fn cursors() -> Vec<Vec<u8>> {
    let mac = [0xa5; 32];
    [b"".as_slice(), b"\0\0\0\0\0\0\0\x05", b"app/db", &[0xff; 20]]
        .iter()
        .map(|position| app::cursor_text(&mac, position).into_bytes())
        .collect()
}

// --- merge patch -----------------------------------------------------------------------------------------------------

/// RFC 7396, section 2, word for word.
fn merged(target: Option<&Value>, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut merged_object = match target {
        Some(Value::Object(target)) => target.clone(),
        _ => serde_json::Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            merged_object.remove(name);
        } else {
            let before = merged_object.get(name).cloned();
            merged_object.insert(name.clone(), merged(before.as_ref(), value));
        }
    }
    Value::Object(merged_object)
}

/// Target and patch stand in one input, with a NUL between them.
pub(super) fn merge_patch(input: &[u8]) {
    let Some(at) = input.iter().position(|byte| *byte == 0) else { return };
    let (target, patch) = (&input[..at], &input[at + 1..]);
    let is_object = |text: &[u8]| http::json_check(text) && text.first() == Some(&b'{');
    // As the doors check it, and as it was stored.
    if !is_object(target) || !is_object(patch) {
        return;
    }
    let result = app::merge_patch(target, patch).expect("objects merge");
    assert!(http::json_check(&result), "a merge made what we would refuse");
    let parse = |text: &[u8]| serde_json::from_slice::<Value>(text).unwrap();
    assert_eq!(parse(&result), merged(Some(&parse(target)), &parse(patch)));
    let again = app::merge_patch(&result, patch).expect("objects merge");
    assert_eq!(parse(&again), parse(&result), "a patch is idempotent");
}

pub(super) fn patches() -> Vec<Vec<u8>> {
    bytes(&[
        "{\"a\":\"b\"}\0{\"a\":null,\"c\":1}",
        "{\"a\":{\"b\":\"c\"},\"n\":1.0e3}\0{\"a\":{\"b\":\"d\",\"c\":null}}",
        "{\"a\":[1,{\"b\":2}]}\0{\"a\":{\"x\":{\"y\":null}}}",
        "{}\0{\"a\":{\"bb\":{\"ccc\":null}}}",
        "{\"\\u0061\":1}\0{\"a\":{}}",
    ])
}

// --- the Vault door --------------------------------------------------------------------------------------------------

/// Method, target and namespace stand on lines of their own.
pub(super) fn vault_request(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.splitn(3, '\n');
    let (method, target) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let namespace = lines.next().unwrap_or_default();
    if !target.starts_with("/v1/") {
        return;
    }
    let Some(read) = http::vault_request(method, target, namespace) else { return };
    assert!(read.path.starts_with("/v1/"), "{read:?}");
    assert!(!read.path.contains("//"), "{read:?}");
    for segment in read.path.split('/') {
        let decoded = http::path(segment);
        assert!(!matches!(decoded.as_deref(), Some("." | "..")), "{read:?}");
    }
    // The header names one, the path names one, and after that nothing in the path names any.
    assert!(read.stated.len() <= 2, "{read:?}");
    let again = http::vault_request("HEAD", &read.path, "").expect("a path that was read can be read");
    assert_eq!((again.path.as_str(), again.stated.len()), (read.path.as_str(), 0), "{read:?}");
}

pub(super) fn vault_requests() -> Vec<Vec<u8>> {
    bytes(&[
        "GET\n/v1/secret/data/app/db?version=1\nacme",
        "GET\n/v1/acme/secret/metadata/?list=true\n",
        "LIST\n/v1/%61cme/secret/metadata/a%20b\nacme/",
        "PUT\n/v1/acme/sys/mounts/kv\n/acme//",
        "GET\n/v1/secret/data/../../sys/mounts\n",
        "GET\n/v1/secret/data/%2e%2e/a\n",
        "POST\n/v1/auth/token/renew-self\nglobex",
        "GET\n/v1/a/b/data/data/config\n",
        "PATCH\n/v1/ten_0123456789abcdefghjkmnpqrg/kv/data/x%2fy\n",
    ])
}

pub(super) fn vault_body(input: &[u8]) {
    let Some(count) = http::vault_body(input) else { return };
    let trimmed = input.trim_ascii();
    if trimmed.is_empty() || trimmed == b"null" {
        assert_eq!(count, 0);
        return;
    }
    let value: Value = serde_json::from_slice(trimmed).expect("what we take for JSON, others do");
    assert_eq!(value.as_object().map(serde_json::Map::len), Some(count));
}
