//! Roles, bindings and the tenant's own policies; what they decide, and why.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bailiwick_authz::{
    Authority, CompiledPolicy, Layer, PrincipalFacts, PrincipalKind, RequestContext, Role, RoleLink, compile_policy,
    roles, schema_text,
};
use bailiwick_types::action::act;
use bailiwick_types::api::policy::{
    Binding, CheckRequest, CheckResult, CreateBinding, Policy, PolicyProblem, PutPolicy, Role as ApiRole,
};
use bailiwick_types::api::{Done, Page};
use bailiwick_types::{
    Action, BindingId, Code, Limit, MountName, Plane, PolicyName, Resource, ResourceKind, SecretPath, TenantId,
    Timestamp,
};

use crate::accounts::check_precondition;
use crate::app::{App, UseCase};
use crate::error::AppError;
use crate::page::PageRequest;
use crate::records::{BindingRecord, PolicyRecord, Stored, principal_key};
use crate::secrets::resource_of_path;
use crate::tx::{Answer, Located, TenantTx};
use crate::validate;

// --- roles -----------------------------------------------------------------------------------------------------------

/// The role of the tenant plane with this name.
pub(crate) fn tenant_role(name: &str) -> Result<PolicyName, AppError> {
    role_of(name, Plane::Tenant)
}

/// The role of the platform plane with this name.
pub(crate) fn operator_role(name: &str) -> Result<PolicyName, AppError> {
    role_of(name, Plane::Platform)
}

fn role_of(name: &str, plane: Plane) -> Result<PolicyName, AppError> {
    let known = roles().iter().filter(|role| role.plane == plane);
    if known.clone().any(|role| role.name == name) {
        return Ok(name.parse()?);
    }
    let names: Vec<&str> = known.map(|role| role.name).collect();
    let detail = format!("no such role; there are {}", names.join(", "));
    Err(AppError::with_detail(Code::InvalidReference, detail))
}

fn show_role(role: &Role) -> ApiRole {
    ApiRole {
        name: role.name.to_owned(),
        description: role.description.to_owned(),
        actions: actions_of(role),
        template: role.template.to_owned(),
    }
}

/// What a role allows, asked of policy itself: the actions of whoever holds it on `on`, with a thing in there for each.
fn reach_of(role: &PolicyName, on: &(ResourceKind, String), tenant: TenantId) -> Vec<(Action, Resource)> {
    let holder = PrincipalFacts {
        tenant,
        kind: PrincipalKind::Member,
        id: "mem_example".to_owned(),
        name: String::new(),
        is_disabled: false,
        expires: None,
        labels: Vec::new(),
        roles: vec![RoleLink { id: "example".to_owned(), role: role.clone(), on: on.clone() }],
    };
    Action::ALL
        .iter()
        .filter(|action| action.plane() == Plane::Tenant)
        .filter_map(|action| Some((*action, example_in(on, action.resource())?)))
        .filter(|(action, resource)| role_allows(&holder, *action, resource, tenant))
        .collect()
}

/// Some thing of a kind that is in `on`, or is it; `None` where there can be none.
fn example_in(on: &(ResourceKind, String), kind: ResourceKind) -> Option<Resource> {
    let (container, id) = (on.0, on.1.as_str());
    let (mount, path) = id.split_once('/').unwrap_or((id, ""));
    let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
    match (container, kind) {
        (ResourceKind::Tenant, ResourceKind::Tenant) => Some(Resource::plain(kind, id)),
        (ResourceKind::Tenant, _) => Some(Resource::plain(kind, "example")),
        (ResourceKind::Mount, ResourceKind::Mount) => Some(Resource::plain(kind, id)),
        (ResourceKind::Mount | ResourceKind::Folder, ResourceKind::Secret) => {
            Some(resource_of_path(mount, &inside("example"), false))
        }
        (ResourceKind::Mount | ResourceKind::Folder, ResourceKind::Folder) => Some(resource_of_path(mount, path, true)),
        (ResourceKind::Secret, ResourceKind::Secret) => Some(resource_of_path(mount, path, false)),
        _ => None,
    }
}

/// What roles alone say: neither the tenant's policies nor guardrails.
fn role_allows(holder: &PrincipalFacts, action: Action, resource: &Resource, tenant: TenantId) -> bool {
    let context = RequestContext { now: Timestamp::from_unix_ms(0), source: None, door: "api" };
    Authority::new(&[], &[]).decide(holder, action, resource, tenant, &context).allowed
}

