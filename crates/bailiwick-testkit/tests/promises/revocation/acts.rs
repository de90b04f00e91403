//! Every act that ends somebody's access, and the requests of whoever loses it.

use serde_json::json;

use crate::harness::house::{Holder, House, Tenant};
use crate::harness::{Ask, Told};

/// An act after whose acknowledgement the victim may do nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    RevokeKey,
    RotateKeyWithoutOverlap,
    RevokeOwnKey,
    DisableAccount,
    DeleteAccount,
    DeleteBinding,
    DeletePolicy,
    PutForbiddingPolicy,
    PutGuardrail,
    RevokeMemberCredential,
    DisableMember,
    DemoteMember,
    DeleteMember,
    SuspendTenant,
    DeleteTenant,
    SealTenantAsOwner,
    SealTenantAsOperator,
    SealInstallation,
    RevokeOperatorCredential,
    DisableOperator,
    DemoteOperator,
    DeleteOperator,
}

impl Act {
    pub(super) const ALL: [Self; 22] = [
        Self::RevokeKey,
        Self::RotateKeyWithoutOverlap,
        Self::RevokeOwnKey,
        Self::DisableAccount,
        Self::DeleteAccount,
        Self::DeleteBinding,
        Self::DeletePolicy,
        Self::PutForbiddingPolicy,
        Self::PutGuardrail,
        Self::RevokeMemberCredential,
        Self::DisableMember,
        Self::DemoteMember,
        Self::DeleteMember,
        Self::SuspendTenant,
        Self::DeleteTenant,
        Self::SealTenantAsOwner,
        Self::SealTenantAsOperator,
        Self::SealInstallation,
        Self::RevokeOperatorCredential,
        Self::DisableOperator,
        Self::DemoteOperator,
        Self::DeleteOperator,
    ];

    /// What the victim hears from then on.
    pub(super) const fn refusal(self) -> (u16, &'static str) {
        match self {
            Self::RevokeKey
            | Self::RotateKeyWithoutOverlap
            | Self::RevokeOwnKey
            | Self::RevokeMemberCredential
            | Self::RevokeOperatorCredential => (401, "credential_revoked"),
            Self::DisableAccount | Self::DisableMember | Self::DisableOperator => (401, "principal_disabled"),
            Self::DeleteAccount | Self::DeleteMember | Self::DeleteOperator => (401, "credential_invalid"),
            Self::DeleteBinding
            | Self::DeletePolicy
            | Self::PutForbiddingPolicy
            | Self::PutGuardrail
            | Self::DemoteMember
            | Self::DemoteOperator => (403, "permission_denied"),
            Self::SuspendTenant | Self::DeleteTenant => (403, "tenant_suspended"),
            Self::SealTenantAsOwner | Self::SealTenantAsOperator => (503, "tenant_sealed"),
            Self::SealInstallation => (503, "sealed"),
        }
    }

    /// The action by whose entry the revocation is found in a ledger.
    const fn action(self) -> &'static str {
        match self {
            Self::RevokeKey => "key:revoke",
            Self::RotateKeyWithoutOverlap => "key:rotate",
            Self::RevokeOwnKey => "self:revoke",
            Self::DisableAccount => "account:update",
            Self::DeleteAccount => "account:delete",
            Self::DeleteBinding => "binding:delete",
            Self::DeletePolicy => "policy:delete",
            Self::PutForbiddingPolicy => "policy:put",
            Self::PutGuardrail => "guardrail:put",
            Self::RevokeMemberCredential => "member-credential:revoke",
            Self::DisableMember | Self::DemoteMember => "member:update",
            Self::DeleteMember => "member:delete",
            Self::SuspendTenant => "tenant:suspend",
            Self::DeleteTenant => "tenant:delete",
            Self::SealTenantAsOwner => "keyring:seal",
            Self::SealTenantAsOperator => "tenant:seal",
            Self::SealInstallation => "installation:seal",
            Self::RevokeOperatorCredential => "operator-credential:revoke",
            Self::DisableOperator | Self::DemoteOperator => "operator:update",
            Self::DeleteOperator => "operator:delete",
        }
    }

    fn is_on_operator(self) -> bool {
        matches!(
            self,
            Self::RevokeOperatorCredential | Self::DisableOperator | Self::DemoteOperator | Self::DeleteOperator
        )
    }

    fn is_on_member(self) -> bool {
        matches!(self, Self::RevokeMemberCredential | Self::DisableMember | Self::DemoteMember | Self::DeleteMember)
    }
}

/// A tenant, somebody in it (or an operator) with access, and what takes that access away.
pub(super) struct Scene {
    pub(super) act: Act,
    pub(super) tenant: Tenant,
    pub(super) victim: Holder,
    binding: String,
}

impl Scene {
    /// A scene whose victim reads and writes secrets.
    pub(super) async fn set(house: &House, act: Act) -> Self {
        let role = match act {
            Act::RevokeOwnKey => "owner",
            act if act.is_on_member() => "secret-admin",
            _ => "secret-writer",
        };
        Self::set_with(house, act, role).await
    }

