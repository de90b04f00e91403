//! The shapes of the native API: what is sent and what is answered, one module per noun.
//!
//! Requests refuse members that they do not know; answers may grow. Times are RFC 3339 in UTC, spans are text such as
//! `12h`, sizes are bytes.

pub mod attestation;
pub mod bundle;
pub mod identity;
pub mod isolation;
pub mod ledger;
pub mod platform;
pub mod policy;
pub mod proof;
pub mod secret;
pub mod tenant;

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// One page of a list.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Page<T> {
    /// The items, in the list's stable order.
    pub items: Vec<T>,
    /// The cursor of the next page; absent on the last. Holds for the same tenant, caller and query only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// RFC 9457 problem details.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// `urn:bailiwick:error:<code>`
    #[serde(rename = "type")]
    pub kind: String,
    /// One line for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable error code.
    pub code: String,
    /// What exactly is wrong, where that may be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The request's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Positions of errors in a policy text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<policy::PolicyProblem>,
    /// What a change of policies would break, each with a request that shows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refuted: Vec<proof::Verdict>,
}

/// An empty answer, where there is nothing to say but that it is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Done {}

/// For a member that is a struct of its own: derived code would take an array for it, in the order of the fields.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(Object(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::secret::CreateMount;

    #[test]
    fn an_array_is_no_object() {
        let parse = |text: &str| serde_json::from_str::<CreateMount>(text);
        assert_eq!(parse(r#"{"name":"a","config":{"max_versions":3}}"#).unwrap().config.max_versions, 3);
        assert_eq!(parse(r#"{"name":"a"}"#).unwrap().config.max_versions, 0);
        for config in ["[3,true,5]", "[]", "null", "3", r#"{"maxversions":3}"#] {
            assert!(parse(&format!(r#"{{"name":"a","config":{config}}}"#)).is_err(), "{config}");
        }
    }
}