/// The actions that a role allows somewhere in a tenant.
fn actions_of(role: &Role) -> Vec<String> {
    let tenant = TenantId::from_bytes([1; 16]);
    let Ok(name) = role.name.parse::<PolicyName>() else { return Vec::new() };
    let reach = reach_of(&name, &(ResourceKind::Tenant, tenant.to_string()), tenant);
    reach.into_iter().map(|(action, _)| action.as_str().to_owned()).collect()
}

impl TenantTx<'_> {
    /// Nobody hands out more than they hold: whoever gives a role, or a credential of somebody who has it, must hold
    /// by roles everything that it allows there. Otherwise an administrator of accounts could make itself owner.
    pub(crate) fn check_covers(&self, role: &PolicyName, on: &(ResourceKind, String)) -> Result<(), AppError> {
        let tenant = self.snapshot.tenant;
        let caller = self.principal();
        match reach_of(role, on, tenant)
            .iter()
            .find(|(action, resource)| !role_allows(caller, *action, resource, tenant))
        {
            None => Ok(()),
            Some((action, _)) => Err(AppError::with_detail(
                Code::PermissionDenied,
                format!("the role `{role}` allows `{action}` there, which you may not do yourself"),
            )),
        }
    }

    /// [`TenantTx::check_covers`] for everything that a principal holds.
    pub(crate) async fn check_covers_all_of(&self, principal: &str) -> Result<(), AppError> {
        if let Some(facts) = self.app.principal(&self.snapshot, principal).await? {
            for link in &facts.roles {
                self.check_covers(&link.role, &link.on)?;
            }
        }
        Ok(())
    }
}

/// Lists the roles that a tenant can give.
#[derive(Debug, Default)]
pub struct ListRoles {
    /// Which page.
    pub page: PageRequest,
}

impl UseCase for ListRoles {
    type Action = act::RoleList;
    type Reply = Page<ApiRole>;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Page<ApiRole>>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::RoleList>(&tenant).await?;
        let (limit, after) = (tx.page_limit(&self.page)?, tx.page_after(&self.page, "")?);
        let mut roles = roles().iter().filter(|role| role.plane == Plane::Tenant);
        if let Some(after) = after {
            roles.by_ref().find(|role| role.name.as_bytes() == after);
        }
        let items: Vec<ApiRole> = roles.by_ref().take(limit).map(show_role).collect();
        let next = match (items.last(), roles.next()) {
            (Some(last), Some(_)) => Some(tx.cursor("", last.name.as_bytes())?),
            _ => None,
        };
        tx.commit(permit, Page { items, next }).await
    }
}

/// Shows a role.
pub struct ShowRole {
    /// Which.
    pub name: PolicyName,
}

impl UseCase for ShowRole {
    type Action = act::RoleShow;
    type Reply = ApiRole;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<ApiRole>, AppError> {
        let resource = Resource::plain(ResourceKind::Role, self.name.as_str());
        let permit = tx.authorize::<act::RoleShow>(&resource).await?;
        let role = roles().iter().find(|role| role.plane == Plane::Tenant && role.name == self.name.as_str());
        let shown = role.map(show_role).ok_or_else(AppError::not_found)?;
        tx.commit(permit, shown).await
    }
}

// --- bindings --------------------------------------------------------------------------------------------------------

/// What a binding is on: `tenant`, `mount/NAME`, `folder/MOUNT/PATH` or `secret/MOUNT/PATH`.
pub(crate) fn parse_target(text: &str, tenant: TenantId) -> Result<(ResourceKind, String), AppError> {
    let bad = || AppError::invalid("`on` must be `tenant`, `mount/NAME`, `folder/MOUNT/PATH` or `secret/MOUNT/PATH`");
    if text == "tenant" {
        return Ok((ResourceKind::Tenant, tenant.to_string()));
    }
    let (kind, rest) = text.split_once('/').ok_or_else(bad)?;
    if kind == "mount" {
        let mount: MountName = rest.parse()?;
        return Ok((ResourceKind::Mount, mount.to_string()));
    }
    let (mount, path) = rest.split_once('/').ok_or_else(bad)?;
    let (mount, path): (MountName, SecretPath) = (mount.parse()?, path.trim_end_matches('/').parse()?);
    match kind {
        "folder" => Ok((ResourceKind::Folder, format!("{mount}/{path}"))),
        "secret" => Ok((ResourceKind::Secret, format!("{mount}/{path}"))),
        _ => Err(bad()),
    }
}

