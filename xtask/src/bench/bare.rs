//! What the HTTP stack and the store alone can do: the ceiling that everything between them is measured by.

use std::path::Path;
use std::process::Command;

use super::load::{Plan, Request};
use super::report::{Report, Row};
use super::{Bench, CONNECTIONS, side};
use crate::failure::Outcome;
use crate::http::Client;
use crate::server::{Server, free_address};

impl Bench {
    /// Audited reads of one side in alternation with a server that does nothing but append an entry of that size.
    pub(super) fn bare(&self, server: &Path, side: &str, reads: &Plan, report: &mut Report) -> Outcome {
        let address = free_address()?;
        let mut command = Command::new(server.with_file_name("examples").join("ceiling"));
        command.arg(self.home().join("ceiling.db")).arg(address.port().to_string());
        let mut server = Server::start(&mut command, &self.home().join("ceiling.log"))?;
        server.wait_until(|| Client::connect(address).is_ok())?;
        let units = vec![vec![Request::new("GET", "/")]];
        let bare = self.plan_at(vec![address], vec![server.pid()], units, reads.load.connections);
        let row: Row = self.rounds(&format!("{side}, KV v2 read, and the bare ceiling"), &[bare, reads.clone()])?;
        report.bare = Some(row);
        Ok(())
    }

    /// How throughput changes with the number of policies that a tenant has.
    pub(super) fn policies(&self, report: &mut Report) -> Outcome {
        let sides = self.launch("policies", report)?;
        let Some(side) = sides.iter().find(|each| each.name() == side::OURS) else { return Ok(()) };
        let (mut plans, mut counts) = (Vec::new(), Vec::new());
        for count in [5_usize, 50, 500, 5_000] {
            println!("{}: a tenant with {count} policies", side.name());
            let tenant = side.add_tenant(&format!("policies-{count}"))?;
            side::govern(&tenant, side.address(), count)?;
            side.widen(&tenant)?;
            let units = tenant.reads().map(|read| vec![read]).collect::<Vec<_>>();
            plans.push(self.plan(side.as_ref(), &units, CONNECTIONS)?);
            counts.push(count);
        }
        let row = self.rounds("KV v2 read in a tenant with 5, 50, 500 and 5,000 policies", &plans)?;
        report.policies = Some((counts, row));
        Ok(())
    }
}
