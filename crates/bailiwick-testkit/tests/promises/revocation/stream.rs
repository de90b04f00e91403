//! What goes on after its admission: exports, followers, remembered answers; and a clock that is set back.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_http::Body;
use bailiwick_types::Timestamp;
use bailiwick_verify::VerifyError;
use http_body_util::BodyExt as _;
use serde_json::json;

use crate::harness::Ask;
use crate::harness::export::verdict;
use crate::harness::house::House;

use super::acts::{Act, Scene};

/// Everything that takes the ledger away from an account with the role `owner`.
const ACTS: [Act; 11] = [
    Act::RevokeKey,
    Act::RotateKeyWithoutOverlap,
    Act::RevokeOwnKey,
    Act::DisableAccount,
    Act::DeleteAccount,
    Act::DeleteBinding,
    Act::PutGuardrail,
    Act::SuspendTenant,
    Act::SealTenantAsOwner,
    Act::SealTenantAsOperator,
    Act::SealInstallation,
];

/// The next piece of a running export: some bytes, its end, or that it was broken off.
async fn piece(body: &mut Body) -> Result<Option<Vec<u8>>, std::io::Error> {
    match body.frame().await {
        None => Ok(None),
        Some(frame) => frame.map(|frame| Some(frame.into_data().unwrap().to_vec())),
    }
}

async fn begin_export(house: &House, scene: &Scene, format: &str) -> Body {
    let path = scene.tenant.at(&format!("/ledger/export?format={format}"));
    let response = house.begin(Ask::get(path).by(&scene.victim.credential)).await;
    assert_eq!(response.status().as_u16(), 200);
    response.into_body()
}

#[tokio::test]
async fn an_export_that_is_under_way_is_broken_off() {
    let house = House::new().await;
    for act in ACTS {
        let scene = Scene::set_with(&house, act, "owner").await;
        let mut export = begin_export(&house, &scene, "bailiwick").await;
        let mut read = piece(&mut export).await.unwrap().unwrap();
        scene.perform(&house).await;
        let broken = loop {
            match piece(&mut export).await {
                Ok(Some(more)) => read.extend(more),
                end => break end,
            }
        };
        assert!(broken.is_err(), "{act:?}: the export came to its end");
        assert_eq!(read.iter().filter(|byte| **byte == b'\n').count(), 1, "{act:?}: there was more than the header");
        let cut = verdict(&read, &[], None).unwrap_err();
        assert!(matches!(cut, VerifyError::Truncated { .. }), "{act:?}: {cut}");
        scene.reopen(&house).await;
    }
}

/// The entries were read from the store when the revocation came, and would have been handed out after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_piece_of_an_export_that_was_in_the_making_is_not_handed_out() {
    let house = Arc::new(House::new().await);
    for act in ACTS {
        for format in ["bailiwick", "jsonl", "ocsf"] {
            let scene = Scene::set_with(&house, act, "owner").await;
            let mut export = begin_export(&house, &scene, format).await;
            if format == "bailiwick" {
                piece(&mut export).await.unwrap().unwrap();
            }
            let mut held = house.store.after_entries.hold_next();
            let making = tokio::spawn(async move { piece(&mut export).await });
            held.caught().await;
            scene.perform(&house).await;
            held.release();
            let made = making.await.unwrap();
            assert!(
                made.is_err(),
                "{act:?}: {format}: {} bytes were handed out",
                made.unwrap().unwrap_or_default().len()
            );
            scene.reopen(&house).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_follows_the_ledger_hears_of_the_revocation_and_nothing_else() {
    let house = Arc::new(House::new().await);
    for act in ACTS {
        let scene = Scene::set_with(&house, act, "owner").await;
        // Nothing fits, so it waits.
        let path = scene.tenant.at("/ledger/entries?action=tenant:delete&wait=1");
        let (asking, credential) = (Arc::clone(&house), scene.victim.credential.clone());
        let mut held = house.store.after_commit.hold_next();
        let following = tokio::spawn(async move { asking.ask(Ask::get(path).by(&credential)).await });
        held.caught().await;
        held.release();
        scene.perform(&house).await;
        let (status, code) = act.refusal();
        following.await.unwrap().refused(status, code);
        scene.reopen(&house).await;
    }
}

/// An `Idempotency-Key` repeats an answer, not a right: the answer may hold a credential.
#[tokio::test]
async fn a_remembered_answer_is_not_given_to_whoever_lost_the_right_to_ask() {
    let house = House::new().await;
    for act in ACTS {
        let scene = Scene::set_with(&house, act, "owner").await;
        let ask = Ask::post(scene.tenant.at(&format!("/accounts/{}/keys", scene.victim.id)));
        let ask = ask.by(&scene.victim.credential).json(json!({})).header("idempotency-key", "once");
        let first = house.ask(ask.clone()).await.ok();
        let again = house.ask(ask.clone()).await.ok();
        assert_eq!(first.body, again.body, "{act:?}");
        scene.perform(&house).await;
        let (status, code) = act.refusal();
        house.ask(ask).await.refused(status, code);
        scene.reopen(&house).await;
    }
}

/// Revocation is a fact, not an appointment: it holds by whatever clock, on whatever node.
#[tokio::test]
async fn what_was_revoked_stays_revoked_when_the_clock_is_set_back() {
    let house = House::new().await;
    for act in Act::ALL {
        let scene = Scene::set(&house, act).await;
        scene.perform(&house).await;
        let clock = &house.ground.clock;
        let now = bailiwick_types::Clock::now(clock.as_ref());
        clock.set(Timestamp::from_unix_ms(now.unix_ms() - 3_600_000));
        let (status, code) = act.refusal();
        house.ask(scene.probe(0)).await.refused(status, code);
        clock.set(now);
        scene.reopen(&house).await;
        house.advance(Duration::from_secs(1));
    }
}
