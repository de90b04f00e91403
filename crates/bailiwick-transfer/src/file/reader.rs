//! Reads a backup, and believes nothing that was not checked: each frame's hash before it is parsed, the order of
//! everything, each tenant's records against its counts, its entries against its tree, and the end against the whole.
//!
//! What a sink is told before the end was reached may be of a file that is cut off later. So nothing is restored from a file
//! that was not read to its end once before; see `restore.rs`.

use std::collections::HashSet;
use std::io::{ErrorKind, Read};

use bailiwick_ledger::{CompactRange, Hash};
use bailiwick_store::{Counts, Header, Record, Space, StoredEntry};
use bailiwick_types::TenantId;
use data_encoding::HEXLOWER;

use super::format::{self, Intro, Kind, Manifest, TenantSummary, VERSION};
use crate::error::named;
use crate::progress::length;
use crate::{Progress, Sink, Totals, TransferError};

/// What a backup turned out to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// All of it.
    pub manifest: Manifest,
    /// Each tenant, the platform last.
    pub tenants: Vec<TenantSummary>,
    /// The ids, in the same order.
    pub ids: Vec<TenantId>,
    /// The platform's header: the installation itself.
    pub platform: Header,
}

fn invalid(what: impl Into<String>) -> TransferError {
    TransferError::File(what.into())
}

/// Reads a backup to its end, and tells a sink every tenant.
///
/// # Errors
/// [`TransferError::File`] if it is none, is of another version, was cut off or changed; whatever the sink says.
pub async fn read(
    source: &mut (dyn Read + Send),
    sink: &mut dyn Sink,
    progress: &Progress,
) -> Result<Contents, TransferError> {
    let mut frames = Frames::begin(source)?;
    let Some((Kind::Intro, payload)) = frames.next()? else { return Err(invalid("the backup has no beginning")) };
    let intro: Intro = format::read_json(&payload)?;
    let (mut seen, mut tenants, mut ids) = (Seen::default(), Vec::new(), Vec::new());
    let (mut totals, mut platform) = (Totals::default(), None);
    loop {
        match frames.next()? {
            Some((Kind::Tenant, payload)) => {
                let (tenant, slug) = format::read_tenant(&payload)?;
                seen.admit(tenant, &slug)?;
                sink.begin(tenant, &slug).await?;
                let (header, done) = one(&mut frames, tenant, &slug, sink).await?;
                progress.add(done);
                totals = sum(totals, done);
                tenants.push(summary_of(&header, done));
                ids.push(tenant);
                platform = tenant.is_platform().then_some(header);
                // So that whoever shows the progress gets a turn: nothing here ever waits.
                tokio::task::yield_now().await;
            }
            Some((Kind::End, payload)) => {
                let said: Totals = format::read_json(&payload)?;
                if said != totals {
                    return Err(invalid("the backup does not hold what it says at its end"));
                }
                break;
            }
            Some(_) => return Err(invalid("the frames of the backup are out of order")),
            None => return Err(cut_off()),
        }
    }
    if frames.next()?.is_some() {
        return Err(invalid("the backup goes on after its end"));
    }
    let platform = platform.ok_or_else(|| invalid("the backup has no platform"))?;
    let manifest = Manifest { format: VERSION, intro, totals, sha256: HEXLOWER.encode(&frames.link) };
    Ok(Contents { manifest, tenants, ids, platform })
}

fn sum(one: Totals, other: Totals) -> Totals {
    Totals {
        tenants: one.tenants.saturating_add(other.tenants),
        records: one.records.saturating_add(other.records),
        entries: one.entries.saturating_add(other.entries),
        bytes: one.bytes.saturating_add(other.bytes),
    }
}

/// Which tenants there were: each once, in order, the platform last.
#[derive(Default)]
struct Seen {
    ids: HashSet<TenantId>,
    last: Option<String>,
    has_platform: bool,
}

impl Seen {
    fn admit(&mut self, tenant: TenantId, slug: &str) -> Result<(), TransferError> {
        let is_in_order = tenant.is_platform() || self.last.as_deref().is_none_or(|last| last < slug);
        if self.has_platform || !is_in_order || !self.ids.insert(tenant) {
            return Err(invalid("the tenants of the backup are out of order"));
        }
        self.has_platform = tenant.is_platform();
        self.last = Some(slug.to_owned());
        Ok(())
    }
}

/// A tenant, after its first frame.
async fn one(
    frames: &mut Frames<'_>,
    tenant: TenantId,
    slug: &str,
    sink: &mut dyn Sink,
) -> Result<(Header, Totals), TransferError> {
    let mut tally = Tally::default();
    let header = loop {
        match frames.next()? {
            Some((Kind::Records, payload)) => {
                let (space, records) = format::read_records(&payload)?;
                tally.records(space, &records)?;
                sink.records(space, records).await?;
            }
            Some((Kind::Entries, payload)) => {
                let entries = format::read_entries(&payload)?;
                tally.entries(&entries)?;
                sink.entries(entries).await?;
            }
            Some((Kind::Header, payload)) => break format::read_header(&payload, tenant, slug)?,
            Some(_) => return Err(invalid("the frames of the backup are out of order")),
            None => return Err(cut_off()),
        }
    };
    tally.check(&header)?;
    sink.finish(&header).await?;
    Ok((header, Totals { tenants: 1, ..tally.done }))
}