fn show_binding(record: BindingRecord) -> Binding {
    Binding {
        id: record.id,
        principal: record.principal,
        role: record.role.to_string(),
        on: record.on,
        created: record.created,
    }
}

/// Gives a role to a principal.
pub struct CreateBindingCase {
    /// Which role, to whom, on what.
    pub input: CreateBinding,
}

impl UseCase for CreateBindingCase {
    type Action = act::BindingCreate;
    type Reply = Binding;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Binding>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::BindingCreate>(&tenant).await?;
        let role = tenant_role(&self.input.role)?;
        tx.check_covers(&role, &parse_target(&self.input.on, tx.snapshot.tenant)?)?;
        let principal = &self.input.principal;
        if tx.app.principal(&tx.snapshot, principal).await?.is_none() {
            return Err(AppError::with_detail(
                Code::InvalidReference,
                "`principal` is not an account or a member of this tenant",
            ));
        }
        let most = tx.limit(Limit::BindingsPerPrincipal);
        let prefix = format!("{principal}/");
        let held = tx.read_all::<_, BindingRecord>(&permit, prefix.as_bytes(), None, 1_000).await?;
        if held.len() as u64 >= most {
            return Err(AppError::limit(Limit::BindingsPerPrincipal, most));
        }
        if held.iter().any(|(_, _, other)| other.role == role && other.on == self.input.on) {
            return Err(AppError::with_detail(Code::AlreadyExists, "the principal has this role on this already"));
        }
        let record = BindingRecord {
            id: BindingId::random(tx.app.random()),
            principal: principal.clone(),
            role,
            on: self.input.on.clone(),
            created: tx.now(),
        };
        tx.put(&permit, principal_key(principal, record.id.as_bytes()), None, &record)?;
        tx.concerning(&Resource::plain(ResourceKind::Binding, record.id.to_string()));
        tx.note("principal", principal.as_str());
        tx.note("role", record.role.as_str());
        tx.note("on", record.on.as_str());
        tx.commit(permit, show_binding(record)).await
    }
}

/// Lists bindings, of everybody or of one principal.
#[derive(Debug, Default)]
pub struct ListBindings {
    /// Which page.
    pub page: PageRequest,
    /// Only of this account or member.
    pub principal: Option<String>,
}

impl UseCase for ListBindings {
    type Action = act::BindingList;
    type Reply = Page<Binding>;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Page<Binding>>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::BindingList>(&tenant).await?;
        let prefix = self.principal.as_ref().map(|principal| format!("{principal}/")).unwrap_or_default();
        let page = tx
            .page(&permit, prefix.as_bytes(), &self.page, &prefix, |_, record| Ok(Some(show_binding(record))))
            .await?;
        tx.commit(permit, page).await
    }
}

impl TenantTx<'_> {
    /// Bindings are kept by principal; by id they are found by looking through, which only administrators do.
    async fn locate_binding(&self, id: BindingId) -> Result<Located<BindingRecord>, AppError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self
                .app
                .store
                .records(self.snapshot.tenant, BindingRecord::SPACE, b"", after.as_deref(), 1_000)
                .await?;
            let is_last = page.len() < 1_000;
            let key = page.iter().map(|(key, _)| key).find(|key| key.ends_with(id.as_bytes())).cloned();
            if key.is_some() || is_last {
                let resource = Resource::plain(ResourceKind::Binding, id.to_string());
                return self.locate::<BindingRecord>(&key.unwrap_or_default(), |_| resource).await;
            }
            after = page.last().map(|(key, _)| key.clone());
        }
    }
}

/// Shows a binding.
pub struct ShowBinding {
    /// Which.
    pub id: BindingId,
}

impl UseCase for ShowBinding {
    type Action = act::BindingShow;
    type Reply = Binding;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Binding>, AppError> {
        let found = tx.locate_binding(self.id).await?;
        let permit = tx.authorize::<act::BindingShow>(found.resource()).await?;
        let (_, record) = tx.load(&permit, found)?;
        tx.commit(permit, show_binding(record)).await
    }
}

/// Takes a role back.
pub struct DeleteBinding {
    /// Which binding.
    pub id: BindingId,
}

