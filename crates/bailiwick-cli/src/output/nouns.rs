//! How each noun looks in a list and alone.

use bailiwick_types::api::identity::{Account, AccountKind, Credential, Labels, Member};
use bailiwick_types::api::platform::{Operator, Tenant};
use bailiwick_types::api::policy::{Binding, Policy, Role};
use bailiwick_types::api::proof::Invariant;
use bailiwick_types::api::secret::Mount;
use serde::de::DeserializeOwned;

use super::human::{self, Human};
use super::table::{clean, table};

/// A thing that commands list and show.
pub(crate) trait Noun: DeserializeOwned {
    /// The head of its lists.
    const HEAD: &'static [&'static str];
    /// Its line in a list.
    fn row(&self, human: Human) -> Vec<String>;
    /// Everything about it.
    fn fields(&self, human: Human) -> Vec<(&'static str, String)>;
    /// What other commands call it; all that `--quiet` prints.
    fn name(&self) -> String;
}

/// A list of things: their names, or a table.
pub(crate) fn list<N: Noun>(items: &[N], is_quiet: bool, human: Human) -> String {
    if is_quiet {
        return items.iter().map(|noun| format!("{}\n", clean(&noun.name()))).collect();
    }
    table(N::HEAD, &items.iter().map(|noun| noun.row(human)).collect::<Vec<_>>())
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

fn state(is_disabled: bool) -> String {
    if is_disabled { "disabled" } else { "active" }.to_owned()
}

fn labels(labels: &Labels) -> String {
    or_dash(&labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
}

impl Noun for Tenant {
    const HEAD: &'static [&'static str] = &["SLUG", "ID", "NAME", "STATE", "CREATED"];

    fn row(&self, human: Human) -> Vec<String> {
        let state = if self.is_sealed { format!("{}, sealed", self.state) } else { self.state.clone() };
        vec![self.slug.to_string(), self.id.to_string(), self.name.clone(), state, human.away(self.created)]
    }

    fn fields(&self, human: Human) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("id", self.id.to_string()),
            ("slug", self.slug.to_string()),
            ("name", self.name.clone()),
            ("state", self.state.clone()),
            ("sealed", self.is_sealed.to_string()),
            ("created", human.moment(self.created)),
        ];
        if let Some(moment) = self.shred_at {
            fields.push(("shredded", human.moment(moment)));
        }
        if let Some(counts) = &self.counts {
            fields.extend(
                [
                    ("members", counts.members),
                    ("accounts", counts.accounts),
                    ("credentials", counts.credentials),
                    ("bindings", counts.bindings),
                    ("policies", counts.policies),
                    ("mounts", counts.mounts),
                    ("secrets", counts.secrets),
                    ("versions", counts.secret_versions),
                    ("ledger entries", counts.ledger_entries),
                ]
                .map(|(name, number)| (name, human::count(number))),
            );
        }
        if let Some(certificate) = &self.certificate {
            fields.push(("certificate", certificate.clone()));
        }
        fields
    }

    fn name(&self) -> String {
        self.slug.to_string()
    }
}

