//! What a keyring costs: microseconds for creating, unwrapping, sealing and opening.
//!
//! `cargo run --release -p bailiwick-seal --example keyring_cost`

use std::hint::black_box;
use std::time::Instant;

use bailiwick_seal::{Context, Keyring, Purpose, RootKey, SealError, SystemRandom};
use bailiwick_types::{CredentialId, InstallationId, Random as _, TenantId, Timestamp};

const ROUNDS: u32 = 20_000;
const BATCHES: u32 = 10;

/// The best and the median of ten batches: the best is the cost, the distance to the median is the machine's noise.
#[expect(clippy::print_stdout, reason = "an example that prints figures")]
fn measure<T>(what: &str, mut act: impl FnMut() -> Result<T, SealError>) -> Result<(), SealError> {
    let mut batches = Vec::new();
    for _ in 0..BATCHES {
        let start = Instant::now();
        for _ in 0..ROUNDS / BATCHES {
            black_box(act()?);
        }
        batches.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS / BATCHES));
    }
    batches.sort_by(f64::total_cmp);
    let best = batches.first().copied().unwrap_or(f64::NAN);
    let median = batches.get(batches.len() / 2).copied().unwrap_or(f64::NAN);
    println!("{what:<28} {best:>8.2} µs best {median:>8.2} µs median");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example that prints figures")]
fn main() -> Result<(), SealError> {
    let random = SystemRandom;
    let root = RootKey::generate(&random);
    let (installation, tenant) = (InstallationId::random(&random), TenantId::random(&random));
    let now = Timestamp::from_unix_ms(1_700_000_000_000);
    let (keys, record) = Keyring::create(&root, 1, installation, tenant, now, &random)?;
    let context = Context { installation, tenant, space: "secret-version", key: &[7; 60], version: 1 };
    let credential = CredentialId::random(&random);
    let mut secret = [0u8; 32];
    random.fill(&mut secret);
    let verifier = keys.credential_verifier(credential, &secret);

    println!("keyring in memory {} bytes, record {} bytes", size_of::<Keyring>(), record.to_bytes().len());
    measure("32 random bytes", || {
        random.fill(&mut [0u8; 32]);
        Ok(())
    })?;
    measure("create", || Keyring::create(&root, 1, installation, tenant, now, &random))?;
    measure("unwrap", || Keyring::unwrap(&root, installation, tenant, &record))?;
    for bytes in [100, 1_024, 16_384] {
        let text = vec![0x61; bytes];
        let sealed = keys.seal(&random, Purpose::Records, &context, &text)?;
        measure(&format!("seal {bytes} bytes"), || keys.seal(&random, Purpose::Records, &context, &text))?;
        measure(&format!("open {bytes} bytes"), || keys.open(Purpose::Records, &context, &sealed))?;
    }
    measure("check a credential", || Ok(keys.check_credential(credential, &secret, &verifier)))?;
    measure("cursor mac", || Ok(keys.cursor_mac(b"a cursor of some forty bytes or so, as is")))?;
    measure("ledger signer, again", || keys.ledger_signer("origin"))?;
    measure("unwrap and first signer", || {
        Keyring::unwrap(&root, installation, tenant, &record)?.ledger_signer("origin")
    })
}