impl UseCase for DeleteBinding {
    type Action = act::BindingDelete;
    type Reply = Done;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Done>, AppError> {
        let found = tx.locate_binding(self.id).await?;
        let permit = tx.authorize::<act::BindingDelete>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        tx.check_covers(&record.role, &parse_target(&record.on, tx.snapshot.tenant)?)?;
        tx.note("principal", record.principal.as_str());
        tx.note("role", record.role.as_str());
        tx.remove(&permit, BindingRecord::SPACE, principal_key(&record.principal, record.id.as_bytes()), version)?;
        tx.commit(permit, Done {}).await
    }
}

// --- policies --------------------------------------------------------------------------------------------------------

pub(crate) fn show_problem(problem: &bailiwick_authz::PolicyProblem) -> PolicyProblem {
    PolicyProblem {
        message: problem.message.clone(),
        line: problem.line,
        column: problem.column,
        hint: problem.hint.clone(),
    }
}

/// Compiles a text, or says where it is wrong.
pub(crate) async fn compile(
    app: &App,
    layer: Layer,
    name: &PolicyName,
    text: &str,
    most: u64,
) -> Result<Arc<CompiledPolicy>, AppError> {
    if text.len() as u64 > most {
        return Err(AppError::limit(Limit::PolicyBytes, most));
    }
    let (name, text) = (name.clone(), text.to_owned());
    app.aside_patiently(move || compile_policy(layer, &name, &text))
        .await?
        .map_err(|problems| AppError::invalid_policy(problems.iter().map(show_problem).collect()))
}

pub(crate) fn show_policy(version: u64, record: PolicyRecord, compiled: Option<&CompiledPolicy>) -> Policy {
    let warnings = compiled.map(|policy| {
        policy.warnings().iter().map(|w| format!("{}:{}: {}", w.line, w.column, w.message)).collect::<Vec<_>>()
    });
    Policy {
        name: record.name,
        description: record.description,
        text: record.text,
        version,
        updated: record.updated,
        warnings: warnings.unwrap_or_default(),
        proof: record.proof,
    }
}

pub(crate) fn policy_resource(kind: ResourceKind, name: &PolicyName) -> Resource {
    Resource::plain(kind, name.as_str())
}

/// Creates or replaces a policy.
pub struct Put {
    /// Its name.
    pub name: PolicyName,
    /// Its text.
    pub input: PutPolicy,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
    /// Only if there is none yet.
    pub must_be_new: bool,
}

impl UseCase for Put {
    type Action = act::PolicyPut;
    type Reply = Policy;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Policy>, AppError> {
        let resource = policy_resource(ResourceKind::Policy, &self.name);
        let found = tx.locate::<PolicyRecord>(self.name.as_str().as_bytes(), |_| resource).await?;
        let permit = tx.authorize::<act::PolicyPut>(found.resource()).await?;
        let before = tx.load_if_any(&permit, found)?.map(|(version, _)| version);
        let (most, now) = (tx.limit(Limit::PolicyBytes), tx.now());
        let put = PutChecked { layer: Layer::Tenant, most, now, before, name: &self.name, input: &self.input };
        let (mut record, compiled) = put.check(tx.app, self.if_match, self.must_be_new).await?;
        record.proof = Some(tx.prove_policy(&self.name, Some(Arc::clone(&compiled))).await?);
        let version = before.unwrap_or(0) + 1;
        if self.input.dry_run {
            tx.note("dry_run", "true");
        } else {
            tx.put(&permit, self.name.as_str().as_bytes().to_vec(), before, &record)?;
            tx.concerning_version(version);
        }
        tx.etag(version);
        tx.commit(permit, show_policy(version, record, Some(&compiled))).await
    }
}

/// The checks that policies and guardrails share.
pub(crate) struct PutChecked<'a> {
    pub(crate) layer: Layer,
    pub(crate) most: u64,
    pub(crate) now: bailiwick_types::Timestamp,
    pub(crate) before: Option<u64>,
    pub(crate) name: &'a PolicyName,
    pub(crate) input: &'a PutPolicy,
}

