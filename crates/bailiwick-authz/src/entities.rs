//! From our vocabulary to Cedar's: entity ids, entities, the context.
//!
//! # Invariants
//! - INV-ENTITY-1: what is built here fits the schema. It is not validated per request (that would double the cost of
//!   a decision) but by a test, for every kind.
//! - INV-ENTITY-2: an entity's ancestors are listed in full, so no other entity has to be loaded to follow them; and
//!   the ancestors that the slicer looks up are this list and no other.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::LazyLock;

use bailiwick_types::{Action, Plane, Resource, ResourceKind, TenantId};
use cedar_policy::{Context, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};

use crate::authority::RequestContext;
use crate::compile::Reads;
use crate::principal::{PrincipalFacts, PrincipalKind};
use crate::schema;

/// The id of the platform, as a resource and as the tenant of what is in no tenant.
pub(crate) const PLATFORM: &str = "platform";

/// A thing as Cedar sees it.
#[derive(Debug)]
pub(crate) struct Subject {
    /// Its own id.
    pub(crate) uid: EntityUid,
    /// Everything that it is in.
    pub(crate) ancestors: Vec<EntityUid>,
    /// The thing with attributes and tags.
    pub(crate) entity: Entity,
}

fn parsed<T: FromStr>(text: &'static str) -> T
where
    T::Err: std::fmt::Debug,
{
    #[expect(clippy::expect_used, reason = "the texts are constants of this crate; a test walks all of them")]
    text.parse().expect("a constant name parses")
}

fn type_name(name: &'static str) -> EntityTypeName {
    static NAMES: LazyLock<HashMap<&'static str, EntityTypeName>> = LazyLock::new(|| {
        let resources = ResourceKind::ALL.iter().map(|kind| kind.as_str());
        let principals = PrincipalKind::ALL.iter().map(|kind| kind.cedar_type());
        resources.chain(principals).chain(["Action"]).map(|name| (name, parsed(name))).collect()
    });
    NAMES.get(name).cloned().unwrap_or_else(|| parsed(name))
}

fn uid(kind: &'static str, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(type_name(kind), EntityId::new(id))
}

/// The id of a resource.
pub(crate) fn resource_uid(kind: ResourceKind, id: &str) -> EntityUid {
    uid(kind.as_str(), id)
}

/// The id of a principal.
pub(crate) fn principal_uid(facts: &PrincipalFacts) -> EntityUid {
    uid(facts.kind.cedar_type(), &facts.id)
}

/// The text of a tenant's id as an entity id.
pub(crate) fn tenant_id(tenant: TenantId) -> String {
    if tenant.is_platform() { PLATFORM.to_owned() } else { tenant.to_string() }
}

fn tenant_uid(tenant: TenantId) -> EntityUid {
    uid(ResourceKind::Tenant.as_str(), &tenant_id(tenant))
}

fn platform_uid() -> EntityUid {
    static UID: LazyLock<EntityUid> = LazyLock::new(|| uid(ResourceKind::Platform.as_str(), PLATFORM));
    UID.clone()
}

/// An action's id and its entity with the group that it is in.
pub(crate) fn action(action: Action) -> Option<&'static (EntityUid, Entity)> {
    static ACTIONS: LazyLock<HashMap<Action, (EntityUid, Entity)>> = LazyLock::new(|| {
        let entity = |action: &Action| {
            let own = uid("Action", action.as_str());
            let group = uid("Action", schema::group(action.sensitivity()));
            (*action, (own.clone(), Entity::new_no_attrs(own, [group].into())))
        };
        Action::ALL.iter().map(entity).collect()
    });
    ACTIONS.get(&action)
}

/// The actions that `uid` stands for: itself, or those of its group; `None` for what is neither.
pub(crate) fn actions_of(uid: &EntityUid) -> Option<Vec<Action>> {
    if *uid.type_name() != type_name("Action") {
        return None;
    }
    let name = uid.id().unescaped();
    if let Ok(action) = name.parse() {
        return Some(vec![action]);
    }
    let group: Vec<Action> =
        Action::ALL.iter().copied().filter(|action| schema::group(action.sensitivity()) == name).collect();
    (!group.is_empty()).then_some(group)
}

/// Whether every request has this entity among its ancestors, so that it selects nothing.
pub(crate) fn is_broad(uid: &EntityUid) -> bool {
    *uid.type_name() == type_name("Tenant") || *uid.type_name() == type_name("Platform")
}

