//! The lines of an export: what they hold, how they are written, and their strict parsers.

use bailiwick_types::{TenantId, Timestamp};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::canonical::Cursor;
use crate::checkpoint::hash_from_base64;
use crate::entry::{ENTRY_BYTES_MAX, PLATFORM};
use crate::note::{self, VerifierKey};
use crate::tree::{CompactRange, Hash};

/// The format's name and version.
pub const FORMAT: &str = "bailiwick-export/v1";
/// The longest line, in bytes, without its newline: an entry and its frame.
pub const LINE_BYTES_MAX: usize = ENTRY_BYTES_MAX + 256;
/// The most keys of an export.
pub const KEYS_MAX: usize = 16;

const ENTRY_START: &str = "{\"index\":";
const ENTRY_LEAF: &str = ",\"leaf\":\"";
const ENTRY_BODY: &str = "\",\"entry\":";
const ERASED: &str = "null";

/// What the first line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportHeader {
    /// The log's origin.
    pub origin: String,
    /// Whose ledger: a tenant id, or `platform`.
    pub tenant: String,
    /// The tenant's slug.
    pub slug: String,
    /// How many entries follow.
    pub size: u64,
    /// When the export was made.
    pub exported_at: Timestamp,
    /// The keys that sign checkpoint and seal, in this order: the tenant's ledger key, the installation's key.
    pub keys: Vec<VerifierKey>,
}

/// Why bytes are not a line of an export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not the JSON of such a line.
    #[error("not the JSON of such a line")]
    Json,
    /// The right JSON, but not its one spelling.
    #[error("not byte for byte what an export holds there")]
    NotCanonical,
    /// Another format, or another version of it.
    #[error("not in the format `{FORMAT}`")]
    UnknownFormat,
    /// A field with a value that it cannot have.
    #[error("the field `{field}` has a value that it cannot have")]
    Field {
        /// The field's name.
        field: &'static str,
    },
}

/// What a line is, judged by how it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// The first line.
    Header,
    /// An entry.
    Entry,
    /// The last but one line.
    Checkpoint,
    /// The last line.
    Seal,
}

impl LineKind {
    /// The kind of a line, or `None` if no line starts so.
    pub fn of(line: &[u8]) -> Option<Self> {
        let starts: [(&[u8], Self); 4] = [
            (ENTRY_START.as_bytes(), Self::Entry),
            (b"{\"checkpoint\":", Self::Checkpoint),
            (b"{\"seal\":", Self::Seal),
            (b"{\"format\":", Self::Header),
        ];
        starts.iter().find(|(start, _)| line.starts_with(start)).map(|(_, kind)| *kind)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderWire {
    format: String,
    origin: String,
    tenant: String,
    slug: String,
    from: u64,
    size: u64,
    exported_at: Timestamp,
    keys: Vec<VerifierKey>,
}

impl ExportHeader {
    /// The line, without its newline.
    pub fn line(&self) -> Vec<u8> {
        let wire = HeaderWire {
            format: FORMAT.to_owned(),
            origin: self.origin.clone(),
            tenant: self.tenant.clone(),
            slug: self.slug.clone(),
            from: 0,
            size: self.size,
            exported_at: self.exported_at,
            keys: self.keys.clone(),
        };
        to_line(&wire)
    }

    /// The header with this line.
    ///
    /// # Errors
    /// [`LineError`] if it is not one.
    pub fn parse(line: &[u8]) -> Result<Self, LineError> {
        #[derive(Deserialize)]
        struct Format {
            format: String,
        }
        // First, so that a later version is told from damage.
        let Format { format } = serde_json::from_slice(line).map_err(|_| LineError::UnknownFormat)?;
        if format != FORMAT {
            return Err(LineError::UnknownFormat);
        }
        let wire: HeaderWire = from_line(line)?;
        if wire.from != 0 {
            return Err(LineError::Field { field: "from" });
        }
        let HeaderWire { origin, tenant, slug, size, exported_at, keys, .. } = wire;
        let header = Self { origin, tenant, slug, size, exported_at, keys };
        header.check()?;
        Ok(header)
    }

    pub(super) fn check(&self) -> Result<(), LineError> {
        let has_distinct_keys =
            self.keys.iter().enumerate().all(|(at, key)| !self.keys.iter().take(at).any(|k| k == key));
        let claims = [
            ("origin", note::check_name(&self.origin).is_ok()),
            ("tenant", self.tenant == PLATFORM || self.tenant.parse::<TenantId>().is_ok()),
            ("size", self.size <= CompactRange::SIZE_MAX),
            ("keys", (1..=KEYS_MAX).contains(&self.keys.len()) && has_distinct_keys),
        ];
        match claims.iter().find(|(_, holds)| !holds) {
            Some((field, _)) => Err(LineError::Field { field }),
            None => Ok(()),
        }
    }
}

/// A line with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryLine<'a> {
    /// The entry's index.
    pub index: u64,
    /// Its leaf hash.
    pub leaf: Hash,
    /// Its canonical bytes; `None` if it was erased. Not looked into here.
    pub entry: Option<&'a [u8]>,
}

impl<'a> EntryLine<'a> {
    /// Appends the line to `out`, without a newline.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(ENTRY_START.as_bytes());
        out.extend_from_slice(self.index.to_string().as_bytes());
        out.extend_from_slice(ENTRY_LEAF.as_bytes());
        out.extend_from_slice(BASE64.encode(&self.leaf).as_bytes());
        out.extend_from_slice(ENTRY_BODY.as_bytes());
        out.extend_from_slice(self.entry.unwrap_or(ERASED.as_bytes()));
        out.push(b'}');
    }

