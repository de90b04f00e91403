//! The tenants that a run has made, and how they go.

use bailiwick_client::routes;
use bailiwick_types::api::platform::{CreateTenant, SetQuotas, Tenant as Shown};
use bailiwick_types::{ErrorClass, Limit, Random, Slug, Timestamp};

use super::Stop;
use crate::fail::Fail;
use crate::output::{count, to_second};
use crate::session::Session;

/// How long the credentials work that a run is given: those of a run that was killed are then worth nothing.
const CREDENTIAL_TTL: &str = "1d";

/// A tenant's slug that this run has made up: `bench-<random>-…`. Nothing else can be deleted here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnSlug(String);

/// All of them.
pub(super) struct Own {
    prefix: String,
    named: Vec<OwnSlug>,
}

impl Own {
    /// None yet. 50 random bits: no other run has this prefix.
    pub(super) fn new(random: &dyn Random) -> Self {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut bytes = [0_u8; 10];
        random.fill(&mut bytes);
        let word: String =
            bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32)).copied()).map(char::from).collect();
        Self { prefix: format!("bench-{word}"), named: Vec::new() }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What stands in front of the numbers of a group.
    pub(super) fn group(&self, what: &str) -> String {
        format!("{}-{what}", self.prefix)
    }

    /// A slug, noted before the tenant is asked for: one whose answer never came is deleted as well.
    pub(super) fn name(&mut self, what: &str, number: u64) -> OwnSlug {
        let slug = OwnSlug(format!("{}-{number}", self.group(what)));
        self.named.push(slug.clone());
        slug
    }

    /// Makes a tenant, with a credential of its own.
    pub(super) fn make(&mut self, session: &Session, what: &str, number: u64) -> Result<bailiwick_load::Tenant, Fail> {
        let OwnSlug(slug) = self.name(what, number);
        let request = CreateTenant {
            slug: slug.parse::<Slug>().map_err(|error| Fail::new(ErrorClass::Fault, "slug", error.to_string()))?,
            name: Some("bailiwick bench".to_owned()),
            admin_name: None,
            admin_email: None,
            admin_ttl: Some(CREDENTIAL_TTL.to_owned()),
        };
        let created = session.send(&routes::create_tenant(&request))?.value()?;
        Ok(bailiwick_load::Tenant { slug, credential: created.admin.credential })
    }

    /// Makes one that may send as much as the server answers, which is more than a tenant usually may.
    pub(super) fn make_unbound(
        &mut self,
        session: &Session,
        what: &str,
        number: u64,
    ) -> Result<bailiwick_load::Tenant, Fail> {
        let tenant = self.make(session, what, number)?;
        let limit = Limit::RequestsPerSecond;
        let quotas = SetQuotas { quotas: [(limit.to_string(), Some(limit.ceiling()))].into() };
        session.send(&routes::tenant_as_operator(&tenant.slug).set_quotas(&quotas))?.value()?;
        Ok(tenant)
    }

    /// Says what is left.
    #[expect(clippy::unnecessary_wraps, reason = "as `delete`")]
    pub(super) fn keep(&self, session: &mut Session) -> Result<(), Fail> {
        if !self.named.is_empty() {
            session.terminal.note(&format!("note: the tenants {}-… are kept; {}", self.prefix, self.by_hand()));
        }
        Ok(())
    }

    fn by_hand(&self) -> String {
        format!(
            "`bailiwick tenant list --all --quiet | grep '^{}-' | xargs -n 1 bailiwick --yes tenant delete` deletes them",
            self.prefix
        )
    }

    /// Deletes them, at once if the installation allows that.
    pub(super) fn delete(&self, session: &mut Session, stop: &Stop) -> Result<(), Fail> {
        let all = count(u64::try_from(self.named.len()).unwrap_or(u64::MAX));
        let mut hold = Some("0s");
        let mut held_until: Option<Timestamp> = None;
        for (at, slug) in self.named.iter().enumerate() {
            if stop.is_impatient() {
                return Err(Fail::new(
                    ErrorClass::Busy,
                    "interrupted",
                    "stopped before all of its tenants were deleted",
                )
                .with_hint(self.by_hand()));
            }
            if at.is_multiple_of(50) {
                session
                    .terminal
                    .progress(&format!("deleting tenants: {} of {all}", count(u64::try_from(at).unwrap_or(0))));
            }
            match self.remove(session, slug, &mut hold) {
                Ok(shown) => {
                    held_until = held_until.max(shown.and_then(|shown| shown.shred_at).filter(|_| hold.is_none()))
                }
                Err(fail) => {
                    session.terminal.progress("");
                    return Err(fail.with_hint(format!(
                        "some of the tenants {}-… are left; {}",
                        self.prefix,
                        self.by_hand()
                    )));
                }
            }
        }
        session.terminal.progress("");
        if let Some(moment) = held_until {
            session.terminal.note(&format!(
                "note: this installation holds deletions: the tenants {}-… are suspended, and gone after {}",
                self.prefix,
                to_second(moment)
            ));
        }
        Ok(())
    }

    /// Deletes one; none if it was never made. Where no hold at all is too short, the installation's own is taken from then on.
    fn remove(&self, session: &Session, slug: &OwnSlug, hold: &mut Option<&str>) -> Result<Option<Shown>, Fail> {
        loop {
            match session.send(&routes::tenant_as_operator(&slug.0).delete(*hold)) {
                Ok(reply) => return Ok(Some(reply.value()?)),
                Err(fail) if fail.is_absent() => return Ok(None),
                Err(fail) if fail.is_invalid() && hold.is_some() => *hold = None,
                Err(fail) => return Err(fail),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(u8);
    impl Random for Bytes {
        fn fill(&self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    #[test]
    fn every_tenant_of_a_run_has_its_prefix_and_is_known_before_it_is_made() {
        let mut own = Own::new(&Bytes(9));
        assert_eq!(own.prefix(), "bench-9999999999");
        assert_ne!(own.prefix(), Own::new(&Bytes(8)).prefix());
        let OwnSlug(slug) = own.name("kv", 3);
        assert_eq!(slug, "bench-9999999999-kv-3");
        assert!(slug.parse::<Slug>().is_ok());
        assert_eq!(own.named, [OwnSlug(slug)]);
    }
}
