//! `sys/init` and `sys/unseal`: the root key's shares in the form that Vault's clients carry around.
//!
//! A share goes out as the hexadecimal digits, and as the base64, of its own text. One share of one, which Shamir's
//! scheme does not have, is a random passphrase: its text is the 64 digits that go out.

use bailiwick_app::{AppError, RequestMeta, tenants};
use bailiwick_types::api::platform::{CreateTenant, Initialize, Initialized, Unseal};
use bailiwick_types::{Code, Secret, Slug};
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::Serialize;

use super::envelope;
use super::input::Members;
use super::sys;
use crate::call::Call;
use crate::reply::Reply;

pub(super) async fn show(call: Call) -> Result<Reply, AppError> {
    #[derive(Serialize)]
    struct Shown {
        initialized: bool,
    }
    envelope::plain(&Shown { initialized: call.app().seal_status().await?.is_initialized })
}

/// What is asked for: so many shares, of which so many are needed.
fn numbers(members: &Members<'_>) -> Result<(u8, u8), AppError> {
    let bad = |why: &str| AppError::invalid(format!("invalid seal configuration: {why}"));
    let given = |name: &str| members.given(name).is_some_and(|text| !matches!(text, "0" | "[]" | "\"\""));
    if given("recovery_shares") || given("recovery_threshold") {
        return Err(AppError::invalid(
            "parameters recovery_shares,recovery_threshold not applicable to seal type shamir",
        ));
    }
    if given("pgp_keys") || given("root_token_pgp_key") {
        return Err(AppError::invalid("encryption of shares and root token with PGP keys is not supported"));
    }
    let number = |name| Ok::<_, AppError>(members.number(name)?.unwrap_or(0));
    let (shares, threshold) = (number("secret_shares")?, number("secret_threshold")?);
    match (shares, threshold) {
        (..=0, _) => Err(bad("shares must be at least one")),
        (256.., _) => Err(bad("shares must be less than 256")),
        (_, ..=0) => Err(bad("threshold must be at least one")),
        (shares, threshold) if threshold > shares => Err(bad("threshold cannot be larger than shares")),
        (2.., 1) => Err(bad("threshold must be greater than one for multiple shares")),
        (shares, threshold) => {
            let fits = |number: i64| u8::try_from(number).map_err(AppError::internal);
            Ok((fits(shares)?, fits(threshold)?))
        }
    }
}

#[derive(Serialize)]
struct Keys<'a> {
    keys: Vec<String>,
    keys_base64: Vec<String>,
    root_token: &'a str,
    /// The operator's credential where `root_token` is a tenant's: there is no other way to learn it.
    #[serde(skip_serializing_if = "Option::is_none")]
    operator_token: Option<&'a str>,
}

pub(super) async fn initialize(call: Call) -> Result<Reply, AppError> {
    let (shares, threshold) = numbers(&Members::of(&call)?)?;
    let app = call.app();
    let input = if shares == 1 {
        let mut bytes = [0; 32];
        app.random().fill(&mut bytes);
        let passphrase = Some(HEXLOWER.encode(&bytes));
        Initialize { provider: "passphrase".to_owned(), shares: None, threshold: None, passphrase }
    } else {
        let provider = "shamir".to_owned();
        Initialize { provider, shares: Some(shares), threshold: Some(threshold), passphrase: None }
    };
    let made = app.initialize(&input, None).await.map_err(|error| match error.code() {
        Code::WrongState => AppError::invalid("Vault is already initialized"),
        _ => error,
    })?;
    // From here on nothing may keep the shares from going out: there is no second copy.
    let owner = match &call.server.config.init_tenant {
        None => None,
        Some(slug) => match first_tenant(&call, &input, &made, usize::from(threshold), slug).await {
            Ok(credential) => Some(credential),
            Err(error) => {
                tracing::error!(%error, "the first tenant was not made; the root token is the operator's credential");
                None
            }
        },
    };
    let operator = made.operator.credential.as_str();
    let root_token = owner.as_deref().unwrap_or(operator);
    let operator_token = owner.as_ref().map(|_| operator);
    let (keys, keys_base64) = match &input.passphrase {
        Some(digits) => (vec![digits.clone()], vec![base64_of_digits(digits)]),
        None => {
            made.shares.iter().map(|share| (HEXLOWER.encode(share.as_bytes()), BASE64.encode(share.as_bytes()))).unzip()
        }
    };
    envelope::plain(&Keys { keys, keys_base64, root_token, operator_token })
}

