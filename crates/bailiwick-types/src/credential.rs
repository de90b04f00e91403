//! The text form of a credential.
//!
//! `bwk_` (tenant) or `bwo_` (operator), then base32 of
//! `tenant id (16, absent for operators) ‖ credential id (16) ‖ secret (32) ‖ CRC-32 of what precedes (4)`.
//!
//! The tenant's locator is inside, so that no global index of credentials exists; the prefix is for secret
//! scanners; the checksum tells a typing error from a wrong credential without asking the store. Not in the
//! checksum's power: it authenticates nothing.

use zeroize::{Zeroize, Zeroizing};

use crate::base32;
use crate::id::{CredentialId, TenantId};
use crate::random::Random;
use crate::secret::Secret;

const TENANT_PREFIX: &str = "bwk_";
const OPERATOR_PREFIX: &str = "bwo_";

/// Why a text is no credential. Says nothing about the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialTextError {
    /// Neither of the known prefixes, or the wrong length or alphabet.
    #[error("malformed credential")]
    Malformed,
    /// The checksum does not match: most likely cut off or mistyped.
    #[error("credential checksum does not match; it was cut off or mistyped")]
    Checksum,
}

/// A credential as it was presented: parsed, not verified. It grants nothing.
#[derive(Debug)]
pub struct CredentialText {
    tenant: TenantId,
    id: CredentialId,
    secret: Secret<[u8; 32]>,
}

impl CredentialText {
    /// A new credential of `tenant` ([`TenantId::PLATFORM`] for an operator) with a random secret.
    pub fn generate(tenant: TenantId, id: CredentialId, random: &dyn Random) -> Self {
        let mut secret = [0u8; 32];
        random.fill(&mut secret);
        let this = Self { tenant, id, secret: Secret::new(secret) };
        secret.zeroize();
        this
    }

    /// Parses what a client sent.
    ///
    /// # Errors
    /// [`CredentialTextError`], which carries nothing of the input.
    pub fn parse(text: &str) -> Result<Self, CredentialTextError> {
        let (body, is_operator) = match (text.strip_prefix(TENANT_PREFIX), text.strip_prefix(OPERATOR_PREFIX)) {
            (Some(body), _) => (body, false),
            (_, Some(body)) => (body, true),
            _ => return Err(CredentialTextError::Malformed),
        };
        let bytes = Zeroizing::new(base32::decode(body).ok_or(CredentialTextError::Malformed)?);
        let (payload, checksum) = bytes.split_last_chunk::<4>().ok_or(CredentialTextError::Malformed)?;
        let (tenant, rest) = if is_operator {
            (TenantId::PLATFORM, payload)
        } else {
            let (tenant, rest) = payload.split_first_chunk::<16>().ok_or(CredentialTextError::Malformed)?;
            (TenantId::from_bytes(*tenant), rest)
        };
        let (id, secret) = rest.split_first_chunk::<16>().ok_or(CredentialTextError::Malformed)?;
        let secret = <[u8; 32]>::try_from(secret).map_err(|_| CredentialTextError::Malformed)?;
        if tenant.is_platform() != is_operator {
            return Err(CredentialTextError::Malformed);
        }
        if crc32fast::hash(payload).to_be_bytes() != *checksum {
            return Err(CredentialTextError::Checksum);
        }
        Ok(Self { tenant, id: CredentialId::from_bytes(*id), secret: Secret::new(secret) })
    }

    /// The text to hand out, once.
    pub fn reveal(&self) -> Secret<String> {
        let is_operator = self.tenant.is_platform();
        let mut bytes = Zeroizing::new(Vec::with_capacity(68));
        if !is_operator {
            bytes.extend_from_slice(self.tenant.as_bytes());
        }
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(self.secret.expose());
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        let mut text = String::with_capacity(4 + 112);
        text.push_str(if is_operator { OPERATOR_PREFIX } else { TENANT_PREFIX });
        let mut body = base32::encode(&bytes);
        text.push_str(&body);
        body.zeroize();
        Secret::new(text)
    }

    /// The tenant that the credential says it belongs to: a locator, not yet evidence.
    pub fn claimed_tenant(&self) -> TenantId {
        self.tenant
    }

    /// The credential's own id.
    pub fn id(&self) -> CredentialId {
        self.id
    }

    /// The secret part, to be compared with the stored verifier.
    pub fn secret(&self) -> &Secret<[u8; 32]> {
        &self.secret
    }

    /// Whether it is an operator's.
    pub fn is_operator(&self) -> bool {
        self.tenant.is_platform()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::testing::Counting;

    #[test]
    fn text_round_trips_and_typing_errors_are_told_apart() {
        let random = Counting::default();
        for tenant in [TenantId::random(&random), TenantId::PLATFORM] {
            let credential = CredentialText::generate(tenant, CredentialId::random(&random), &random);
            let text = credential.reveal().expose().clone();
            let parsed = CredentialText::parse(&text).unwrap();
            assert_eq!(parsed.claimed_tenant(), tenant);
            assert_eq!(parsed.id(), credential.id());
            assert_eq!(parsed.secret().expose(), credential.secret().expose());

            let mut typo = text.clone().into_bytes();
            typo[20] = if typo[20] == b'0' { b'1' } else { b'0' };
            let typo = String::from_utf8(typo).unwrap();
            assert_eq!(CredentialText::parse(&typo).unwrap_err(), CredentialTextError::Checksum);
            for cut in 0..text.len() {
                assert!(CredentialText::parse(text.get(..cut).unwrap()).is_err());
            }
            assert!(CredentialText::parse(&text.to_uppercase()).is_err());
            assert!(CredentialText::parse(&format!("{text}0")).is_err());
            assert!(!format!("{parsed:?}").contains(text.get(40..60).unwrap()));
        }
    }

    #[test]
    fn an_operator_text_cannot_name_a_tenant_nor_the_reverse() {
        let random = Counting::default();
        let text = CredentialText::generate(TenantId::PLATFORM, CredentialId::random(&random), &random);
        let swapped = text.reveal().expose().replace("bwo_", "bwk_");
        assert!(CredentialText::parse(&swapped).is_err());
    }
}
