//! The load generator as a process of its own, so that its CPU time can be told from the server's; and what the kernel says
//! about the server meanwhile.

use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use bailiwick_load::{Means, Transport, drive};
pub(crate) use bailiwick_load::{Request, Until};
use serde::{Deserialize, Serialize};

use super::proc::{self, Machine};
use crate::failure::{Context, Failure, Outcome};

/// What to send, and whose work that is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) load: bailiwick_load::Plan,
    /// The server's processes, to account for their CPU time.
    pub(crate) pids: Vec<u32>,
}

/// What a run has shown, and what it cost.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) load: bailiwick_load::Run,
    /// CPU seconds of the server in the window.
    pub(crate) server_cpu: f64,
    pub(crate) machine: Machine,
    /// What the server wrote to disk in the window.
    pub(crate) written_mib: f64,
}

// What was sent is most of what is asked of a run.
impl Deref for Run {
    type Target = bailiwick_load::Run;
    fn deref(&self) -> &Self::Target {
        &self.load
    }
}

/// Reads the plan, sends the load, prints the result as JSON.
pub(crate) fn main(plan: &Path) -> Outcome {
    let text = std::fs::read_to_string(plan).context(plan.display())?;
    let run = accounted(&serde_json::from_str(&text)?)?;
    println!("{}", serde_json::to_string(&run)?);
    Ok(())
}

fn accounted(plan: &Plan) -> Outcome<Run> {
    let mut readings = Vec::new();
    let mut at_edge = || readings.push(Reading::take(plan));
    let stop = AtomicBool::new(false);
    let load = drive(&plan.load, Means { transport: &Transport::Plain, stop: &stop, at_edge: &mut at_edge })?;
    if load.reopened > 0 {
        return Err(Failure::new(format!("the server closed {} connections", load.reopened)));
    }
    let mut readings = readings.into_iter();
    let mut next = || readings.next().context("a window without an edge")?;
    let (opened, closed) = (next()?, next()?);
    Ok(Run {
        load,
        server_cpu: closed.server - opened.server,
        machine: closed.machine.since(opened.machine),
        written_mib: closed.written - opened.written,
    })
}

/// Counters at one moment.
struct Reading {
    server: f64,
    machine: Machine,
    written: f64,
}

impl Reading {
    fn take(plan: &Plan) -> Outcome<Self> {
        Ok(Self {
            server: summed(&plan.pids, proc::cpu_seconds)?,
            machine: Machine::now()?,
            written: summed(&plan.pids, proc::written_mib)?,
        })
    }
}

fn summed(pids: &[u32], of: fn(u32) -> Outcome<f64>) -> Outcome<f64> {
    pids.iter().map(|pid| of(*pid)).sum()
}
