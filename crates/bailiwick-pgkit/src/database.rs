//! A database with the roles that the product asks for.

use crate::cluster::{Address, SUPERUSER};

/// A database of a [`Cluster`](crate::Cluster) and three ways into it.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// As the role that owns it: migrations.
    pub owner_url: String,
    /// As the role that the server has: owns nothing, is a member of nothing and cannot bypass row-level security.
    pub server_url: String,
    /// As the superuser: what only a test may do.
    pub admin_url: String,
    /// The name of the owner's role.
    pub owner: String,
    /// The name of the server's role.
    pub server: String,
    password: String,
}

impl Database {
    pub(crate) fn new(name: &str, password: &str, at: &[Address]) -> Self {
        let (owner, server) = (format!("{name}_owner"), format!("{name}_server"));
        let url = |role: &str| url(role, password, at, name);
        Self {
            name: name.to_owned(),
            owner_url: url(&owner),
            server_url: url(&server),
            admin_url: url(SUPERUSER),
            owner,
            server,
            password: password.to_owned(),
        }
    }

    /// The same database, reached through these ports of the loopback address instead (a pooler, a wire, all members
    /// of a cluster): the first is tried first.
    #[must_use]
    pub fn through(&self, ports: &[u16]) -> Self {
        let at: Vec<Address> = ports.iter().map(|port| Address { port: *port }).collect();
        Self::new(&self.name, &self.password, &at)
    }

    /// Its roles with their passwords, for who asks for passwords on PostgreSQL's behalf.
    pub(crate) fn passwords(&self) -> impl Iterator<Item = (&str, &str)> {
        [self.owner.as_str(), &self.server, SUPERUSER].into_iter().map(|role| (role, self.password.as_str()))
    }

    /// The statements that make it. The database's own public schema is its owner's (PostgreSQL 15).
    pub(crate) fn sql(&self) -> Vec<String> {
        let Self { name, owner, server, password, .. } = self;
        let role = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS";
        vec![
            format!("CREATE ROLE {owner} {role} PASSWORD '{password}'"),
            format!("CREATE ROLE {server} {role} PASSWORD '{password}'"),
            format!("CREATE DATABASE {name} OWNER {owner}"),
            format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"),
            format!("GRANT CONNECT ON DATABASE {name} TO {server}"),
        ]
    }
}

fn url(role: &str, password: &str, at: &[Address], name: &str) -> String {
    let hosts: Vec<String> = at.iter().map(|address| format!("127.0.0.1:{}", address.port)).collect();
    let hint = if at.len() > 1 { "?target_session_attrs=read-write" } else { "" };
    format!("postgres://{role}:{password}@{}/{name}{hint}", hosts.join(","))
}
