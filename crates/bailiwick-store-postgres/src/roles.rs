//! The roles that a database needs, as statements for whoever administers it.

/// Names of a database and its roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// The database.
    pub database: String,
    /// Owns the schema; only `bailiwick store migrate` uses it.
    pub owner: String,
    /// What nodes use.
    pub server: String,
}

impl Default for Roles {
    fn default() -> Self {
        Self {
            database: "bailiwick".to_owned(),
            owner: "bailiwick_owner".to_owned(),
            server: "bailiwick_server".to_owned(),
        }
    }
}

/// An identifier in quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The statements that make database and roles. Passwords are set apart (`\password`): no secret is in a script.
pub fn roles(names: &Roles) -> String {
    let (database, owner, server) = (quoted(&names.database), quoted(&names.owner), quoted(&names.server));
    let mut sql = format!(
        "CREATE ROLE {owner} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;\n\
         CREATE ROLE {server} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;\n"
    );
    for (setting, value) in crate::session::BOUNDS {
        sql.push_str(&format!("ALTER ROLE {server} SET {setting} = '{value}';\n"));
    }
    sql.push_str(&format!(
        "CREATE DATABASE {database} OWNER {owner} ENCODING 'UTF8' TEMPLATE template0;\n\
         REVOKE ALL ON DATABASE {database} FROM PUBLIC;\n\
         GRANT CONNECT ON DATABASE {database} TO {server};\n\
         -- then, in psql: \\password {owner} and \\password {server}\n"
    ));
    sql
}
