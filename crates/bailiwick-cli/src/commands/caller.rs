//! The caller itself: who, with which roles, within which limits.

use bailiwick_client::{Call, routes};
use bailiwick_types::api::tenant::{LimitsInForce, WhoAmI};

use crate::fail::Fail;
use crate::output::{Human, fields, table};
use crate::session::Session;

pub(crate) fn whoami(session: &mut Session) -> Result<(), Fail> {
    // Without --tenant an operator is asked about as an operator.
    let is_platform = session.globals.tenant.is_none() && session.is_operator()?;
    let call = if is_platform { routes::platform_whoami() } else { session.tenant()?.whoami() };
    show(session, &call)
}

/// Shows who it is; quietly, only the id.
pub(crate) fn show(session: &mut Session, call: &Call<WhoAmI>) -> Result<(), Fail> {
    let is_quiet = session.is_quiet();
    session.show_with(call, |who, human| if is_quiet { format!("{}\n", who.principal.id) } else { view(&who, human) })
}

/// Also what `login` shows.
pub(crate) fn view(who: &WhoAmI, human: Human) -> String {
    let tenant = match &who.tenant {
        Some(tenant) => format!("{} ({})", tenant.slug, tenant.id),
        None => "none: an operator of the installation".to_owned(),
    };
    let roles: Vec<_> = who.roles.iter().map(|held| format!("{} on {}", held.role, held.on)).collect();
    fields(&[
        ("tenant", tenant),
        ("principal", format!("{} ({})", who.principal.name, who.principal.id)),
        ("kind", who.principal.kind.clone()),
        ("credential", who.credential.id.clone()),
        ("issued", human.moment(who.credential.created)),
        ("expires", human.end(who.credential.expires)),
        ("roles", if roles.is_empty() { "none".to_owned() } else { roles.join("\n") }),
    ])
}

pub(crate) fn revoke_self(session: &mut Session) -> Result<(), Fail> {
    let call = session.tenant()?.revoke_self();
    session.confirm("Revoke the credential that you are using?")?;
    session.done(&call, "revoked: this credential works no more")
}

pub(crate) fn capabilities(session: &mut Session, paths: &[String]) -> Result<(), Fail> {
    let paths: Vec<String> = paths.iter().map(|path| vault_path(path)).collect();
    let call = session.tenant()?.capabilities(&paths);
    session.show_with(&call, |capabilities, _| {
        let rows: Vec<_> = capabilities.0.into_iter().map(|(path, may)| vec![path, may.join(" ")]).collect();
        table(&["PATH", "CAPABILITIES"], &rows)
    })
}

/// A secret's path as the Vault door has it, which is what capabilities are about: `secret/app/db` is
/// `secret/data/app/db`, and the folder `secret/app/` is `secret/metadata/app/`. What is of that form already stays.
fn vault_path(path: &str) -> String {
    const VERBS: &[&str] = &["data", "metadata", "delete", "undelete", "destroy", "subkeys", "config"];
    let (mount, rest) = path.split_once('/').unwrap_or((path, ""));
    let is_known = mount == "sys" || VERBS.contains(&rest.split('/').next().unwrap_or_default());
    match rest {
        _ if is_known => path.to_owned(),
        "" => format!("{mount}/metadata/"),
        folder if folder.ends_with('/') => format!("{mount}/metadata/{folder}"),
        secret => format!("{mount}/data/{secret}"),
    }
}

pub(crate) fn limits(session: &mut Session) -> Result<(), Fail> {
    let call = session.tenant()?.limits();
    session.show_with(&call, |LimitsInForce { limits }, _| {
        let rows: Vec<_> = limits
            .into_iter()
            .map(|limit| {
                let used = limit.used.map_or_else(|| "-".to_owned(), |used| used.to_string());
                let from = if limit.is_quota { "quota" } else { "default" };
                vec![limit.name, used, limit.limit.to_string(), limit.unit, from.to_owned(), limit.summary]
            })
            .collect();
        table(&["LIMIT", "USED", "OF", "UNIT", "FROM", "WHAT"], &rows)
    })
}

#[cfg(test)]
mod tests {
    use super::vault_path;

    #[test]
    fn paths_of_secrets_are_asked_about_as_the_vault_door_has_them() {
        for (typed, asked) in [
            ("secret/app/db", "secret/data/app/db"),
            ("secret/app/", "secret/metadata/app/"),
            ("secret/", "secret/metadata/"),
            ("secret", "secret/metadata/"),
            ("secret/data/app/db", "secret/data/app/db"),
            ("secret/destroy/app/db", "secret/destroy/app/db"),
            ("secret/config", "secret/config"),
            ("sys/mounts/kv", "sys/mounts/kv"),
        ] {
            assert_eq!(vault_path(typed), asked);
        }
    }
}
