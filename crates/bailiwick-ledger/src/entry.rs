//! One ledger entry: who did what to which thing, what was decided and how it went.
//!
//! # Invariants
//! - INV-ENTRY-1: an entry has one sequence of bytes, and [`Entry::parse`] accepts no other. The leaf hash is of these.
//! - INV-ENTRY-2: every entry carries 16 random bytes, so that a leaf hash tells nothing about a guessable entry.
//!
//! # Deliberately absent
//! No secret material, ever: not in `detail`, not in `resource`. No index: the store numbers entries, the tree binds
//! the number.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bailiwick_types::{Random, Timestamp};
use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::canonical;
use crate::tree::{Hash, leaf_hash};

/// The longest entry, in bytes.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;

/// About how long most entries are.
const TYPICAL_BYTES: usize = 640;

/// What `tenant` is in entries of the platform's own ledger.
pub const PLATFORM: &str = "platform";

/// The format of an entry: the number 1 and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct V1;

impl Serialize for V1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

impl<'de> Deserialize<'de> for V1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(serde::de::Error::custom(format_args!("unknown entry format {other}"))),
        }
    }
}

/// A word of ours: whoever writes an entry need not copy it.
pub type Word = Cow<'static, str>;

/// One ledger entry. The order of the fields is the order of the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The format.
    pub v: V1,
    /// Whose ledger: a tenant id, or [`PLATFORM`].
    pub tenant: String,
    /// When.
    pub time: Timestamp,
    /// The id of the request.
    pub request: String,
    /// Who.
    pub actor: Actor,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Through which door: `api`, `vault`, `system`.
    pub door: Word,
    /// What: a name from the action table, or of an event such as `auth:refused`.
    pub action: Word,
    /// To what.
    pub resource: EntryResource,
    /// What policy said.
    pub decision: Decision,
    /// The policies that determined the decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// How it went: `ok`, or the name of an error class.
    pub outcome: Word,
    /// The stable error code, unless it went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Word>,
    /// What else there is to say. Never secret material.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
    /// 16 random bytes in base64. See [`salt`].
    pub salt: String,
}

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// What sort of actor.
    pub kind: ActorKind,
    /// The id of the principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The id of the credential that was presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The operator behind it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
}

/// The sorts of actors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A person of the tenant.
    Member,
    /// A service account.
    Service,
    /// An AI agent.
    Agent,
    /// An operator of the installation.
    Operator,
    /// Nobody that could be made out.
    Anonymous,
    /// The server itself: a job.
    System,
}

/// What was acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryResource {
    /// The kind of thing.
    pub kind: Word,
    /// Its id or path.
    pub id: String,
    /// Which version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// What policy said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Yes.
    Allow,
    /// No.
    Deny,
    /// It never got to policy.
    None,
}

impl Decision {
    /// The word for it in an entry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::None => "none",
        }
    }
}

/// Why bytes are not an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Longer than any entry.
    #[error("the entry is longer than {ENTRY_BYTES_MAX} bytes")]
    TooLong,
    /// Not the JSON of an entry.
    #[error("not an entry: {reason} at byte {byte}")]
    Json {
        /// Where, counted from 1.
        byte: usize,
        /// What is wrong, without repeating the input.
        reason: &'static str,
    },
    /// The JSON of an entry, but not its one spelling.
    #[error("the entry is not in its canonical form")]
    NotCanonical,
    /// The salt is not 16 bytes in base64.
    #[error("the entry's salt is not 16 bytes in base64")]
    Salt,
}

/// What [`Entry::check`] tells of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<'a> {
    /// Whose ledger it is of.
    pub tenant: Cow<'a, str>,
    /// When it happened.
    pub time: Timestamp,
}

/// Fresh salt for an entry.
pub fn salt(random: &dyn Random) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    BASE64.encode(&bytes)
}

impl Entry {
    /// The entry's bytes: JSON with the fields in their order, without white space, absent fields left out.
    pub fn canonical(&self) -> Vec<u8> {
        // Serialising strings, numbers and maps of strings to memory cannot fail. Were it to, then the empty bytes
        // are no entry and everything that reads them refuses them.
        let mut bytes = Vec::with_capacity(TYPICAL_BYTES);
        match serde_json::to_writer(&mut bytes, self) {
            Ok(()) => bytes,
            Err(_) => Vec::new(),
        }
    }

    /// The entry with these bytes.
    ///
    /// # Errors
    /// [`EntryError`] if they are not the canonical bytes of an entry.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLong);
        }
        let entry: Self = serde_json::from_slice(bytes).map_err(|error| json_error(bytes, &error))?;
        if entry.canonical() != bytes {
            return Err(EntryError::NotCanonical);
        }
        if !is_salt(entry.salt.as_bytes()) {
            return Err(EntryError::Salt);
        }
        Ok(entry)
    }

    /// Checks canonical bytes as [`parse`](Self::parse) does, without building the entry.
    ///
    /// # Errors
    /// [`EntryError`], the same as `parse`.
    pub fn check(bytes: &[u8]) -> Result<Checked<'_>, EntryError> {
        match canonical::entry(bytes) {
            Some((tenant, time)) => Ok(Checked { tenant, time }),
            None => Err(Self::parse(bytes).err().unwrap_or(EntryError::NotCanonical)),
        }
    }

    /// The entry's leaf hash.
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(&self.canonical())
    }
}

/// Whether it is 16 bytes in base64: of the 22nd character only two bits are used.
pub(crate) fn is_salt(text: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let [digits @ .., b'A' | b'Q' | b'g' | b'w', b'=', b'='] = text else { return false };
    // Without a branch for each, which is what makes it faster than decoding.
    digits.len() == 21 && digits.iter().fold(true, |all, byte| all & is_digit(byte))
}

/// Where and roughly what: the text of the library's error may repeat input that nobody escaped.
fn json_error(bytes: &[u8], error: &serde_json::Error) -> EntryError {
    use serde_json::error::Category;
    let before: usize =
        bytes.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    let reason = match error.classify() {
        Category::Syntax => "malformed JSON",
        Category::Eof => "the text ends too early",
        Category::Data | Category::Io => "a field is missing, unknown, twice there or of the wrong type",
    };
    EntryError::Json { byte: before + error.column(), reason }
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