/// A principal, with its labels as tags. `None` if Cedar takes an attribute for an error, which strings are not.
pub(crate) fn principal(facts: &PrincipalFacts) -> Option<Subject> {
    let uid = principal_uid(facts);
    let ancestors = match facts.kind {
        PrincipalKind::Operator => vec![platform_uid()],
        _ => vec![tenant_uid(facts.tenant), platform_uid()],
    };
    let attributes = [
        ("tenant".to_owned(), RestrictedExpression::new_entity_uid(tenant_uid(facts.tenant))),
        ("name".to_owned(), RestrictedExpression::new_string(facts.name.clone())),
    ];
    let entity = Entity::new_with_tags(uid.clone(), attributes, ancestors.iter().cloned(), tags(&facts.labels)).ok()?;
    Some(Subject { uid, ancestors, entity })
}

/// A resource of `tenant`. Where it is the principal itself, it is the same entity, so it keeps the principal's name
/// and labels. `None` as for [`principal`].
pub(crate) fn resource(resource: &Resource, tenant: TenantId, principal: &PrincipalFacts) -> Option<Subject> {
    let uid = resource_uid(resource.kind, &resource.id);
    let mut ancestors: Vec<EntityUid> = resource.parents.iter().map(|(kind, id)| resource_uid(*kind, id)).collect();
    if plane_of(resource.kind) == Plane::Tenant {
        ancestors.push(tenant_uid(tenant));
    }
    if resource.kind != ResourceKind::Platform {
        ancestors.push(platform_uid());
    }
    ancestors.retain(|ancestor| *ancestor != uid);

    let mut attributes = vec![("tenant".to_owned(), RestrictedExpression::new_entity_uid(tenant_uid(tenant)))];
    let mut labels: &[(String, String)] = &[];
    if is_itself(principal, resource) {
        attributes.push(("name".to_owned(), RestrictedExpression::new_string(principal.name.clone())));
        labels = &principal.labels;
    }
    // The later of two tags of one name counts.
    let tags = tags(labels).chain(tags(&resource.tags));
    let entity = Entity::new_with_tags(uid.clone(), attributes, ancestors.iter().cloned(), tags).ok()?;
    Some(Subject { uid, ancestors, entity })
}

/// Whether the principal acts on itself: one entity in both places.
pub(crate) fn is_itself(principal: &PrincipalFacts, resource: &Resource) -> bool {
    principal.kind.cedar_type() == resource.kind.as_str() && principal.id == resource.id
}

/// On whose ground things of a kind are. A tenant as a whole is on its own.
pub(crate) const fn plane_of(kind: ResourceKind) -> Plane {
    match kind {
        ResourceKind::Platform | ResourceKind::Operator | ResourceKind::Guardrail | ResourceKind::PlatformInvariant => {
            Plane::Platform
        }
        _ => Plane::Tenant,
    }
}

fn tags(pairs: &[(String, String)]) -> impl Iterator<Item = (String, RestrictedExpression)> + '_ {
    pairs.iter().map(|(name, value)| (name.clone(), RestrictedExpression::new_string(value.clone())))
}

