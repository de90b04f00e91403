//! Things that must not be seen, and whether they are: in plain, in every encoding that something on the way could have
//! put them into, and in parts.

use std::collections::{BTreeSet, HashMap};

use bailiwick_types::CredentialText;
use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};

use crate::harness::Dice;

/// What begins the same stands in the same place of the table.
const KEY_BYTES: usize = 8;
/// The length of a part of a made canary. Nothing else holds such a part by accident.
const PART_BYTES: usize = 16;

/// Canaries by name, each in parts: whoever cuts one off, or escapes what is between the parts, still shows a part.
pub(super) struct Canaries {
    dice: Dice,
    known: Vec<(String, Vec<Vec<u8>>)>,
}

impl Canaries {
    pub(super) fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), known: Vec::new() }
    }

    fn part(&mut self) -> String {
        format!("{:016x}", self.dice.next())
    }

    fn made(&mut self, name: &str, between: &str) -> String {
        let parts = [self.part(), self.part()];
        let text = parts.join(between);
        self.adopt(name, parts.map(String::into_bytes).to_vec());
        text
    }

    /// A canary of letters and digits, for where nothing else may stand.
    pub(super) fn plain(&mut self, name: &str) -> String {
        self.made(name, "")
    }

    /// A canary with characters that JSON, URLs and `Debug` write in another way.
    pub(super) fn spiced(&mut self, name: &str) -> String {
        self.made(name, "+/ \"é%\\")
    }

    /// What somebody else has made and must not be seen.
    pub(super) fn adopt(&mut self, name: &str, parts: Vec<Vec<u8>>) {
        assert!(parts.iter().all(|part| part.len() >= PART_BYTES), "a part of `{name}` is too short to be told apart");
        self.known.push((name.to_owned(), parts));
    }

    /// A text, in parts.
    pub(super) fn adopt_text(&mut self, name: &str, text: &str) {
        self.adopt(name, text.as_bytes().chunks_exact(PART_BYTES).map(<[u8]>::to_vec).collect());
    }

    /// A credential: the end of its text, which is secret, and the secret's bytes. The ids at its beginning are not.
    pub(super) fn adopt_credential(&mut self, name: &str, text: &str) {
        let parsed = CredentialText::parse(text).unwrap();
        let secret = text.as_bytes().get(text.len() - 48..).unwrap();
        let mut parts: Vec<Vec<u8>> = secret.chunks_exact(PART_BYTES).map(<[u8]>::to_vec).collect();
        parts.extend(parsed.secret().expose().chunks_exact(PART_BYTES).map(<[u8]>::to_vec));
        self.adopt(name, parts);
    }

    /// Who looks for all of them.
    pub(super) fn net(&self) -> Net {
        let mut net = Net { names: Vec::new(), needles: HashMap::new(), begins: vec![false; 1 << 16] };
        for (name, parts) in &self.known {
            let number = net.names.len();
            net.names.push(name.clone());
            for (encoding, needle) in parts.iter().flat_map(|part| encodings(part)) {
                let key: [u8; KEY_BYTES] = *needle.first_chunk().unwrap();
                net.begins[begin(&needle)] = true;
                net.needles.entry(key).or_default().push((number, encoding, needle));
            }
        }
        net
    }
}

/// Every way to write bytes that is looked for.
pub(super) fn encodings(part: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let each = |write: &dyn Fn(&u8) -> String, between: &str| {
        part.iter().map(write).collect::<Vec<_>>().join(between).into_bytes()
    };
    let mut all = vec![
        ("plain", part.to_vec()),
        ("upper case", part.to_ascii_uppercase()),
        ("hex", HEXLOWER.encode(part).into_bytes()),
        ("upper hex", HEXUPPER.encode(part).into_bytes()),
        ("url", each(&|byte| format!("%{byte:02X}"), "")),
        ("lower url", each(&|byte| format!("%{byte:02x}"), "")),
        ("a list of numbers", each(&u8::to_string, ",")),
        ("a spaced list of numbers", each(&u8::to_string, ", ")),
        ("a list of hex numbers", each(&|byte| format!("{byte:x}"), ", ")),
    ];
    for (name, encoding) in [("base64", &BASE64), ("base64url", &BASE64URL)] {
        // In the middle of something longer it stands at one of three places of a group. What its neighbours have a say
        // in is left away.
        for before in 0..3 {
            let text = encoding.encode(&[vec![0; before], part.to_vec()].concat());
            let (from, to) = ((before * 8).div_ceil(6), (before + part.len()) * 8 / 6);
            all.push((name, text.as_bytes().get(from..to).unwrap().to_vec()));
        }
    }
    let mut seen = BTreeSet::new();
    all.retain(|(_, needle)| seen.insert(needle.clone()));
    all
}

