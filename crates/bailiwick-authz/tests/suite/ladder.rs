//! From a presented text to a permit, and every way to fall off.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_authz::{
    AuthenticationError, Authority, CredentialFacts, PrincipalFacts, PrincipalKind, SecretVerifier, Verified,
    WrongPlane, authenticate, authorize, authorize_operator,
};
use bailiwick_types::action::act;
use bailiwick_types::{
    Action, Code, CredentialId, CredentialText, Random, RequestId, Resource, ResourceKind, TenantId, Timestamp,
};

use crate::world::{ACME, NOW, ZETA, context, principal, thing, with_role};

const KEY: CredentialId = CredentialId::from_bytes([7; 16]);
const REQUEST: RequestId = RequestId::from_bytes([9; 16]);
const SECRET: [u8; 32] = [42; 32];

struct Fixed(u8);
impl Random for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

/// Knows one secret, whosever it is, and counts how often it is asked.
#[derive(Default)]
struct Knows {
    asked: Cell<u32>,
}
impl SecretVerifier for Knows {
    fn verify(&self, _: CredentialId, secret: &[u8; 32]) -> bool {
        self.asked.set(self.asked.get() + 1);
        *secret == SECRET
    }
}

/// Everything that goes into an authentication; as it stands, a good one.
#[derive(Clone)]
struct Attempt {
    claimed: TenantId,
    id: CredentialId,
    secret: u8,
    credential: CredentialFacts,
    principal: PrincipalFacts,
    now: Timestamp,
    source: Option<IpAddr>,
}

impl Attempt {
    fn good() -> Self {
        let principal = principal(ACME, PrincipalKind::Service);
        let credential = CredentialFacts {
            tenant: ACME,
            id: KEY,
            principal: principal.id.clone(),
            expires: None,
            revoked: None,
            networks: Vec::new(),
        };
        Self { claimed: ACME, id: KEY, secret: 42, credential, principal, now: NOW, source: None }
    }

    fn operator() -> Self {
        let mut this = Self::good();
        this.claimed = TenantId::PLATFORM;
        this.credential.tenant = TenantId::PLATFORM;
        this.principal = with_role(ACME, PrincipalKind::Operator, "operator-admin");
        this.credential.principal = this.principal.id.clone();
        this
    }

    fn run(&self) -> Result<Verified, AuthenticationError> {
        let presented = CredentialText::generate(self.claimed, self.id, &Fixed(self.secret));
        let verifier = Knows::default();
        let principal = Arc::new(self.principal.clone());
        let result = authenticate(&presented, &self.credential, principal, &verifier, self.now, self.source);
        assert_eq!(verifier.asked.get(), 1, "the secret is checked once, whatever else is wrong");
        result
    }

    #[track_caller]
    fn works(&self) {
        assert_eq!(self.run().map(|_| ()), Ok(()));
    }

    #[track_caller]
    fn fails(&self, code: Code) {
        assert_eq!(self.run().unwrap_err().code(), code);
    }
}

