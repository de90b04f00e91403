//! Before the first write: whether the whole bundle holds, for whoever has the keys.

use std::sync::Arc;

use bailiwick_authz::{Layer, restore_policy};
use bailiwick_ledger::bundle::{BundleChecker, BundleError, BundleHead, BundleProblem, EntryItem, Piece, RecordItem};
use bailiwick_ledger::entry::Entry;
use bailiwick_ledger::leaf_hash;
use bailiwick_ledger::note::VerifierKey;
use bailiwick_seal::{Context, Keyring, Purpose, SealedKeys, TransportedKeys};
use bailiwick_store::Space;
use bailiwick_types::{Code, MemberId, Secret};
use data_encoding::BASE64;

use super::TenantNote;
use super::frames::Frames;
use crate::app::App;
use crate::error::AppError;
use crate::members::OWNER;
use crate::records::{CredentialRecord, MemberRecord, PolicyRecord};

pub(super) fn refused(error: &BundleError) -> AppError {
    AppError::with_detail(Code::BundleRefused, error.to_string())
}

pub(super) fn refused_as(why: impl Into<String>) -> AppError {
    AppError::with_detail(Code::BundleRefused, why)
}

/// The space of a frame of records, if bundles of this kind hold it.
pub(super) fn space_of(number: u8, is_final: bool) -> Result<Space, AppError> {
    super::spaces(is_final)
        .find(|space| space.number() == number)
        .ok_or_else(|| refused_as(format!("it holds records of the space {number}, which no such bundle does")))
}

/// Keys that came with a bundle, and what its head says.
pub(super) struct Unpacked {
    pub(super) head: BundleHead,
    pub(super) keys: TransportedKeys,
    pub(super) note: TenantNote,
}

/// What a whole bundle turned out to be.
pub(super) struct Verified {
    /// The root in its seal, in base64.
    pub(super) root: String,
    /// The root of its ledger.
    pub(super) ledger: bailiwick_ledger::Hash,
    pub(super) credentials: u64,
    /// The first owner that is not disabled.
    pub(super) owner: Option<MemberId>,
}

impl App {
    /// Reads the head, and opens the keys that are sealed to this installation.
    pub(super) async fn unpack(&self, frames: &mut Frames) -> Result<Unpacked, AppError> {
        let mut checker = BundleChecker::new();
        let frame = frames.next(&checker).await?;
        let frame = frame.ok_or_else(|| refused(&checker.error(BundleProblem::CutOff)))?;
        checker.take(frame.kind, &frame.payload).map_err(|error| refused(&error))?;
        let head = checker.head().cloned().ok_or_else(|| AppError::internal("a bundle without a head"))?;
        let (encapsulated, sealed) = head.sealed().ok_or_else(|| refused_as("the head holds no keys"))?;
        let platform = self.platform_snapshot().await?;
        let keys = platform
            .keyring()?
            .open_keys(&head.recipient, &SealedKeys { encapsulated, sealed }, &head.bound())
            .map_err(|_| {
                refused_as("it is sealed to another installation, or its head was changed since it was sealed")
            })?;
        let note: TenantNote = serde_json::from_slice(keys.note()).map_err(|_| refused_as("it holds no name"))?;
        crate::validate::display_name(&note.name)?;
        Ok(Unpacked { head, keys, note })
    }

    /// Whether somebody who is trusted made the bundle: this installation, or one whose key the operator has given.
    pub(super) fn check_trust(&self, head: &BundleHead, trusted: &[VerifierKey]) -> Result<(), AppError> {
        let own = VerifierKey::of(&self.unsealed()?.signer).map_err(AppError::internal)?;
        match head.keys.last() {
            Some(key) if *key == own || trusted.contains(key) => Ok(()),
            _ => Err(refused_as(format!(
                "it was made by `{}`, whose key you did not give: ask its operators what `bailiwick platform recipient` \
                 prints there, and give that as `key`",
                head.exporter
            ))),
        }
    }

