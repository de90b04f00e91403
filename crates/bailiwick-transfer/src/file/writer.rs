//! Makes a backup.

use std::io::{self, Write};
use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_ledger::Hash;
use bailiwick_store::{Header, Record, Space, Store, StoredEntry};
use bailiwick_types::TenantId;
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::codec::Encoder;
use super::format::{self, Intro, Kind, Manifest, VERSION};
use crate::progress::length;
use crate::read::{self, Tenants};
use crate::{Phase, Progress, Sink, TransferError};

/// About the most bytes of one frame.
const FRAME_BYTES: usize = 1 << 20;

/// Where a backup is written to: what was written last can be taken back.
pub trait Medium: Write + Send {
    /// Ends after so many bytes again.
    ///
    /// # Errors
    /// As the file system says.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Medium for Vec<u8> {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }
}

/// What was written.
pub type Written = Manifest;

/// Writes a whole installation. The store may be in use meanwhile.
///
/// # Errors
/// Whatever failed; what was written is then of no use.
pub async fn back_up(
    from: &Arc<dyn Store>,
    medium: &mut dyn Medium,
    intro: Intro,
    progress: &Progress,
) -> Result<Written, TransferError> {
    let before = read::platform(from.as_ref()).await?;
    progress.start(Phase::Reading, read::count(from.as_ref()).await.map_err(TransferError::Source)?);
    let mut writer = Writer::begin(medium, &intro)?;
    let mut listed = Tenants::of(from.as_ref());
    loop {
        let page = listed.page().await.map_err(TransferError::Source)?;
        if page.is_empty() {
            break;
        }
        for header in page {
            read::tenant(from, header.tenant, &mut writer, progress).await?;
        }
    }
    let after = read::tenant(from, TenantId::PLATFORM, &mut writer, progress).await?;
    crate::copy::keys_stand(&before, &after)?;
    let totals = progress.totals();
    writer.json(Kind::End, &totals)?;
    writer.medium.flush()?;
    Ok(Manifest { format: VERSION, intro, totals, sha256: HEXLOWER.encode(&writer.link) })
}

struct Writer<'a> {
    medium: &'a mut dyn Medium,
    length: u64,
    link: Hash,
    /// Where the records of the running tenant began.
    mark: (u64, Hash),
}

impl<'a> Writer<'a> {
    fn begin(medium: &'a mut dyn Medium, intro: &Intro) -> Result<Self, TransferError> {
        let prelude = format::prelude();
        medium.write_all(&prelude)?;
        let (length, link) = (length(prelude.len()), format::first_link());
        let mut writer = Self { medium, length, link, mark: (length, link) };
        writer.json(Kind::Intro, intro)?;
        Ok(writer)
    }

    fn json(&mut self, kind: Kind, value: &impl Serialize) -> Result<(), TransferError> {
        let bytes = serde_json::to_vec(value).map_err(|error| TransferError::Stopped(error.to_string()))?;
        self.frame(kind, &bytes)
    }

    fn frame(&mut self, kind: Kind, payload: &[u8]) -> Result<(), TransferError> {
        let size = u32::try_from(payload.len()).ok().filter(|size| *size <= format::PAYLOAD_MAX);
        let size = size.ok_or_else(|| TransferError::File("a record is too large for a backup".to_owned()))?;
        self.link = format::link(&self.link, kind as u8, size, payload);
        let mut head = vec![kind as u8];
        head.extend_from_slice(&size.to_be_bytes());
        for bytes in [head.as_slice(), payload, &self.link] {
            self.medium.write_all(bytes)?;
            self.length = self.length.saturating_add(length(bytes.len()));
        }
        Ok(())
    }

    /// Items into as many frames as they need, each of which begins with its `head`.
    fn frames<T>(
        &mut self,
        kind: Kind,
        items: &[T],
        head: impl Fn(&mut Encoder, &T),
        item: impl Fn(&mut Encoder, &T),
    ) -> Result<(), TransferError> {
        let mut frame: Option<Encoder> = None;
        for next in items {
            let into = frame.get_or_insert_with(|| {
                let mut begun = Encoder::default();
                head(&mut begun, next);
                begun
            });
            item(into, next);
            if into.len() >= FRAME_BYTES
                && let Some(full) = frame.take()
            {
                self.frame(kind, &full.into_bytes())?;
            }
        }
        match frame {
            Some(rest) => self.frame(kind, &rest.into_bytes()),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Sink for Writer<'_> {
    async fn begin(&mut self, tenant: TenantId, slug: &str) -> Result<(), TransferError> {
        self.frame(Kind::Tenant, &format::tenant_frame(tenant, slug))?;
        self.mark = (self.length, self.link);
        Ok(())
    }

    async fn again(&mut self) -> Result<(), TransferError> {
        (self.length, self.link) = self.mark;
        Ok(self.medium.cut(self.length)?)
    }

    async fn records(&mut self, space: Space, records: Vec<(Vec<u8>, Record)>) -> Result<(), TransferError> {
        let head = |out: &mut Encoder, _: &(Vec<u8>, Record)| {
            out.byte(space.number());
        };
        self.frames(Kind::Records, &records, head, |out, (key, record)| format::record(out, key, record))
    }

    async fn entries(&mut self, entries: Vec<StoredEntry>) -> Result<(), TransferError> {
        let head = |out: &mut Encoder, first: &StoredEntry| {
            out.number(first.index);
        };
        self.frames(Kind::Entries, &entries, head, format::entry)
    }

    async fn finish(&mut self, header: &Header) -> Result<(), TransferError> {
        self.frame(Kind::Header, &format::header_frame(header))
    }
}
