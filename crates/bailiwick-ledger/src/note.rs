//! Signed notes with Ed25519 signatures: <https://c2sp.org/signed-note>.
//!
//! A note is a text that ends in a newline, an empty line, and one line per signature:
//! `— <key name> <base64 of key id ‖ signature>`.
//!
//! # Invariants
//! - INV-NOTE-1: [`open`] gives a text out only if at least one known key signed it and no known key's signature fails.
//! - INV-NOTE-2: base64 and key texts have one spelling; any other is refused.
//!
//! # Deliberately absent
//! No private keys: whoever holds one implements [`NoteSigner`]. No other signature types; their lines are skipped, as
//! the specification asks.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};

use crate::tree::sha256;

/// The most signature lines of a note. The specification asks for at least 16.
pub const SIGNATURES_MAX: usize = 100;
/// The longest note, in bytes.
pub const NOTE_BYTES_MAX: usize = 1 << 20;

/// The signature type of Ed25519.
const ED25519_TYPE: u8 = 1;
const SIGNATURE_LINE_START: &str = "\u{2014} ";

/// Somebody who can sign notes with an Ed25519 key.
pub trait NoteSigner: Send + Sync {
    /// The key's name: not empty, no white space, no `+`.
    fn name(&self) -> &str;
    /// The public key.
    fn public_key(&self) -> [u8; 32];
    /// The Ed25519 signature of `message`.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// A name and an Ed25519 public key: what a note is checked with.
///
/// Printed and parsed as the specification's verifier key, `<name>+<key id in hex>+<base64 of type ‖ public key>`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    public_key: [u8; 32],
}

/// A note whose signatures were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The text, with its last newline.
    pub text: String,
    /// The known keys that signed it, in the order of their signatures, each once.
    pub verified: Vec<VerifierKey>,
    /// How many signatures are of keys that are not known.
    pub unknown: usize,
}

/// Why a note cannot be made or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A text that cannot be signed.
    #[error("a note's text must end in a newline and hold no other control characters")]
    Text,
    /// A key name that cannot be used.
    #[error("a key name must not be empty and must hold neither white space nor `+`")]
    Name,
    /// Longer than any note.
    #[error("the note is longer than {NOTE_BYTES_MAX} bytes")]
    TooLong,
    /// No empty line between text and signatures.
    #[error("the note has no signatures")]
    Unsigned,
    /// A line after the text that is not a signature line.
    #[error("signature line {line} of the note is malformed")]
    SignatureLine {
        /// Which, counted from 1.
        line: usize,
    },
    /// More signature lines than are looked at.
    #[error("the note has more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// A known key's signature does not fit the text.
    #[error("the signature of key `{key}` does not fit the text")]
    BadSignature {
        /// The name of the key.
        key: String,
    },
    /// Two known keys have the same name and key id, so that it is not clear which one signed.
    #[error("two known keys have the name and id of key `{key}`")]
    AmbiguousKey {
        /// The name of the keys.
        key: String,
    },
    /// None of the signatures is of a known key.
    #[error("none of the note's signatures is of a known key")]
    NoKnownKey,
    /// A text that is not a verifier key.
    #[error("not a verifier key: want `<name>+<key id>+<base64 key>` of an Ed25519 key")]
    Key,
}

pub(crate) fn check_name(name: &str) -> Result<(), NoteError> {
    let is_usable = !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+');
    is_usable.then_some(()).ok_or(NoteError::Name)
}

pub(crate) fn check_text(text: &str) -> Result<(), NoteError> {
    // Bytes suffice: in UTF-8 a byte below 0x20 is always a character of its own.
    let is_usable = text.ends_with('\n') && !text.bytes().any(|byte| byte < b' ' && byte != b'\n');
    is_usable.then_some(()).ok_or(NoteError::Text)
}

fn key_id(name: &str, public_key: &[u8; 32]) -> [u8; 4] {
    let mut message = Vec::with_capacity(name.len() + 34);
    message.extend_from_slice(name.as_bytes());
    message.extend_from_slice(&[b'\n', ED25519_TYPE]);
    message.extend_from_slice(public_key);
    let [a, b, c, d, ..] = sha256(&message);
    [a, b, c, d]
}

impl VerifierKey {
    /// The key with this name.
    ///
    /// # Errors
    /// [`NoteError::Name`] if no key can have this name.
    pub fn new(name: impl Into<String>, public_key: [u8; 32]) -> Result<Self, NoteError> {
        let name = name.into();
        check_name(&name)?;
        let id = key_id(&name, &public_key);
        Ok(Self { name, id, public_key })
    }

