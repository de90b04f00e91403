//! The canaries: two tenants, and an operator who only looks, that the server makes for itself to try its isolation on.
//!
//! Their credentials are in the memory of the server alone, expire by themselves, and are replaced long before that.
//!
//! # Invariants
//! - INV-CANARY-1: what is done here is done to planes whose header names a prober, and to that principal alone. Only the
//!   tenants that were made here have one; no operator can give one to another tenant.

use std::time::Duration;

use bailiwick_ledger::entry::Entry;
use bailiwick_store::{Commit, Expect, HeaderChange, Part, Space, Write};
use bailiwick_types::action::act;
use bailiwick_types::{Action, ActionType, Code, CredentialId, OperatorId, Secret, TenantId, Timestamp};

use crate::app::App;
use crate::credentials::OwnCredential;
use crate::error::AppError;
use crate::records::{CredentialOfRecord, OperatorRecord, Stored, TenantMeta};
use crate::snapshot::Snapshot;
use crate::state::{Phase, TenantState};
use crate::tenants::{FirstMember, NewTenant};
use crate::tx::{seal_entry, seal_record};

/// The slugs of the canary tenants.
pub const CANARY_SLUGS: [&str; 2] = ["bailiwick-canary-1", "bailiwick-canary-2"];
/// So many times a canary can be deleted and get a successor.
const GENERATIONS_MAX: u32 = 1_000;
/// How long a canary's credential lasts.
const LIFETIME: Duration = Duration::from_secs(2 * 3_600);
/// The name of the principal that probes.
const PROBER: &str = "isolation prober";

/// A principal of the prober's, with a credential.
pub struct Canary {
    /// Its plane: a canary tenant, or the platform.
    pub tenant: TenantId,
    /// The plane's slug.
    pub slug: String,
    /// The id of the member (an owner) or operator (a viewer).
    pub principal: String,
    /// The credential's id.
    pub key: CredentialId,
    /// What it shows.
    pub credential: Secret<String>,
}

/// All of them.
pub struct Canaries {
    /// Owners of the two canary tenants.
    pub tenants: [Canary; 2],
    /// The operator who only looks.
    pub operator: Canary,
    /// When their credentials expire.
    pub expires: Timestamp,
}

/// What must stay as it is while somebody else tries to get in: every commit of a request to a plane shows in it. What the
/// server makes of the ledger in the background, whenever it comes to it, does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryState {
    /// Bumped by each security-relevant change.
    pub epoch: u64,
    /// Grows with each change of the header.
    pub meta_version: u64,
    /// Entries in the ledger.
    pub entries: u64,
    /// Records by space, without the ledger's index.
    counts: bailiwick_store::Counts,
}

impl App {
    /// The canaries with fresh credentials; made if they are not there.
    ///
    /// # Errors
    /// `wrong_state` if a canary is suspended or sealed, or its slug is another tenant's; whatever the store says.
    pub async fn canaries(&self) -> Result<Canaries, AppError> {
        let expires = self.now().plus(LIFETIME);
        let [one, other] = CANARY_SLUGS;
        Ok(Canaries {
            tenants: [self.canary_tenant(one, expires).await?, self.canary_tenant(other, expires).await?],
            operator: self.canary_operator(expires).await?,
            expires,
        })
    }

    /// What a canary tenant's plane is like; nothing of any other tenant.
    ///
    /// # Errors
    /// `wrong_state` if it is none.
    pub async fn canary_state(&self, canary: &Canary) -> Result<CanaryState, AppError> {
        let header = self.store.header(canary.tenant).await?.ok_or_else(|| not_a_canary(&canary.slug))?;
        if header.tenant.is_platform() || TenantMeta::from_bytes(&header.meta)?.prober.is_none() {
            return Err(not_a_canary(&canary.slug));
        }
        check_active(&canary.slug, TenantState::from_number(header.state))?;
        Ok(CanaryState {
            epoch: header.epoch,
            meta_version: header.meta_version,
            entries: header.ledger.size(),
            counts: header.counts.without(Space::LedgerIndex),
        })
    }