    /// A scene whose victim, if it is of a tenant, has this role.
    pub(super) async fn set_with(house: &House, act: Act, role: &str) -> Self {
        let tenant = house.tenant("scene").await;
        let mut binding = String::new();
        let victim = if act.is_on_operator() {
            house.operator("operator-admin").await
        } else if act.is_on_member() {
            house.member(&tenant, role).await
        } else {
            let machine = house.account(&tenant, "").await;
            if act == Act::DeletePolicy {
                let text = format!("permit(principal == ServiceAccount::\"{}\", action, resource);", machine.id);
                let ask = Ask::put(tenant.at("/policies/machines")).by(&tenant.owner);
                house.ask(ask.json(json!({ "text": text }))).await.ok();
            } else {
                binding = house.bind(&tenant, &machine.id, role).await;
            }
            machine
        };
        house.write(&tenant, "app/db", "first").await;
        Self { act, tenant, victim, binding }
    }

    /// One of the victim's requests: reads and writes by turns.
    pub(super) fn probe(&self, number: u64) -> Ask {
        let is_read = number.is_multiple_of(2);
        let ask = if self.act.is_on_operator() {
            let tenant = format!("/api/v1/tenants/{}", self.tenant.slug);
            match (self.act, is_read) {
                // A demoted operator may still look.
                (Act::DemoteOperator, _) | (_, false) => Ask::patch(tenant).json(json!({ "name": "another" })),
                _ => Ask::get(tenant),
            }
        } else if is_read {
            Ask::get(self.tenant.at("/secrets/secret/app/db"))
        } else {
            let path = format!("/secrets/secret/of/{}", number % 64);
            Ask::put(self.tenant.at(&path)).json(json!({ "data": { "number": number } }))
        };
        ask.by(&self.victim.credential)
    }

    /// The act, by whoever may do it.
    pub(super) async fn perform(&self, house: &House) -> Told {
        let (tenant, id, credential) = (&self.tenant, &self.victim.id, &self.victim.credential_id);
        let as_owner = |ask: Ask| ask.by(&tenant.owner);
        let as_operator = |ask: Ask| ask.by(house.ground.operator());
        let of_account = |rest: &str| tenant.at(&format!("/accounts/{id}{rest}"));
        let of_member = |rest: &str| tenant.at(&format!("/members/{id}{rest}"));
        let of_operator = |rest: &str| format!("/api/v1/operators/{id}{rest}");
        let of_tenant = |rest: &str| format!("/api/v1/tenants/{}{rest}", tenant.slug);
        let key = format!("/keys/{credential}");
        let forbid = format!("forbid(principal == ServiceAccount::\"{id}\", action, resource);");
        let ask = match self.act {
            Act::RevokeKey => as_owner(Ask::delete(of_account(&key))),
            Act::RotateKeyWithoutOverlap => {
                as_owner(Ask::post(of_account(&format!("{key}/rotate"))).json(json!({ "overlap": "0s" })))
            }
            Act::RevokeOwnKey => Ask::post(tenant.at("/whoami/revoke")).by(&self.victim.credential),
            Act::DisableAccount => as_owner(Ask::patch(of_account("")).json(json!({ "is_disabled": true }))),
            Act::DeleteAccount => as_owner(Ask::delete(of_account(""))),
            Act::DeleteBinding => as_owner(Ask::delete(tenant.at(&format!("/bindings/{}", self.binding)))),
            Act::DeletePolicy => as_owner(Ask::delete(tenant.at("/policies/machines"))),
            Act::PutForbiddingPolicy => {
                as_owner(Ask::put(tenant.at("/policies/never")).json(json!({ "text": forbid })))
            }
            Act::PutGuardrail => as_operator(
                Ask::put(format!("/api/v1/guardrails/{}", self.guardrail())).json(json!({ "text": forbid })),
            ),
            Act::RevokeMemberCredential => as_owner(Ask::delete(of_member(&format!("/credentials/{credential}")))),
            Act::DisableMember => as_owner(Ask::patch(of_member("")).json(json!({ "is_disabled": true }))),
            Act::DemoteMember => as_owner(Ask::patch(of_member("")).json(json!({ "role": "auditor" }))),
            Act::DeleteMember => as_owner(Ask::delete(of_member(""))),
            Act::SuspendTenant => as_operator(Ask::post(of_tenant("/suspend"))),
            Act::DeleteTenant => as_operator(Ask::delete(of_tenant("?hold=1d"))),
            Act::SealTenantAsOwner => as_owner(Ask::post(tenant.at("/keyring/seal"))),
            Act::SealTenantAsOperator => as_operator(Ask::post(of_tenant("/seal"))),
            Act::SealInstallation => as_operator(Ask::post("/api/v1/platform/seal")),
            Act::RevokeOperatorCredential => {
                as_operator(Ask::delete(of_operator(&format!("/credentials/{credential}"))))
            }
            Act::DisableOperator => as_operator(Ask::patch(of_operator("")).json(json!({ "is_disabled": true }))),
            Act::DemoteOperator => as_operator(Ask::patch(of_operator("")).json(json!({ "role": "operator-viewer" }))),
            Act::DeleteOperator => as_operator(Ask::delete(of_operator(""))),
        };
        let told = house.ask(ask).await;
        assert!(told.is_ok(), "{:?}: {} {}", self.act, told.status, told.text());
        told
    }

