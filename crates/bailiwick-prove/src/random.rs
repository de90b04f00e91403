//! Requests drawn at random, to hold against what the solver calls proved.
//!
//! Names, labels and values are mostly those that the policies speak about: a request that no policy knows shows little.
//! The draw depends on the question alone, so a contradiction shows again.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use cedar_policy::{Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression};

use crate::cache::Key;
use crate::environment::Environment;
use crate::statement::Piece;

/// SplitMix64.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn is_true(&mut self) -> bool {
        self.next() & 1 == 1
    }

    fn of<'t, T>(&mut self, all: &'t [T]) -> Option<&'t T> {
        let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
        all.get(usize::try_from(self.next() % count).ok()?)
    }
}

/// What the statements speak about.
pub(crate) struct Material {
    names: Vec<EntityUid>,
    texts: Vec<String>,
}

impl Material {
    pub(crate) fn of<'p>(pieces: impl IntoIterator<Item = &'p Arc<Piece>>) -> Self {
        let (mut names, mut texts) = (BTreeSet::new(), BTreeSet::from(["x".to_owned()]));
        for piece in pieces {
            names.extend(piece.names.iter().cloned());
            // Every other part between quotes is a string, an id or a tag's name; which one does not matter here.
            let text = piece.policy.to_string();
            texts.extend(text.split('"').skip(1).step_by(2).take(64).map(str::to_owned));
        }
        Self { names: names.into_iter().collect(), texts: texts.into_iter().collect() }
    }

    fn of_kind(&self, kind: &EntityTypeName, draw: &mut Draw, other: &str) -> EntityUid {
        let known: Vec<&EntityUid> = self.names.iter().filter(|name| name.type_name() == kind).collect();
        match draw.of(&known) {
            Some(name) if draw.is_true() => EntityUid::clone(name),
            _ => EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(other)),
        }
    }

    fn entity(
        &self,
        uid: EntityUid,
        reach: &HashSet<EntityTypeName>,
        tenant: &EntityUid,
        draw: &mut Draw,
    ) -> Option<Entity> {
        let mut containers: Vec<EntityUid> = Vec::new();
        if reach.contains(tenant.type_name()) && uid.type_name() != tenant.type_name() {
            containers.push(tenant.clone());
        }
        let can_hold = |name: &&EntityUid| reach.contains(name.type_name()) && **name != uid;
        containers.extend(
            self.names
                .iter()
                .filter(can_hold)
                .filter(|name| !matches!(name.type_name().to_string().as_str(), "Tenant"))
                .filter(|_| draw.is_true())
                .cloned(),
        );
        let mut attributes = vec![("tenant".to_owned(), RestrictedExpression::new_entity_uid(tenant.clone()))];
        if matches!(uid.type_name().to_string().as_str(), "Member" | "Operator" | "ServiceAccount" | "Agent") {
            let name = draw.of(&self.texts).cloned().unwrap_or_default();
            attributes.push(("name".to_owned(), RestrictedExpression::new_string(name)));
        }
        let mut tags = Vec::new();
        for name in &self.texts {
            if draw.is_true() {
                let value = draw.of(&self.texts).cloned().unwrap_or_default();
                tags.push((name.clone(), RestrictedExpression::new_string(value)));
            }
        }
        Entity::new_with_tags(uid, attributes, containers, tags).ok()
    }

    fn one(&self, environment: &Environment, draw: &mut Draw) -> Option<(Request, Entities)> {
        let tenant_kind: EntityTypeName = "Tenant".parse().ok()?;
        let is_of_platform = |kind: &EntityTypeName| {
            matches!(kind.to_string().as_str(), "Platform" | "Operator" | "Guardrail" | "PlatformInvariant")
        };
        let platform = EntityUid::from_type_name_and_id(tenant_kind.clone(), EntityId::new("platform"));
        let tenant = |draw: &mut Draw, kind: &EntityTypeName| {
            if is_of_platform(kind) { platform.clone() } else { self.of_kind(&tenant_kind, draw, "ten_random") }
        };
        let principal = self.of_kind(environment.principal(), draw, "p");
        let own = tenant(draw, environment.principal());
        let mut resource = self.of_kind(environment.resource(), draw, "r");
        let mut theirs = if draw.is_true() && !is_of_platform(environment.resource()) && own != platform {
            own.clone()
        } else {
            tenant(draw, environment.resource())
        };
        if *environment.resource() == tenant_kind {
            // A tenant is its own.
            if draw.is_true() && own != platform {
                resource.clone_from(&own);
            }
            theirs.clone_from(&resource);
        }
        let mut entities = Vec::new();
        if principal != resource {
            entities.push(self.entity(principal.clone(), &environment.principals, &own, draw)?);
        }
        entities.push(self.entity(resource.clone(), &environment.resources, &theirs, draw)?);
        // The action's groups.
        let groups = environment.actions.iter().filter(|group| *group != environment.env.action()).cloned();
        entities.push(Entity::new_no_attrs(environment.env.action().clone(), groups.collect()));
        let entities = Entities::from_entities(entities, None).ok()?;
        let mut pairs = vec![
            ("now".to_owned(), RestrictedExpression::new_datetime(moment(draw))),
            ("door".to_owned(), RestrictedExpression::new_string(draw.of(&self.texts).cloned().unwrap_or_default())),
        ];
        if draw.is_true() {
            let addresses = ["127.0.0.1", "10.0.0.7", "192.0.2.1", "2001:db8::1"];
            pairs.push(("source".to_owned(), RestrictedExpression::new_ip(draw.of(&addresses)?)));
        }
        let context = Context::from_pairs(pairs).ok()?;
        let request = Request::new(principal, environment.env.action().clone(), resource, context, None).ok()?;
        Some((request, entities))
    }

    /// Some requests of a kind.
    pub(crate) fn requests(&self, environment: &Environment, seed: &Key, count: usize) -> Vec<(Request, Entities)> {
        let seed = seed.iter().take(8).fold(0, |sum: u64, byte| (sum << 8) | u64::from(*byte));
        let mut draw = Draw(seed);
        (0..count).filter_map(|_| self.one(environment, &mut draw)).collect()
    }
}

fn moment(draw: &mut Draw) -> String {
    let year = 1990 + draw.next() % 60;
    format!("{year}-{:02}-{:02}", 1 + draw.next() % 12, 1 + draw.next() % 28)
}
