//! Texts that clients write: credentials, ids, names, times, shares, policies.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use bailiwick_authz::{Layer, compile_policy};
use bailiwick_seal::{RootKey, ShareLabel};
use bailiwick_types::time::{format_duration, parse_duration};
use bailiwick_types::{
    AccountId, Action, BindingId, CredentialId, CredentialText, InstallationId, Limit, MemberId, MountId, MountName,
    OperatorId, PolicyName, RequestId, Secret, SecretPath, Slug, TenantId, Timestamp,
};

use crate::random::SeededRandom;

fn random() -> SeededRandom {
    SeededRandom::new("fuzz")
}

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// What parses prints as what it was parsed from.
fn one_spelling<T: FromStr + Display>(text: &str) -> Option<T> {
    let value = text.parse::<T>().ok()?;
    assert_eq!(value.to_string(), text);
    Some(value)
}

// --- credentials -----------------------------------------------------------------------------------------------------

pub(super) fn credential(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(parsed) = CredentialText::parse(text) else { return };
    assert_eq!(parsed.reveal().expose(), text, "a credential has one spelling");
    assert_eq!(parsed.is_operator(), text.starts_with("bwo_"));
    let middle = text.get(40..60).unwrap_or(text);
    assert!(!format!("{parsed:?}").contains(middle), "a credential shows itself");
}

pub(super) fn credentials() -> Vec<Vec<u8>> {
    let random = random();
    let of = |tenant| CredentialText::generate(tenant, CredentialId::random(&random), &random);
    let texts = [of(TenantId::random(&random)), of(TenantId::PLATFORM)].map(|text| text.reveal().expose().clone());
    let mut all = bytes(&[&texts[0], &texts[1], "bwk_", "bwo_", ""]);
    all.push(texts[0].to_uppercase().into_bytes());
    all
}

// --- ids and names ---------------------------------------------------------------------------------------------------

pub(super) fn ids(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let kinds = [
        one_spelling::<TenantId>(text).is_some(),
        one_spelling::<MemberId>(text).is_some(),
        one_spelling::<AccountId>(text).is_some(),
        one_spelling::<CredentialId>(text).is_some(),
        one_spelling::<OperatorId>(text).is_some(),
        one_spelling::<BindingId>(text).is_some(),
        one_spelling::<MountId>(text).is_some(),
        one_spelling::<RequestId>(text).is_some(),
        one_spelling::<InstallationId>(text).is_some(),
    ];
    assert!(kinds.into_iter().filter(|is| *is).count() <= 1, "an id of two kinds");
    assert_ne!(text.parse::<TenantId>(), Ok(TenantId::PLATFORM), "somebody named the platform");
}

pub(super) fn some_ids() -> Vec<Vec<u8>> {
    let random = random();
    bytes(&[
        &TenantId::random(&random).to_string(),
        &MemberId::random(&random).to_string(),
        &CredentialId::random(&random).to_string(),
        &TenantId::PLATFORM.to_string(),
        "acc_zzzzzzzzzzzzzzzzzzzzzzzzzz",
    ])
}

