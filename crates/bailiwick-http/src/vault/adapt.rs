//! From a request as Vault's clients write it to a row of the route table.
//!
//! # Invariants
//! - INV-VAULT-1: a path has one reading. Whatever could be read as another path (`//`, `.`, `..`, however it is
//!   escaped) is refused and never redirected.
//! - INV-VAULT-2: a namespace, in a header or in the path, names no tenant. It is only written down, to be compared with
//!   the credential's own tenant later.
//!
//! # Deliberately absent
//! Any look at state: what is decided here, is decided by grammar.

use std::borrow::Cow;

use bailiwick_app::AppError;
use bailiwick_types::{Code, Secret, Slug, TenantId};
use http::request::Parts;
use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;

/// A request as the route table knows it.
#[derive(Debug)]
pub(crate) struct Adapted {
    /// `GET`, `LIST`, `POST` (also for `PUT`), `PATCH`, `DELETE`, `HEAD`, or `OTHER` for what no row takes.
    pub(crate) method: &'static str,
    /// The path without a namespace, escaped as sent but for what needs no escape.
    pub(crate) path: String,
    /// Everything that says which tenant it is.
    pub(crate) stated: Vec<String>,
}

/// The second segments of the KV engine's paths.
pub(super) const KV: &[&str] = &["data", "metadata", "config", "delete", "undelete", "destroy", "subkeys"];
/// The first segments that are not mounts of the caller.
const SYSTEM: &[&str] = &["sys", "auth"];

pub(crate) fn adapt(parts: &Parts, query: &mut Vec<(String, String)>) -> Result<Adapted, AppError> {
    refuse_wrapping(&parts.headers)?;
    let method = method(parts.method.as_str(), query)?;
    let mut path = normal(parts.uri.path())?;
    if path == "/v1" {
        return Err(AppError::new(Code::RouteNotFound));
    }
    let mut stated = namespaces(&parts.headers);
    if let Some((namespace, rest)) = namespaced(&path) {
        stated.push(namespace.to_owned());
        path = format!("/v1/{rest}");
    }
    if matches!(method, "POST" | "PATCH") && path.ends_with('/') {
        return Err(AppError::with_detail(Code::InvalidPath, "cannot write to a path ending in '/'"));
    }
    Ok(Adapted { method, path, stated })
}

/// The credential: `X-Vault-Token`, or else `Authorization: Bearer`. Nothing else, and never two of them.
pub(crate) fn credential(headers: &HeaderMap) -> Result<Option<Secret<String>>, AppError> {
    let one = |name: &str| -> Result<Option<&str>, AppError> {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(AppError::new(Code::CredentialMalformed));
        }
        let text = value.to_str().map_err(|_| AppError::new(Code::CredentialMalformed))?.trim();
        Ok(Some(text).filter(|text| !text.is_empty()))
    };
    if let Some(token) = one("x-vault-token")? {
        return Ok(Some(Secret::new(token.to_owned())));
    }
    let bearer = one(header::AUTHORIZATION.as_str())?.and_then(|text| text.strip_prefix("Bearer "));
    Ok(bearer.map(|token| Secret::new(token.trim().to_owned())))
}

/// An answer that was to be wrapped must not go out unwrapped, and what it would have answered must not have happened.
fn refuse_wrapping(headers: &HeaderMap) -> Result<(), AppError> {
    let is_wrapped = |value: &http::HeaderValue| !matches!(value.as_bytes().trim_ascii(), b"" | b"0" | b"0s");
    if headers.get_all("x-vault-wrap-ttl").iter().any(is_wrapped) {
        return Err(AppError::invalid("response wrapping is not supported"));
    }
    Ok(())
}

fn method(sent: &str, query: &mut Vec<(String, String)>) -> Result<&'static str, AppError> {
    Ok(match sent {
        "GET" if flag(query, "list")? => "LIST",
        "GET" if flag(query, "scan")? => "OTHER",
        "GET" => "GET",
        "HEAD" => "HEAD",
        "LIST" => "LIST",
        "POST" | "PUT" => "POST",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "OTHER",
    })
}

