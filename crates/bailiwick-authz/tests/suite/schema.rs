//! The schema is generated from the action table, and what it says is on record.

use bailiwick_authz::schema_text;
use bailiwick_types::{Action, Plane};

use crate::world::golden;

#[test]
fn the_schema_is_the_one_on_record() {
    golden("schema.cedarschema", schema_text());
}

#[test]
fn every_action_is_in_the_schema_with_its_own_kind_and_the_principals_of_its_plane() {
    for action in Action::ALL {
        let (_, rest) = schema_text().split_once(&format!("action \"{action}\" ")).unwrap();
        let (declaration, _) = rest.split_once("};").unwrap();
        assert!(declaration.contains(&format!("resource: [{}]", action.resource().as_str())), "{action}");
        assert_eq!(declaration.contains("Operator"), action.plane() == Plane::Platform, "{action}");
        assert_eq!(
            declaration.contains("Member"),
            action.plane() == Plane::Tenant || action.resource().as_str() == "Member"
        );
    }
}