impl Noun for Operator {
    const HEAD: &'static [&'static str] = &["ID", "NAME", "ROLE", "STATE", "CREATED"];

    fn row(&self, human: Human) -> Vec<String> {
        let id = self.id.to_string();
        vec![id, self.name.clone(), self.role.clone(), state(self.is_disabled), human.away(self.created)]
    }

    fn fields(&self, human: Human) -> Vec<(&'static str, String)> {
        vec![
            ("id", self.id.to_string()),
            ("name", self.name.clone()),
            ("role", self.role.clone()),
            ("state", state(self.is_disabled)),
            ("created", human.moment(self.created)),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

impl Noun for Member {
    const HEAD: &'static [&'static str] = &["ID", "NAME", "EMAIL", "ROLE", "STATE", "CREATED"];

    fn row(&self, human: Human) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.name.clone(),
            or_dash(self.email.as_deref().unwrap_or_default()),
            self.role.clone(),
            state(self.is_disabled),
            human.away(self.created),
        ]
    }

    fn fields(&self, human: Human) -> Vec<(&'static str, String)> {
        vec![
            ("id", self.id.to_string()),
            ("name", self.name.clone()),
            ("email", or_dash(self.email.as_deref().unwrap_or_default())),
            ("role", self.role.clone()),
            ("state", state(self.is_disabled)),
            ("created", human.moment(self.created)),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

impl Noun for Account {
    const HEAD: &'static [&'static str] = &["ID", "KIND", "NAME", "OWNER", "STATE", "EXPIRES", "LABELS"];

    fn row(&self, human: Human) -> Vec<String> {
        vec![
            self.id.to_string(),
            kind(self.kind).to_owned(),
            self.name.clone(),
            self.owner.to_string(),
            state(self.is_disabled),
            human.away_opt(self.expires),
            labels(&self.labels),
        ]
    }

    fn fields(&self, human: Human) -> Vec<(&'static str, String)> {
        vec![
            ("id", self.id.to_string()),
            ("kind", kind(self.kind).to_owned()),
            ("name", self.name.clone()),
            ("description", or_dash(&self.description)),
            ("labels", labels(&self.labels)),
            ("owner", self.owner.to_string()),
            ("state", state(self.is_disabled)),
            ("expires", human.end(self.expires)),
            ("created", human.moment(self.created)),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

fn kind(kind: AccountKind) -> &'static str {
    match kind {
        AccountKind::Service => "service",
        AccountKind::Agent => "agent",
    }
}

impl Noun for Credential {
    const HEAD: &'static [&'static str] =
        &["ID", "PRINCIPAL", "DESCRIPTION", "CREATED", "EXPIRES", "LAST USED", "STATE"];

    fn row(&self, human: Human) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.principal.clone(),
            or_dash(&self.description),
            human.away(self.created),
            human.away_opt(self.expires),
            human.away_opt(self.last_used),
            credential_state(self, human).to_owned(),
        ]
    }

    fn fields(&self, human: Human) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("id", self.id.to_string()),
            ("principal", self.principal.clone()),
            ("description", or_dash(&self.description)),
            ("state", credential_state(self, human).to_owned()),
            ("created", human.moment(self.created)),
            ("expires", human.end(self.expires)),
            ("last used", human.away_opt(self.last_used)),
            (
                "networks",
                if self.source_networks.is_empty() { "any".to_owned() } else { self.source_networks.join(" ") },
            ),
        ];
        if let Some(moment) = self.revoked {
            fields.push(("revoked", human.moment(moment)));
        }
        if let Some(old) = self.rotated_from {
            fields.push(("rotated from", old.to_string()));
        }
        fields
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

fn credential_state(credential: &Credential, human: Human) -> &'static str {
    match (credential.revoked, credential.expires) {
        (Some(moment), _) if moment <= human.now => "revoked",
        (_, Some(moment)) if moment <= human.now => "expired",
        // Rotated: it lives on for the overlap.
        (Some(_), _) => "ending",
        _ => "active",
    }
}

impl Noun for Role {
    const HEAD: &'static [&'static str] = &["NAME", "DESCRIPTION"];

    fn row(&self, _: Human) -> Vec<String> {
        vec![self.name.clone(), self.description.clone()]
    }

    fn fields(&self, _: Human) -> Vec<(&'static str, String)> {
        vec![
            ("name", self.name.clone()),
            ("description", self.description.clone()),
            ("actions", self.actions.join("\n")),
            ("template", self.template.trim().to_owned()),
        ]
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

impl Noun for Binding {
    const HEAD: &'static [&'static str] = &["ID", "PRINCIPAL", "ROLE", "ON", "CREATED"];

    fn row(&self, human: Human) -> Vec<String> {
        let id = self.id.to_string();
        vec![id, self.principal.clone(), self.role.clone(), self.on.clone(), human.away(self.created)]
    }

    fn fields(&self, human: Human) -> Vec<(&'static str, String)> {
        vec![
            ("id", self.id.to_string()),
            ("principal", self.principal.clone()),
            ("role", self.role.clone()),
            ("on", self.on.clone()),
            ("created", human.moment(self.created)),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}

impl Noun for Policy {
    const HEAD: &'static [&'static str] = &["NAME", "VERSION", "UPDATED", "DESCRIPTION"];

    fn row(&self, human: Human) -> Vec<String> {
        vec![self.name.to_string(), self.version.to_string(), human.away(self.updated), or_dash(&self.description)]
    }

    fn fields(&self, human: Human) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("name", self.name.to_string()),
            ("description", or_dash(&self.description)),
            ("version", self.version.to_string()),
            ("updated", human.moment(self.updated)),
        ];
        fields.extend(self.proof.iter().map(|proof| ("proof", proof.status.clone())));
        fields.extend(self.warnings.iter().map(|warning| ("warning", warning.clone())));
        fields.push(("text", self.text.trim_end().to_owned()));
        fields
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}

