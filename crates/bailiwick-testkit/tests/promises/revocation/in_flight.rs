//! One request in flight, held at a chosen step, meets each revocation. No chance is involved.

use std::sync::Arc;

use crate::harness::house::House;
use crate::harness::{Ask, Told};

use super::acts::{Act, Scene};

async fn ask(house: &Arc<House>, scene: &Scene, number: u64) -> tokio::task::JoinHandle<Told> {
    let (house, probe) = (Arc::clone(house), scene.probe(number));
    tokio::spawn(async move { house.ask(probe).await })
}

/// The request had everything but its commit when the revocation came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_about_to_commit_is_refused_after_any_revocation() {
    let house = Arc::new(House::new().await);
    for act in Act::ALL {
        for number in [0, 1] {
            let scene = Scene::set(&house, act).await;
            house.ask(scene.probe(number)).await.ok();
            let mut held = house.store.before_commit.hold_next();
            let request = ask(&house, &scene, number).await;
            held.caught().await;
            scene.perform(&house).await;
            held.release();
            let told = request.await.unwrap();
            let (status, code) = act.refusal();
            assert_eq!((told.status, told.code().as_str()), (status, code), "{act:?}: {}", told.text());
            // And it stays so.
            house.ask(scene.probe(number)).await.refused(status, code);
            scene.reopen(&house).await;
            let evidence = scene.evidence(&house).await;
            evidence.holds(act);
            assert_eq!(evidence.successes.len(), 1, "{act:?}: {:?}", evidence.successes);
        }
    }
}

/// The request had read the tenant's header, with the epoch before the revocation, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_had_only_begun_is_refused_after_any_revocation() {
    let house = Arc::new(House::new().await);
    for act in Act::ALL {
        let scene = Scene::set(&house, act).await;
        scene.stir(&house).await;
        let mut held = house.store.after_header.hold_next();
        let request = ask(&house, &scene, 1).await;
        held.caught().await;
        scene.perform(&house).await;
        held.release();
        let told = request.await.unwrap();
        assert!(!told.is_ok(), "{act:?}: {}", told.text());
        scene.reopen(&house).await;
        scene.evidence(&house).await.holds(act);
    }
}

/// The request was admitted after the revocation was durable and before it was acknowledged, and commits after that.
/// For revocations that are nothing but an epoch this request knows the new one already; what is in memory only (the
/// seal of the whole installation) has to hold by other means.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_admitted_while_the_revocation_was_acknowledged_is_refused() {
    let house = Arc::new(House::new().await);
    for act in Act::ALL {
        let scene = Arc::new(Scene::set(&house, act).await);
        house.ask(scene.probe(0)).await.ok();
        let mut acknowledging = house.store.after_commit.hold_next();
        let revocation = tokio::spawn({
            let (house, scene) = (Arc::clone(&house), Arc::clone(&scene));
            async move { scene.perform(&house).await }
        });
        acknowledging.caught().await;
        // Whoever asks now finds out about the epoch, so that the victim's next request is decided under the new one.
        house.ask(Ask::get(scene.tenant.at("/whoami")).by(&scene.tenant.owner)).await;
        house.ask(Ask::get("/api/v1/platform/whoami").by(house.ground.operator())).await;
        let mut held = house.store.before_commit.hold_next();
        let request = ask(&house, &scene, 0).await;
        // It either gets as far as its commit, or is refused before.
        let mut request = request;
        let early = tokio::select! {
            () = held.caught() => None,
            told = &mut request => Some(told.unwrap()),
        };
        acknowledging.release();
        revocation.await.unwrap();
        held.release();
        let told = match early {
            Some(told) => told,
            None => request.await.unwrap(),
        };
        assert!(!told.is_ok(), "{act:?}: {}", told.text());
        scene.reopen(&house).await;
        scene.evidence(&house).await.holds(act);
    }
}