impl PutChecked<'_> {
    pub(crate) async fn check(
        &self,
        app: &App,
        if_match: Option<u64>,
        must_be_new: bool,
    ) -> Result<(PolicyRecord, Arc<CompiledPolicy>), AppError> {
        if must_be_new && self.before.is_some() {
            return Err(AppError::with_detail(Code::AlreadyExists, "there is a policy with this name"));
        }
        if if_match.is_some() {
            check_precondition(if_match, self.before.unwrap_or(0))?;
        }
        validate::description(&self.input.description)?;
        let compiled = compile(app, self.layer, self.name, &self.input.text, self.most).await?;
        let record = PolicyRecord {
            name: self.name.clone(),
            description: self.input.description.clone(),
            text: self.input.text.clone(),
            updated: self.now,
            proof: None,
        };
        Ok((record, compiled))
    }
}

/// Lists policies.
#[derive(Debug, Default)]
pub struct List {
    /// Which page.
    pub page: PageRequest,
}

impl UseCase for List {
    type Action = act::PolicyList;
    type Reply = Page<Policy>;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Page<Policy>>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::PolicyList>(&tenant).await?;
        let show = |version, record| Ok(Some(show_policy(version, record, None)));
        let page = tx.page(&permit, b"", &self.page, "", show).await?;
        tx.commit(permit, page).await
    }
}

/// Shows the Cedar schema that policies are checked against.
pub struct ShowSchema;

impl UseCase for ShowSchema {
    type Action = act::PolicyList;
    type Reply = String;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<String>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::PolicyList>(&tenant).await?;
        tx.commit(permit, schema_text().to_owned()).await
    }
}

/// Shows a policy.
pub struct Show {
    /// Which.
    pub name: PolicyName,
}

impl UseCase for Show {
    type Action = act::PolicyShow;
    type Reply = Policy;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Policy>, AppError> {
        let resource = policy_resource(ResourceKind::Policy, &self.name);
        let found = tx.locate::<PolicyRecord>(self.name.as_str().as_bytes(), |_| resource).await?;
        let permit = tx.authorize::<act::PolicyShow>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        let compiled = compile(tx.app, Layer::Tenant, &record.name, &record.text, u64::MAX).await.ok();
        tx.etag(version);
        tx.commit(permit, show_policy(version, record, compiled.as_deref())).await
    }
}

/// Deletes a policy.
pub struct Delete {
    /// Which.
    pub name: PolicyName,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
}

impl UseCase for Delete {
    type Action = act::PolicyDelete;
    type Reply = Done;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Done>, AppError> {
        let resource = policy_resource(ResourceKind::Policy, &self.name);
        let key = self.name.as_str().as_bytes();
        let found = tx.locate::<PolicyRecord>(key, |_| resource).await?;
        let permit = tx.authorize::<act::PolicyDelete>(found.resource()).await?;
        let (version, _) = tx.load(&permit, found)?;
        check_precondition(self.if_match, version)?;
        tx.prove_policy(&self.name, None).await?;
        tx.remove(&permit, PolicyRecord::SPACE, key.to_vec(), version)?;
        tx.commit(permit, Done {}).await
    }
}

// --- check -----------------------------------------------------------------------------------------------------------

/// Decides a hypothetical request and says why.
pub struct Check {
    /// The request.
    pub input: CheckRequest,
}

impl UseCase for Check {
    type Action = act::PolicyCheck;
    type Reply = CheckResult;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<CheckResult>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::PolicyCheck>(&tenant).await?;
        let input = &self.input;
        let action: Action = input
            .action
            .parse()
            .map_err(|_| AppError::invalid("`action` is not an action; see `bailiwick role show`"))?;
        if action.plane() != Plane::Tenant {
            return Err(AppError::invalid("`action` is not one of the tenant plane"));
        }
        let mut resource = parse_resource(&input.resource, tx.snapshot.tenant)?;
        if resource.kind != action.resource() {
            let kind = action.resource().as_str().to_lowercase();
            let detail = format!("the resource of `{action}` must be of kind `{kind}`");
            return Err(AppError::invalid(detail));
        }
        if let Some(tags) = &input.tags {
            resource.tags = tags.clone().into_iter().collect();
        } else {
            resource.tags = tx.stored_tags(&resource).await?;
        }
        let source = input.source.as_deref().map(str::parse::<IpAddr>).transpose();
        let source = source.map_err(|_| AppError::invalid("`source` is not an IP address"))?;
        let principal = match &input.principal {
            None => Arc::new(tx.principal().clone()),
            Some(id) => tx.app.principal(&tx.snapshot, id).await?.ok_or_else(|| {
                AppError::with_detail(
                    Code::InvalidReference,
                    "`principal` is not an account or a member of this tenant",
                )
            })?,
        };
        let authority = tx.authority_with(&input.with_policies).await?;
        let context = RequestContext { now: input.at.unwrap_or_else(|| tx.now()), source, door: "api" };
        let explained = authority.decide_full(&principal, action, &resource, tx.snapshot.tenant, &context);
        let result = CheckResult {
            decision: if explained.decision.allowed { "allow" } else { "deny" }.to_owned(),
            determining: explained.decision.determining,
            errors: explained.decision.errors,
            candidates: explained.candidates,
            total: explained.total,
        };
        tx.note("checked_action", action.as_str());
        tx.note("checked_principal", principal.id.as_str());
        tx.commit(permit, result).await
    }
}

