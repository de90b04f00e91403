//! `bailiwick tenant export` and `tenant import`: one tenant as a bundle.
//!
//! An export is checked on this side before it gets its name, and one that was cut off is kept next to it and gone on with.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use bailiwick_client::routes;
use bailiwick_types::api::bundle::{ExportTenant, ImportOutcome, ImportedTenant, InstallationRecipient};
use bailiwick_types::{ErrorClass, Recipient};
use bailiwick_verify::{Unfinished, unfinished, verify_bundle};
use clap::Args;
use data_encoding::BASE64URL_NOPAD;

use super::verify::bundle_view;
use crate::fail::Fail;
use crate::output::{Human, bytes, count, fields};
use crate::session::Session;

/// What a bundle is sent as.
const BUNDLE: &str = "application/vnd.bailiwick.bundle";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bailiwick tenant export --to-recipient bwr_… --file acme.bwk      a backup
  bailiwick tenant export --to-recipient bwr_… --file acme.bwk --at 91000
  bailiwick tenant export --to-recipient bwr_… --file acme.bwk --final
  bailiwick verify acme.bwk

It is for an owner of the tenant: operators cannot export what is in one. The recipient is what `bailiwick platform \
recipient` prints where the bundle is to be imported; have it from somebody whom you trust, for whoever holds its other \
half can read everything.

An export that was cut off is kept as FILE.part, and the same command goes on with it.")]
pub(crate) struct ExportArgs {
    /// The installation that can open it
    #[arg(long, value_name = "RECIPIENT")]
    to_recipient: Recipient,
    /// Where to [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Move the tenant for good: it is suspended here, and its credentials go on there
    #[arg(long = "final")]
    is_final: bool,
    /// The tenant as it was when its ledger had so many entries
    #[arg(long, value_name = "SIZE", conflicts_with = "is_final")]
    at: Option<u64>,
    /// Begin anew, whatever FILE.part holds
    #[arg(long, requires = "file")]
    restart: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bailiwick tenant import --file acme.bwk --dry-run
  bailiwick tenant import --file acme.bwk --key \"$(cat cell-1.vkey)\"

Everything is verified before the first write. An import that was cut off goes on when the same bundle is sent again; \
until it is complete nobody can use the tenant.

A backup comes in with its credentials revoked, and with one new one for an owner. Into an installation that has the \
tenant, only what is gone comes back: suspend the tenant first.")]
pub(crate) struct ImportArgs {
    /// The bundle [default: standard input]
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The key of the installation that made it, as `bailiwick platform recipient` prints it there
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    /// Verify, and say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn recipient(shown: InstallationRecipient, _: Human) -> String {
    fields(&[("recipient", shown.recipient.to_string()), ("installation key", shown.installation_key)])
}

pub(crate) fn export(session: &mut Session, args: &ExportArgs) -> Result<(), Fail> {
    let mut body =
        ExportTenant { recipient: args.to_recipient.clone(), is_final: args.is_final, at: args.at, resume: None };
    if args.is_final {
        session.confirm("Export the tenant for good? It is suspended here, and lives on only where it is imported.")?;
    }
    let Some(path) = &args.file else {
        let mut reader = session.client()?.download(&session.tenant()?.export(&body))?;
        return copy(&mut reader, session.terminal.output(), |_| {});
    };
    let part = part_of(path);
    let mut file = open_part(&part)?;
    if args.restart {
        file.set_len(0).map_err(|error| Fail::file(&part, &error))?;
    }
    let kept = keep(&mut file, &part, args)?;
    if let Some(kept) = &kept {
        body.resume = Some(BASE64URL_NOPAD.encode(&kept.bookmark));
        session.terminal.note(&format!("going on after {}", bytes(kept.keep_bytes)));
    }
    let mut reader = session.client()?.download(&session.tenant()?.export(&body)).map_err(|error| {
        let fail = Fail::from(error);
        if kept.is_some() { fail.with_hint("--restart begins anew") } else { fail }
    })?;
    let before = kept.map_or(0, |kept| kept.keep_bytes);
    let terminal = &mut session.terminal;
    let copied = copy(&mut reader, &mut file, |read| {
        terminal.progress(&format!("exporting  {}", bytes(before.saturating_add(read))));
    });
    terminal.progress("");
    copied?;
    file.sync_all().and_then(|()| file.rewind()).map_err(|error| Fail::file(&part, &error))?;
    let report = verify_bundle(BufReader::with_capacity(1 << 20, &file), &[]).map_err(|error| {
        Fail::new(ErrorClass::Conflict, "does_not_hold", format!("what arrived does not hold: {error}"))
            .with_hint("--restart begins anew")
    })?;
    std::fs::rename(&part, path).map_err(|error| Fail::file(path, &error))?;
    if session.is_quiet() {
        return Ok(());
    }
    let view = bundle_view(&report, session.human());
    session.terminal.note(&format!("exported to {}\n\n{}", path.display(), view.trim_end()));
    Ok(())
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// The file that grows, private from its first byte.
fn open_part(part: &Path) -> Result<File, Fail> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(part).map_err(|error| Fail::file(part, &error))
}

/// Cuts a part back to where it can be gone on from: its last bookmark, or nothing.
fn keep(file: &mut File, part: &Path, args: &ExportArgs) -> Result<Option<Unfinished>, Fail> {
    let failed = |error: std::io::Error| Fail::file(part, &error);
    let length = file.metadata().map_err(failed)?.len();
    let found = if length == 0 {
        None
    } else {
        unfinished(file).map_err(|error| {
            Fail::usage(format!("`{}` is no part of a bundle: {error}", part.display()))
                .with_hint("--restart begins anew and overwrites it")
        })?
    };
    if let Some(found) = &found
        && (found.head.recipient != args.to_recipient || found.head.is_final != args.is_final)
    {
        return Err(Fail::usage(format!(
            "`{}` is of an export to another recipient, or of another kind",
            part.display()
        ))
        .with_hint("--restart begins anew and overwrites it"));
    }
    let length = found.as_ref().map_or(0, |found| found.keep_bytes);
    file.set_len(length).map_err(failed)?;
    file.seek(SeekFrom::Start(length)).map_err(failed)?;
    Ok(found)
}

fn copy(reader: &mut dyn Read, writer: &mut dyn Write, mut progress: impl FnMut(u64)) -> Result<(), Fail> {
    let mut buffer = vec![0; 64 * 1_024];
    let mut all = 0u64;
    loop {
        let read = reader.read(&mut buffer).map_err(|error| {
            Fail::new(ErrorClass::Busy, "interrupted", format!("the export broke off: {error}"))
                .with_hint("the same command goes on with it")
        })?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            return writer.flush().map_err(Fail::output);
        };
        writer.write_all(piece).map_err(Fail::output)?;
        all = all.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        progress(all);
    }
}

