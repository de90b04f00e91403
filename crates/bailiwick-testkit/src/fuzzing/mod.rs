//! What is fuzzed: every parser of ours that touches the wire, one function for each.
//!
//! The same functions are called by `fuzz/` (libFuzzer, for hours) and by the integration tests (a small generator with
//! fixed seeds, for a second), so that no target rots. None may panic, whatever it is given; besides, each checks what
//! must hold of whatever it accepts: one value has one spelling, what was not signed is not accepted, and what one
//! reader takes every other reader takes for the same.
//!
//! # Deliberately absent
//! Sizes at which parsers become slow: those are limits, and tested as such.

mod bundle;
mod dice;
mod doors;
mod evidence;
mod text;
mod world;

pub use dice::Dice;

/// A target.
pub struct Target {
    /// Its name: that of the file in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Looks at some bytes. Panics if something is wrong with the parser.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many inputs the integration tests give it.
    pub rounds: usize,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "credential", run: text::credential, seeds: text::credentials, rounds: 4_000 },
    Target { name: "ids", run: text::ids, seeds: text::some_ids, rounds: 4_000 },
    Target { name: "names", run: text::names, seeds: text::some_names, rounds: 4_000 },
    Target { name: "time", run: text::time, seeds: text::some_times, rounds: 4_000 },
    Target { name: "share", run: text::share, seeds: text::shares, rounds: 2_000 },
    Target { name: "policy", run: text::policy, seeds: text::policies, rounds: 150 },
    Target { name: "json", run: doors::json, seeds: doors::bodies, rounds: 2_000 },
    Target { name: "path", run: doors::path, seeds: doors::paths, rounds: 4_000 },
    Target { name: "query", run: doors::query, seeds: doors::queries, rounds: 4_000 },
    Target { name: "cursor", run: doors::cursor, seeds: doors::cursors, rounds: 4_000 },
    Target { name: "merge_patch", run: doors::merge_patch, seeds: doors::patches, rounds: 2_000 },
    Target { name: "vault_request", run: doors::vault_request, seeds: doors::vault_requests, rounds: 4_000 },
    Target { name: "vault_body", run: doors::vault_body, seeds: doors::bodies, rounds: 2_000 },
    Target { name: "entry", run: evidence::entry, seeds: evidence::entries, rounds: 2_000 },
    Target { name: "note", run: evidence::note, seeds: evidence::notes, rounds: 2_000 },
    Target { name: "export", run: evidence::export, seeds: evidence::exports, rounds: 1_000 },
    Target { name: "proof", run: evidence::proof, seeds: evidence::proofs, rounds: 1_000 },
    Target { name: "attestation", run: evidence::attestation, seeds: evidence::attestations, rounds: 2_000 },
    Target { name: "bundle", run: bundle::bundle, seeds: bundle::bundles, rounds: 2_000 },
    Target { name: "import", run: bundle::import, seeds: bundle::changes, rounds: 200 },
    Target { name: "request", run: world::request, seeds: world::requests, rounds: 400 },
];

/// Gives one target its input, by name.
///
/// # Panics
/// If there is no such target, or if it finds something.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    (target.run)(input);
}