    /// The key of a signer.
    ///
    /// # Errors
    /// [`NoteError::Name`] if no key can have the signer's name.
    pub fn of(signer: &dyn NoteSigner) -> Result<Self, NoteError> {
        Self::new(signer.name(), signer.public_key())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key id: four bytes that tell keys of one name apart. Not a fingerprint; two keys can be made to share it.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The public key.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// Whether `signature` is this key's signature of `message`.
    pub fn is_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public_key).verify(message, signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = vec![ED25519_TYPE];
        typed.extend_from_slice(&self.public_key);
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.id), BASE64.encode(&typed))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;
    fn from_str(text: &str) -> Result<Self, NoteError> {
        // A name holds no `+`, but base64 may.
        let (name, rest) = text.split_once('+').ok_or(NoteError::Key)?;
        let (_, key) = rest.split_once('+').ok_or(NoteError::Key)?;
        let typed = BASE64.decode(key.as_bytes()).map_err(|_| NoteError::Key)?;
        let (kind, public_key) = typed.split_first().ok_or(NoteError::Key)?;
        let public_key = <[u8; 32]>::try_from(public_key).map_err(|_| NoteError::Key)?;
        if *kind != ED25519_TYPE {
            return Err(NoteError::Key);
        }
        let parsed = Self::new(name, public_key)?;
        // Covers the key id, and any second spelling of it.
        if parsed.to_string() == text { Ok(parsed) } else { Err(NoteError::Key) }
    }
}

impl serde::Serialize for VerifierKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for VerifierKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Signs `text`: the note with one signature of each signer, in their order.
///
/// # Errors
/// [`NoteError`] if the text or a signer's name cannot be used, or there are no or too many signers.
pub fn sign(text: &str, signers: &[&dyn NoteSigner]) -> Result<String, NoteError> {
    check_text(text)?;
    if signers.is_empty() {
        return Err(NoteError::Unsigned);
    }
    if signers.len() > SIGNATURES_MAX {
        return Err(NoteError::TooManySignatures);
    }
    let mut note = format!("{text}\n");
    for signer in signers {
        check_name(signer.name())?;
        let mut signature = key_id(signer.name(), &signer.public_key()).to_vec();
        signature.extend_from_slice(&signer.sign(text.as_bytes()));
        // Writing to a string cannot fail.
        let _ = writeln!(note, "{SIGNATURE_LINE_START}{} {}", signer.name(), BASE64.encode(&signature));
    }
    if note.len() > NOTE_BYTES_MAX { Err(NoteError::TooLong) } else { Ok(note) }
}

/// Checks a note against known keys. Signatures of other keys are counted and otherwise ignored.
///
/// # Errors
/// [`NoteError`] if the note is malformed, a known key's signature does not fit, or no known key signed.
pub fn open(note: &str, known: &[VerifierKey]) -> Result<Opened, NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::TooLong);
    }
    // The text may hold empty lines itself; signature lines cannot.
    let (body, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Unsigned)?;
    let text = note.get(..=body.len()).ok_or(NoteError::Unsigned)?;
    check_text(text)?;
    if signatures.is_empty() {
        return Err(NoteError::Unsigned);
    }
    let mut verified: Vec<VerifierKey> = Vec::new();
    let mut unknown = 0;
    for (number, line) in signatures.split_inclusive('\n').enumerate() {
        if number >= SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        let (name, id, signature) = signature_line(line).ok_or(NoteError::SignatureLine { line: number + 1 })?;
        let mut matching = known.iter().filter(|key| key.name == name && key.id == id);
        let Some(key) = matching.next() else {
            unknown += 1;
            continue;
        };
        if matching.any(|other| other != key) {
            return Err(NoteError::AmbiguousKey { key: name.to_owned() });
        }
        if !key.is_signed(text.as_bytes(), &signature) {
            return Err(NoteError::BadSignature { key: name.to_owned() });
        }
        if !verified.contains(key) {
            verified.push(key.clone());
        }
    }
    if verified.is_empty() {
        return Err(NoteError::NoKnownKey);
    }
    Ok(Opened { text: text.to_owned(), verified, unknown })
}

/// Name, key id and signature of one line with its newline.
fn signature_line(line: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, encoded) = line.strip_suffix('\n')?.strip_prefix(SIGNATURE_LINE_START)?.split_once(' ')?;
    check_name(name).ok()?;
    let bytes = BASE64.decode(encoded.as_bytes()).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    (!signature.is_empty()).then(|| (name, *id, signature.to_vec()))
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
