//! The Cedar schema, generated from the action table.
//!
//! # Invariants
//! - INV-SCHEMA-1: every action of [`Action::ALL`] and every kind of [`ResourceKind::ALL`] is in the schema, and
//!   nothing that is not in those tables, besides the principals and the four groups of actions.
//! - INV-SCHEMA-2: no action of the tenant plane applies to an operator, and none of the platform plane to anyone else.
//!
//! The text is a golden file (`tests/golden/schema.cedarschema`): a change of it is a change of what every tenant's
//! policies may say, and shows up in review as such.

use std::fmt::Write as _;
use std::sync::LazyLock;

use bailiwick_types::{Action, Plane, ResourceKind, Sensitivity};
use cedar_policy::Schema;

/// The principals that are not also a kind of resource.
const ACCOUNTS: &[&str] = &["ServiceAccount", "Agent"];

/// The schema in Cedar's own syntax.
pub fn schema_text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(generate);
    &TEXT
}

/// The schema, parsed.
pub(crate) fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "generated from constants; parsed by a test")]
        let (schema, _) = Schema::from_cedarschema_str(schema_text()).expect("the generated schema parses");
        schema
    });
    &SCHEMA
}

/// The group that an action is in.
pub(crate) const fn group(sensitivity: Sensitivity) -> &'static str {
    match sensitivity {
        Sensitivity::Read => "read",
        Sensitivity::Write => "write",
        Sensitivity::Reveal => "reveal",
        Sensitivity::Security => "security",
    }
}

/// The kinds that a thing of this kind can be in.
const fn containers(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Platform => "",
        ResourceKind::Tenant | ResourceKind::Operator | ResourceKind::Guardrail | ResourceKind::PlatformInvariant => {
            " in [Platform]"
        }
        ResourceKind::Credential => " in [Member, Account, Tenant]",
        ResourceKind::Folder | ResourceKind::Secret => " in [Folder, Mount, Tenant]",
        ResourceKind::Member
        | ResourceKind::Account
        | ResourceKind::Role
        | ResourceKind::Binding
        | ResourceKind::Policy
        | ResourceKind::Invariant
        | ResourceKind::Mount
        | ResourceKind::Ledger
        | ResourceKind::Keyring => " in [Tenant]",
    }
}

fn generate() -> String {
    let mut text = String::from(HEADER);
    for kind in ResourceKind::ALL {
        // A member or an operator is a resource too, and then nobody loads its name.
        let name = match kind {
            ResourceKind::Member | ResourceKind::Operator => ", name?: String",
            _ => "",
        };
        let (kind, containers) = (kind.as_str(), containers(*kind));
        line(&mut text, format_args!("entity {kind}{containers} = {{ tenant: Tenant{name} }} tags String;"));
    }
    text.push_str(ACCOUNTS_HEADER);
    for account in ACCOUNTS {
        line(&mut text, format_args!("entity {account} in [Tenant] = {{ tenant: Tenant, name: String }} tags String;"));
    }
    text.push_str(ACTIONS_HEADER);
    for action in Action::ALL {
        let group = group(action.sensitivity());
        let principals = match action.plane() {
            Plane::Tenant => "Member, ServiceAccount, Agent",
            Plane::Platform => "Operator",
        };
        let resource = action.resource().as_str();
        line(&mut text, format_args!("\n@doc(\"{}\")", action.summary()));
        line(&mut text, format_args!("action \"{action}\" in [Action::\"{group}\"] appliesTo {{"));
        line(&mut text, format_args!("  principal: [{principals}], resource: [{resource}], context: Request"));
        text.push_str("};\n");
    }
    text
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "{arguments}");
}

const HEADER: &str = r#"// What policies can speak about. Generated from the action table; do not edit.
//
// Ids: Tenant::"ten_…", Member::"mem_…", ServiceAccount::"acc_…", Mount::"secret", Folder::"secret/app",
// Secret::"secret/app/db", Policy::"name", Role::"name", Ledger::"ledger", Keyring::"keyring", Platform::"platform".
// Tags are labels and custom metadata: principal.hasTag("team") && principal.getTag("team") == "payments".

// About the request itself. `source` is absent where the door does not know it.
type Request = { now: datetime, source?: ipaddr, door: String };

// Things. Whatever belongs to a tenant is in it, however deep. `Account` is the thing that is administered; the
// program behind it acts as `ServiceAccount` or `Agent` of the same id.
"#;

const ACCOUNTS_HEADER: &str = r"
// Principals besides members and operators.
";

const ACTIONS_HEADER: &str = r#"
// Groups of actions, by what is at stake.
action "read", "write", "reveal", "security";
"#;
