//! The parsers of the doors, as fuzz targets call them. Not part of this crate's interface.
//!
//! Each returns what was read, or nothing where the input was refused, so that a target can look at both.

use bailiwick_types::api::identity::{
    CreateAccount, CreateMember, IssueCredential, RotateCredential, UpdateAccount, UpdateMember,
};
use bailiwick_types::api::platform::{
    CreateOperator, CreateTenant, Initialize, RotateRootKey, SetQuotas, Unseal, UpdateOperator, UpdateTenant,
};
use bailiwick_types::api::policy::{CheckRequest, CreateBinding, CreatePolicy, PutPolicy};
use bailiwick_types::api::secret::{ConfigureSecret, CreateMount, UpdateMount, Versions, WriteSecret};
use bailiwick_types::api::tenant::{Reason, RotateKey};
use http::Request;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{json, server, vault};

/// Whether a body is JSON that this server reads at all.
pub fn json_check(body: &[u8]) -> bool {
    json::check(body).is_ok()
}

/// The bodies that a text is: for each shape of the native API that takes it, the shape as JSON again.
pub fn json_bodies(body: &[u8]) -> Vec<Value> {
    fn read<T: DeserializeOwned + Serialize>(body: &[u8]) -> Option<Value> {
        json::parse::<T>(body).ok().and_then(|value| serde_json::to_value(value).ok())
    }
    type Shape = fn(&[u8]) -> Option<Value>;
    const SHAPES: &[Shape] = &[
        read::<CreateAccount>,
        read::<UpdateAccount>,
        read::<CreateMember>,
        read::<UpdateMember>,
        read::<IssueCredential>,
        read::<RotateCredential>,
        read::<CreateTenant>,
        read::<UpdateTenant>,
        read::<SetQuotas>,
        read::<CreateOperator>,
        read::<UpdateOperator>,
        read::<Initialize>,
        read::<Unseal>,
        read::<RotateRootKey>,
        read::<CreateBinding>,
        read::<CreatePolicy>,
        read::<PutPolicy>,
        read::<CheckRequest>,
        read::<CreateMount>,
        read::<UpdateMount>,
        read::<WriteSecret>,
        read::<ConfigureSecret>,
        read::<Versions>,
        read::<Reason>,
        read::<RotateKey>,
    ];
    SHAPES.iter().filter_map(|read| read(body)).collect()
}

/// A path parameter, decoded.
pub fn path(raw: &str) -> Option<String> {
    server::decode_path(raw).ok()
}

/// A query, taken apart.
pub fn query(raw: &str) -> Option<Vec<(String, String)>> {
    server::parse_query(Some(raw)).ok()
}

/// A request of a Vault client as the route table knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultRequest {
    /// The method of the row.
    pub method: &'static str,
    /// The path of the row.
    pub path: String,
    /// Everything that says which tenant it is.
    pub stated: Vec<String>,
}

/// A method and target at the Vault door, with a namespace header.
pub fn vault_request(method: &str, target: &str, namespace: &str) -> Option<VaultRequest> {
    let request = Request::builder().method(method).uri(target).header("x-vault-namespace", namespace);
    let (parts, ()) = request.body(()).ok()?.into_parts();
    let mut query = server::parse_query(parts.uri.query()).ok()?;
    let adapted = vault::adapt(&parts, &mut query).ok()?;
    Some(VaultRequest { method: adapted.method, path: adapted.path, stated: adapted.stated })
}

/// A body at the Vault door: how many members it has, once all were read in every way.
pub fn vault_body(body: &[u8]) -> Option<usize> {
    vault::read_body(body)
}

/// A span of time as Vault's clients write it, in seconds.
pub fn vault_span(text: &str) -> Option<i64> {
    vault::read_span(text)
}