    /// The parts of the line. The frame around the entry is checked byte for byte, the entry itself is not.
    ///
    /// # Errors
    /// [`LineError`] if it is not a line with an entry.
    pub fn parse(line: &'a [u8]) -> Result<Self, LineError> {
        Self::parse_canonical(line).ok_or_else(|| {
            // Slow, and only to say what is wrong.
            #[derive(Deserialize)]
            #[serde(deny_unknown_fields)]
            struct Wire<'a> {
                #[serde(rename = "index")]
                _index: u64,
                #[serde(rename = "leaf")]
                _leaf: String,
                #[serde(rename = "entry", borrow)]
                _entry: Option<&'a serde_json::value::RawValue>,
            }
            match serde_json::from_slice::<Wire<'_>>(line) {
                Ok(_) => LineError::NotCanonical,
                Err(_) => LineError::Json,
            }
        })
    }

    fn parse_canonical(line: &'a [u8]) -> Option<Self> {
        let (end, frame) = line.split_last()?;
        let mut at = Cursor::new(frame);
        at.literal(ENTRY_START)?;
        let index = at.number()?;
        at.literal(ENTRY_LEAF)?;
        let leaf = hash_from_base64(at.take(44)?)?;
        at.literal(ENTRY_BODY)?;
        let entry = at.rest();
        // An entry is at least an object, so that nothing else can stand in for one.
        let is_object = entry.starts_with(b"{") && entry.ends_with(b"}");
        let is_complete = *end == b'}' && (is_object || entry == ERASED.as_bytes());
        is_complete.then_some(Self { index, leaf, entry: is_object.then_some(entry) })
    }
}

/// What is around the entry in its line, newline included; without an entry, the whole line.
pub fn frame<'l>(line: &'l [u8], entry: Option<&[u8]>) -> [&'l [u8]; 2] {
    let end = line.len().saturating_sub("}\n".len());
    let Some(start) = entry.and_then(|entry| end.checked_sub(entry.len())) else { return [line, &[]] };
    [line.get(..start).unwrap_or_default(), line.get(end..).unwrap_or_default()]
}

/// The line with the signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointLine {
    /// The signed note.
    pub checkpoint: String,
}

/// The line with the signed seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealLine {
    /// The signed note.
    pub seal: String,
}

impl CheckpointLine {
    /// The line, without its newline.
    pub fn line(&self) -> Vec<u8> {
        to_line(self)
    }

    /// Parses the line.
    ///
    /// # Errors
    /// [`LineError`] if it is not such a line.
    pub fn parse(line: &[u8]) -> Result<Self, LineError> {
        from_line(line)
    }
}

impl SealLine {
    /// The line, without its newline.
    pub fn line(&self) -> Vec<u8> {
        to_line(self)
    }

    /// Parses the line.
    ///
    /// # Errors
    /// [`LineError`] if it is not such a line.
    pub fn parse(line: &[u8]) -> Result<Self, LineError> {
        from_line(line)
    }
}

fn to_line<T: Serialize>(value: &T) -> Vec<u8> {
    // Serialising strings and numbers to memory cannot fail, and an empty line is refused by every reader.
    serde_json::to_vec(value).unwrap_or_default()
}

fn from_line<T: Serialize + for<'de> Deserialize<'de>>(line: &[u8]) -> Result<T, LineError> {
    let value: T = serde_json::from_slice(line).map_err(|_| LineError::Json)?;
    if to_line(&value) == line { Ok(value) } else { Err(LineError::NotCanonical) }
}