/// Takes a boolean out of the query if it is true. The first one counts, as with Vault.
fn flag(query: &mut Vec<(String, String)>, name: &str) -> Result<bool, AppError> {
    let value = query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let is_set = match value {
        None | Some("") => false,
        // Vault's answer to this has no text.
        Some(text) => super::input::truth(text).ok_or_else(|| AppError::invalid(""))?,
    };
    if is_set {
        query.retain(|(key, _)| key != name);
    }
    Ok(is_set)
}

/// Checks that a path has one reading, and takes the escapes away from what needs none.
fn normal(raw: &str) -> Result<String, AppError> {
    let bad = |why: &str| AppError::with_detail(Code::InvalidPath, why);
    let decoded: Cow<'_, [u8]> = percent_decode_str(raw).into();
    if decoded.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b"..")) {
        return Err(bad("relative paths not supported"));
    }
    let inner = raw.strip_prefix('/').unwrap_or(raw);
    if inner.strip_suffix('/').unwrap_or(inner).split('/').any(str::is_empty) {
        return Err(bad("a path may not hold empty segments"));
    }
    if !raw.contains('%') {
        return Ok(raw.to_owned());
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            // RFC 3986, section 2.3: these are the same with and without an escape.
            Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') => {
                out.push(char::from(byte));
                rest = after.get(2..).unwrap_or_default();
            }
            // Decoded, or refused, when the row is found.
            _ => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Every header that names a namespace; empty ones name none.
fn namespaces(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all("x-vault-namespace").iter();
    // What is not UTF-8 is no slug either, and stays different from every slug.
    let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().trim_matches('/').to_owned());
    texts.filter(|text| !text.is_empty()).collect()
}

