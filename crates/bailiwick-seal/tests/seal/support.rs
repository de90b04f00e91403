//! A seeded, recording source of randomness, and a tenant with keys.

use std::sync::Mutex;

use bailiwick_seal::{Context, Keyring, KeyringRecord, RootKey};
use bailiwick_types::{InstallationId, Random, Secret, TenantId, Timestamp};

/// The same seed gives the same bytes (splitmix64). Remembers all that it gave.
pub(crate) struct Seeded {
    state: Mutex<(u64, Vec<Vec<u8>>)>,
}

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: Mutex::new((seed, Vec::new())) }
    }

    pub(crate) fn given(&self) -> Vec<Vec<u8>> {
        self.state.lock().unwrap().1.clone()
    }
}

impl Random for Seeded {
    fn fill(&self, out: &mut [u8]) {
        let mut state = self.state.lock().unwrap();
        for chunk in out.chunks_mut(8) {
            state.0 = state.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
        state.1.push(out.to_vec());
    }
}

pub(crate) const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);
pub(crate) const LATER: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

pub(crate) fn installation() -> InstallationId {
    InstallationId::from_bytes([7; 16])
}

pub(crate) fn tenant(number: u8) -> TenantId {
    TenantId::from_bytes([number; 16])
}

pub(crate) fn root(number: u8) -> RootKey {
    RootKey::from_bytes(Secret::new([number; 32]))
}

/// Keys of `tenant(number)` in `installation()` under `root(1)`.
pub(crate) fn keyring(number: u8) -> (Keyring, KeyringRecord) {
    Keyring::create(&root(1), 1, installation(), tenant(number), NOW, &Seeded::new(u64::from(number))).unwrap()
}

/// A place in `tenant(number)`.
pub(crate) fn place(number: u8) -> Context<'static> {
    Context { installation: installation(), tenant: tenant(number), space: "secret", key: b"db/password", version: 3 }
}