fn summary_of(header: &Header, done: Totals) -> TenantSummary {
    TenantSummary {
        tenant: if header.tenant.is_platform() { "platform".to_owned() } else { header.tenant.to_string() },
        slug: header.slug.clone(),
        state: header.state,
        records: done.records,
        entries: done.entries,
        root: HEXLOWER.encode(&header.ledger.root()),
    }
}

/// What was told of a tenant so far.
#[derive(Default)]
struct Tally {
    counts: Counts,
    tree: CompactRange,
    last: Option<(Space, Vec<u8>)>,
    done: Totals,
}

impl Tally {
    fn records(&mut self, space: Space, records: &[(Vec<u8>, Record)]) -> Result<(), TransferError> {
        for (key, record) in records {
            let place = (space, key.clone());
            if self.tree.size() > 0 || self.last.as_ref().is_some_and(|last| *last >= place) {
                return Err(invalid("the records of the backup are out of order"));
            }
            self.last = Some(place);
            self.counts.add(space);
            self.done.records += 1;
            self.done.bytes += length(record.sealed.len());
        }
        Ok(())
    }

    fn entries(&mut self, entries: &[StoredEntry]) -> Result<(), TransferError> {
        for entry in entries {
            if entry.index != self.tree.size() {
                return Err(invalid("the entries of the backup are out of order"));
            }
            self.tree.append(entry.leaf, |_, _, _| {});
            self.done.entries += 1;
            self.done.bytes += length(entry.sealed.len());
        }
        Ok(())
    }

    fn check(&self, header: &Header) -> Result<(), TransferError> {
        let who = named(header.tenant, &header.slug);
        if self.counts != header.counts {
            return Err(invalid(format!("{who} does not have as many records in the backup as it says")));
        }
        if self.tree != header.ledger {
            return Err(invalid(format!("{who}: the entries in the backup are not the leaves of its ledger's tree")));
        }
        Ok(())
    }
}

fn cut_off() -> TransferError {
    invalid("the backup is cut off")
}

/// The frames of a file, each checked before it is handed out.
struct Frames<'a> {
    source: &'a mut (dyn Read + Send),
    link: Hash,
    offset: u64,
}

impl<'a> Frames<'a> {
    fn begin(source: &'a mut (dyn Read + Send)) -> Result<Self, TransferError> {
        let mut magic = [0; format::MAGIC.len()];
        let mut version = [0; 4];
        if !fill(source, &mut magic)? || magic != format::MAGIC || !fill(source, &mut version)? {
            return Err(invalid("the file is no backup of an installation"));
        }
        match u32::from_be_bytes(version) {
            VERSION => Ok(Self { source, link: format::first_link(), offset: length(magic.len() + version.len()) }),
            newer => Err(invalid(format!("the backup has format {newer}, this release knows {VERSION}"))),
        }
    }

    /// The next frame; none at the end of the file.
    fn next(&mut self) -> Result<Option<(Kind, Vec<u8>)>, TransferError> {
        let mut kind = [0];
        if !fill(self.source, &mut kind)? {
            return Ok(None);
        }
        let damaged = |at: u64| invalid(format!("the backup is damaged or was changed: the frame at byte {at}"));
        let (mut size, mut hash) = ([0; 4], Hash::default());
        if !fill(self.source, &mut size)? {
            return Err(cut_off());
        }
        let size = u32::from_be_bytes(size);
        if size > format::PAYLOAD_MAX {
            return Err(damaged(self.offset));
        }
        // Grows with what is there, not with what the length promises.
        let mut payload = Vec::new();
        let read = self.source.take(size.into()).read_to_end(&mut payload)?;
        if length(read) < u64::from(size) || !fill(self.source, &mut hash)? {
            return Err(cut_off());
        }
        let [kind] = kind;
        let link = format::link(&self.link, kind, size, &payload);
        if link != hash {
            return Err(damaged(self.offset));
        }
        self.link = link;
        self.offset = self.offset.saturating_add(37).saturating_add(size.into());
        let kind = Kind::from_number(kind).ok_or_else(|| invalid("the backup has a frame of an unknown kind"))?;
        Ok(Some((kind, payload)))
    }
}

/// Reads all of it; `false` at the end of the file.
fn fill(source: &mut (dyn Read + Send), into: &mut [u8]) -> Result<bool, TransferError> {
    match source.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.into()),
    }
}