    fn guardrail(&self) -> String {
        format!("not-{}", self.tenant.slug)
    }

    /// Moves the epoch, so that the next request has to look at everything anew.
    pub(super) async fn stir(&self, house: &House) {
        if self.victim_is_operator() {
            house.operator("operator-viewer").await;
        } else {
            house.account(&self.tenant, "").await;
        }
    }

    /// Makes the tenant's ledger readable again where the act has closed it. The victim is not asked any more.
    pub(super) async fn reopen(&self, house: &House) {
        let post = async |rest: &str| {
            let ask = Ask::post(format!("/api/v1/tenants/{}/{rest}", self.tenant.slug));
            house.ask(ask.by(house.ground.operator())).await.ok();
        };
        match self.act {
            Act::SuspendTenant => post("resume").await,
            Act::DeleteTenant => {
                post("resume").await;
                post("resume").await;
            }
            Act::SealTenantAsOwner | Act::SealTenantAsOperator => post("unseal").await,
            Act::SealInstallation => house.unseal_with_file().await,
            Act::PutGuardrail => {
                let ask = Ask::delete(format!("/api/v1/guardrails/{}", self.guardrail()));
                house.ask(ask.by(house.ground.operator())).await.ok();
            }
            _ => {}
        }
    }

    /// Whether the victim's requests, and so its successes, are in the platform's ledger.
    pub(super) fn victim_is_operator(&self) -> bool {
        self.act.is_on_operator()
    }

    /// The victim's own entries, and where the revocation stands, in the order in which they were durable.
    pub(super) async fn evidence(&self, house: &House) -> Evidence {
        use crate::harness::export::{entries, places, platform_entries};
        let of_tenant = entries(house, &self.tenant).await;
        let of_platform = platform_entries(house).await;
        let places = places(house);
        let platform_id = bailiwick_types::TenantId::PLATFORM.to_string();
        let place = |plane: &str, index: usize| places[&(plane.to_owned(), index as u64)];

        let (ledger, plane) =
            if self.victim_is_operator() { (&of_platform, &platform_id) } else { (&of_tenant, &self.tenant.id) };
        let mut successes = Vec::new();
        for (index, entry) in ledger.iter().enumerate() {
            let is_victims = entry.actor.id.as_deref() == Some(self.victim.id.as_str());
            if is_victims && entry.outcome == "ok" && entry.action != self.act.action() {
                successes.push(Success { request: entry.request.clone(), place: place(plane, index) });
            }
        }
        let mut revocations = Vec::new();
        for (ledger, plane) in [(&of_tenant, &self.tenant.id), (&of_platform, &platform_id)] {
            for (index, entry) in ledger.iter().enumerate() {
                let is_it = entry.action == self.act.action() && entry.outcome == "ok";
                let is_here = *plane == self.tenant.id || self.concerns_platform(&entry.resource.id);
                if is_it && is_here {
                    revocations.push(place(plane, index));
                }
            }
        }
        let revoked = revocations.into_iter().max();
        let missing =
            || panic!("{:?} is in no ledger; the platform's ends in {:#?}", self.act, of_platform.last_chunk::<3>());
        Evidence { successes, revoked: revoked.unwrap_or_else(missing) }
    }

    /// Whether an entry of the platform's ledger about this resource is of this scene.
    fn concerns_platform(&self, resource: &str) -> bool {
        match self.act {
            Act::PutGuardrail => resource == self.guardrail(),
            Act::SealInstallation => true,
            act if act.is_on_operator() => resource == self.victim.id,
            _ => resource == self.tenant.id,
        }
    }
}

/// A success as a ledger has it.
#[derive(Debug)]
pub(super) struct Success {
    pub(super) request: String,
    pub(super) place: usize,
}

/// What the ledgers say of a scene.
pub(super) struct Evidence {
    pub(super) successes: Vec<Success>,
    /// Where the revocation stands.
    pub(super) revoked: usize,
}

impl Evidence {
    /// In the order in which things became durable, nothing of the victim's succeeds after the revocation.
    #[track_caller]
    pub(super) fn holds(&self, act: Act) {
        let late: Vec<_> = self.successes.iter().filter(|success| success.place > self.revoked).collect();
        assert!(late.is_empty(), "{act:?} stands at {}, and after it: {late:?}", self.revoked);
    }
}
