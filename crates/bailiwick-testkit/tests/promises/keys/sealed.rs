//! What is sealed answers so at every door, and nothing else changes.

use bailiwick_http::{Access, DoorKind, Route};
use serde_json::{Value, json};

use crate::harness::house::{House, Tenant};
use crate::harness::{Ask, Told};

/// A request of a row of the route table, about tenant acme.
fn ask_of(route: &Route) -> Ask {
    let segment = |part: &str| match part {
        "{tenant}" => "acme".to_owned(),
        "{mount}" => "secret".to_owned(),
        "{*path}" | "{*rest}" => "app/db".to_owned(),
        part if part.starts_with('{') => "x".to_owned(),
        part => part.to_owned(),
    };
    let path: Vec<String> = route.path.split('/').map(segment).collect();
    let mut ask = Ask::new(route.method, path.join("/"));
    if route.body.is_some() || matches!(route.method, "POST" | "PUT" | "PATCH") {
        ask = ask.json(json!({}));
    }
    ask
}

/// The rows that somebody must have a credential for. A path that Vault's grammar refuses is refused before anything.
fn guarded(house: &House) -> Vec<&Route> {
    let routes = house.server.routes().iter().filter(|route| matches!(route.access, Access::Action(_)));
    let is_grammar = |route: &Route| {
        route.door == DoorKind::Vault && route.path.ends_with('/') && matches!(route.method, "POST" | "PATCH")
    };
    routes.filter(|route| !is_grammar(route)).collect()
}

#[track_caller]
fn is_closed(route: &Route, told: &Told, code: &str) {
    let name = route.name();
    assert_eq!(told.status, 503, "{name}: {}", told.text());
    match route.door {
        DoorKind::Vault => assert_eq!(told.value(), json!({ "errors": ["Vault is sealed"] }), "{name}"),
        _ => assert_eq!(told.code(), code, "{name}: {}", told.text()),
    }
}

fn by(route: &Route, ask: Ask, credential: &str) -> Ask {
    match route.door {
        DoorKind::Vault => ask.header("x-vault-token", credential),
        _ => ask.by(credential),
    }
}

#[tokio::test]
async fn a_sealed_installation_says_so_at_every_door_to_everybody() {
    let house = House::new().await;
    let acme = house.tenant_named("acme").await;
    house.write(&acme, "app/db", "value").await;
    house.ask(Ask::post("/api/v1/platform/seal").by(house.ground.operator())).await.ok();
    let routes = guarded(&house);
    assert!(routes.len() > 100, "{}", routes.len());
    for route in routes {
        for credential in [&acme.owner, house.ground.operator(), "bwk_nonsense"] {
            let told = house.ask(by(route, ask_of(route), credential)).await;
            is_closed(route, &told, "sealed");
        }
        is_closed(route, &house.ask(ask_of(route)).await, "sealed");
    }
    for (path, status) in [("/healthz", 200), ("/readyz", 503), ("/api/v1/seal-status", 200), ("/v1/sys/health", 503)] {
        assert_eq!(house.ask(Ask::get(path)).await.status, status, "{path}");
    }
    house.unseal_with_file().await;
    let told = house.ask(Ask::get(acme.at("/secrets/secret/app/db")).by(&acme.owner)).await.ok();
    assert_eq!(told.value()["data"], json!({ "value": "value" }));
}

/// What one tenant asks, over and over.
fn questions(tenant: &Tenant, account: &str) -> Vec<Ask> {
    let native = [
        "/whoami",
        "/limits",
        "/members",
        "/accounts",
        "/roles",
        "/bindings",
        "/policies",
        "/policies:schema",
        "/mounts",
        "/secrets/secret",
        "/secrets/secret/app/db",
        "/secrets/secret/app/db?version=1",
        "/secret-metadata/secret/app/db",
        "/secrets/secret/nothing",
        "/secrets/nowhere/app",
        "/accounts/acc_0123456789abcdefghjkmnpqrg",
        "/keyring",
        "/ledger/entries/0",
        "/ledger/inclusion?index=1&size=3",
        "/ledger/consistency?old=1&new=3",
    ];
    let mut asks: Vec<Ask> = native.iter().map(|path| Ask::get(tenant.at(path)).by(&tenant.owner)).collect();
    let account = format!("/accounts/{account}");
    asks.push(Ask::get(tenant.at(&account)).by(&tenant.owner));
    let check = json!({ "action": "secret:reveal", "resource": "secret/secret/app/db" });
    asks.push(Ask::post(tenant.at("/policies:check")).by(&tenant.owner).json(check));
    for path in
        ["secret/data/app/db", "secret/metadata/app/db", "secret/data/nothing", "auth/token/lookup-self", "sys/mounts"]
    {
        asks.push(Ask::get(format!("/v1/{path}")).header("x-vault-token", &tenant.owner));
    }
    asks.push(Ask::new("LIST", "/v1/secret/metadata/").header("x-vault-token", &tenant.owner));
    // At the other's door: no news of it there, either.
    let other = if tenant.slug == "acme" { "globex" } else { "acme" };
    for path in ["/whoami", "/secrets/secret/app/db"] {
        asks.push(Ask::get(format!("/api/v1/t/{other}{path}")).by(&tenant.owner));
    }
    let vault = Ask::get("/v1/secret/data/app/db").header("x-vault-token", &tenant.owner);
    asks.push(vault.header("x-vault-namespace", other));
    asks
}

