//! One tenant's keys, unwrapped and ready.
//!
//! # Invariants
//! - A keyring has at least one key of every purpose, and the newest of each makes what is new.
//! - It works for its own tenant only: a context of another one is refused before any key is touched.
//!
//! # Deliberately absent
//! `Clone` (share it behind an `Arc`), and any way to get key material out.

use std::fmt;

use bailiwick_types::{CredentialId, InstallationId, Random, Recipient, Secret, TenantId, Timestamp};

use crate::aead::AeadKey;
use crate::envelope::{self, Context};
use crate::error::SealError;
use crate::mac::{self, MacKey, Verifier};
use crate::purpose::Purpose;
use crate::root::RootKey;
use crate::signer::{self, LazyPair, LedgerSigner};
use crate::transport::{RecipientKey, SealedKeys, TransportedKeys};
use crate::wrapped::{Head, KeyList, KeyringRecord, Owner};

/// One tenant's keys. Wiped on drop.
pub struct Keyring {
    owner: Owner,
    head: Head,
    records: Versions<AeadKey>,
    ledger: Versions<AeadKey>,
    credentials: Versions<MacKey>,
    cursors: Versions<MacKey>,
    ledger_signing: Versions<LazyPair>,
    /// Of the platform only: bundles are sealed to an installation, not to a tenant.
    recipients: Option<Versions<RecipientKey>>,
}

/// What may be told about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// `tenant` for the tenant key, else the [`Purpose`]'s name.
    pub purpose: &'static str,
    /// Counts from 1.
    pub version: u32,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it makes what is new. Others only open and check.
    pub is_current: bool,
}

/// A public key that signs, or once signed, the tenant's checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerKey {
    /// Counts from 1.
    pub version: u32,
    /// When it was made.
    pub created: Timestamp,
    /// The Ed25519 public key.
    pub public_key: [u8; 32],
    /// Whether it signs new checkpoints.
    pub is_current: bool,
}

