//! What is in the frames.

use bailiwick_ledger::{CompactRange, Hash, sha256};
use bailiwick_store::{Counts, Header, Record, Space, StoredEntry};
use bailiwick_types::{TenantId, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec::{Decoder, Encoder};
use crate::{Totals, TransferError};

/// The version of the format that this program writes, and the only one that it reads.
pub const VERSION: u32 = 1;
/// How the file begins.
pub(super) const MAGIC: &[u8] = b"bailiwick backup\n";
/// The longest payload. Far above what is written; a length beyond it is damage, and no reason to make room for it.
pub(super) const PAYLOAD_MAX: u32 = 256 << 20;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Intro = 1,
    Tenant = 2,
    Records = 3,
    Entries = 4,
    Header = 5,
    End = 6,
}

impl Kind {
    pub(super) fn from_number(number: u8) -> Option<Self> {
        [Self::Intro, Self::Tenant, Self::Records, Self::Entries, Self::Header, Self::End]
            .into_iter()
            .find(|kind| *kind as u8 == number)
    }
}

/// What the chain of hashes begins with.
pub(super) fn first_link() -> Hash {
    sha256(&prelude())
}

/// The file's first bytes.
pub(super) fn prelude() -> Vec<u8> {
    [MAGIC, &VERSION.to_be_bytes()].concat()
}

/// The next link of the chain.
pub(super) fn link(before: &Hash, kind: u8, length: u32, payload: &[u8]) -> Hash {
    let mut bytes = Vec::with_capacity(payload.len() + 37);
    bytes.extend_from_slice(before);
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
    sha256(&bytes)
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intro {
    /// Which installation it is of.
    pub installation: String,
    /// Where that was kept.
    pub engine: String,
    /// The program that made it.
    pub program: String,
    /// When it was begun.
    pub created: Timestamp,
}

/// A tenant as a backup has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantSummary {
    /// Its id; of the platform, a word.
    pub tenant: String,
    /// Its slug.
    pub slug: String,
    /// Its state, as a number of the layers above.
    pub state: u8,
    /// How many records it has.
    pub records: u64,
    /// The size of its ledger.
    pub entries: u64,
    /// Its ledger's root, in hexadecimal.
    pub root: String,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The format's version.
    pub format: u32,
    /// What it says of itself.
    #[serde(flatten)]
    pub intro: Intro,
    /// How much it is.
    #[serde(flatten)]
    pub totals: Totals,
    /// The hash over all of it, in hexadecimal.
    pub sha256: String,
}

/// Reads JSON that was written by this very program: one value has one spelling.
pub(super) fn read_json<T: Serialize + DeserializeOwned>(payload: &[u8]) -> Result<T, TransferError> {
    let value = serde_json::from_slice::<T>(payload).ok();
    value
        .filter(|value| serde_json::to_vec(value).is_ok_and(|again| again == payload))
        .ok_or_else(|| TransferError::File("what the backup says of itself does not parse".to_owned()))
}

pub(super) fn tenant_frame(tenant: TenantId, slug: &str) -> Vec<u8> {
    let mut out = Encoder::default();
    out.array(tenant.as_bytes()).bytes(slug.as_bytes());
    out.into_bytes()
}

pub(super) fn read_tenant(payload: &[u8]) -> Result<(TenantId, String), TransferError> {
    let mut from = Decoder::new(payload);
    let tenant = TenantId::from_bytes(from.array()?);
    let slug = from.text()?;
    from.finish()?;
    Ok((tenant, slug))
}

pub(super) fn record(out: &mut Encoder, key: &[u8], record: &Record) {
    out.bytes(key).number(record.version).bytes(&record.sealed);
}

pub(super) type Records = (Space, Vec<(Vec<u8>, Record)>);

pub(super) fn read_records(payload: &[u8]) -> Result<Records, TransferError> {
    let mut from = Decoder::new(payload);
    let space = Space::from_number(from.byte()?)
        .ok_or_else(|| TransferError::File("the backup has a space that this release does not know".to_owned()))?;
    let mut records = Vec::new();
    while !from.is_done() {
        let key = from.bytes()?.to_vec();
        records.push((key, Record { version: from.number()?, sealed: from.bytes()?.to_vec() }));
    }
    if records.is_empty() { Err(empty()) } else { Ok((space, records)) }
}

pub(super) fn entry(out: &mut Encoder, entry: &StoredEntry) {
    out.array(&entry.leaf).bytes(&entry.sealed);
}

pub(super) fn read_entries(payload: &[u8]) -> Result<Vec<StoredEntry>, TransferError> {
    let mut from = Decoder::new(payload);
    let first = from.number()?;
    let mut entries = Vec::new();
    for index in first.. {
        if from.is_done() {
            break;
        }
        entries.push(StoredEntry { index, leaf: from.array()?, sealed: from.bytes()?.to_vec() });
    }
    if entries.is_empty() { Err(empty()) } else { Ok(entries) }
}

fn empty() -> TransferError {
    TransferError::File("a frame of the backup holds nothing".to_owned())
}

pub(super) fn header_frame(header: &Header) -> Vec<u8> {
    let mut out = Encoder::default();
    out.byte(header.state).number(header.epoch).number(header.meta_version).number(header.revision);
    match header.wake {
        None => out.byte(0),
        Some(at) => out.byte(1).number(at.unix_ms().cast_unsigned()),
    };
    out.bytes(&header.counts.to_bytes()).bytes(&header.ledger.to_bytes()).bytes(&header.meta);
    out.into_bytes()
}

pub(super) fn read_header(payload: &[u8], tenant: TenantId, slug: &str) -> Result<Header, TransferError> {
    let damaged = || TransferError::File("a tenant's header in the backup does not parse".to_owned());
    let mut from = Decoder::new(payload);
    let (state, epoch, meta_version, revision) = (from.byte()?, from.number()?, from.number()?, from.number()?);
    let wake = match from.byte()? {
        0 => None,
        1 => Some(Timestamp::from_unix_ms(from.number()?.cast_signed())),
        _ => return Err(damaged()),
    };
    let counts = Counts::from_bytes(from.bytes()?).ok_or_else(damaged)?;
    let ledger = CompactRange::from_bytes(from.bytes()?).ok_or_else(damaged)?;
    let meta = from.bytes()?.to_vec();
    from.finish()?;
    let slug = slug.to_owned();
    let header = Header { tenant, slug, state, epoch, ledger, counts, meta, meta_version, revision, wake };
    // One header has one spelling.
    if header_frame(&header) == payload { Ok(header) } else { Err(damaged()) }
}