fn base64_of_digits(digits: &str) -> String {
    HEXLOWER.decode(digits.as_bytes()).map(|bytes| BASE64.encode(&bytes)).unwrap_or_default()
}

/// Makes the first tenant and seals again, so that whoever initialised unseals as always. The credential is its owner's.
async fn first_tenant(
    call: &Call,
    input: &Initialize,
    made: &Initialized,
    threshold: usize,
    slug: &Slug,
) -> Result<String, AppError> {
    let app = call.app();
    let shares = input.passphrase.iter().chain(made.shares.iter().take(threshold)).cloned();
    let created = unsealed_once(call, shares.collect(), &made.operator.credential, slug).await;
    app.seal();
    created
}

async fn unsealed_once(call: &Call, shares: Vec<String>, operator: &str, slug: &Slug) -> Result<String, AppError> {
    let app = call.app();
    for share in shares {
        app.unseal(&Unseal { key: Some(share), reset: false }).await?;
    }
    let meta = RequestMeta {
        id: call.meta().id,
        source: call.meta().source,
        door: call.meta().door,
        credential: Some(Secret::new(operator.to_owned())),
        stated: Vec::new(),
        idempotency: None,
    };
    let input = CreateTenant { slug: slug.clone(), name: None, admin_name: None, admin_email: None, admin_ttl: None };
    let created = app.run_platform(&meta, || Ok(tenants::Create { input })).await?;
    Ok(created.into_value().admin.credential)
}

pub(super) async fn unseal(call: Call) -> Result<Reply, AppError> {
    let app = call.app();
    let members = Members::of(&call)?;
    let reset = members.truth("reset")?.unwrap_or(false);
    let key = members.text("key")?.filter(|key| !key.is_empty()).map(Secret::new);
    if reset {
        if app.is_unsealed() {
            return Err(AppError::invalid("vault is unsealed"));
        }
        return sys::show(&app.unseal(&Unseal { key: None, reset }).await?);
    }
    let Some(key) = key else {
        return Err(AppError::invalid("'key' must be specified in request body as JSON, or 'reset' set to true"));
    };
    let mut outcome = Err(AppError::invalid("'key' must be a valid hex or base64 string"));
    for text in readings(key.expose()) {
        outcome = app.unseal(&Unseal { key: Some(text), reset: false }).await;
        match &outcome {
            Err(error) if error.code() == Code::InvalidRequest => {}
            _ => break,
        }
    }
    sys::show(&outcome?)
}

/// The texts that a key can stand for: a share's, from its digits, its base64 or itself; the digits of a passphrase that
/// was made here; or a passphrase that people chose.
fn readings(key: &str) -> Vec<String> {
    let key = key.trim();
    let decoded = HEXLOWER_PERMISSIVE.decode(key.as_bytes()).or_else(|_| BASE64.decode(key.as_bytes()));
    let mut texts = Vec::new();
    match decoded.map(|bytes| (<[u8; 32]>::try_from(bytes.as_slice()), String::from_utf8(bytes))) {
        Ok((Ok(bytes), _)) => texts.push(HEXLOWER.encode(&bytes)),
        Ok((_, Ok(text))) if text.starts_with("bws_") => return vec![text],
        _ => {}
    }
    if !texts.iter().any(|text| text == key) {
        texts.push(key.to_owned());
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_every_form_that_went_out() {
        let share = "bws_abcdefghijklmnopqrstuvwxyz";
        for key in [share.to_owned(), HEXLOWER.encode(share.as_bytes()), BASE64.encode(share.as_bytes())] {
            assert_eq!(readings(&key), [share], "{key}");
        }
        let digits = HEXLOWER.encode(&[0xab; 32]);
        assert_eq!(readings(&digits), std::slice::from_ref(&digits));
        assert_eq!(readings(&digits.to_uppercase()), [digits.clone(), digits.to_uppercase()]);
        assert_eq!(readings(&base64_of_digits(&digits)), [digits.clone(), base64_of_digits(&digits)]);
        assert_eq!(readings("correct horse battery staple"), ["correct horse battery staple"]);
    }
}
