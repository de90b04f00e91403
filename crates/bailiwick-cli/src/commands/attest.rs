//! `bailiwick attest`: what the server says about itself and the tenant's rules, signed, for somebody else to verify.

use std::path::PathBuf;

use bailiwick_ledger::attestation::read;
use bailiwick_types::ErrorClass;
use bailiwick_types::api::attestation::{Attestation, AttestedIsolation, SignedAttestation};
use clap::Args;

use crate::fail::Fail;
use crate::files;
use crate::output::{Human, count, fields};
use crate::session::Session;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bailiwick attest
  bailiwick attest --file acme.attestation
  bailiwick verify acme.attestation --key \"$(cat acme.vkey)\" --max-age 24h

It says which program the server runs, which rules decide about the tenant and what was proved of them, what the \
server found when it tried its own isolation, and the state of the tenant's ledger. Of other tenants it says nothing, \
and of the operator's guardrails only hashes. `bailiwick verify` checks it offline, with the keys that \
`bailiwick keyring show` prints.")]
pub(crate) struct AttestArgs {
    /// Write it to a file, as `bailiwick verify` takes it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(crate) fn run(session: &mut Session, args: &AttestArgs) -> Result<(), Fail> {
    let call = session.tenant()?.attestation();
    let Some(path) = &args.file else {
        return session.show_with(&call, |signed: SignedAttestation, human| fields(&rows(&signed.attestation, human)));
    };
    let reply = session.send(&call)?;
    // What would not be read again is better not written.
    read(reply.text().as_bytes()).map_err(|error| {
        Fail::new(ErrorClass::Fault, "unexpected_answer", format!("the answer is no attestation: {error}"))
    })?;
    files::write_shared(path, reply.text().as_bytes()).map_err(|error| Fail::file(path, &error))?;
    if !session.is_quiet() {
        session.terminal.note(&format!("attested to {}", path.display()));
    }
    Ok(())
}

/// What is attested, for people.
pub(super) fn rows(attestation: &Attestation, human: Human) -> Vec<(&'static str, String)> {
    let Attestation { tenant, installation, issued_at, checkpoint, server, shipped, proof, routes, isolation, .. } =
        attestation;
    let lines = |lines: Vec<String>| if lines.is_empty() { "none".to_owned() } else { lines.join("\n") };
    let solver = proof.solver.as_ref().map(|solver| format!(" ({solver})")).unwrap_or_default();
    let of = proof.hash.as_ref().map(|hash| format!("\nof {hash}")).unwrap_or_default();
    let guardrails = attestation.guardrails.iter().map(|known| format!("{} {}", known.sha256, known.proof));
    let policies = attestation.policies.iter().map(|known| format!("{} {}", known.sha256, known.name));
    let invariants = attestation
        .invariants
        .iter()
        .map(|known| format!("{} {} of {}: {}", known.sha256, known.name, known.covers.as_str(), known.proof));
    vec![
        ("tenant", format!("{} ({})", tenant.slug, tenant.id)),
        ("installation", installation.to_string()),
        ("issued", human.moment(*issued_at)),
        ("ledger", format!("{} entries, root {}", count(checkpoint.size), checkpoint.root)),
        ("version", server.version.clone()),
        ("program", server.build.clone().unwrap_or_else(|| "unknown".to_owned())),
        ("schema", shipped.schema.clone()),
        ("isolation rule", shipped.isolation.clone()),
        ("self-service", shipped.self_service.clone()),
        ("roles", shipped.roles.clone()),
        ("guardrails", lines(guardrails.collect())),
        ("policies", lines(policies.collect())),
        ("invariants", lines(invariants.collect())),
        ("proof", format!("{}{solver}\nisolation {}{of}", proof.outcome, proof.isolation)),
        ("routes", format!("{} {}", routes.sha256, count(routes.count))),
        ("probes", probes(isolation, human)),
        ("timing", timing(isolation)),
    ]
}

fn probes(isolation: &AttestedIsolation, human: Human) -> String {
    let state = isolation.state.as_str();
    let (Some(counts), Some(finished)) = (isolation.counts, isolation.finished) else { return state.to_owned() };
    let [routes, probes, controls] = [counts.routes, counts.probes, counts.controls].map(count);
    let [findings, inconclusive] = [counts.findings, counts.inconclusive].map(count);
    format!(
        "{state}: {routes} routes, {probes} probes, {controls} controls, {findings} findings, {inconclusive} \
         inconclusive\nlast round ended {}",
        human.moment(finished)
    )
}

fn timing(isolation: &AttestedIsolation) -> String {
    let timing = isolation.timing;
    format!("a difference on {} of {} routes measured", count(timing.seen), count(timing.measured))
}
