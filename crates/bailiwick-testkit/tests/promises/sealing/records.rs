//! Rows of records, moved and changed.

use bailiwick_store::Space;
use rusqlite::params;

use crate::harness::Ask;
use crate::harness::house::Tenant;

use super::edit::{ACME, At, File, GLOBEX, Scene, is_fault};

/// The place of a version of `app/db`, counted from 1.
fn version(file: &File, tenant: &Tenant, number: usize) -> At {
    file.keys(tenant, Space::SecretVersion, "app/db").remove(number - 1)
}

#[tokio::test]
async fn a_value_opens_for_its_tenant_only() {
    let scene = Scene::set().await;
    // Each way, with the same names on both sides.
    for (into, from, foreign) in [(&scene.acme, &scene.globex, GLOBEX), (&scene.globex, &scene.acme, ACME)] {
        let house = scene
            .edited(|file| file.put(into, &version(file, into, 3), &file.sealed(from, &version(file, from, 3))))
            .await;
        let told = scene.reveal(&house, into, "app/db").await;
        is_fault(&told);
        assert!(!told.text().contains(foreign));
        let older = house.ask(Ask::get(into.at("/secrets/secret/app/db?version=2")).by(&into.owner)).await.ok();
        assert!(!older.text().contains(foreign));
        scene.rest_works(&house).await;
    }
}

/// Whole rows change their owner: with their keys, so that every look-up finds them.
#[tokio::test]
async fn whole_rows_of_another_tenant_do_not_open() {
    let scene = Scene::set().await;
    let (acme, globex) = (&scene.acme, &scene.globex);
    let house = scene
        .edited(|file| {
            let spaces = [Space::Mount, Space::Secret, Space::SecretVersion].map(Space::number);
            let (a, g) = (file.number(acme), file.number(globex));
            for space in spaces {
                let sql = "DELETE FROM record WHERE tenant_no = ?1 AND space = ?2";
                file.0.execute(sql, params![a, space]).unwrap();
                let sql = "UPDATE record SET tenant_no = ?1 WHERE tenant_no = ?2 AND space = ?3";
                assert!(file.0.execute(sql, params![a, g, space]).unwrap() > 0);
            }
        })
        .await;
    let told = scene.reveal(&house, acme, "app/db").await;
    is_fault(&told);
    house.ask(Ask::get(acme.at("/whoami")).by(&acme.owner)).await.ok();
    house.ask(Ask::get(globex.at("/whoami")).by(&globex.owner)).await.ok();
}

#[tokio::test]
async fn a_value_opens_under_its_key_and_version_only() {
    let scene = Scene::set().await;
    let acme = &scene.acme;
    // Of another secret.
    let house = scene
        .edited(|file| {
            let other = file.keys(acme, Space::SecretVersion, "app/other").remove(0);
            file.put(acme, &version(file, acme, 3), &file.sealed(acme, &other));
        })
        .await;
    is_fault(&scene.reveal(&house, acme, "app/db").await);
    scene.rest_works(&house).await;
    // Of another version of the same secret: an old password in place of the new one.
    let house =
        scene.edited(|file| file.put(acme, &version(file, acme, 3), &file.sealed(acme, &version(file, acme, 1)))).await;
    is_fault(&scene.reveal(&house, acme, "app/db").await);
    let first = house.ask(Ask::get(acme.at("/secrets/secret/app/db?version=1")).by(&acme.owner)).await.ok();
    assert!(first.text().contains(&format!("{ACME}-1")));
    scene.rest_works(&house).await;
    // The same bytes under a record version of somebody else's choice.
    let house = scene
        .edited(|file| {
            let at = version(file, acme, 3);
            let sql = "UPDATE record SET version = version + 1 WHERE tenant_no = ?1 AND space = ?2 AND key = ?3";
            file.change(1, sql, params![file.number(acme), at.0.number(), at.1]);
        })
        .await;
    is_fault(&scene.reveal(&house, acme, "app/db").await);
    scene.rest_works(&house).await;
}

#[tokio::test]
async fn a_record_opens_in_its_space_only() {
    let scene = Scene::set().await;
    let acme = &scene.acme;
    // The owner's member record as an account of the same id.
    let house = scene
        .edited(|file| {
            let (_, key) = file.keys(acme, Space::Member, "").remove(0);
            let sealed = file.sealed(acme, &(Space::Member, key.clone()));
            file.insert(acme, &(Space::Account, key), 1, &sealed);
        })
        .await;
    let account = acme.owner_id.replace("mem_", "acc_");
    is_fault(&house.ask(Ask::get(acme.at(&format!("/accounts/{account}"))).by(&acme.owner)).await);
    scene.rest_works(&house).await;
}