pub(super) fn names(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(slug) = one_spelling::<Slug>(text) {
        assert!(slug.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        assert!(slug.as_str().parse::<TenantId>().is_err(), "a slug that is an id");
    }
    for name in [
        one_spelling::<MountName>(text).map(|name| name.to_string()),
        one_spelling::<PolicyName>(text).map(|name| name.to_string()),
    ] {
        assert!(!name.is_some_and(|name| name.contains(['/', '%', '?', '#', '\\', ' '])), "a name that needs escapes");
    }
    if let Some(path) = one_spelling::<SecretPath>(text) {
        let segments: Vec<&str> = path.as_str().split('/').collect();
        assert!(!segments.iter().any(|segment| ["", ".", ".."].contains(segment)), "{path:?}");
        assert!(!text.chars().any(char::is_control) && text.len() <= SecretPath::MAX_BYTES, "{path:?}");
        let folders: BTreeSet<&str> = path.folders().collect();
        assert_eq!(folders.len(), segments.len() - 1, "{path:?}");
        for folder in folders {
            assert!(folder.parse::<SecretPath>().is_ok(), "a path in a folder that can have none");
        }
    }
    let _ = (one_spelling::<Action>(text), one_spelling::<Limit>(text));
}

pub(super) fn some_names() -> Vec<Vec<u8>> {
    bytes(&[
        "acme",
        "acme-2",
        "kv-v2.Old_1",
        "house-rules.v2",
        "app/db/password",
        "Ünïcode/ключ/日本",
        "a/../b",
        "e\u{301}/\u{200b}/\u{202e}x",
        "secret:reveal",
        "page_size",
    ])
}

// --- time ------------------------------------------------------------------------------------------------------------

pub(super) fn time(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(moment) = text.parse::<Timestamp>() {
        let printed = moment.to_string();
        assert_eq!(printed.parse::<Timestamp>(), Ok(moment), "{text} {printed}");
    }
    let span = parse_duration(text).ok();
    if let Some(span) = span {
        assert_eq!(parse_duration(&format_duration(span)), Ok(span), "{text}");
        let far = Timestamp::from_unix_ms(i64::MAX - 1).plus(span).to_string();
        assert!(far.parse::<Timestamp>().is_ok(), "{far}");
    }
    // Two doors, one meaning.
    if let (Some(span), Some(seconds)) = (span, bailiwick_http::fuzzing::vault_span(text)) {
        assert_eq!(u64::try_from(seconds), Ok(span.as_secs()), "{text}");
    }
    if let [a, b, c, d, e, f, g, h, ..] = *input {
        let printed = Timestamp::from_unix_ms(i64::from_be_bytes([a, b, c, d, e, f, g, h])).to_string();
        assert!(printed.parse::<Timestamp>().is_ok(), "{printed}");
    }
}

pub(super) fn some_times() -> Vec<Vec<u8>> {
    bytes(&[
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.123456789+01:00",
        "9999-12-30T21:59:59.999Z",
        "-009999-01-02T01:59:59Z",
        "90s",
        "1h30m",
        "30d",
        "36600d",
        "1.5h",
        "-5m",
        "99999999999999999999",
    ])
}

// --- shares ----------------------------------------------------------------------------------------------------------

fn split() -> Vec<Secret<String>> {
    let random = random();
    RootKey::generate(&random).split(3, 2, &random).unwrap().1
}

pub(super) fn share(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let text = Secret::new(text.to_owned());
    let Ok(label) = ShareLabel::of(&text) else { return };
    assert!(label.threshold >= 2 && label.index >= 1);
    // One that checks its own checksum is one of ours, or from somewhere else; it never makes a key with ours.
    let ours = split();
    let is_ours = ours.iter().any(|share| share.expose() == text.expose());
    let made = RootKey::combine(&[text, Secret::new(ours[0].expose().clone())]);
    assert!(is_ours || made.is_err(), "a forged share made a key");
}

pub(super) fn shares() -> Vec<Vec<u8>> {
    split().iter().map(|share| share.expose().clone().into_bytes()).collect()
}

// --- policies --------------------------------------------------------------------------------------------------------

pub(super) fn policy(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let name: PolicyName = "fuzzed".parse().unwrap();
    for layer in [Layer::Tenant, Layer::Guardrail] {
        match compile_policy(layer, &name, text) {
            Ok(compiled) => assert_eq!(compiled.name(), &name),
            Err(problems) => {
                assert!(!problems.is_empty(), "a refusal without a reason");
                let lines = u32::try_from(text.lines().count()).unwrap();
                for problem in problems {
                    assert!(problem.line >= 1 && problem.column >= 1, "{problem:?}");
                    assert!(problem.line <= lines + 1, "{problem:?}");
                }
            }
        }
    }
}

pub(super) fn policies() -> Vec<Vec<u8>> {
    bytes(&[
        "permit(principal, action == Action::\"secret:reveal\", resource) when { context.door == \"vault\" };",
        "forbid(principal is Agent, action, resource in Folder::\"secret/app\") unless { resource.hasTag(\"env\") };",
        "@id(\"x\")\npermit(principal == Account::\"acc_1\", action in [Action::\"secret:list\"], resource);",
        "permit(principal == ?principal, action, resource);",
        "permit(principal, action, resource) when { ((((1 + 2) * 3) < 4) && principal.name like \"a*\") };",
    ])
}
