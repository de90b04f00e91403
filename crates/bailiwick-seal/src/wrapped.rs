//! A tenant's keys as they are stored: wrapped.
//!
//! Layout: `format (1) ‖ root version (u32) ‖ tenant key version (u32) ‖ tenant key created (i64, ms) ‖ wrapped tenant key
//! (60) ‖ sealed list of data keys`. Each line of the list is `purpose (1) ‖ version (u32) ‖ created (i64, ms) ‖ key (32)`.
//! Integers are big-endian.
//!
//! The data keys are sealed as one list rather than one by one, so that nobody who can write to the store can leave one
//! out, put an old one back, or mix two states of a keyring.
//!
//! # Deliberately absent
//! Removing a data key: whatever is still sealed under it would be lost.

use std::fmt;

use bailiwick_types::{InstallationId, Random, TenantId, Timestamp};
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::aead::{AeadKey, OVERHEAD_BYTES};
use crate::derive::{expand, extract};
use crate::error::SealError;
use crate::purpose::Purpose;
use crate::root::RootKey;

const FORMAT: u8 = 1;
const WRAPPED_BYTES: usize = 32 + OVERHEAD_BYTES;
const LINE_BYTES: usize = 1 + 4 + 8 + 32;
/// The most data keys of one tenant: about 11 KiB of header.
const KEYS_MAX: usize = 256;

/// A tenant's wrapped keys. Serialises as base64 text, for whoever keeps it inside something else.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyringRecord {
    head: Head,
    tenant_key: [u8; WRAPPED_BYTES],
    data_keys: Vec<u8>,
}

/// What is in clear, and bound into the wrapped tenant key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) root_version: u32,
    pub(crate) tenant_key_version: u32,
    pub(crate) tenant_key_created: Timestamp,
}

/// Whose keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) installation: InstallationId,
    pub(crate) tenant: TenantId,
}

impl KeyringRecord {
    /// The record with a new version of the key for `purpose`. Older versions stay for opening and checking.
    ///
    /// # Errors
    /// [`SealError::Open`] if the record does not open with this root key and tenant, [`SealError::Full`] if there are
    /// too many versions.
    pub fn rotate_data(
        &self,
        root: &RootKey,
        installation: InstallationId,
        tenant: TenantId,
        purpose: Purpose,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<Self, SealError> {
        let owner = Owner { installation, tenant };
        let (tenant_key, mut keys) = self.unwrap(root, owner)?;
        keys.add(purpose, now, random)?;
        let data_keys = seal_list(&tenant_key, owner, self.head.tenant_key_version, &keys, random)?;
        Ok(Self { data_keys, ..self.clone() })
    }

    /// The record with a new tenant key, under which all data keys are wrapped again.
    ///
    /// # Errors
    /// As [`KeyringRecord::rotate_data`].
    pub fn rotate_tenant_key(
        &self,
        root: &RootKey,
        installation: InstallationId,
        tenant: TenantId,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<Self, SealError> {
        let owner = Owner { installation, tenant };
        let (_, keys) = self.unwrap(root, owner)?;
        let tenant_key_version = self.head.tenant_key_version.checked_add(1).ok_or(SealError::Full)?;
        Self::wrap(root, owner, Head { tenant_key_version, tenant_key_created: now, ..self.head }, &keys, random)
    }

    /// The record under another root key. The tenant key and the data keys stay.
    ///
    /// # Errors
    /// As [`KeyringRecord::rotate_data`].
    pub fn rewrap(
        &self,
        old_root: &RootKey,
        new_root: &RootKey,
        new_root_version: u32,
        installation: InstallationId,
        tenant: TenantId,
        random: &dyn Random,
    ) -> Result<Self, SealError> {
        let owner = Owner { installation, tenant };
        // The list is opened too, so that damage is found while the old root key is still there.
        let (tenant_key, _) = self.unwrap(old_root, owner)?;
        let head = Head { root_version: new_root_version, ..self.head };
        Ok(Self { head, tenant_key: wrap_tenant_key(new_root, owner, head, &tenant_key, random)?, ..self.clone() })
    }

    /// The version of the root key that the tenant key is wrapped under.
    pub fn root_version(&self) -> u32 {
        self.head.root_version
    }

    /// The tenant key's version.
    pub fn tenant_key_version(&self) -> u32 {
        self.head.tenant_key_version
    }

    /// SHA-256 over the stored form, in hexadecimal digits: names these wrapped keys (in a certificate that they were
    /// destroyed, for one) without being of use to anyone.
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.to_bytes()).as_ref())
    }

    /// For the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(17 + WRAPPED_BYTES + self.data_keys.len());
        out.push(FORMAT);
        out.extend_from_slice(&self.head.to_bytes());
        out.extend_from_slice(&self.tenant_key);
        out.extend_from_slice(&self.data_keys);
        out
    }

    /// From the store. Says nothing about whether it will open.
    ///
    /// # Errors
    /// [`SealError::Damaged`] if it is no keyring record, or of a later format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let damaged = SealError::Damaged("keyring record");
        let (format, rest) = bytes.split_first().ok_or(damaged.clone())?;
        let (root_version, rest) = rest.split_first_chunk::<4>().ok_or(damaged.clone())?;
        let (tenant_key_version, rest) = rest.split_first_chunk::<4>().ok_or(damaged.clone())?;
        let (created, rest) = rest.split_first_chunk::<8>().ok_or(damaged.clone())?;
        let (tenant_key, data_keys) = rest.split_first_chunk::<WRAPPED_BYTES>().ok_or(damaged.clone())?;
        if *format != FORMAT || data_keys.len() > OVERHEAD_BYTES + KEYS_MAX * LINE_BYTES {
            return Err(damaged);
        }
        let head = Head {
            root_version: u32::from_be_bytes(*root_version),
            tenant_key_version: u32::from_be_bytes(*tenant_key_version),
            tenant_key_created: Timestamp::from_unix_ms(i64::from_be_bytes(*created)),
        };
        Ok(Self { head, tenant_key: *tenant_key, data_keys: data_keys.to_vec() })
    }

    /// A new tenant's record, with the keys that are in it.
    pub(crate) fn create(
        root: &RootKey,
        root_version: u32,
        owner: Owner,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<(Self, KeyList), SealError> {
        let mut keys = KeyList::empty();
        for purpose in Purpose::ALL {
            keys.add(purpose, now, random)?;
        }
        let head = Head { root_version, tenant_key_version: 1, tenant_key_created: now };
        Ok((Self::wrap(root, owner, head, &keys, random)?, keys))
    }

    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// The tenant key and the data keys.
    pub(crate) fn unwrap(&self, root: &RootKey, owner: Owner) -> Result<(Zeroizing<Vec<u8>>, KeyList), SealError> {
        let wrap = root.tenant_wrap(owner.installation, owner.tenant)?;
        let tenant_key = wrap.open(&tenant_key_data(owner, self.head), &self.tenant_key)?;
        let version = self.head.tenant_key_version;
        let list = list_key(&tenant_key)?.open(&list_data(owner, version), &self.data_keys)?;
        Ok((tenant_key, KeyList(list)))
    }

    /// Wraps data keys under a new tenant key.
    pub(crate) fn wrap(
        root: &RootKey,
        owner: Owner,
        head: Head,
        keys: &KeyList,
        random: &dyn Random,
    ) -> Result<Self, SealError> {
        let mut tenant_key = Zeroizing::new([0u8; 32]);
        random.fill(tenant_key.as_mut_slice());
        let tenant_key = tenant_key.as_slice();
        let data_keys = seal_list(tenant_key, owner, head.tenant_key_version, keys, random)?;
        Ok(Self { head, tenant_key: wrap_tenant_key(root, owner, head, tenant_key, random)?, data_keys })
    }
}