impl TenantTx<'_> {
    /// The authority as it would be with other policies.
    async fn authority_with(&self, changes: &BTreeMap<String, Option<String>>) -> Result<Arc<Authority>, AppError> {
        if changes.is_empty() {
            return self.app.authority(&self.snapshot).await;
        }
        if changes.len() > 64 {
            return Err(AppError::invalid("`with_policies` takes at most 64 policies"));
        }
        let platform = self.app.platform_snapshot().await?;
        let guardrails = self.app.compiled_policies(&platform, Layer::Guardrail).await?;
        let mut policies = self.app.compiled_policies(&self.snapshot, Layer::Tenant).await?;
        for (name, text) in changes {
            let name: PolicyName = name.parse()?;
            policies.retain(|policy| *policy.name() != name);
            if let Some(text) = text {
                policies.push(compile(self.app, Layer::Tenant, &name, text, self.limit(Limit::PolicyBytes)).await?);
            }
        }
        Ok(Arc::new(Authority::new(&guardrails, &policies).bound_to(self.snapshot.tenant)))
    }

    /// The tags that the thing has now.
    async fn stored_tags(&self, resource: &Resource) -> Result<Vec<(String, String)>, AppError> {
        match resource.kind {
            ResourceKind::Secret => {
                let Some((mount, path)) = resource.id.split_once('/') else { return Ok(Vec::new()) };
                self.secret_tags(&mount.parse()?, &path.parse()?).await
            }
            ResourceKind::Account => Ok(self
                .app
                .principal(&self.snapshot, &resource.id)
                .await?
                .map(|p| p.labels.clone())
                .unwrap_or_default()),
            _ => Ok(Vec::new()),
        }
    }
}

/// A resource by its text, as in [`CheckRequest::resource`].
fn parse_resource(text: &str, tenant: TenantId) -> Result<Resource, AppError> {
    let bad = || {
        AppError::invalid(
            "`resource` must be `tenant`, `ledger`, `keyring`, `secret/MOUNT/PATH`, `folder/MOUNT/PATH`, `mount/NAME`, \
             `account/ID`, `member/ID`, `key/ID`, `policy/NAME`, `role/NAME` or `binding/ID`",
        )
    };
    match text {
        "tenant" => return Ok(Resource::plain(ResourceKind::Tenant, tenant.to_string())),
        "ledger" => return Ok(Resource::plain(ResourceKind::Ledger, "ledger")),
        "keyring" => return Ok(Resource::plain(ResourceKind::Keyring, "keyring")),
        _ => {}
    }
    let (kind, rest) = text.split_once('/').ok_or_else(bad)?;
    let plain = |kind| Ok(Resource::plain(kind, rest));
    match kind {
        "secret" | "folder" => {
            let is_folder = kind == "folder";
            let (mount, path) = rest.split_once('/').unwrap_or((rest, ""));
            let mount: MountName = mount.parse()?;
            if path.is_empty() && is_folder {
                return Ok(resource_of_path(mount.as_str(), "", true));
            }
            let path: SecretPath = path.trim_end_matches('/').parse()?;
            Ok(resource_of_path(mount.as_str(), path.as_str(), is_folder))
        }
        "mount" => plain(ResourceKind::Mount),
        "account" => plain(ResourceKind::Account),
        "member" => plain(ResourceKind::Member),
        "key" => plain(ResourceKind::Credential),
        "policy" => plain(ResourceKind::Policy),
        "role" => plain(ResourceKind::Role),
        "binding" => plain(ResourceKind::Binding),
        _ => Err(bad()),
    }
}