/// The namespace in a path, and the rest: `acme/secret/data/x`, `acme/sys/mounts`.
///
/// By grammar: the second segment says nothing to an engine, and the third does. What can be no tenant's name is left
/// alone, so that a forgotten `data/` below the usual mount `secret` is told as what it is.
fn namespaced(path: &str) -> Option<(&str, &str)> {
    let (first, rest) = path.strip_prefix("/v1/")?.split_once('/')?;
    let mut segments = rest.split('/');
    let (second, third) = (segments.next()?, segments.next());
    let is_below =
        SYSTEM.contains(&second) || (!KV.contains(&second) && third.is_some_and(|third| KV.contains(&third)));
    let can_be_tenant = || first.parse::<Slug>().is_ok() || first.parse::<TenantId>().is_ok();
    (is_below && !SYSTEM.contains(&first) && can_be_tenant()).then_some((first, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn adapted(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<(Adapted, Vec<String>), AppError> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut query: Vec<(String, String)> = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        adapt(&parts, &mut query).map(|adapted| (adapted, query.into_iter().map(|(name, _)| name).collect()))
    }

    fn ok(method: &str, target: &str) -> Adapted {
        adapted(method, target, &[]).unwrap().0
    }

    #[test]
    fn methods_are_those_of_the_table() {
        for (sent, target, method) in [
            ("GET", "/v1/s/data/a", "GET"),
            ("PUT", "/v1/s/data/a", "POST"),
            ("POST", "/v1/s/data/a", "POST"),
            ("LIST", "/v1/s/metadata/", "LIST"),
            ("GET", "/v1/s/metadata/?list=true", "LIST"),
            ("GET", "/v1/s/metadata/?list=1&list=0", "LIST"),
            ("GET", "/v1/s/metadata/a?list=false", "GET"),
            ("GET", "/v1/s/metadata/a?list", "GET"),
            ("GET", "/v1/s/metadata/?scan=true", "OTHER"),
            ("HEAD", "/v1/s/data/a", "HEAD"),
            ("list", "/v1/s/metadata/", "OTHER"),
            ("COPY", "/v1/s/data/a", "OTHER"),
        ] {
            assert_eq!(ok(sent, target).method, method, "{sent} {target}");
        }
        assert!(adapted("GET", "/v1/s/metadata/?list=yes", &[]).is_err());
        let (_, query) = adapted("GET", "/v1/s/metadata/?list=true&limit=1", &[]).unwrap();
        assert_eq!(query, ["limit"]);
        // Elsewhere, and where it says nothing, it is a parameter that nobody knows.
        for (method, target) in [("POST", "/v1/s/data/a?list=true"), ("GET", "/v1/s/data/a?list=false")] {
            assert_eq!(adapted(method, target, &[]).unwrap().1, ["list"]);
        }
    }

    #[test]
    fn what_could_be_read_as_another_path_is_refused() {
        for path in [
            "/v1/s//data/a",
            "/v1//s/data/a",
            "//v1/s/data/a",
            "/v1/s/data/a//",
            "/v1/s/data/.",
            "/v1/s/data/./a",
            "/v1/s/data/..",
            "/v1/s/data/../../sys/mounts/x",
            "/v1/s/data/%2e%2e/a",
            "/v1/s/data/%2E/a",
            "/v1/s/data/.%2e/a",
            "/v1/s/data/..%2fa",
            "/v1/s/data/a%2f..%2fb",
            "/v1/%2e%2e/api/v1",
            "/v1/../api/v1",
        ] {
            let error = adapted("GET", path, &[]).unwrap_err();
            assert_eq!(error.code(), Code::InvalidPath, "{path}");
        }
        // Only dots as a whole segment mean something, and an escaped slash is refused where the row is found.
        for path in ["/v1/s/data/...", "/v1/s/data/..a", "/v1/s/data/a..b", "/v1/s/data/.a", "/v1/s/data/a%2fb"] {
            assert_eq!(ok("GET", path).path, path);
        }
        for method in ["POST", "PUT", "PATCH"] {
            assert!(adapted(method, "/v1/s/data/a/", &[]).is_err());
        }
    }

    #[test]
    fn only_needless_escapes_go() {
        for (sent, path) in [
            ("/v1/%73ecret/%64ata/%61", "/v1/secret/data/a"),
            ("/v1/s/data/%2520", "/v1/s/data/%2520"),
            ("/v1/s/data/%252e%252e", "/v1/s/data/%252e%252e"),
            ("/v1/s/data/%C3%A9%20%7e", "/v1/s/data/%C3%A9%20~"),
            ("/v1/s/data/%", "/v1/s/data/%"),
            ("/v1/s/data/%zz%4", "/v1/s/data/%zz%4"),
            ("/v1/s/data/%2f", "/v1/s/data/%2f"),
        ] {
            assert_eq!(ok("GET", sent).path, path, "{sent}");
        }
    }

    #[test]
    fn a_namespace_in_the_path_is_only_written_down() {
        let id = format!("/v1/{}/s/data/x", TenantId::from_bytes([7; 16]));
        for (sent, path, stated) in [
            ("/v1/acme/secret/data/x", "/v1/secret/data/x", "acme"),
            ("/v1/%61cme/secret/data/x", "/v1/secret/data/x", "acme"),
            ("/v1/acme/secret/metadata/", "/v1/secret/metadata/", "acme"),
            ("/v1/acme/secret/config", "/v1/secret/config", "acme"),
            ("/v1/acme/sys/mounts", "/v1/sys/mounts", "acme"),
            ("/v1/acme/auth/token/lookup-self", "/v1/auth/token/lookup-self", "acme"),
            (&id, "/v1/s/data/x", &TenantId::from_bytes([7; 16]).to_string()),
        ] {
            let adapted = ok("GET", sent);
            assert_eq!((adapted.path.as_str(), adapted.stated.as_slice()), (path, [stated.to_owned()].as_slice()));
        }
        for path in [
            // A mount first.
            "/v1/acme/data/x",
            "/v1/acme/data/data/x",
            "/v1/acme/metadata/config",
            "/v1/acme/config",
            "/v1/acme",
            // Several segments are no namespace.
            "/v1/acme/team/secret/data/x",
            "/v1/a/b/c/sys/mounts",
            // What can be no tenant's name.
            "/v1/secret/app/config",
            "/v1/ACME/secret/data/x",
            "/v1/root/sys/mounts",
            "/v1/sys/auth/x",
            "/v1/auth/sys/x",
            "/v1/sys/internal/ui/mounts/acme/secret/data",
        ] {
            let adapted = ok("GET", path);
            assert_eq!((adapted.path.as_str(), adapted.stated.len()), (path, 0), "{path}");
        }
    }

    #[test]
    fn header_and_path_are_both_written_down() {
        let stated = |target: &str, headers: &[(&str, &str)]| adapted("GET", target, headers).unwrap().0.stated;
        let name = "X-Vault-Namespace";
        for value in ["acme", "acme/", "/acme", "/acme/", " acme// "] {
            assert_eq!(stated("/v1/s/data/x", &[(name, value)]), ["acme"], "{value:?}");
        }
        for value in ["", "/", "  "] {
            assert!(stated("/v1/s/data/x", &[(name, value)]).is_empty());
        }
        assert_eq!(stated("/v1/acme/s/data/x", &[(name, "acme")]), ["acme", "acme"]);
        assert_eq!(stated("/v1/globex/s/data/x", &[(name, "acme")]), ["acme", "globex"]);
        assert_eq!(stated("/v1/acme/s/data/x", &[(name, "globex")]), ["globex", "acme"]);
        assert_eq!(stated("/v1/s/data/x", &[(name, "acme"), (name, "globex")]), ["acme", "globex"]);
        assert_eq!(stated("/v1/s/data/x", &[(name, "acme/team")]), ["acme/team"]);
        assert_eq!(stated("/v1/s/data/x", &[(name, "ACME")]), ["ACME"]);
        assert_eq!(stated("/v1/s/data/x", &[(name, "a\u{e9}")]), ["a\u{e9}"]);
    }

    #[test]
    fn wrapping_is_refused() {
        for value in ["60", "60s", "1h", "-1", "abc"] {
            assert!(adapted("GET", "/v1/s/data/x", &[("X-Vault-Wrap-TTL", value)]).is_err(), "{value}");
        }
        assert!(adapted("GET", "/v1/s/data/x", &[("X-Vault-Wrap-TTL", "0"), ("X-Vault-Wrap-TTL", "9")]).is_err());
        for value in ["", "0", "0s"] {
            assert!(adapted("GET", "/v1/s/data/x", &[("X-Vault-Wrap-TTL", value)]).is_ok(), "{value}");
        }
    }

    #[test]
    fn there_is_one_credential_or_none() {
        let found = |headers: &[(&str, &str)]| {
            let mut request = Request::builder();
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            match credential(&parts.headers) {
                Ok(found) => found.map(|secret| secret.expose().clone()).unwrap_or_default(),
                Err(error) => error.code().to_string(),
            }
        };
        assert_eq!(found(&[]), "");
        assert_eq!(found(&[("X-Vault-Token", " t ")]), "t");
        assert_eq!(found(&[("X-Vault-Token", ""), ("Authorization", "Bearer b")]), "b");
        assert_eq!(found(&[("X-Vault-Token", "t"), ("Authorization", "Bearer b")]), "t");
        for other in ["bearer b", "Basic b", "BearerX b", "Bearer", "b"] {
            assert_eq!(found(&[("Authorization", other)]), "", "{other}");
        }
        let malformed = Code::CredentialMalformed.to_string();
        assert_eq!(found(&[("X-Vault-Token", "a"), ("X-Vault-Token", "b")]), malformed);
        assert_eq!(found(&[("Authorization", "Bearer a"), ("Authorization", "Bearer b")]), malformed);
        assert_eq!(found(&[("X-Vault-Token", "\u{e9}")]), malformed);
        assert_eq!(found(&[("Cookie", "token=t")]), "");
    }
}