impl Head {
    fn to_bytes(self) -> [u8; 16] {
        let mut out = [0u8; 16];
        let fields = self.root_version.to_be_bytes().into_iter().chain(self.tenant_key_version.to_be_bytes());
        let fields = fields.chain(self.tenant_key_created.unix_ms().to_be_bytes());
        for (slot, byte) in out.iter_mut().zip(fields) {
            *slot = byte;
        }
        out
    }
}

fn wrap_tenant_key(
    root: &RootKey,
    owner: Owner,
    head: Head,
    tenant_key: &[u8],
    random: &dyn Random,
) -> Result<[u8; WRAPPED_BYTES], SealError> {
    let mut out = Vec::with_capacity(WRAPPED_BYTES);
    let wrap = root.tenant_wrap(owner.installation, owner.tenant)?;
    wrap.seal_onto(random, &tenant_key_data(owner, head), tenant_key, &mut out)?;
    out.try_into().map_err(|_| SealError::Crypto)
}

fn seal_list(
    tenant_key: &[u8],
    owner: Owner,
    tenant_key_version: u32,
    keys: &KeyList,
    random: &dyn Random,
) -> Result<Vec<u8>, SealError> {
    let mut out = Vec::with_capacity(keys.0.len() + OVERHEAD_BYTES);
    list_key(tenant_key)?.seal_onto(random, &list_data(owner, tenant_key_version), &keys.0, &mut out)?;
    Ok(out)
}

fn list_key(tenant_key: &[u8]) -> Result<AeadKey, SealError> {
    let prk = extract("bailiwick/v1/tenant", tenant_key);
    AeadKey::new(&*expand(&prk, "data-keys", [&[], &[]])?)
}

// Every field of both has a fixed length, and the labels differ.

fn tenant_key_data(owner: Owner, head: Head) -> Vec<u8> {
    let label: &[u8] = b"bailiwick/v1/tenant-key\0";
    [label, owner.installation.as_bytes(), owner.tenant.as_bytes(), &head.to_bytes()].concat()
}