impl Noun for Invariant {
    const HEAD: &'static [&'static str] = &["NAME", "VERSION", "COVERS", "PROOF", "DESCRIPTION"];

    fn row(&self, _: Human) -> Vec<String> {
        let proof = self.proof.as_ref().map_or_else(String::new, |proof| proof.status.clone());
        let covers = self.covers.as_str().to_owned();
        vec![self.name.to_string(), self.version.to_string(), covers, or_dash(&proof), or_dash(&self.description)]
    }

    fn fields(&self, human: Human) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("name", self.name.to_string()),
            ("description", or_dash(&self.description)),
            ("covers", self.covers.as_str().to_owned()),
            ("version", self.version.to_string()),
            ("updated", human.moment(self.updated)),
        ];
        fields.extend(self.proof.iter().map(|proof| ("proof", proof.status.clone())));
        fields.extend(self.warnings.iter().map(|warning| ("warning", warning.clone())));
        fields.push(("text", self.text.trim_end().to_owned()));
        fields
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}

impl Noun for Mount {
    const HEAD: &'static [&'static str] = &["NAME", "ENGINE", "ID", "DESCRIPTION", "CREATED"];

    fn row(&self, human: Human) -> Vec<String> {
        let name = self.name.to_string();
        vec![name, self.engine.clone(), self.id.to_string(), or_dash(&self.description), human.away(self.created)]
    }

    fn fields(&self, human: Human) -> Vec<(&'static str, String)> {
        vec![
            ("name", self.name.to_string()),
            ("id", self.id.to_string()),
            ("engine", self.engine.clone()),
            ("description", or_dash(&self.description)),
            ("max versions", or_default(u64::from(self.config.max_versions), |n| n.to_string())),
            ("cas required", self.config.cas_required.to_string()),
            ("delete version after", or_default(self.config.delete_version_after_seconds, seconds)),
            ("created", human.moment(self.created)),
        ]
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}

pub(crate) fn or_default(number: u64, print: impl Fn(u64) -> String) -> String {
    if number == 0 { "default".to_owned() } else { print(number) }
}

pub(crate) fn seconds(seconds: u64) -> String {
    human::span(std::time::Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use bailiwick_types::Timestamp;

    use super::*;

    fn credential(extra: &str) -> Credential {
        let id = "key_00000000000000000000000004";
        let text = format!(r#"{{"id":"{id}","principal":"acc_x","created":"2026-01-01T00:00:00Z"{extra}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_credential_says_whether_it_works() {
        let human = Human { now: "2026-01-02T00:00:00Z".parse::<Timestamp>().unwrap() };
        for (extra, state) in [
            ("", "active"),
            (r#","expires":"2026-01-03T00:00:00Z""#, "active"),
            (r#","expires":"2026-01-02T00:00:00Z""#, "expired"),
            (r#","revoked":"2026-01-03T00:00:00Z""#, "ending"),
            (r#","revoked":"2026-01-02T00:00:00Z","expires":"2026-01-01T12:00:00Z""#, "revoked"),
        ] {
            assert_eq!(credential_state(&credential(extra), human), state, "{extra}");
        }
    }

    #[test]
    fn a_list_of_credentials_reads_like_this() {
        let human = Human { now: "2026-01-02T00:00:00Z".parse::<Timestamp>().unwrap() };
        let rows = [
            credential(""),
            credential(r#","expires":"2026-02-01T00:00:00Z","description":"ci"}"#.trim_end_matches('}')),
        ];
        let rows: Vec<_> = rows.iter().map(|credential| credential.row(human)).collect();
        expect_test::expect![[r#"
            ID                              PRINCIPAL  DESCRIPTION  CREATED  EXPIRES  LAST USED  STATE
            key_00000000000000000000000004  acc_x      -            24h ago  -        -          active
            key_00000000000000000000000004  acc_x      ci           24h ago  in 30d   -          active
        "#]]
        .assert_eq(&table(Credential::HEAD, &rows));
    }
}