    /// A canary that was deleted has a successor: a slug is never used again.
    async fn canary_tenant(&self, first: &str, expires: Timestamp) -> Result<Canary, AppError> {
        for number in 1..=GENERATIONS_MAX {
            let slug = if number == 1 { first.to_owned() } else { format!("{first}-{number}") };
            let Some(tenant) = self.store.tenant_by_slug(&slug).await? else {
                return self.make_canary_tenant(&slug, expires).await;
            };
            let header = self.store.header(tenant).await?.ok_or_else(|| not_a_canary(&slug))?;
            let prober = TenantMeta::from_bytes(&header.meta)?.prober.ok_or_else(|| not_a_canary(&slug))?;
            let state = TenantState::from_number(header.state);
            if matches!(state.phase, Phase::Deleting | Phase::Deleted) {
                continue;
            }
            check_active(&slug, state)?;
            let snapshot = self.snapshot(tenant).await?.ok_or_else(AppError::not_found)?;
            let part = part_of(&snapshot, Vec::new());
            return self.renew(&snapshot, prober, part, expires).await;
        }
        Err(AppError::with_detail(Code::WrongState, format!("{GENERATIONS_MAX} generations of canaries were deleted")))
    }

    async fn make_canary_tenant(&self, slug: &str, expires: Timestamp) -> Result<Canary, AppError> {
        let platform = self.platform_snapshot().await?;
        let first = FirstMember { name: PROBER.to_owned(), email: None, expires: Some(expires) };
        let mut new = NewTenant::make(
            self,
            slug,
            "a canary: the server tries its isolation on it".to_owned(),
            first,
            self.now(),
        )?;
        let (tenant, principal) = (new.header.tenant, new.member.to_string());
        new.meta.prober = Some(principal.clone());
        let id = tenant.to_string();
        let entry = self.canary_entry(tenant, act::TenantCreate::ACTION, "Tenant", &id);
        let of_platform = self.canary_entry(TenantId::PLATFORM, act::TenantCreate::ACTION, "Tenant", &id);
        let parts = vec![
            Part {
                tenant,
                expect: Expect::Absent { slug: slug.to_owned() },
                header: HeaderChange {
                    state: Some(TenantState::ACTIVE.number()),
                    meta: Some((0, new.meta.to_bytes()?)),
                    ..HeaderChange::default()
                },
                writes: new.genesis.writes,
                entries: vec![seal_entry(self, &new.genesis.snapshot, &entry)?],
            },
            entry_part(self, &platform, &of_platform)?,
        ];
        // As for every new tenant: its keys are under the root key of this epoch.
        let guards = vec![(TenantId::PLATFORM, platform.epoch)];
        self.store.commit(Commit { parts, guards }).await?;
        Ok(Canary { tenant, slug: slug.to_owned(), principal, key: new.key, credential: new.credential })
    }

    async fn canary_operator(&self, expires: Timestamp) -> Result<Canary, AppError> {
        let platform = self.platform_snapshot().await?;
        let header = self.store.header(TenantId::PLATFORM).await?.ok_or_else(AppError::not_found)?;
        let mut meta = TenantMeta::from_bytes(&header.meta)?;
        if let Some(prober) = &meta.prober
            && let Ok(id) = prober.parse::<OperatorId>()
            && self.read::<OperatorRecord>(&platform, id.as_bytes()).await?.is_some()
        {
            let part = part_of(&platform, Vec::new());
            return self.renew(&platform, prober.clone(), part, expires).await;
        }
        let operator = OperatorRecord {
            id: OperatorId::random(self.random()),
            name: PROBER.to_owned(),
            role: "operator-viewer".parse()?,
            is_disabled: false,
            created: self.now(),
        };
        let prober = operator.id.to_string();
        meta.prober = Some(prober.clone());
        let writes = vec![seal_record(self, &platform, operator.id.as_bytes().to_vec(), &operator)?];
        let mut part = part_of(&platform, writes);
        part.header.meta = Some((header.meta_version, meta.to_bytes()?));
        self.renew(&platform, prober, part, expires).await
    }