fn list_data(owner: Owner, tenant_key_version: u32) -> Vec<u8> {
    let label: &[u8] = b"bailiwick/v1/data-keys\0";
    [label, owner.installation.as_bytes(), owner.tenant.as_bytes(), &tenant_key_version.to_be_bytes()].concat()
}

/// The data keys in clear, line after line in one buffer that is wiped as a whole.
pub(crate) struct KeyList(Zeroizing<Vec<u8>>);

/// One line of the list.
pub(crate) struct DataKey<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) version: u32,
    pub(crate) created: Timestamp,
    pub(crate) key: &'a [u8; 32],
}

impl KeyList {
    fn empty() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(Purpose::ALL.len() * LINE_BYTES)))
    }

    /// A list from elsewhere, if it is one.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        if bytes.len() > KEYS_MAX * LINE_BYTES {
            return Err(SealError::Damaged("data keys"));
        }
        let this = Self(Zeroizing::new(bytes.to_vec()));
        this.lines()?;
        Ok(this)
    }

    /// All lines, in clear.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The lines, in order.
    pub(crate) fn lines(&self) -> Result<Vec<DataKey<'_>>, SealError> {
        let (lines, rest) = self.0.as_chunks::<LINE_BYTES>();
        if !rest.is_empty() {
            return Err(SealError::Damaged("data keys"));
        }
        lines.iter().map(|line| DataKey::parse(line).ok_or(SealError::Damaged("data keys"))).collect()
    }

    /// Adds the next version of the key for `purpose`.
    fn add(&mut self, purpose: Purpose, now: Timestamp, random: &dyn Random) -> Result<(), SealError> {
        let lines = self.lines()?;
        let newest = lines.iter().filter(|line| line.purpose == purpose).map(|line| line.version).max();
        let version = newest.unwrap_or(0).checked_add(1).ok_or(SealError::Full)?;
        if lines.len() >= KEYS_MAX {
            return Err(SealError::Full);
        }
        if self.0.capacity().saturating_sub(self.0.len()) < LINE_BYTES {
            // Into a larger buffer by hand: a vector that grows by itself leaves its old contents behind, unwiped.
            let mut larger = Zeroizing::new(Vec::with_capacity(self.0.len() + LINE_BYTES));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        let mut key = Zeroizing::new([0u8; 32]);
        random.fill(key.as_mut_slice());
        self.0.push(purpose.number());
        self.0.extend_from_slice(&version.to_be_bytes());
        self.0.extend_from_slice(&now.unix_ms().to_be_bytes());
        self.0.extend_from_slice(key.as_slice());
        Ok(())
    }
}

impl<'a> DataKey<'a> {
    fn parse(line: &'a [u8; LINE_BYTES]) -> Option<Self> {
        let (purpose, rest) = line.split_first()?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        let (created, key) = rest.split_first_chunk::<8>()?;
        Some(Self {
            purpose: Purpose::from_number(*purpose)?,
            version: u32::from_be_bytes(*version),
            created: Timestamp::from_unix_ms(i64::from_be_bytes(*created)),
            key: key.try_into().ok()?,
        })
    }
}

impl fmt::Debug for KeyringRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringRecord").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Serialize for KeyringRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.to_bytes()))
    }
}

impl<'de> Deserialize<'de> for KeyringRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes: Vec<u8> = crate::base64::deserialize(deserializer)?;
        Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    /// The tenant key is bound already, and the list to the tenant key; this is the second fence.
    #[test]
    fn a_list_of_keys_opens_in_its_own_place_only_even_under_the_very_same_tenant_key() {
        let owner = Owner { installation: InstallationId::from_bytes([7; 16]), tenant: TenantId::from_bytes([1; 16]) };
        let mut keys = KeyList::empty();
        keys.add(Purpose::Records, Timestamp::from_unix_ms(0), &SystemRandom).unwrap();
        let sealed = seal_list(&[5; 32], owner, 1, &keys, &SystemRandom).unwrap();
        let open = |owner, version| list_key(&[5; 32]).unwrap().open(&list_data(owner, version), &sealed);
        assert_eq!(open(owner, 1).unwrap(), keys.0);
        for (elsewhere, version) in [
            (Owner { tenant: TenantId::from_bytes([2; 16]), ..owner }, 1),
            (Owner { installation: InstallationId::from_bytes([8; 16]), ..owner }, 1),
            (owner, 2),
        ] {
            assert_eq!(open(elsewhere, version).unwrap_err(), SealError::Open);
        }
    }

    /// A vector that grows by itself leaves its old contents behind; it would also grow by more than it needs.
    #[test]
    fn a_list_of_keys_is_moved_by_hand_when_it_grows() {
        let now = Timestamp::from_unix_ms(0);
        let mut keys = KeyList::empty();
        for count in 1..=20 {
            keys.add(Purpose::Records, now, &SystemRandom).unwrap();
            assert_eq!(keys.lines().unwrap().len(), count);
            let at_first = Purpose::ALL.len() * LINE_BYTES;
            assert_eq!(keys.0.capacity(), keys.0.len().max(at_first), "{count} keys");
        }
    }
}
