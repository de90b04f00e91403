//! Invariants: rules that a tenant, or the platform, declares over all possible requests; and what a change of policies
//! comes to.
//!
//! An invariant decides no request. It is proved whenever policies change, and a change that would break it is refused.
//! Those of the platform are proved of guardrails alone, whatever tenants write: so a tenant's policies are never held
//! against them, and no tenant learns of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_authz::analysis::{Claim, EffectiveSet};
use bailiwick_authz::{CompiledPolicy, Layer};
use bailiwick_types::action::act;
use bailiwick_types::api::proof::{Invariant, PolicyDiff, Proof, ProofMark, ProposeChange, PutInvariant, SubsetResult};
use bailiwick_types::api::{Done, Page};
use bailiwick_types::{ActionType, Code, Limit, PolicyName, Resource, ResourceKind};

use crate::accounts::check_precondition;
use crate::app::{PlatformUseCase, UseCase};
use crate::error::AppError;
use crate::page::PageRequest;
use crate::policies::compile;
use crate::prove::{SPACE, key, with};
use crate::records::InvariantRecord;
use crate::tenants::platform;
use crate::tx::{Answer, PlatformTx, Scope, TenantTx, Tx};
use crate::validate;

fn show(version: u64, record: InvariantRecord, compiled: Option<&CompiledPolicy>) -> Invariant {
    let warnings = compiled.map(|text| {
        text.warnings().iter().map(|w| format!("{}:{}: {}", w.line, w.column, w.message)).collect::<Vec<_>>()
    });
    Invariant {
        name: record.name,
        description: record.description,
        text: record.text,
        covers: record.covers,
        version,
        updated: record.updated,
        proof: record.proof,
        warnings: warnings.unwrap_or_default(),
    }
}

fn resource_of(kind: ResourceKind, name: &PolicyName) -> Resource {
    Resource::plain(kind, name.as_str())
}

/// What both planes need to create or replace an invariant.
struct Change<'a> {
    name: &'a PolicyName,
    input: &'a PutInvariant,
    before: Option<u64>,
    if_match: Option<u64>,
    must_be_new: bool,
}

impl<S: Scope> Tx<'_, S> {
    /// Checks an invariant, and that it holds now.
    async fn checked_invariant(
        &mut self,
        change: Change<'_>,
    ) -> Result<(InvariantRecord, Arc<CompiledPolicy>), AppError> {
        if change.must_be_new && change.before.is_some() {
            return Err(AppError::with_detail(Code::AlreadyExists, "there is an invariant with this name"));
        }
        if change.if_match.is_some() {
            check_precondition(change.if_match, change.before.unwrap_or(0))?;
        }
        validate::description(&change.input.description)?;
        let (text, most) = (&change.input.text, self.limit(Limit::PolicyBytes));
        let compiled = compile(self.app, Layer::Invariant, change.name, text, most).await?;
        let mut before = self.question().await?;
        let mut after = before.clone();
        // The one that it replaces said something else: that it was untrue excuses nothing.
        before.invariants.retain(|known| known.text.name() != change.name);
        after.invariants.retain(|known| known.text.name() != change.name);
        after.invariants.push(Claim { text: Arc::clone(&compiled), covers: change.input.covers });
        let proof: ProofMark = self.prove_change(before, after).await?;
        let record = InvariantRecord {
            name: change.name.clone(),
            description: change.input.description.clone(),
            text: change.input.text.clone(),
            covers: change.input.covers,
            updated: self.now(),
            proof: Some(proof),
        };
        Ok((record, compiled))
    }

    /// Stores an invariant, or shows what would be stored.
    async fn put_invariant<A: ActionType>(
        &mut self,
        permit: bailiwick_authz::Permit<A>,
        change: Change<'_>,
    ) -> Result<Answer<Invariant>, AppError> {
        let (name, before, dry_run) = (change.name.clone(), change.before, change.input.dry_run);
        let (record, compiled) = self.checked_invariant(change).await?;
        let version = before.unwrap_or(0) + 1;
        if dry_run {
            self.note("dry_run", "true");
        } else {
            self.put(&permit, key(&name), before, &record)?;
            self.concerning_version(version);
        }
        self.etag(version);
        self.commit(permit, show(version, record, Some(&compiled))).await
    }
}

