//! `bailiwick verify`: checks exports, checkpoints, proofs, deletion certificates and attestations, offline. Everything that it
//! decides is in `bailiwick-verify`; here is only which check a file wants, and how the result is told.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Seek as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use bailiwick_ledger::attestation::ATTESTATION_BYTES_MAX;
use bailiwick_types::ErrorClass;
use bailiwick_types::time::parse_duration;
use bailiwick_verify::{
    AttestationReport, BundleReport, BundleVerifyError, EvidenceError, Freshness, Options, Report, VerifierKey,
    verify_attestation, verify_bundle, verify_certificate, verify_checkpoint, verify_consistency, verify_export,
    verify_inclusion,
};
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::attest;
use crate::fail::Fail;
use crate::output::{Human, count, fields};
use crate::session::Session;

/// No checkpoint, proof or certificate is larger.
const EVIDENCE_BYTES_MAX: u64 = 1_048_576;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bailiwick ledger export --file acme.ledger
  bailiwick verify acme.ledger
  bailiwick verify acme.ledger --key \"$(cat acme.vkey)\" --previous last-month.ledger
  bailiwick ledger inclusion 42 -o json > proof.json
  bailiwick verify proof.json --key \"$(cat acme.vkey)\"
  bailiwick verify acme.attestation --key \"$(cat acme.vkey)\" --max-age 24h

Without --key an export is checked against the keys that it brings along: that shows that nobody damaged it, not \
who made it. `bailiwick keyring show` prints the keys of a tenant; keep them somewhere else.

What an attestation says is not for this command to judge: it prints what is no good news as warnings.

It needs no server and no credential. Exit codes: 0 it holds, 6 it does not, 2 it could not be checked.")]
pub(crate) struct VerifyArgs {
    /// An export of the form `bailiwick`, a tenant's bundle, a checkpoint, a proof in JSON, a deletion certificate or an
    /// attestation
    file: PathBuf,
    /// A key that you trust, as a C2SP verifier key; may be repeated
    #[arg(long = "key", value_name = "VKEY")]
    keys: Vec<String>,
    /// An earlier checkpoint or export of the same ledger, which this export must continue
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// The oldest attestation that you take, such as `24h`
    #[arg(long, value_name = "SPAN")]
    max_age: Option<String>,
    /// How many threads check the entries of an export [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

pub(crate) fn run(session: &mut Session, args: &VerifyArgs) -> Result<(), Fail> {
    let keys = args
        .keys
        .iter()
        .map(|text| text.parse::<VerifierKey>().map_err(|error| Fail::usage(format!("--key `{text}`: {error}"))))
        .collect::<Result<Vec<_>, _>>()?;
    let age_max = args
        .max_age
        .as_ref()
        .map(|text| parse_duration(text).map_err(|error| Fail::usage(format!("--max-age `{text}`: {error}"))))
        .transpose()?;
    let mut file = File::open(&args.file).map_err(|error| Fail::file(&args.file, &error))?;
    match Evidence::read(&mut file).map_err(|error| Fail::file(&args.file, &error))? {
        evidence if age_max.is_some() && !matches!(evidence, Evidence::Attestation(_)) => {
            Err(Fail::usage(format!("--max-age is for attestations, and this is {}", evidence.name())))
        }
        Evidence::Export => export(session, args, keys, file),
        evidence if args.previous.is_some() && matches!(evidence, Evidence::Bundle) => {
            Err(Fail::usage("--previous is for exports, and this is a bundle"))
        }
        Evidence::Bundle => bundle(session, &keys, file),
        evidence if args.previous.is_some() => {
            Err(Fail::usage(format!("--previous is for exports, and this is {}", evidence.name())))
        }
        evidence if keys.is_empty() => {
            Err(Fail::usage(format!("{} is only worth as much as the keys that it is checked with", evidence.name()))
                .with_hint("give --key; `bailiwick keyring show` prints the keys of a tenant"))
        }
        Evidence::Attestation(json) => {
            let fresh = age_max.map(|age_max| Freshness { now: session.now, age_max });
            let report = verify_attestation(&json, &keys, fresh).map_err(|error| does_not_hold(&error))?;
            attestation(session, &report)
        }
        evidence => {
            let result = evidence.check(&keys).map_err(|error| does_not_hold(&error))?;
            if let Some(name) = evidence.contradicts(&result) {
                return Err(does_not_hold(&format!("`{name}` is not what was signed")));
            }
            tell(session, result, evidence.name())
        }
    }
}

/// What a file is.
enum Evidence {
    Export,
    Bundle,
    /// The note, and what the JSON around it says, if it came in some.
    Checkpoint(String, Option<serde_json::Map<String, Value>>),
    Certificate(String),
    Inclusion(Vec<u8>),
    Consistency(Vec<u8>),
    Attestation(Vec<u8>),
}

impl Evidence {
    /// Looks at the beginning of a file, and reads the rest if that is short. What is nothing else is taken for an
    /// export, so that a damaged one is reported as such.
    fn read(file: &mut File) -> std::io::Result<Self> {
        let mut bytes = Vec::new();
        file.by_ref().take(EVIDENCE_BYTES_MAX).read_to_end(&mut bytes)?;
        if bytes.starts_with(bailiwick_ledger::bundle::MAGIC) {
            file.rewind()?;
            return Ok(Self::Bundle);
        }
        if is_attestation(&bytes) {
            // One byte more than the most there may be, so that what is too long is seen to be.
            file.by_ref().take(ATTESTATION_BYTES_MAX as u64 + 1 - EVIDENCE_BYTES_MAX).read_to_end(&mut bytes)?;
            return Ok(Self::Attestation(bytes));
        }
        file.rewind()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.starts_with('{') {
            let Ok(Value::Object(members)) = serde_json::from_str(&text) else { return Ok(Self::Export) };
            let has = |name: &str| members.contains_key(name);
            return Ok(match members.get("note").and_then(Value::as_str) {
                Some(note) => Self::Checkpoint(note.to_owned(), Some(members.clone())),
                None if has("proof") && has("index") => Self::Inclusion(bytes),
                None if has("proof") && has("old") => Self::Consistency(bytes),
                None => Self::Export,
            });
        }
        if text.starts_with(bailiwick_ledger::certificate::FORMAT) {
            return Ok(Self::Certificate(text));
        }
        // A signed note: text, an empty line, signatures that begin with an em dash.
        Ok(if text.contains("\n\n\u{2014} ") { Self::Checkpoint(text, None) } else { Self::Export })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Export => "an export",
            Self::Bundle => "a bundle",
            Self::Checkpoint(..) => "a checkpoint",
            Self::Certificate(_) => "a deletion certificate",
            Self::Inclusion(_) => "an inclusion proof",
            Self::Consistency(_) => "a consistency proof",
            Self::Attestation(_) => "an attestation",
        }
    }

