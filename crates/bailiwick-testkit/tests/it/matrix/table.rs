//! The matrix as text, for people who review it.
//!
//! Routes that answer alike share one table. Of what is the same for all routes of a door (no credential, a dead one) only
//! the exceptions are shown.

use std::fmt::Write as _;

use bailiwick_http::{Access, Route};

use crate::routes::{Kind, door, is_open};

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) aim: String,
    pub(crate) kind: Kind,
    pub(crate) caller: &'static str,
    pub(crate) is_live: bool,
    pub(crate) answer: String,
}

/// One route's answers.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) route: String,
    pub(crate) summary: &'static str,
    pub(crate) is_open: bool,
    door: &'static str,
    access: String,
    pub(crate) cells: Vec<Cell>,
}

impl Section {
    pub(crate) fn of(route: &Route) -> Self {
        let access = match route.access {
            Access::Action(action) => action.to_string(),
            Access::Open(why) => format!("open: {why}"),
        };
        Self {
            route: route.name(),
            summary: route.summary,
            is_open: is_open(route),
            door: door(route.door),
            access,
            cells: Vec::new(),
        }
    }
}

/// What those who are nobody are told, unless a table says otherwise.
fn usual(door: &str, caller: &str) -> &'static str {
    match (door, caller) {
        ("Vault door", _) => "403 permission denied",
        (_, "anonymous") => "401 unauthenticated",
        (_, "malformed") => "401 credential_malformed",
        (_, "mistyped") => "401 credential_checksum",
        (_, "forged") => "401 credential_invalid",
        (_, "revoked") => "401 credential_revoked",
        (_, "expired") => "401 credential_expired",
        _ => "",
    }
}

const HEADER: &str = "\
What every route answers to everybody. Generated from the route table; changed by hand only, in review.

Callers, as the tenant `acme` sees them:
  owner, admin, auditor, viewer   its members with these roles
  reader                          its service account with the role secret-reader on the folder secret/app
  bare                            its agent without any role
  stranger                        the owner of the other tenant, `globex`
  operator, watcher               operators with the roles operator-admin and operator-viewer
  anonymous                       no credential
  malformed, mistyped             no credential's text; one character of the owner's wrong
  forged                          the owner's ids with another secret
  revoked, expired                keys of `reader`

Aims:
  own                             a thing of acme, in acme; at the Vault door with the header naming acme
  no namespace named              the same without the header
  no such X                       in acme, an X that nothing has
  their X                         in acme, the X of a thing that globex has and acme has not
  their tenant, their namespace   globex's thing, in globex
  no such tenant, … namespace     the same in a tenant that does not exist
`* permission denied` is what the Vault door says to somebody that it knows, `permission denied` to nobody.

Everywhere, unless a table says otherwise:
";

/// The whole matrix.
pub(crate) fn render(sections: &[Section]) -> String {
    let mut text = HEADER.to_owned();
    let nobodies = ["anonymous", "malformed", "mistyped", "forged", "revoked", "expired"];
    for door in ["native API", "Vault door"] {
        let mut lines: Vec<(&str, Vec<&str>)> = Vec::new();
        for caller in nobodies {
            add(&mut lines, usual(door, caller), caller);
        }
        for (answer, callers) in lines {
            writeln!(text, "  {door}   {answer:<24}  {}", callers.join(" ")).unwrap();
        }
    }
    let mut tables: Vec<(String, Vec<&Section>)> = Vec::new();
    for section in sections {
        let table = table(section);
        match tables.iter_mut().find(|(known, _)| *known == table) {
            Some((_, sections)) => sections.push(section),
            None => tables.push((table, vec![section])),
        }
    }
    for (table, sections) in tables {
        text.push('\n');
        for section in sections {
            writeln!(text, "{:<70} {}", section.route, section.access).unwrap();
        }
        text.push_str(&table);
    }
    text
}

fn add<'a>(lines: &mut Vec<(&'a str, Vec<&'a str>)>, key: &'a str, value: &'a str) {
    match lines.iter_mut().find(|(known, _)| *known == key) {
        Some((_, values)) => values.push(value),
        None => lines.push((key, vec![value])),
    }
}

/// One route's table: aims that are answered alike together, and callers that are.
fn table(section: &Section) -> String {
    let mut by_aim: Vec<(&str, String)> = Vec::new();
    let mut aims: Vec<&str> = section.cells.iter().map(|cell| cell.aim.as_str()).collect();
    aims.dedup();
    for aim in aims {
        let mut lines: Vec<(&str, Vec<&str>)> = Vec::new();
        for cell in section.cells.iter().filter(|cell| cell.aim == aim) {
            if cell.is_live || cell.answer != usual(section.door, cell.caller) {
                add(&mut lines, &cell.answer, cell.caller);
            }
        }
        let mut block = String::new();
        for (answer, callers) in lines {
            writeln!(block, "    {answer:<24}  {}", callers.join(" ")).unwrap();
        }
        by_aim.push((aim, block));
    }
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for (aim, block) in &by_aim {
        add(&mut groups, block, aim);
    }
    groups.iter().map(|(block, aims)| format!("  {}\n{block}", aims.join(", "))).collect()
}