macro_rules! invariants {
    ($use_case:ident, $tx:ident, $resource:ident, $whole:expr,
     $Put:ident $put:ident, $List:ident $list:ident, $Show:ident $show:ident, $Delete:ident $delete:ident,
     $Check:ident $check:ident) => {
        /// Creates or replaces an invariant, if it holds.
        pub struct $Put {
            /// Its name.
            pub name: PolicyName,
            /// What it says.
            pub input: PutInvariant,
            /// Only if it still has this version.
            pub if_match: Option<u64>,
            /// Only if there is none yet.
            pub must_be_new: bool,
        }

        impl $use_case for $Put {
            type Action = act::$put;
            type Reply = Invariant;
            async fn run(&self, tx: &mut $tx<'_>) -> Result<Answer<Invariant>, AppError> {
                let resource = resource_of(ResourceKind::$resource, &self.name);
                let found = tx.locate::<InvariantRecord>(&key(&self.name), |_| resource).await?;
                let permit = tx.authorize::<act::$put>(found.resource()).await?;
                let before = tx.load_if_any(&permit, found)?.map(|(version, _)| version);
                let (if_match, must_be_new) = (self.if_match, self.must_be_new);
                let change = Change { name: &self.name, input: &self.input, before, if_match, must_be_new };
                tx.put_invariant(permit, change).await
            }
        }

        /// Lists invariants.
        #[derive(Debug, Default)]
        pub struct $List {
            /// Which page.
            pub page: PageRequest,
        }

        impl $use_case for $List {
            type Action = act::$list;
            type Reply = Page<Invariant>;
            async fn run(&self, tx: &mut $tx<'_>) -> Result<Answer<Page<Invariant>>, AppError> {
                let whole: Resource = $whole(tx);
                let permit = tx.authorize::<act::$list>(&whole).await?;
                let shown = |version, record| Ok(Some(show(version, record, None)));
                let page = tx.page(&permit, b"", &self.page, "", shown).await?;
                tx.commit(permit, page).await
            }
        }

        /// Shows an invariant.
        pub struct $Show {
            /// Which.
            pub name: PolicyName,
        }

        impl $use_case for $Show {
            type Action = act::$show;
            type Reply = Invariant;
            async fn run(&self, tx: &mut $tx<'_>) -> Result<Answer<Invariant>, AppError> {
                let resource = resource_of(ResourceKind::$resource, &self.name);
                let found = tx.locate::<InvariantRecord>(&key(&self.name), |_| resource).await?;
                let permit = tx.authorize::<act::$show>(found.resource()).await?;
                let (version, record) = tx.load(&permit, found)?;
                tx.etag(version);
                tx.commit(permit, show(version, record, None)).await
            }
        }

        /// Deletes an invariant. Nothing is proved: what held goes on holding.
        pub struct $Delete {
            /// Which.
            pub name: PolicyName,
            /// Only if it still has this version.
            pub if_match: Option<u64>,
        }

        impl $use_case for $Delete {
            type Action = act::$delete;
            type Reply = Done;
            async fn run(&self, tx: &mut $tx<'_>) -> Result<Answer<Done>, AppError> {
                let resource = resource_of(ResourceKind::$resource, &self.name);
                let found = tx.locate::<InvariantRecord>(&key(&self.name), |_| resource).await?;
                let permit = tx.authorize::<act::$delete>(found.resource()).await?;
                let (version, _) = tx.load(&permit, found)?;
                check_precondition(self.if_match, version)?;
                tx.remove(&permit, SPACE, key(&self.name), version)?;
                tx.commit(permit, Done {}).await
            }
        }

        /// Proves everything of the policies in force.
        pub struct $Check;

        impl $use_case for $Check {
            type Action = act::$check;
            type Reply = Proof;
            async fn run(&self, tx: &mut $tx<'_>) -> Result<Answer<Proof>, AppError> {
                let whole: Resource = $whole(tx);
                let permit = tx.authorize::<act::$check>(&whole).await?;
                let question = tx.question().await?;
                let proof = tx.app.config.prover.prove(question).await;
                tx.note_proof(&proof);
                tx.commit(permit, proof).await
            }
        }
    };
}

invariants! {
    UseCase, TenantTx, Invariant, TenantTx::tenant_resource,
    Put InvariantPut, List InvariantList, Show InvariantShow, Delete InvariantDelete, Check InvariantCheck
}

invariants! {
    PlatformUseCase, PlatformTx, PlatformInvariant, |_: &PlatformTx<'_>| platform(),
    PutOfPlatform PlatformInvariantPut, ListOfPlatform PlatformInvariantList, ShowOfPlatform PlatformInvariantShow,
    DeleteOfPlatform PlatformInvariantDelete, CheckPlatform PlatformInvariantCheck
}

// --- what a change comes to ------------------------------------------------------------------------------------------

/// Shows what a change of policies would newly allow and deny.
pub struct Diff {
    /// The change.
    pub input: ProposeChange,
}

impl UseCase for Diff {
    type Action = act::PolicyDiff;
    type Reply = PolicyDiff;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<PolicyDiff>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::PolicyDiff>(&tenant).await?;
        let (current, proposed) = tx.sides(&self.input.with_policies).await?;
        let diff = tx.app.config.prover.diff(tx.snapshot.tenant, current, proposed).await;
        tx.note("question", "diff");
        tx.note("proof", diff.outcome.as_str());
        tx.commit(permit, diff).await
    }
}

/// Says whether a change of policies only takes away.
pub struct Subset {
    /// The change.
    pub input: ProposeChange,
}

impl UseCase for Subset {
    type Action = act::PolicyDiff;
    type Reply = SubsetResult;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<SubsetResult>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::PolicyDiff>(&tenant).await?;
        let (current, proposal) = tx.sides(&self.input.with_policies).await?;
        let result = tx.app.config.prover.subset(tx.snapshot.tenant, proposal, current).await;
        tx.note("question", "subset");
        tx.note("proof", result.verdict.outcome.as_str());
        tx.commit(permit, result).await
    }
}

impl TenantTx<'_> {
    /// The policies as they are, and as they would be.
    async fn sides(
        &self,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<(EffectiveSet, EffectiveSet), AppError> {
        if changes.is_empty() || changes.len() > 64 {
            return Err(AppError::invalid("`with_policies` takes 1 to 64 policies"));
        }
        let current = self.app.effective_set(&self.snapshot).await?;
        let mut proposed = current.clone();
        for (name, text) in changes {
            let name: PolicyName = name.parse()?;
            let policy = match text {
                Some(text) => {
                    Some(compile(self.app, Layer::Tenant, &name, text, self.limit(Limit::PolicyBytes)).await?)
                }
                None => None,
            };
            proposed.policies = with(&proposed.policies, &name, policy);
        }
        Ok((current, proposed))
    }
}