impl Keyring {
    /// New keys for a new tenant, and the record to store.
    ///
    /// # Errors
    /// [`SealError::Crypto`] if the crypto library refuses.
    pub fn create(
        root: &RootKey,
        root_version: u32,
        installation: InstallationId,
        tenant: TenantId,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<(Self, KeyringRecord), SealError> {
        let owner = Owner { installation, tenant };
        let (record, keys) = KeyringRecord::create(root, root_version, owner, now, random)?;
        Ok((Self::from_list(owner, record.head(), &keys)?, record))
    }

    /// Opens the stored record.
    ///
    /// # Errors
    /// [`SealError::Open`] if it is not this tenant's, or was wrapped under another root key, or is damaged.
    pub fn unwrap(
        root: &RootKey,
        installation: InstallationId,
        tenant: TenantId,
        record: &KeyringRecord,
    ) -> Result<Self, SealError> {
        let owner = Owner { installation, tenant };
        let (_, keys) = record.unwrap(root, owner)?;
        Self::from_list(owner, record.head(), &keys)
    }

    pub(crate) fn from_list(owner: Owner, head: Head, keys: &KeyList) -> Result<Self, SealError> {
        let lines = keys.lines()?;
        let sealing = |purpose| Versions::build(&lines, purpose, AeadKey::new);
        let mac =
            |purpose| Versions::build(&lines, purpose, |key| Ok(MacKey::new(owner.installation, owner.tenant, key)));
        let recipients = owner
            .tenant
            .is_platform()
            .then(|| Versions::build(&lines, Purpose::Credentials, |key| RecipientKey::derive(owner, key)))
            .transpose()?;
        Ok(Self {
            owner,
            head,
            recipients,
            records: sealing(Purpose::Records)?,
            ledger: sealing(Purpose::Ledger)?,
            credentials: mac(Purpose::Credentials)?,
            cursors: mac(Purpose::Cursors)?,
            ledger_signing: Versions::build(&lines, Purpose::LedgerSigning, |seed| Ok(LazyPair::new(seed)))?,
        })
    }

    /// The tenant whose keys these are.
    pub fn tenant(&self) -> TenantId {
        self.owner.tenant
    }

    /// Seals `plaintext` for one place, under the newest key for `purpose`.
    ///
    /// # Errors
    /// [`SealError::ForeignContext`] if the place is another tenant's, [`SealError::NotASealingPurpose`] unless the
    /// purpose is [`Purpose::Records`] or [`Purpose::Ledger`].
    pub fn seal(
        &self,
        random: &dyn Random,
        purpose: Purpose,
        context: &Context<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let current = &self.sealing(purpose, context)?.current;
        let mut out = envelope::begin(current.version, plaintext.len());
        current.key.seal_onto(random, &context.associated_data(purpose, current.version), plaintext, &mut out)?;
        Ok(out)
    }

    /// Opens what was sealed for the same place and purpose.
    ///
    /// # Errors
    /// [`SealError::Open`] if anything is not as it was when sealing, [`SealError::UnknownKeyVersion`] if it says that it
    /// was sealed under a key version that is not here, and what [`Keyring::seal`] fails with.
    pub fn open(&self, purpose: Purpose, context: &Context<'_>, sealed: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        let keys = self.sealing(purpose, context)?;
        let (version, body) = envelope::split(sealed)?;
        let key = &keys.find(version).ok_or(SealError::UnknownKeyVersion(version))?.key;
        let mut plaintext = key.open(&context.associated_data(purpose, version), body)?;
        Ok(Secret::new(std::mem::take(&mut *plaintext)))
    }

    /// The key version that sealed bytes name. Unauthenticated: good for counting what is yet to be re-sealed.
    pub fn key_version(sealed: &[u8]) -> Option<u32> {
        envelope::split(sealed).ok().map(|(version, _)| version)
    }

    /// What to store in place of a credential's secret.
    pub fn credential_verifier(&self, id: CredentialId, secret: &[u8; 32]) -> Verifier {
        let current = &self.credentials.current;
        Verifier { key_version: current.version, mac: current.key.credential(id, secret) }
    }

    /// Whether `secret` is the one that the verifier was made of, for the same credential.
    ///
    /// Does the same work whatever the answer is, also for a verifier under a key version that is not here.
    pub fn check_credential(&self, id: CredentialId, secret: &[u8; 32], verifier: &Verifier) -> bool {
        let found = self.credentials.find(verifier.key_version);
        let is_known = subtle::Choice::from(u8::from(found.is_some()));
        let key = &found.unwrap_or(&self.credentials.current).key;
        (mac::equal(&key.credential(id, secret), &verifier.mac) & is_known).into()
    }

    /// Authenticates a page cursor.
    pub fn cursor_mac(&self, message: &[u8]) -> [u8; 32] {
        self.cursors.current.key.cursor(message)
    }

    /// Whether this keyring's newest cursor key made `mac`, in constant time. Cursors do not outlive a rotation: they are
    /// cheap to get anew, and a key that leaked must stop working.
    pub fn check_cursor(&self, message: &[u8], mac: &[u8; 32]) -> bool {
        mac::equal(&self.cursor_mac(message), mac).into()
    }

    /// A keyed hash to look things up by (an `Idempotency-Key`, for one) without storing what was hashed.
    ///
    /// Made with the *oldest* cursors key, so that it is the same for the whole life of the tenant: a lookup that a
    /// rotation made miss would let a repeated request run twice.
    pub fn fingerprint(&self, message: &[u8]) -> [u8; 32] {
        self.cursors.oldest().key.fingerprint(message)
    }

    /// The newest signer of the tenant's checkpoints, under the ledger's origin. The key pair is worked out once.
    ///
    /// # Errors
    /// [`SealError::Crypto`] if the crypto library refuses.
    pub fn ledger_signer(&self, origin: &str) -> Result<LedgerSigner, SealError> {
        Ok(LedgerSigner::new(origin, self.ledger_signing.current.key.pair()?))
    }

    /// The public keys of all checkpoint signers, oldest first: old checkpoints stay verifiable.
    ///
    /// # Errors
    /// [`SealError::Crypto`] if the crypto library refuses.
    pub fn ledger_keys(&self) -> Result<Vec<LedgerKey>, SealError> {
        let current = self.ledger_signing.current.version;
        let keys = self.ledger_signing.iter().map(|versioned| {
            let public_key = signer::public_key(&*versioned.key.pair()?);
            let is_current = versioned.version == current;
            Ok(LedgerKey { version: versioned.version, created: versioned.created, public_key, is_current })
        });
        keys.collect()
    }

    /// Whom bundles for this installation are sealed to.
    ///
    /// # Errors
    /// [`SealError::NotTheInstallation`] for the keyring of a tenant.
    pub fn recipient(&self) -> Result<Recipient, SealError> {
        let current = &self.recipients.as_ref().ok_or(SealError::NotTheInstallation)?.current;
        let public_key = current.key.public_key()?;
        Ok(Recipient { installation: self.owner.installation, key_version: current.version, public_key })
    }

    /// Opens keys that were sealed to `recipient`, together with the same `bound` bytes.
    ///
    /// # Errors
    /// [`SealError::Open`] if they were sealed to somebody else or with other bytes, [`SealError::UnknownKeyVersion`] if
    /// the recipient is of a key that is not here, [`SealError::NotTheInstallation`] for the keyring of a tenant.
    pub fn open_keys(
        &self,
        recipient: &Recipient,
        keys: &SealedKeys,
        bound: &[u8],
    ) -> Result<TransportedKeys, SealError> {
        let mine = self.recipients.as_ref().ok_or(SealError::NotTheInstallation)?;
        let version = recipient.key_version;
        let found = mine.find(version).ok_or(SealError::UnknownKeyVersion(version))?;
        if recipient.installation != self.owner.installation || recipient.public_key != found.key.public_key()? {
            return Err(SealError::Open);
        }
        found.key.open(keys, bound)
    }

    /// All keys, by purpose and version; no material.
    pub fn describe(&self) -> Vec<KeyInfo> {
        let tenant = KeyInfo {
            purpose: "tenant",
            version: self.head.tenant_key_version,
            created: self.head.tenant_key_created,
            is_current: true,
        };
        let mut out = vec![tenant];
        self.records.describe(Purpose::Records, &mut out);
        self.ledger.describe(Purpose::Ledger, &mut out);
        self.credentials.describe(Purpose::Credentials, &mut out);
        self.cursors.describe(Purpose::Cursors, &mut out);
        self.ledger_signing.describe(Purpose::LedgerSigning, &mut out);
        out
    }

    fn sealing(&self, purpose: Purpose, context: &Context<'_>) -> Result<&Versions<AeadKey>, SealError> {
        if context.tenant != self.owner.tenant || context.installation != self.owner.installation {
            return Err(SealError::ForeignContext);
        }
        match purpose {
            Purpose::Records => Ok(&self.records),
            Purpose::Ledger => Ok(&self.ledger),
            Purpose::Credentials | Purpose::Cursors | Purpose::LedgerSigning => {
                Err(SealError::NotASealingPurpose(purpose))
            }
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("owner", &self.owner).field("head", &self.head).finish_non_exhaustive()
    }
}

/// All versions of one purpose's key; there is always a current one.
struct Versions<T> {
    current: Versioned<T>,
    /// Oldest first.
    older: Vec<Versioned<T>>,
}

struct Versioned<T> {
    version: u32,
    created: Timestamp,
    key: T,
}

impl<T> Versions<T> {
    fn build(
        lines: &[crate::wrapped::DataKey<'_>],
        purpose: Purpose,
        make: impl Fn(&[u8; 32]) -> Result<T, SealError>,
    ) -> Result<Self, SealError> {
        let mut current: Option<Versioned<T>> = None;
        let mut older = Vec::new();
        for line in lines.iter().filter(|line| line.purpose == purpose) {
            let next = Versioned { version: line.version, created: line.created, key: make(line.key)? };
            if let Some(previous) = current.replace(next) {
                // The list is authenticated; if it is out of order all the same, we wrote it wrong.
                if previous.version >= line.version {
                    return Err(SealError::Damaged("data keys"));
                }
                older.push(previous);
            }
        }
        Ok(Self { current: current.ok_or(SealError::Damaged("data keys"))?, older })
    }

    fn find(&self, version: u32) -> Option<&Versioned<T>> {
        self.iter().rev().find(|versioned| versioned.version == version)
    }

    fn oldest(&self) -> &Versioned<T> {
        self.older.first().unwrap_or(&self.current)
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = &Versioned<T>> {
        self.older.iter().chain(std::iter::once(&self.current))
    }

    fn describe(&self, purpose: Purpose, out: &mut Vec<KeyInfo>) {
        out.extend(self.iter().map(|versioned| KeyInfo {
            purpose: purpose.as_str(),
            version: versioned.version,
            created: versioned.created,
            is_current: versioned.version == self.current.version,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wrapped::DataKey;

    #[test]
    fn versions_that_do_not_grow_make_no_keyring() {
        let key = [7; 32];
        let build = |versions: &[u32]| {
            let line = |version| DataKey {
                purpose: Purpose::Records,
                version,
                created: Timestamp::from_unix_ms(0),
                key: &key,
            };
            let lines: Vec<_> = versions.iter().copied().map(line).collect();
            Versions::build(&lines, Purpose::Records, |_| Ok(())).map(|keys| (keys.current.version, keys.older.len()))
        };
        assert_eq!(build(&[1, 2, 5]), Ok((5, 2)));
        for versions in [&[][..], &[1, 1], &[2, 1], &[1, 3, 2]] {
            assert_eq!(build(versions), Err(SealError::Damaged("data keys")), "{versions:?}");
        }
    }
}