    /// Replaces the credentials of a plane's prober by a fresh one. The platform's epoch stays, as every tenant's decisions
    /// hang on it: what is replaced there is in no other hands, and expires by itself.
    async fn renew(
        &self,
        snapshot: &Snapshot,
        prober: String,
        mut part: Part,
        expires: Timestamp,
    ) -> Result<Canary, AppError> {
        let tenant = snapshot.tenant;
        let new =
            OwnCredential::make(self, snapshot, &prober, "in the server's memory alone", Some(expires), self.now())?;
        part.header.bump_epoch = !tenant.is_platform();
        part.writes.extend(self.removal_of_credentials(snapshot, &prober).await?);
        part.writes.extend(new.writes);
        let (action, kind) = match tenant.is_platform() {
            true => (act::OperatorCredentialIssue::ACTION, "Operator"),
            false => (act::MemberCredentialIssue::ACTION, "Member"),
        };
        let mut entry = self.canary_entry(tenant, action, kind, &prober);
        entry.detail.insert("credential".to_owned(), new.id.to_string());
        part.entries.push(seal_entry(self, snapshot, &entry)?);
        self.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await?;
        self.forget(tenant);
        Ok(Canary { tenant, slug: snapshot.slug.clone(), principal: prober, key: new.id, credential: new.text })
    }

    async fn removal_of_credentials(&self, snapshot: &Snapshot, principal: &str) -> Result<Vec<Write>, AppError> {
        let mut writes = Vec::new();
        let mut remove = |space, key: Vec<u8>, version| {
            writes.push(Write { space, key, expected: Some(version), value: None, count_max: None });
        };
        let prefix = format!("{principal}/");
        for (key, version, _) in self.read_all::<CredentialOfRecord>(snapshot, prefix.as_bytes(), None, 1_000).await? {
            if let Some(id) = key.last_chunk::<16>() {
                for space in [Space::Credential, Space::Usage] {
                    if let Some(record) = self.store.record(snapshot.tenant, space, id).await? {
                        remove(space, id.to_vec(), record.version);
                    }
                }
            }
            remove(CredentialOfRecord::SPACE, key, version);
        }
        Ok(writes)
    }

    /// An entry in the platform's ledger about what the probes found.
    pub(crate) async fn append_isolation_entry(&self, change: impl FnOnce(&mut Entry) + Send) -> Result<(), AppError> {
        let platform = self.platform_snapshot().await?;
        let mut entry = self.canary_entry(TenantId::PLATFORM, act::IsolationProbe::ACTION, "Platform", "platform");
        change(&mut entry);
        let part = entry_part(self, &platform, &entry)?;
        self.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await?;
        Ok(())
    }

    fn canary_entry(&self, tenant: TenantId, action: Action, kind: &'static str, id: &str) -> Entry {
        let mut entry = self.system_entry(tenant, action.as_str(), kind, id);
        entry.detail.insert("reason".to_owned(), "continuous verification".to_owned());
        entry
    }
}

fn part_of(snapshot: &Snapshot, writes: Vec<Write>) -> Part {
    let (tenant, expect) = (snapshot.tenant, Expect::Epoch(snapshot.epoch));
    Part { tenant, expect, header: HeaderChange::default(), writes, entries: Vec::new() }
}

fn entry_part(app: &App, snapshot: &Snapshot, entry: &Entry) -> Result<Part, AppError> {
    Ok(Part {
        tenant: snapshot.tenant,
        expect: Expect::Exists,
        header: HeaderChange::default(),
        writes: Vec::new(),
        entries: vec![seal_entry(app, snapshot, entry)?],
    })
}

fn check_active(slug: &str, state: TenantState) -> Result<(), AppError> {
    if state.phase == Phase::Active && !state.is_sealed {
        return Ok(());
    }
    let what = if state.is_sealed { "sealed" } else { state.phase.as_str() };
    Err(AppError::with_detail(Code::WrongState, format!("the canary tenant `{slug}` is {what}")))
}

fn not_a_canary(slug: &str) -> AppError {
    AppError::with_detail(Code::WrongState, format!("the tenant `{slug}` was not made by this server as a canary"))
}