/// Status, headers and body.
type Bytes = (u16, Vec<(String, String)>, String);

/// An answer but for what is new each time: the request's id.
fn bytes(told: Told) -> Bytes {
    let id = told.request_id();
    let headers = told.headers.iter().filter(|(name, _)| name != "x-request-id").cloned().collect();
    let mut text = told.text();
    // Vault's envelope has it in the body.
    if let Some(Value::String(shown)) =
        serde_json::from_slice(&told.body).ok().and_then(|v: Value| v.get("request_id").cloned())
    {
        assert!(shown.len() >= 8, "{shown} {id}");
        text = text.replace(&shown, "ID");
    }
    (told.status, headers, text.replace(&id, "ID"))
}

async fn answers(house: &House, asks: &[Ask]) -> Vec<Bytes> {
    let mut answers = Vec::new();
    for ask in asks {
        answers.push(bytes(house.ask(ask.clone()).await));
    }
    answers
}

#[track_caller]
fn same(asks: &[Ask], before: &[Bytes], now: &[Bytes]) {
    for ((ask, before), now) in asks.iter().zip(before).zip(now) {
        assert_eq!(before, now, "{} {}", ask.method, ask.path);
    }
}

#[tokio::test]
async fn sealing_a_tenant_closes_all_its_doors_and_changes_not_a_byte_for_another() {
    // Whichever of the two is sealed.
    for is_first in [true, false] {
        let mut house = House::new().await;
        let mut tenants = Vec::new();
        for slug in ["acme", "globex"] {
            let tenant = house.tenant_named(slug).await;
            for value in ["first", "second"] {
                house.write(&tenant, "app/db", &format!("{slug}-{value}")).await;
            }
            let account = house.account(&tenant, "viewer").await;
            tenants.push((tenant, account));
        }
        if !is_first {
            tenants.reverse();
        }
        let ((sealed, sealed_account), (other, other_account)) = (&tenants[0], &tenants[1]);
        let theirs = questions(other, &other_account.id);
        let ours = questions(sealed, &sealed_account.id);
        let before = answers(&house, &theirs).await;
        let ours_before = answers(&house, &ours).await;
        assert!(before.iter().filter(|(status, ..)| *status == 200).count() > 20);
        same(&theirs, &before, &answers(&house, &theirs).await);
        // By its owner, and by an operator.
        for by_owner in [true, false].into_iter().skip(usize::from(!is_first)) {
            let ask = match by_owner {
                true => Ask::post(sealed.at("/keyring/seal")).by(&sealed.owner),
                false => Ask::post(format!("/api/v1/tenants/{}/seal", sealed.slug)).by(house.ground.operator()),
            };
            house.ask(ask).await.ok();
            all_doors_are_closed(&house, sealed).await;
            same(&theirs, &before, &answers(&house, &theirs).await);
            // It stays so, whatever happens to the server, until an operator says otherwise.
            house = House::start(house.stop()).await;
            all_doors_are_closed(&house, sealed).await;
            same(&theirs, &before, &answers(&house, &theirs).await);
            let shown = Ask::get(format!("/api/v1/tenants/{}", sealed.slug)).by(house.ground.operator());
            assert_eq!(house.ask(shown).await.ok().value()["is_sealed"], true);
            let unseal = format!("/api/v1/tenants/{}/unseal", sealed.slug);
            house.ask(Ask::post(&unseal).by(&other.owner)).await.refused(403, "permission_denied");
            house.ask(Ask::post(&unseal).by(house.ground.operator())).await.ok();
            same(&ours, &ours_before, &answers(&house, &ours).await);
            same(&theirs, &before, &answers(&house, &theirs).await);
        }
        // Its ledger has every step, and the other's none.
        let acts = |entries: &[bailiwick_ledger::entry::Entry]| -> Vec<String> {
            let seals = entries.iter().filter(|entry| entry.action.ends_with("seal") && entry.outcome == "ok");
            seals.map(|entry| entry.action.to_string()).collect()
        };
        let steps = acts(&crate::harness::export::entries(&house, sealed).await);
        let all = ["keyring:seal", "tenant:unseal", "tenant:seal", "tenant:unseal"];
        assert_eq!(steps, &all[if is_first { 0 } else { 2 }..]);
        assert!(acts(&crate::harness::export::entries(&house, other).await).is_empty());
    }
}

/// For its people; who has no credential of it learns nothing.
async fn all_doors_are_closed(house: &House, tenant: &Tenant) {
    for route in guarded(house) {
        let mut ask = by(route, ask_of(route), &tenant.owner);
        ask.path = ask.path.replace("/acme", &format!("/{}", tenant.slug));
        is_closed(route, &house.ask(ask).await, "tenant_sealed");
    }
    let stranger = Ask::get(tenant.at("/whoami"));
    house.ask(stranger.clone()).await.refused(401, "unauthenticated");
    house.ask(stranger.by("bwk_nonsense")).await.refused(401, "credential_malformed");
}
