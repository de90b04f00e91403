//! Credentials, and what is sealed.

use std::hint::black_box;
use std::sync::Arc;

use bailiwick_authz::{CredentialFacts, PrincipalFacts, PrincipalKind, SecretVerifier};
use bailiwick_ledger::leaf_hash;
use bailiwick_seal::{Context, Keyring, Purpose, RootKey, Verifier};
use bailiwick_types::{CredentialId, CredentialText, InstallationId, TenantId, Timestamp};

use crate::{Counting, ledger};

const INSTALLATION: InstallationId = InstallationId::from_bytes([3; 16]);
const TENANT: TenantId = TenantId::from_bytes([7; 16]);
const NOW: Timestamp = Timestamp::from_unix_ms(1_769_860_800_000);

/// A value of the size that the benchmark writes.
const RECORD: [u8; 240] = [0x61; 240];

fn keyring() -> Keyring {
    let random = Counting::default();
    Keyring::create(&RootKey::generate(&random), 1, INSTALLATION, TENANT, NOW, &random).unwrap().0
}

fn context<'a>(space: &'static str, key: &'a [u8]) -> Context<'a> {
    Context { installation: INSTALLATION, tenant: TENANT, space, key, version: 1 }
}

struct Stored {
    keys: Keyring,
    verifier: Verifier,
}

impl SecretVerifier for Stored {
    fn verify(&self, id: CredentialId, secret: &[u8; 32]) -> bool {
        self.keys.check_credential(id, secret, &self.verifier)
    }
}

/// From the text of a key to evidence.
pub(crate) fn authenticate() -> Box<dyn FnMut(usize)> {
    let random = Counting::default();
    let id = CredentialId::random(&random);
    let credential = CredentialText::generate(TENANT, id, &random);
    let (text, keys) = (credential.reveal(), keyring());
    let stored = Stored { verifier: keys.credential_verifier(id, credential.secret().expose()), keys };
    let principal = Arc::new(PrincipalFacts {
        tenant: TENANT,
        kind: PrincipalKind::Service,
        id: "acc_0w3ge1r70w3ge1r70w3ge1r70w".to_owned(),
        name: "shop".to_owned(),
        is_disabled: false,
        expires: None,
        labels: Vec::new(),
        roles: Vec::new(),
    });
    let networks: Vec<ipnet::IpNet> = vec!["192.0.2.0/24".parse().unwrap()];
    let source = Some([192, 0, 2, 7].into());
    let facts =
        CredentialFacts { tenant: TENANT, id, principal: principal.id.clone(), expires: None, revoked: None, networks };
    Box::new(move |_| {
        let presented = CredentialText::parse(text.expose()).unwrap();
        let verified =
            bailiwick_authz::authenticate(&presented, &facts, Arc::clone(&principal), &stored, NOW, source).unwrap();
        drop(black_box(verified));
    })
}

pub(crate) fn seal_record() -> Box<dyn FnMut(usize)> {
    let (keys, random) = (keyring(), Counting::default());
    let context = context("secret-version", &[7; 60]);
    Box::new(move |_| drop(black_box(keys.seal(&random, Purpose::Records, &context, &RECORD).unwrap())))
}

pub(crate) fn open_record() -> Box<dyn FnMut(usize)> {
    let keys = keyring();
    let context = context("secret-version", &[7; 60]);
    let sealed = keys.seal(&Counting::default(), Purpose::Records, &context, &RECORD).unwrap();
    Box::new(move |_| drop(black_box(keys.open(Purpose::Records, &context, &sealed).unwrap())))
}

/// Canonical bytes, leaf, seal: what a commit does.
pub(crate) fn seal_entry() -> Box<dyn FnMut(usize)> {
    let (keys, random, entry) = (keyring(), Counting::default(), ledger::entry());
    Box::new(move |_| {
        let bytes = entry.canonical();
        let leaf = leaf_hash(&bytes);
        drop(black_box(keys.seal(&random, Purpose::Ledger, &context("ledger", &leaf), &bytes).unwrap()));
    })
}

pub(crate) fn open_entry() -> Box<dyn FnMut(usize)> {
    let (keys, bytes) = (keyring(), ledger::entry().canonical());
    let leaf = leaf_hash(&bytes);
    let sealed = keys.seal(&Counting::default(), Purpose::Ledger, &context("ledger", &leaf), &bytes).unwrap();
    Box::new(move |_| drop(black_box(keys.open(Purpose::Ledger, &context("ledger", &leaf), &sealed).unwrap())))
}