fn begin(needle: &[u8]) -> usize {
    usize::from(needle[0]) << 8 | usize::from(needle[1])
}

/// A canary's number, an encoding, and a part of it as that writes it.
type Needle = (usize, &'static str, Vec<u8>);

/// Finds canaries.
pub(super) struct Net {
    names: Vec<String>,
    needles: HashMap<[u8; KEY_BYTES], Vec<Needle>>,
    /// By the first two bytes, whether anything begins so.
    begins: Vec<bool>,
}

/// A canary, where it must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) encoding: &'static str,
    /// What is around it.
    pub(super) near: String,
}

impl Net {
    /// The canaries in there, each once for each encoding.
    pub(super) fn seen(&self, bytes: &[u8]) -> Vec<Seen> {
        let mut found = BTreeSet::new();
        let mut seen = Vec::new();
        for (at, window) in bytes.windows(KEY_BYTES).enumerate() {
            if !self.begins[begin(window)] {
                continue;
            }
            let Some(needles) = self.needles.get(window) else { continue };
            for (number, encoding, needle) in needles {
                if bytes[at..].starts_with(needle) && found.insert((*number, *encoding)) {
                    let around = &bytes[at.saturating_sub(80)..bytes.len().min(at + needle.len() + 40)];
                    let near = String::from_utf8_lossy(around).into_owned();
                    seen.push(Seen { name: self.names[*number].clone(), encoding, near });
                }
            }
        }
        seen
    }
}

#[test]
fn a_planted_canary_is_found_in_every_encoding_wherever_it_stands() {
    let mut canaries = Canaries::new(1);
    let (plain, spiced) = (canaries.plain("plain"), canaries.spiced("spiced"));
    let random = bailiwick_testkit::SeededRandom::new("canary");
    let id = bailiwick_types::CredentialId::random(&random);
    let credential = CredentialText::generate(bailiwick_types::TenantId::PLATFORM, id, &random);
    let text = credential.reveal();
    canaries.adopt_credential("credential", text.expose());
    let net = canaries.net();
    let found = |bytes: &[u8]| -> BTreeSet<(String, &'static str)> {
        net.seen(bytes).into_iter().map(|seen| (seen.name, seen.encoding)).collect()
    };
    let url = |text: &str, is_all: bool| -> String {
        let one = |byte: u8| {
            if !is_all && byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        text.bytes().map(one).collect()
    };
    for (name, text) in [("plain", &plain), ("spiced", &spiced), ("credential", text.expose())] {
        for length in 0..9 {
            let noise = "0123456789";
            let (before, after) = (&noise[..length], &noise[length..]);
            let whole = format!("{before}{text}{after}");
            for (encoding, planted) in [
                ("plain", whole.clone()),
                ("plain", format!("{whole:?}")),
                ("plain", serde_json::json!({ "a": whole }).to_string()),
                ("plain", url(&whole, false)),
                ("upper case", whole.to_uppercase()),
                ("url", url(&whole, true)),
                ("lower url", url(&whole, true).to_lowercase()),
                ("hex", HEXLOWER.encode(whole.as_bytes())),
                ("upper hex", HEXUPPER.encode(whole.as_bytes())),
                ("base64", BASE64.encode(whole.as_bytes())),
                ("a spaced list of numbers", format!("{:?}", whole.as_bytes())),
                ("a list of hex numbers", format!("{:x?}", whole.as_bytes())),
                ("a list of numbers", serde_json::json!(whole.as_bytes()).to_string()),
            ] {
                let seen = found(planted.as_bytes());
                // What is all digits is the same in upper and lower case.
                let family = |encoding: &str| encoding.rsplit(' ').next().map(str::to_owned);
                let is_seen = seen.iter().any(|(seen, other)| seen == name && family(other) == family(encoding));
                assert!(is_seen, "{name} as {encoding}: {planted}: {seen:?}");
                assert!(seen.iter().all(|(seen, _)| seen == name), "{name} as {encoding}: {seen:?}");
            }
            // Where both alphabets say the same it is found as base64.
            let seen = found(data_encoding::BASE64URL_NOPAD.encode(whole.as_bytes()).as_bytes());
            assert!(seen.iter().any(|(seen, encoding)| seen == name && encoding.starts_with("base64")), "{seen:?}");
        }
    }
    // Half of it is enough; something else is not.
    assert_eq!(found(&plain.as_bytes()[..20]).len(), 1);
    assert_eq!(found(&plain.as_bytes()[12..]).len(), 1);
    assert!(found(b"0123456789abcdef0123456789abcdef0123456789abcdef").is_empty());
    let secret = credential.secret().expose();
    assert_eq!(found(secret), [("credential".to_owned(), "plain")].into());
    assert_eq!(found(BASE64.encode(secret).as_bytes()), [("credential".to_owned(), "base64")].into());
}
