//! Nothing that can be printed prints key material.

use bailiwick_seal::{InstallationRecord, Keyring, PassphraseParams, Provider, Purpose, RootKey, ShareLabel};
use bailiwick_types::CredentialId;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};

use crate::support::{NOW, Seeded, installation, place, tenant};

#[test]
fn debug_output_of_everything_shows_no_key_bytes() {
    let random = Seeded::new(1);
    let root = RootKey::generate(&random);
    let (keys, record) = Keyring::create(&root, 1, installation(), tenant(1), NOW, &random).unwrap();
    let params = PassphraseParams::recommended(&random);
    let (provider, shares) = root.split(3, 2, &random).unwrap();
    let record_of = InstallationRecord::create(installation(), provider, &root, NOW, &random).unwrap();
    let secret = [0xc3; 32];
    let verifier = keys.credential_verifier(CredentialId::from_bytes([1; 16]), &secret);
    let sealed = keys.seal(&random, Purpose::Records, &place(1), b"plaintext").unwrap();
    let opened = keys.open(Purpose::Records, &place(1), &sealed).unwrap();
    let signer = keys.ledger_signer("origin").unwrap();
    drop(keys.ledger_keys().unwrap());

    let printed = [
        format!("{root:?} {root:#?}"),
        format!("{keys:?} {keys:#?}"),
        format!("{record:?} {record:#?}"),
        format!("{params:?}"),
        format!("{:?}", Provider::Passphrase(params)),
        format!("{:?}", shares),
        format!("{:?}", ShareLabel::of(&shares[0]).unwrap()),
        format!("{verifier:?} {opened:?} {signer:?} {signer:#?}"),
        format!("{:?}", keys.describe()),
        format!("{record_of:?}"),
    ]
    .concat();

    // Every key there is came out of `random`: no 4 bytes in a row of any may show, however they are written.
    let mut secrets: Vec<Vec<u8>> = random.given().into_iter().filter(|bytes| bytes.len() == 32).collect();
    assert_eq!(secrets.len(), 7, "root, tenant and five data keys");
    secrets.push(secret.to_vec());
    secrets.push(verifier.mac.to_vec());
    secrets.extend(
        shares.iter().map(|share| BASE64URL_NOPAD.decode(&share.expose().as_bytes()[4..]).unwrap()[10..].to_vec()),
    );
    for secret in secrets {
        for window in secret.windows(4) {
            let list = format!("{window:?}");
            let shapes =
                [HEXLOWER.encode(window), BASE64.encode(&window[..3]), list.trim_matches(['[', ']']).to_owned()];
            // Three bytes of base64 are four letters, which a long text can hold by chance; it does not here.
            for shape in &shapes {
                assert!(!printed.contains(shape.as_str()), "{shape} in {printed}");
            }
        }
    }
    assert!(!printed.contains("plaintext"));
}