/// What policies see of the request, as far as they look. `None` if there is no such moment in Cedar's calendar.
pub(crate) fn context(request: &RequestContext, reads: Reads) -> Option<Context> {
    let mut pairs = Vec::new();
    if reads.now {
        pairs.push(("now".to_owned(), RestrictedExpression::new_datetime(request.now.to_string())));
    }
    if reads.door {
        pairs.push(("door".to_owned(), RestrictedExpression::new_string(request.door.to_owned())));
    }
    if let Some(source) = request.source.filter(|_| reads.source) {
        // Cedar does not read `::ffff:a.b.c.d`, and it is the IPv4 host anyway.
        pairs.push(("source".to_owned(), RestrictedExpression::new_ip(source.to_canonical().to_string())));
    }
    Context::from_pairs(pairs).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bailiwick_types::Timestamp;
    use cedar_policy::{Entities, Request};

    use super::*;

    const TENANT: TenantId = TenantId::from_bytes([7; 16]);

    fn facts(kind: PrincipalKind) -> PrincipalFacts {
        PrincipalFacts {
            tenant: if kind == PrincipalKind::Operator { TenantId::PLATFORM } else { TENANT },
            kind,
            id: "someone".to_owned(),
            name: "Some \"One\"".to_owned(),
            is_disabled: false,
            expires: None,
            labels: vec![("team".to_owned(), "a".to_owned()), ("team".to_owned(), "b".to_owned())],
            roles: Vec::new(),
        }
    }

    fn parents(kind: ResourceKind) -> Vec<(ResourceKind, String)> {
        let kinds: &[ResourceKind] = match kind {
            ResourceKind::Credential => &[ResourceKind::Member, ResourceKind::Account],
            ResourceKind::Folder | ResourceKind::Secret => &[ResourceKind::Folder, ResourceKind::Mount],
            _ => &[],
        };
        kinds.iter().map(|kind| (*kind, format!("some/{}", kind.as_str()))).collect()
    }

    /// INV-ENTITY-1: what is not validated per request is validated here, for every action, principal and context.
    #[test]
    fn every_request_that_can_be_made_fits_the_schema() {
        for asked in Action::ALL {
            for kind in PrincipalKind::ALL.iter().copied() {
                if (kind == PrincipalKind::Operator) != (asked.plane() == Plane::Platform) {
                    continue;
                }
                let facts = facts(kind);
                let kind = asked.resource();
                let tenant = if plane_of(kind) == Plane::Platform { TenantId::PLATFORM } else { TENANT };
                let id = if kind == ResourceKind::Tenant { tenant_id(tenant) } else { "someone".to_owned() };
                let tags = vec![("team".to_owned(), "c".to_owned())];
                let found = resource(&Resource { kind, id, parents: parents(kind), tags }, tenant, &facts).unwrap();
                let who = principal(&facts).unwrap();

                let mut all = vec![found.entity.clone()];
                if who.uid != found.uid {
                    all.push(who.entity.clone());
                }
                Entities::from_entities(all, Some(schema::schema())).unwrap_or_else(|error| panic!("{asked}: {error}"));
                for source in [None, Some([127, 0, 0, 1].into()), Some("::ffff:192.0.2.1".parse().unwrap())] {
                    let now = Timestamp::from_unix_ms(1_700_000_000_000);
                    let context = context(&RequestContext { now, source, door: "api" }, Reads::ALL).unwrap();
                    let (action, _) = action(*asked).unwrap();
                    Request::new(who.uid.clone(), action.clone(), found.uid.clone(), context, Some(schema::schema()))
                        .unwrap_or_else(|error| panic!("{asked}: {error}"));
                }
            }
        }
    }

    #[test]
    fn actions_are_those_of_the_schema_with_the_same_groups() {
        let ours: BTreeSet<_> = Action::ALL.iter().map(|asked| action(*asked).unwrap().1.to_string()).collect();
        let groups = ["read", "write", "reveal", "security"].map(|group| uid("Action", group));
        let theirs = schema::schema().action_entities().unwrap();
        let theirs: BTreeSet<_> =
            theirs.iter().filter(|entity| !groups.contains(&entity.uid())).map(ToString::to_string).collect();
        assert_eq!(ours, theirs);

        for group in &groups {
            let members = actions_of(group).unwrap();
            assert!(members.iter().all(|member| uid("Action", schema::group(member.sensitivity())) == *group));
        }
        assert_eq!(groups.iter().flat_map(|group| actions_of(group).unwrap()).count(), Action::ALL.len());
        assert_eq!(actions_of(&uid("Secret", "read")), None);
        assert_eq!(actions_of(&uid("Action", "no:such")), None);
    }

    #[test]
    fn only_what_every_request_is_in_selects_nothing() {
        assert!(is_broad(&tenant_uid(TENANT)) && is_broad(&platform_uid()));
        for kind in
            ResourceKind::ALL.iter().filter(|kind| !matches!(kind, ResourceKind::Tenant | ResourceKind::Platform))
        {
            assert!(!is_broad(&resource_uid(*kind, "some")), "{kind:?}");
        }
    }

    #[test]
    fn a_moment_that_cedar_cannot_write_is_no_context() {
        let at = |ms| RequestContext { now: Timestamp::from_unix_ms(ms), source: None, door: "api" };
        assert!(context(&at(i64::MIN), Reads::ALL).is_none());
        assert!(context(&at(i64::MAX), Reads::ALL).is_some());
        assert!(context(&at(0), Reads::ALL).is_some());
    }
}