/// What an attacker with the file wants most: a credential of their own that opens somebody else's door.
#[tokio::test]
async fn a_verifier_authenticates_its_own_credential_only() {
    let scene = Scene::set().await;
    let (acme, globex, nobody) = (&scene.acme, &scene.globex, &scene.nobody);
    let credential_of = |text: &str| {
        let id = bailiwick_types::CredentialText::parse(text).unwrap().id();
        (Space::Credential, id.as_bytes().to_vec())
    };
    // Globex's owner in place of acme's owner.
    let house = scene
        .edited(|file| {
            let stolen = file.sealed(globex, &credential_of(&globex.owner));
            file.put(acme, &credential_of(&acme.owner), &stolen);
        })
        .await;
    is_fault(&house.ask(Ask::get(acme.at("/whoami")).by(&acme.owner)).await);
    house.ask(Ask::get(globex.at("/whoami")).by(&globex.owner)).await.ok();
    // Acme's owner in place of an account that may do nothing, so that its holder becomes the owner.
    let house = scene
        .edited(|file| {
            let stolen = file.sealed(acme, &credential_of(&acme.owner));
            file.put(acme, &credential_of(&nobody.credential), &stolen);
        })
        .await;
    is_fault(&house.ask(Ask::get(acme.at("/members")).by(&nobody.credential)).await);
    scene.rest_works(&house).await;
    // Globex's row as a new credential of acme's, and globex's credential with acme's id in it.
    let house = scene
        .edited(|file| {
            let at = credential_of(&globex.owner);
            let stolen = file.sealed(globex, &at);
            file.insert(acme, &at, 1, &stolen);
        })
        .await;
    let parsed = bailiwick_types::CredentialText::parse(&globex.owner).unwrap();
    let forged = forge(&acme.id, &parsed);
    is_fault(&house.ask(Ask::get(acme.at("/whoami")).by(&forged)).await);
    scene.rest_works(&house).await;
}

/// The text of a credential with another tenant in it: everybody can make one.
fn forge(tenant: &str, of: &bailiwick_types::CredentialText) -> String {
    let echo = Echo(*of.secret().expose());
    bailiwick_types::CredentialText::generate(tenant.parse().unwrap(), of.id(), &echo).reveal().expose().clone()
}

/// Randomness that says what it was given.
struct Echo([u8; 32]);

impl bailiwick_types::Random for Echo {
    fn fill(&self, out: &mut [u8]) {
        out.copy_from_slice(&self.0);
    }
}

#[tokio::test]
async fn a_policy_of_another_tenant_permits_nothing() {
    let scene = Scene::set().await;
    let (acme, nobody) = (&scene.acme, &scene.nobody);
    let ask = || Ask::get(acme.at("/secrets/secret/app/db")).by(&nobody.credential);
    let house = scene.edited(|_| ()).await;
    house.ask(ask()).await.refused(403, "permission_denied");
    // Globex permits its accounts to read; in acme that text must not even be left out, as a forbid could be in it.
    let house = scene
        .edited(|file| {
            let at = (Space::Policy, b"everybody".to_vec());
            file.put(acme, &at, &file.sealed(&scene.globex, &at));
        })
        .await;
    let told = house.ask(ask()).await;
    is_fault(&told);
    is_fault(&house.ask(Ask::get(acme.at("/whoami")).by(&acme.owner)).await);
    let globex = &scene.globex;
    let told = scene.reveal(&house, globex, "app/db").await.ok();
    assert!(told.text().contains(GLOBEX));
}

#[tokio::test]
async fn a_tenant_with_the_keys_of_another_is_shut_and_the_other_does_not_notice() {
    let scene = Scene::set().await;
    let (acme, globex) = (&scene.acme, &scene.globex);
    let house = scene
        .edited(|file| {
            let sql = "UPDATE tenant SET meta = (SELECT meta FROM tenant WHERE no = ?2) WHERE no = ?1";
            file.change(1, sql, params![file.number(acme), file.number(globex)]);
        })
        .await;
    is_fault(&scene.reveal(&house, acme, "app/db").await);
    is_fault(&house.ask(Ask::get(acme.at("/whoami")).by(&acme.owner)).await);
    let told = scene.reveal(&house, globex, "app/db").await.ok();
    assert!(told.text().contains(GLOBEX));
    house.ask(Ask::get("/api/v1/tenants").by(house.ground.operator())).await.ok();
}

#[tokio::test]
async fn no_byte_of_a_sealed_value_can_be_changed() {
    let scene = Scene::set().await;
    let acme = &scene.acme;
    let length = {
        let house = scene.edited(|_| ()).await;
        let ground = house.stop();
        let file = File(rusqlite::Connection::open(ground.database()).unwrap());
        file.sealed(acme, &version(&file, acme, 3)).len()
    };
    // The format, the key's version, the nonce, the ciphertext, the tag; and cut off, and longer.
    let places = [0, 1, 4, 5, 16, 17, length / 2, length - 17, length - 16, length - 1];
    for place in places {
        let house = scene
            .edited(|file| {
                let at = version(file, acme, 3);
                let mut sealed = file.sealed(acme, &at);
                sealed[place] ^= 1;
                file.put(acme, &at, &sealed);
            })
            .await;
        is_fault(&scene.reveal(&house, acme, "app/db").await);
        scene.rest_works(&house).await;
    }
    for cut in [0, 1, 5, 20, length - 1, length + 1] {
        let house = scene
            .edited(|file| {
                let at = version(file, acme, 3);
                let mut sealed = file.sealed(acme, &at);
                sealed.resize(cut, 0);
                file.put(acme, &at, &sealed);
            })
            .await;
        is_fault(&scene.reveal(&house, acme, "app/db").await);
    }
}