type Breakage = (&'static str, Code, fn(&mut Attempt));

/// Every check, broken alone, in the order in which they are reported.
const BREAKAGES: &[Breakage] = &[
    ("another tenant in the text", Code::CredentialInvalid, |a| a.claimed = ZETA),
    ("another tenant in the credential's facts", Code::CredentialInvalid, |a| a.credential.tenant = ZETA),
    ("another tenant in the principal's facts", Code::CredentialInvalid, |a| a.principal.tenant = ZETA),
    ("the facts of another credential", Code::CredentialInvalid, |a| a.id = CredentialId::from_bytes([8; 16])),
    ("another principal's facts", Code::CredentialInvalid, |a| a.credential.principal = "acc_else".into()),
    ("an operator inside a tenant", Code::CredentialInvalid, |a| a.principal.kind = PrincipalKind::Operator),
    ("a wrong secret", Code::CredentialInvalid, |a| a.secret = 43),
    ("revoked", Code::CredentialRevoked, |a| a.credential.revoked = Some(NOW)),
    ("expired", Code::CredentialExpired, |a| a.credential.expires = Some(NOW)),
    ("disabled", Code::PrincipalDisabled, |a| a.principal.is_disabled = true),
    ("principal expired", Code::PrincipalDisabled, |a| a.principal.expires = Some(NOW)),
    ("from elsewhere", Code::SourceNotAllowed, |a| a.credential.networks = vec!["192.0.2.0/24".parse().unwrap()]),
];

#[test]
fn each_check_refuses_alone_with_its_own_code() {
    Attempt::good().works();
    for (what, code, breakage) in BREAKAGES {
        let mut attempt = Attempt::good();
        breakage(&mut attempt);
        assert_eq!(attempt.run().map(|_| ()).map_err(|error| error.code()), Err(*code), "{what}");
    }
}

#[test]
fn of_several_failures_the_first_in_order_is_told_and_state_only_to_who_proved_the_secret() {
    for combination in 1_u32..1 << BREAKAGES.len() {
        let mut attempt = Attempt::good();
        let mut first = None;
        for (bit, (_, code, breakage)) in BREAKAGES.iter().enumerate() {
            if combination & (1 << bit) != 0 {
                breakage(&mut attempt);
                first.get_or_insert(*code);
            }
        }
        // The three tenants could be wrong in the same way, which is another tenant's good credential.
        if combination & 0b111 == 0b111 {
            continue;
        }
        assert_eq!(attempt.run().unwrap_err().code(), first.unwrap(), "{combination:b}");
    }
}

#[test]
fn the_errors_of_who_proved_nothing_are_identical() {
    let told: Vec<_> = BREAKAGES[..7]
        .iter()
        .map(|(_, _, breakage)| {
            let mut attempt = Attempt::good();
            breakage(&mut attempt);
            format!("{:?} {}", attempt.run().unwrap_err(), attempt.run().unwrap_err())
        })
        .collect();
    assert!(told.iter().all(|text| *text == told[0]), "{told:?}");
}

#[test]
fn a_revocation_in_the_future_leaves_an_overlap_that_ends_on_the_millisecond() {
    let at = |ms: i64, revoked: i64| {
        let mut attempt = Attempt::good();
        attempt.credential.revoked = Some(Timestamp::from_unix_ms(NOW.unix_ms() + revoked));
        attempt.now = Timestamp::from_unix_ms(NOW.unix_ms() + ms);
        attempt
    };
    at(0, 1_000).works();
    at(999, 1_000).works();
    at(1_000, 1_000).fails(Code::CredentialRevoked);
    at(1_001, 1_000).fails(Code::CredentialRevoked);

    let mut expiring = Attempt::good();
    expiring.credential.expires = Some(NOW.plus(Duration::from_millis(1)));
    expiring.principal.expires = Some(NOW.plus(Duration::from_millis(1)));
    expiring.works();
    expiring.now = NOW.plus(Duration::from_millis(1));
    expiring.fails(Code::CredentialExpired);
    expiring.credential.expires = None;
    expiring.fails(Code::PrincipalDisabled);
}

#[test]
fn a_credential_works_from_its_networks_in_every_spelling_and_from_nowhere_else() {
    let from = |networks: &[&str], source: Option<&str>| {
        let mut attempt = Attempt::good();
        attempt.credential.networks = networks.iter().map(|network| network.parse().unwrap()).collect();
        attempt.source = source.map(|source| source.parse().unwrap());
        attempt.run().map(|_| ())
    };
    let v4 = ["192.0.2.0/24"].as_slice();
    let v6 = ["2001:db8::/32", "198.51.100.7/32"].as_slice();
    for (networks, source) in [
        ([].as_slice(), None),
        (&[], Some("203.0.113.1")),
        (v4, Some("192.0.2.0")),
        (v4, Some("192.0.2.255")),
        (v4, Some("::ffff:192.0.2.7")),
        (v6, Some("2001:db8:1::1")),
        (v6, Some("::ffff:198.51.100.7")),
        (&["::ffff:192.0.2.0/120"], Some("::ffff:192.0.2.7")),
        (&["::ffff:192.0.2.0/120"], Some("192.0.2.7")),
        (&["0.0.0.0/0"], Some("192.0.2.7")),
    ] {
        assert_eq!(from(networks, source), Ok(()), "{networks:?} {source:?}");
    }
    for (networks, source) in [
        (v4, None),
        (v4, Some("192.0.3.0")),
        (v4, Some("::ffff:192.0.3.0")),
        (v4, Some("::192.0.2.7")),
        (v6, Some("2001:db9::1")),
        (v6, Some("198.51.100.8")),
        (&["0.0.0.0/0"], Some("2001:db8::1")),
        (&["::/0"], Some("192.0.2.7")),
        (&["::/0"], Some("::ffff:192.0.2.7")),
        (&["::ffff:192.0.2.0/120"], Some("192.0.3.7")),
    ] {
        assert_eq!(from(networks, source), Err(AuthenticationError::SourceNotAllowed), "{networks:?} {source:?}");
    }
}

#[test]
fn a_scope_carries_what_was_verified() {
    let mut attempt = Attempt::good();
    attempt.source = Some([192, 0, 2, 7].into());
    let scope = attempt.run().unwrap().into_tenant_scope(5, REQUEST).unwrap();
    assert_eq!((scope.tenant(), scope.epoch(), scope.credential(), scope.request()), (ACME, 5, KEY, REQUEST));
    assert_eq!((scope.source(), scope.authenticated_at()), (attempt.source, NOW));
    assert_eq!(*scope.principal(), attempt.principal);
}

#[test]
fn neither_plane_takes_the_others_credential() {
    assert_eq!(Attempt::good().run().unwrap().into_operator_scope(1, REQUEST).unwrap_err(), WrongPlane);
    assert_eq!(Attempt::operator().run().unwrap().into_tenant_scope(1, REQUEST).unwrap_err(), WrongPlane);
    let scope = Attempt::operator().run().unwrap().into_operator_scope(3, REQUEST).unwrap();
    assert_eq!((scope.epoch(), scope.principal().kind), (3, PrincipalKind::Operator));
    // A program of a tenant under the platform's name is nobody.
    let mut pretender = Attempt::operator();
    pretender.principal.kind = PrincipalKind::Member;
    pretender.fails(Code::CredentialInvalid);
}

#[test]
fn a_permit_names_the_scopes_tenant_the_resource_and_the_reason() {
    let mut attempt = Attempt::good();
    attempt.principal = with_role(ACME, PrincipalKind::Service, "secret-reader");
    let scope = attempt.run().unwrap().into_tenant_scope(5, REQUEST).unwrap();
    let authority = Authority::new(&[], &[]).bound_to(ACME);
    let secret = thing(ResourceKind::Secret, ACME);

    let permit = authorize::<act::SecretReveal>(&authority, &scope, secret.clone(), &context()).unwrap();
    assert_eq!((permit.tenant(), permit.epoch(), permit.action()), (ACME, 5, Action::SecretReveal));
    assert_eq!(*permit.resource(), secret);
    assert_eq!(permit.decision().determining, [format!("role:secret-reader@bnd_secret-reader_{ACME}")]);

    let refusal = authorize::<act::SecretPurge>(&authority, &scope, secret.clone(), &context()).unwrap_err();
    assert_eq!((refusal.action, refusal.resource), (Action::SecretPurge, secret));
    assert!(!refusal.decision.allowed && refusal.decision.errors.is_empty());
}

#[test]
fn self_revoke_is_for_the_credential_of_the_request_and_no_other() {
    let mut attempt = Attempt::good();
    attempt.principal = with_role(ACME, PrincipalKind::Service, "owner");
    let scope = attempt.run().unwrap().into_tenant_scope(5, REQUEST).unwrap();
    let authority = Authority::new(&[], &[]);
    let own = Resource::plain(ResourceKind::Credential, KEY.to_string());
    assert!(authorize::<act::SelfRevoke>(&authority, &scope, own, &context()).is_ok());
    let other = Resource::plain(ResourceKind::Credential, CredentialId::from_bytes([8; 16]).to_string());
    assert!(authorize::<act::SelfRevoke>(&authority, &scope, other, &context()).is_err());
}

#[test]
fn an_operators_permit_names_the_tenant_acted_on_or_the_platform() {
    let scope = Attempt::operator().run().unwrap().into_operator_scope(3, REQUEST).unwrap();
    let authority = Authority::new(&[], &[]).bound_to(TenantId::PLATFORM);
    let acme = thing(ResourceKind::Tenant, ACME);
    let permit = authorize_operator::<act::TenantSuspend>(&authority, &scope, acme, &context()).unwrap();
    assert_eq!(permit.tenant(), ACME);
    let platform = thing(ResourceKind::Platform, ACME);
    let permit = authorize_operator::<act::PlatformHealth>(&authority, &scope, platform, &context()).unwrap();
    assert_eq!(permit.tenant(), TenantId::PLATFORM);
    // What is not a tenant's id is not a tenant, the platform's own included.
    for id in ["acme", "platform", &TenantId::PLATFORM.to_string()] {
        let resource = Resource::plain(ResourceKind::Tenant, id);
        assert!(authorize_operator::<act::TenantSuspend>(&authority, &scope, resource, &context()).is_err(), "{id}");
    }
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "does not act on this kind of thing")]
fn a_permit_for_the_wrong_kind_of_thing_is_a_bug_that_tests_find() {
    let scope = Attempt::good().run().unwrap().into_tenant_scope(5, REQUEST).unwrap();
    let mount = thing(ResourceKind::Mount, ACME);
    let _ = authorize::<act::SecretReveal>(&Authority::new(&[], &[]), &scope, mount, &context());
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "is not an action of the tenant plane")]
fn a_platform_action_in_a_tenant_scope_is_a_bug_that_tests_find() {
    let scope = Attempt::good().run().unwrap().into_tenant_scope(5, REQUEST).unwrap();
    let tenant = thing(ResourceKind::Tenant, ACME);
    let _ = authorize::<act::TenantDelete>(&Authority::new(&[], &[]), &scope, tenant, &context());
}
