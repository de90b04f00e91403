//! Nodes of one installation, and the operator who looks after it.

use std::path::{Path, PathBuf};
use std::process::Command;

use bailiwick_client::routes;
use bailiwick_pgkit::{Cluster, Database, folder};
use bailiwick_types::api::platform::{CreateTenant, Initialize};

use super::caller::Caller;
use super::node::{BINARY, Node, Settings, name_store};
use super::tenant::Tenant;

/// A database with the product's tables.
pub(crate) fn migrated(cluster: &Cluster) -> Database {
    let database = cluster.database("bailiwick").unwrap();
    let mut migrate = Command::new(BINARY);
    migrate.args(["store", "migrate", "--server-role", &database.server]);
    name_store(&mut migrate, &folder("migrate").unwrap(), &database.owner_url);
    let ran = migrate.env_clear().output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned() + &String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}");
    database
}

/// An installation.
pub(crate) struct Fleet {
    pub(crate) nodes: Vec<Node>,
    folder: PathBuf,
    operator: String,
}

impl Fleet {
    /// An initialised installation with a node for each of these ways to the database.
    pub(crate) fn start(stores: &[String]) -> Self {
        Self::start_with(stores.iter().map(|store| Settings { store: store.clone(), skew: 0 }))
    }

    /// Three nodes on one database.
    pub(crate) fn of_three(database: &Database) -> Self {
        Self::start(&vec![database.server_url.clone(); 3])
    }

    pub(crate) fn start_with(settings: impl IntoIterator<Item = Settings>) -> Self {
        let folder = folder("fleet").unwrap();
        let mut settings = settings.into_iter();
        let first = Node::start("node0", &folder, settings.next().unwrap());
        let provider = "file".to_owned();
        let body = Initialize { provider, shares: None, threshold: None, passphrase: None };
        let operator = first.stranger().must(&routes::init(&body)).operator.credential;
        let mut fleet = Self { nodes: vec![first], folder, operator };
        for settings in settings {
            fleet.add(settings);
        }
        fleet
    }

    /// Adds a node, which unseals by itself: the root key is in a file that all nodes have.
    pub(crate) fn add(&mut self, settings: Settings) {
        let name = format!("node{}", self.nodes.len());
        self.nodes.push(Node::start(&name, &self.folder, settings));
    }

    /// Where files of this installation are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The operator, who asks this node.
    pub(crate) fn operator(&self, node: usize) -> Caller {
        self.nodes[node].caller(&self.operator)
    }

    /// Makes a tenant, with a secret that all of its accounts may read.
    pub(crate) fn tenant(&self, slug: &str) -> Tenant {
        let body = CreateTenant {
            slug: slug.parse().unwrap(),
            name: None,
            admin_name: None,
            admin_email: None,
            admin_ttl: None,
        };
        let created = self.operator(0).must(&routes::create_tenant(&body));
        let tenant = Tenant::new(slug, &created.admin);
        tenant.furnish(&self.nodes[0]);
        tenant
    }
}