pub(crate) fn import(session: &mut Session, args: &ImportArgs) -> Result<(), Fail> {
    let call = routes::import_tenant(args.key.as_deref(), args.dry_run);
    let reply = match &args.file {
        None => {
            let mut bundle = Vec::new();
            session.terminal.input().read_to_end(&mut bundle).map_err(|error| Fail::input(&error))?;
            session.client()?.upload(&call, BUNDLE, &mut bundle.as_slice())?
        }
        Some(path) => {
            let file = File::open(path).map_err(|error| Fail::file(path, &error))?;
            let length = file.metadata().map_err(|error| Fail::file(path, &error))?.len();
            // The client is asked for first: it borrows the session, and the terminal is needed meanwhile.
            session.client()?;
            let (terminal, client) = session.terminal_and_client()?;
            let mut counted = Counted {
                reader: BufReader::with_capacity(1 << 16, file),
                done: 0,
                told: |done: u64| terminal.progress(&sending(done, length)),
            };
            let sent = client.upload(&call, BUNDLE, &mut counted);
            session.terminal.progress("");
            sent.map_err(|error| {
                let fail = Fail::from(error);
                if fail.is_busy() { fail.with_hint("send the same bundle again: the import goes on") } else { fail }
            })?
        }
    };
    if session.is_json() {
        session.json(reply.text())?;
    } else {
        let imported = reply.value()?;
        if session.is_quiet() {
            return match imported.recovery {
                Some(recovery) => session.terminal.line(&recovery.credential),
                None => Ok(()),
            };
        }
        let has_credential = imported.recovery.is_some();
        session.terminal.print(&view(imported))?;
        if has_credential {
            session.shown_once("the recovery credential");
        }
    }
    Ok(())
}

fn sending(done: u64, length: u64) -> String {
    if done >= length {
        return "verifying and writing …".to_owned();
    }
    let percent = u128::from(done).saturating_mul(100).checked_div(u128::from(length)).unwrap_or(100);
    format!("sending  {percent:>3} %  {} of {}", bytes(done), bytes(length))
}

fn view(imported: ImportedTenant) -> String {
    let done = match (imported.outcome, imported.is_dry_run) {
        (ImportOutcome::Created, false) => "imported: it was not here before",
        (ImportOutcome::Created, true) => "would be imported: it is not here yet",
        (ImportOutcome::Restored, false) => "restored: what was gone is back; still suspended",
        (ImportOutcome::Restored, true) => "would be restored: what is gone comes back",
    };
    let mut lines = vec![
        ("tenant", format!("{} ({})", imported.slug, imported.tenant)),
        ("outcome", done.to_owned()),
        ("records written", count(imported.records)),
        ("ledger entries", count(imported.entries)),
        ("credentials revoked", count(imported.credentials_revoked)),
    ];
    if let Some(recovery) = imported.recovery {
        lines.push(("owner", recovery.member.to_string()));
        lines.push(("recovery credential", recovery.credential));
    }
    fields(&lines)
}

/// A reader that tells how far it is.
struct Counted<R, F> {
    reader: R,
    done: u64,
    told: F,
}

impl<R: Read, F: FnMut(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.done = self.done.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        (self.told)(self.done);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_ends_where_the_server_begins() {
        assert_eq!(sending(50, 200), "sending   25 %  50 B of 200 B");
        assert_eq!(sending(200, 200), "verifying and writing …");
        assert_eq!(sending(0, 0), "verifying and writing …");
    }

    #[test]
    fn a_part_lies_next_to_what_it_becomes() {
        assert_eq!(part_of(Path::new("dir/acme.bwk")), Path::new("dir/acme.bwk.part"));
    }
}