    /// What the JSON around a signed note says otherwise than the note: whoever reads the one must not be told that the
    /// other holds.
    fn contradicts(&self, result: &[(&'static str, Value)]) -> Option<&'static str> {
        let Self::Checkpoint(_, Some(said)) = self else { return None };
        result.iter().find(|(name, value)| said.get(*name).is_some_and(|said| said != value)).map(|(name, _)| *name)
    }

    fn check(&self, keys: &[VerifierKey]) -> Result<Vec<(&'static str, Value)>, EvidenceError> {
        let names = |keys: &[VerifierKey]| json!(keys.iter().map(ToString::to_string).collect::<Vec<_>>());
        Ok(match self {
            // Handled on paths of their own.
            Self::Export | Self::Bundle | Self::Attestation(_) => Vec::new(),
            Self::Checkpoint(note, _) => {
                let report = verify_checkpoint(note, keys)?;
                vec![
                    ("origin", json!(report.checkpoint.origin)),
                    ("size", json!(report.checkpoint.size)),
                    ("root", json!(data_encoding::BASE64.encode(&report.checkpoint.root))),
                    ("signed_by", names(&report.signers)),
                ]
            }
            Self::Certificate(note) => {
                let report = verify_certificate(note, keys)?;
                vec![
                    ("tenant", json!(report.certificate.tenant)),
                    ("slug", json!(report.certificate.slug)),
                    ("deleted_at", json!(report.certificate.deleted_at)),
                    ("keys_destroyed", json!(report.certificate.keys.len())),
                    ("signed_by", names(&report.signers)),
                ]
            }
            Self::Inclusion(json) => {
                let report = verify_inclusion(json, keys, None)?;
                vec![
                    ("origin", json!(report.checkpoint.checkpoint.origin)),
                    ("index", json!(report.index)),
                    ("size", json!(report.checkpoint.checkpoint.size)),
                    ("signed_by", names(&report.checkpoint.signers)),
                ]
            }
            Self::Consistency(json) => {
                let report = verify_consistency(json, keys, None)?;
                vec![
                    ("origin", json!(report.checkpoint.checkpoint.origin)),
                    ("old", json!(report.old_size)),
                    ("new", json!(report.checkpoint.checkpoint.size)),
                    ("signed_by", names(&report.checkpoint.signers)),
                ]
            }
        })
    }
}

/// Whether JSON begins as an attestation does. Nothing else has this member, and it has no other before it.
fn is_attestation(bytes: &[u8]) -> bool {
    let rest = bytes.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    rest.is_some_and(|rest| rest.starts_with(b"\"attestation\""))
}

fn attestation(session: &mut Session, report: &AttestationReport) -> Result<(), Fail> {
    let doubts = report.doubts();
    if session.is_json() {
        let signers: Vec<_> = report.signers.iter().map(ToString::to_string).collect();
        let answer = json!({ "attestation": report.attestation, "doubts": doubts, "signed_by": signers });
        return session.json(&answer.to_string());
    }
    if session.is_quiet() {
        return Ok(());
    }
    let mut lines = attest::rows(&report.attestation, session.human());
    let signers: Vec<_> = report.signers.iter().map(ToString::to_string).collect();
    lines.push(("signed by", signers.join("\n")));
    session.terminal.print(&format!("an attestation that holds\n\n{}", fields(&lines)))?;
    for doubt in doubts {
        session.terminal.note(&format!("warning: {doubt}"));
    }
    Ok(())
}

fn tell(session: &mut Session, result: Vec<(&'static str, Value)>, what: &str) -> Result<(), Fail> {
    if session.is_json() {
        let object: serde_json::Map<_, _> = result.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        return session.json(&Value::Object(object).to_string());
    }
    let lines: Vec<_> = result
        .into_iter()
        .map(|(name, value)| {
            let text = match value {
                Value::String(text) => text,
                Value::Array(items) => {
                    items.iter().map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>().join("\n")
                }
                other => other.to_string(),
            };
            (name.replace('_', " "), text)
        })
        .collect();
    if !session.is_quiet() {
        session.terminal.print(&format!(
            "{what} that holds\n\n{}",
            fields(&lines.iter().map(|(name, text)| (name.as_str(), text.clone())).collect::<Vec<_>>())
        ))?;
    }
    Ok(())
}

fn export(session: &mut Session, args: &VerifyArgs, keys: Vec<VerifierKey>, file: File) -> Result<(), Fail> {
    let previous = args.previous.as_deref().map(previous).transpose()?;
    let is_pinned = !keys.is_empty();
    let is_shown = !session.is_quiet() && !session.is_json();
    let (terminal, percent) = (RefCell::new(&mut session.terminal), Cell::new(0));
    let progress = |done: u64, all: u64| {
        // Not oftener than somebody could see it.
        let now = done.saturating_mul(100).checked_div(all).unwrap_or(100);
        if percent.replace(now) != now {
            terminal.borrow_mut().progress(&format!("{now} % of {} entries", count(all)));
        }
    };
    let progress = is_shown.then_some(&progress as &dyn Fn(u64, u64));
    let options = Options { pinned: keys, previous, progress, threads: args.threads };
    let outcome = verify_export(BufReader::with_capacity(1 << 20, file), &options);
    session.terminal.progress("");
    let report = outcome.map_err(|error| match error {
        bailiwick_verify::VerifyError::Read { .. } => Fail::usage(error.to_string()),
        error => does_not_hold(&error),
    })?;
    if session.is_json() {
        let text = serde_json::to_string(&report).map_err(|_| Fail::usage("the report is no JSON"))?;
        return session.json(&text);
    }
    if session.is_quiet() {
        return Ok(());
    }
    let text = view(&report, session.human());
    session.terminal.print(&text)?;
    if !is_pinned {
        session.terminal.note("note: checked against the keys in the export itself; give --key to say whom you trust");
    }
    Ok(())
}

fn bundle(session: &mut Session, keys: &[VerifierKey], file: File) -> Result<(), Fail> {
    let report = verify_bundle(BufReader::with_capacity(1 << 20, file), keys).map_err(|error| match error {
        BundleVerifyError::Read(_) => Fail::usage(error.to_string()),
        error => does_not_hold(&error),
    })?;
    if session.is_json() {
        return session.json(&bundle_json(&report).to_string());
    }
    if session.is_quiet() {
        return Ok(());
    }
    let text = bundle_view(&report, session.human());
    session.terminal.print(&format!("a bundle that holds\n\n{text}"))?;
    if keys.is_empty() {
        session.terminal.note("note: checked against the keys in the bundle itself; give --key to say whom you trust");
    }
    Ok(())
}

/// What a bundle that holds is, for machines.
fn bundle_json(report: &BundleReport) -> Value {
    let head = &report.head;
    json!({
        "tenant": head.tenant,
        "slug": head.slug,
        "origin": head.origin(),
        "exporter": head.exporter,
        "exported_at": head.exported_at,
        "is_final": head.is_final,
        "recipient": head.recipient,
        "entries": head.size,
        "records": report.records,
        "ledger_root": data_encoding::BASE64.encode(&report.ledger),
        "bundle": data_encoding::BASE64.encode(&report.root),
        "signers": report.signers,
    })
}

/// The same for people.
pub(super) fn bundle_view(report: &BundleReport, human: Human) -> String {
    let head = &report.head;
    let signers: Vec<_> = report
        .signers
        .iter()
        .map(|signer| format!("{}{}", signer.key, if signer.is_pinned { " (trusted)" } else { "" }))
        .collect();
    let kind = if head.is_final { "for good: suspended where it was" } else { "a backup" };
    fields(&[
        ("tenant", format!("{} ({})", head.slug, head.tenant)),
        ("kind", kind.to_owned()),
        ("origin", head.origin()),
        ("entries", format!("{}: complete, in order, unchanged", count(head.size))),
        ("records", format!("{}, sealed", count(report.records))),
        ("exported", human.moment(head.exported_at)),
        ("sealed to", head.recipient.installation.to_string()),
        ("bundle", data_encoding::BASE64.encode(&report.root)),
        ("signed by", signers.join("\n")),
    ])
}

fn view(report: &Report, human: Human) -> String {
    let erased = if report.erased == 0 { String::new() } else { format!(", {} erased", count(report.erased)) };
    let signers: Vec<_> = report
        .signers
        .iter()
        .map(|signer| format!("{}{}", signer.key, if signer.is_pinned { " (trusted)" } else { "" }))
        .collect();
    let mut lines = vec![
        ("tenant", format!("{} ({})", report.slug, report.tenant)),
        ("origin", report.origin.clone()),
        ("entries", format!("{}{erased}: complete, in order, unchanged", count(report.entries))),
        ("first", human.moment_opt(report.first)),
        ("last", human.moment_opt(report.last)),
        ("exported", human.moment(report.exported_at)),
        ("root", data_encoding::BASE64.encode(&report.root)),
        ("signed by", signers.join("\n")),
    ];
    if let Some(previous) = report.previous {
        lines.push(("continues", format!("the earlier {} entries", count(previous))));
    }
    format!("an export that holds\n\n{}", fields(&lines))
}

fn does_not_hold(error: &dyn std::fmt::Display) -> Fail {
    Fail::new(ErrorClass::Conflict, "does_not_hold", format!("it does not hold: {error}"))
}

#[derive(Deserialize)]
struct CheckpointLine {
    checkpoint: String,
}

/// The checkpoint in a file: the note itself, the API's answer, or an earlier export, whose checkpoint is near its end.
fn previous(path: &Path) -> Result<String, Fail> {
    let failed = |error: std::io::Error| Fail::file(path, &error);
    let mut file = File::open(path).map_err(failed)?;
    match Evidence::read(&mut file).map_err(failed)? {
        Evidence::Checkpoint(note, _) => return Ok(note),
        Evidence::Export => {}
        _ => return Err(no_checkpoint(path)),
    }
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Err(no_checkpoint(path));
        }
        if line.starts_with(b"{\"checkpoint\":") {
            let parsed: CheckpointLine = serde_json::from_slice(&line).map_err(|_| no_checkpoint(path))?;
            return Ok(parsed.checkpoint);
        }
    }
}

fn no_checkpoint(path: &Path) -> Fail {
    Fail::usage(format!("`{}` holds no checkpoint", path.display()))
        .with_hint("give an earlier export, or what `bailiwick ledger checkpoint -o json` printed")
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
