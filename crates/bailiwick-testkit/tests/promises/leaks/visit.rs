//! A running server that is asked things, and all that it has said.

use std::time::Duration;

use crate::harness::process::Running;
use crate::harness::wire::Wire;
use crate::harness::{Ask, Told};

use super::canary::{Canaries, Net};

/// Something that was said, and what may be in it.
struct Heard {
    by: String,
    bytes: Vec<u8>,
    may: Vec<String>,
}

/// Everything that was heard.
#[derive(Default)]
pub(super) struct Heards(Vec<Heard>);

impl Heards {
    /// Remembers bytes in which only these canaries may be.
    pub(super) fn add(&mut self, by: impl Into<String>, bytes: impl Into<Vec<u8>>, may: &[&str]) {
        let may = may.iter().map(|name| (*name).to_owned()).collect();
        self.0.push(Heard { by: by.into(), bytes: bytes.into(), may });
    }

    /// What was seen where it must not be, in words.
    pub(super) fn leaks(&self, net: &Net) -> Vec<String> {
        let mut leaks = Vec::new();
        for heard in &self.0 {
            for seen in net.seen(&heard.bytes) {
                if !heard.may.contains(&seen.name) {
                    leaks.push(format!("`{}` as {} in {}: …{}…", seen.name, seen.encoding, heard.by, seen.near));
                }
            }
        }
        leaks
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

/// A conversation with a server.
pub(super) struct Visit {
    pub(super) server: Running,
    wire: Wire,
    pub(super) canaries: Canaries,
    pub(super) heards: Heards,
}

impl Visit {
    pub(super) fn of(server: Running, seed: u64) -> Self {
        let wire = server.wire();
        Self { server, wire, canaries: Canaries::new(seed), heards: Heards::default() }
    }

    /// Asks a door. In the answer only these canaries may be.
    pub(super) fn ask(&mut self, ask: Ask, may: &[&str]) -> Told {
        let told = match self.wire.ask(&ask) {
            Ok(told) => told,
            // The server closes the connection after some refusals.
            Err(_) => {
                self.wire = self.server.wire();
                self.wire.ask(&ask).unwrap()
            }
        };
        self.heard(&ask, &told, may);
        told
    }

    /// Asks on a connection of its own, which the server may close while the question is still being sent.
    pub(super) fn shout(&mut self, ask: Ask) {
        if let Ok(told) = self.server.wire().ask(&ask) {
            self.heard(&ask, &told, &[]);
        }
    }

    /// Sends bytes on a connection of its own, and hears whatever comes back.
    pub(super) fn throw(&mut self, bytes: &[u8]) {
        let mut wire = self.server.wire();
        wire.send(bytes).unwrap();
        // What the server takes for a beginning it waits for the rest of.
        let answer = wire.drain(Duration::from_millis(300));
        self.heards.add("the answer to what is no HTTP", answer, &[]);
    }

    fn heard(&mut self, ask: &Ask, told: &Told, may: &[&str]) {
        let mut bytes = Vec::new();
        for (name, value) in &told.headers {
            bytes.extend_from_slice(format!("{name}: {value}\n").as_bytes());
        }
        bytes.extend_from_slice(&told.body);
        self.heards.add(format!("the {} to {} {}", told.status, ask.method, ask.path), bytes, may);
    }
}