    /// Reads the whole bundle once, and opens everything in it.
    pub(super) async fn verify_bundle(
        &self,
        frames: &mut Frames,
        keyring: &Arc<Keyring>,
    ) -> Result<Verified, AppError> {
        frames.rewind()?;
        let mut checker = BundleChecker::new();
        let mut verified = Verified { root: String::new(), ledger: [0; 32], credentials: 0, owner: None };
        while let Some(frame) = frames.next(&checker).await? {
            let piece = checker.take(frame.kind, &frame.payload).map_err(|error| refused(&error))?;
            let head = checker.head().ok_or_else(|| AppError::internal("a bundle without a head"))?;
            match piece {
                Piece::Head => check_signer(head, keyring)?,
                Piece::Records { space, records } => {
                    let space = space_of(space, head.is_final)?;
                    verified.records(head, keyring, space, &records)?;
                    if space == Space::Policy {
                        self.check_policies(head, keyring, &records).await?;
                    }
                }
                Piece::Entries { first, entries } => check_entries(head, keyring, first, &entries)?,
                Piece::End(root) => verified.root = BASE64.encode(&root),
                Piece::Bookmark(_) | Piece::Checkpoint => {}
            }
        }
        if !checker.is_complete() {
            return Err(refused(&checker.error(BundleProblem::CutOff)));
        }
        verified.ledger = checker.ledger().ok_or_else(|| AppError::internal("a bundle without a ledger"))?.root();
        Ok(verified)
    }
}

impl App {
    /// Policies compile here, so that the tenant can be asked anything once it is in; also what is too deep is refused, where
    /// it harms nobody.
    async fn check_policies(
        &self,
        head: &BundleHead,
        keyring: &Keyring,
        records: &[RecordItem<'_>],
    ) -> Result<(), AppError> {
        let mut policies = Vec::with_capacity(records.len());
        for record in records {
            let opened = open_record(head, keyring, Space::Policy, record)?;
            policies.push(parse::<PolicyRecord>(Space::Policy, &opened)?);
        }
        let broken = self.aside_patiently(move || {
            let is_broken = |policy: &PolicyRecord| restore_policy(Layer::Tenant, &policy.name, &policy.text).is_err();
            policies.into_iter().find(is_broken).map(|policy| policy.name)
        });
        match broken.await? {
            Some(name) => Err(refused_as(format!("its policy `{name}` does not compile in this version"))),
            None => Ok(()),
        }
    }
}

/// The tenant's key in the head is one of the tenant's keys: so who signed held them.
fn check_signer(head: &BundleHead, keyring: &Keyring) -> Result<(), AppError> {
    let signer = head.keys.first().map(|key| *key.public_key());
    let is_own = keyring.ledger_keys()?.iter().any(|key| Some(key.public_key) == signer);
    if is_own { Ok(()) } else { Err(refused_as("the key that signed it is not the tenant's")) }
}

/// Opens a record where it belongs.
pub(super) fn open_record(
    head: &BundleHead,
    keyring: &Keyring,
    space: Space,
    record: &RecordItem<'_>,
) -> Result<Secret<Vec<u8>>, AppError> {
    let context = Context {
        installation: head.home,
        tenant: head.tenant,
        space: space.as_str(),
        key: record.key,
        version: record.version,
    };
    keyring.open(Purpose::Records, &context, record.sealed).map_err(|_| {
        refused_as(format!(
            "a record of the space `{}` does not open under the tenant's keys at its place",
            space.as_str()
        ))
    })
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(space: Space, opened: &Secret<Vec<u8>>) -> Result<T, AppError> {
    serde_json::from_slice(opened.expose())
        .map_err(|_| refused_as(format!("a record of the space `{}` does not parse", space.as_str())))
}

impl Verified {
    fn records(
        &mut self,
        head: &BundleHead,
        keyring: &Keyring,
        space: Space,
        records: &[RecordItem<'_>],
    ) -> Result<(), AppError> {
        for record in records {
            let opened = open_record(head, keyring, space, record)?;
            match space {
                Space::Credential => {
                    parse::<CredentialRecord>(space, &opened)?;
                    self.credentials = self.credentials.saturating_add(1);
                }
                Space::Member => {
                    let member: MemberRecord = parse(space, &opened)?;
                    if member.role.as_str() == OWNER && !member.is_disabled && self.owner.is_none() {
                        self.owner = Some(member.id);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn check_entries(head: &BundleHead, keyring: &Keyring, first: u64, entries: &[EntryItem<'_>]) -> Result<(), AppError> {
    let tenant = head.tenant.to_string();
    for (index, entry) in (first..).zip(entries) {
        let context =
            Context { installation: head.home, tenant: head.tenant, space: "ledger", key: &entry.leaf, version: 0 };
        let opened = keyring
            .open(Purpose::Ledger, &context, entry.sealed)
            .map_err(|_| refused_as(format!("entry {index} does not open under the tenant's keys")))?;
        let is_of_leaf = leaf_hash(opened.expose()) == entry.leaf;
        let is_own = Entry::check(opened.expose()).is_ok_and(|checked| checked.tenant == tenant);
        if !is_of_leaf || !is_own {
            return Err(refused_as(format!("entry {index} is not what its leaf says, or of another tenant")));
        }
    }
    Ok(())
}
