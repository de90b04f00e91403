//! Exporting: the tenant's own act, streamed.
//!
//! What is exported is one state: that of the ledger's size when the export began, or of an earlier one. A store that keeps
//! the past is asked for that state, whatever the tenant writes meanwhile. With one that does not, the export looks at the
//! entries that came while it read, and breaks off if one of them changed anything. Credentials are exported as they are
//! now in any case: what was revoked is never exported as good. The epochs are looked at before each piece, as with a
//! ledger's export: whoever loses the right loses it now.

use std::sync::Arc;

use bailiwick_ledger::bundle::{BundleFacts, BundleHead, BundleWriter, EntryItem, RecordItem};
use bailiwick_ledger::checkpoint::Checkpoint;
use bailiwick_ledger::entry::Entry;
use bailiwick_ledger::note::{NoteSigner, VerifierKey};
use bailiwick_store::{Header, Record, Space};
use bailiwick_types::action::act;
use bailiwick_types::api::bundle::ExportTenant;
use bailiwick_types::{ActionType as _, Code, Recipient, TenantId, Timestamp};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::at::{SecretsAt, changes};
use super::{TenantNote, spaces};
use crate::app::{App, UseCase};
use crate::error::AppError;
use crate::gate::Pass;
use crate::ledger::{origin, tampered};
use crate::records::{MovedMark, Stored, TenantMeta};
use crate::snapshot::Snapshot;
use crate::state::Phase;
use crate::tx::{Answer, Reply, TenantTx};

/// About how large a frame is: records and entries are collected up to here.
const FRAME_BYTES: usize = 256 << 10;
/// How many records or entries are read at a time.
pub(super) const STEP: usize = 256;
/// After how many frames there is a bookmark.
const BOOKMARK_FRAMES: u64 = 16;

/// Allows an export of the tenant that asks.
pub struct BundleExport {
    /// Of what kind, and to whom.
    pub input: ExportTenant,
}

/// An export that may be made: [`App::export_bundle`] does.
pub struct BundlePlan {
    snapshot: Arc<Snapshot>,
    /// The epoch that the export holds under: after its own commit.
    epoch: u64,
    principal: String,
    recipient: Recipient,
    is_final: bool,
    at: Option<u64>,
    bookmark: Option<Bookmark>,
}

impl Reply for BundlePlan {
    fn remembered(&self) -> Option<String> {
        None
    }
    fn recalled(_: &str) -> Option<Self> {
        None
    }
}

/// Where an export goes on: what its head said, and the writer's books. Authenticated with the tenant's cursors key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bookmark {
    size: u64,
    exported_at: Timestamp,
    is_final: bool,
    recipient: Recipient,
    keys: Vec<VerifierKey>,
    /// In base64.
    state: String,
}

/// What a bookmark's MAC is over. No action has this name and pages, so no cursor is a bookmark.
fn bookmark_message(principal: &str, bookmark: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    for part in [act::BundleExport::ACTION.as_str().as_bytes(), principal.as_bytes(), b"bookmark", bookmark] {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part);
    }
    message
}

impl TenantTx<'_> {
    fn read_bookmark(&self, text: &str) -> Result<Bookmark, AppError> {
        let bad = || {
            AppError::invalid(
                "`resume` must be the last bookmark of a bundle that this tenant's same principal exported",
            )
        };
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| bad())?;
        let (mac, body) = bytes.split_first_chunk::<32>().ok_or_else(bad)?;
        if !self.snapshot.keyring()?.check_cursor(&bookmark_message(&self.principal().id, body), mac) {
            return Err(bad());
        }
        serde_json::from_slice(body).map_err(|_| bad())
    }
}

impl UseCase for BundleExport {
    type Action = act::BundleExport;
    type Reply = BundlePlan;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<BundlePlan>, AppError> {
        let permit = tx.authorize::<act::BundleExport>(&tx.tenant_resource()).await?;
        let ExportTenant { recipient, is_final, at, resume } = &self.input;
        tx.note("recipient", recipient.to_string());
        tx.note("final", is_final.to_string());
        if let Some(at) = at {
            tx.note("at_size", at.to_string());
            if *is_final {
                return Err(AppError::invalid("a tenant moves as it is: `at` and `is_final` exclude each other"));
            }
            let size = tx.ledger_header().await?.ledger.size();
            if *at == 0 || *at > size {
                return Err(AppError::invalid(format!("`at` must be between 1 and the ledger's size, {size}")));
            }
        }
        let bookmark = resume.as_deref().map(|text| tx.read_bookmark(text)).transpose()?;
        if let Some(bookmark) = &bookmark {
            tx.note("resumed_at_size", bookmark.size.to_string());
            if bookmark.recipient != *recipient
                || bookmark.is_final != *is_final
                || at.is_some_and(|at| at != bookmark.size)
            {
                return Err(AppError::invalid("`resume` is of an export to another recipient, or of another kind"));
            }
        }
        let mut epoch = tx.snapshot.epoch;
        match &tx.snapshot.moved {
            Some(moved) if moved.to != *recipient || !is_final => {
                return Err(AppError::with_detail(
                    Code::WrongState,
                    "the tenant was exported for good; it can be exported again the same way and to the same recipient only",
                ));
            }
            None if *is_final => {
                let header = tx.ledger_header().await?;
                let mut meta = TenantMeta::from_bytes(&header.meta)?;
                meta.moved = Some(MovedMark { to: recipient.clone(), at: tx.now() });
                let bytes = meta.to_bytes()?;
                let state = tx.snapshot.state.in_phase(Phase::Suspended).number();
                tx.change_header(|change| {
                    change.meta = Some((header.meta_version, bytes));
                    change.state = Some(state);
                });
                tx.bump_epoch();
                epoch = epoch.saturating_add(1);
            }
            _ => {}
        }
        tx.tell_platform();
        let plan = BundlePlan {
            snapshot: Arc::clone(&tx.snapshot),
            epoch,
            principal: tx.principal().id.clone(),
            recipient: recipient.clone(),
            is_final: *is_final,
            at: *at,
            bookmark,
        };
        tx.commit(permit, plan).await
    }
}

/// A running export. Ask for pieces until there is none.
pub struct BundleStream {
    app: Arc<App>,
    plan: BundlePlan,
    size: u64,
    keys: Vec<VerifierKey>,
    exported_at: Timestamp,
    writer: Option<BundleWriter>,
    pending: Option<Vec<u8>>,
    /// Spaces that are not finished, the next one last.
    spaces: Vec<Space>,
    after: Option<Vec<u8>>,
    frames: u64,
    /// Whether the store knows what the records were at the size.
    has_past: bool,
    /// Which versions secrets had, while their values are read.
    metadata: Option<SecretsAt>,
    /// Whether the records that were read are known to be of one state.
    is_compared: bool,
    /// An export is in flight until it ends.
    _place: Option<Pass>,
}

fn refused(error: impl std::fmt::Display) -> AppError {
    AppError::internal(format_args!("a bundle that would not hold: {error}"))
}

impl App {
    /// Begins an export that was allowed, or goes on with one.
    ///
    /// # Errors
    /// [`Code::InvalidRequest`] for a bookmark that cannot be gone on from, [`Code::StorageUnavailable`] and
    /// [`Code::Internal`].
    pub async fn export_bundle(self: &Arc<Self>, allowed: Answer<BundlePlan>) -> Result<BundleStream, AppError> {
        let (mut plan, place) = allowed.into_parts();
        let bookmark = plan.bookmark.take();
        let snapshot = Arc::clone(&plan.snapshot);
        let header = self.store.header(snapshot.tenant).await?.ok_or_else(AppError::not_found)?;
        let keys = self.ledger_keys(&snapshot)?;
        let mut spaces: Vec<Space> = spaces(plan.is_final).collect();
        spaces.reverse();
        let mut stream = BundleStream {
            app: Arc::clone(self),
            size: plan.at.unwrap_or(header.ledger.size()),
            exported_at: self.now(),
            keys,
            writer: None,
            pending: None,
            spaces,
            after: None,
            frames: 0,
            has_past: false,
            metadata: None,
            is_compared: false,
            _place: place,
            plan,
        };
        match bookmark {
            None => stream.begin(&header)?,
            Some(bookmark) => stream.go_on(bookmark)?,
        }
        stream.look_back().await?;
        Ok(stream)
    }
}

impl BundleStream {
    fn facts(&self) -> Result<BundleFacts, AppError> {
        let snapshot = &self.plan.snapshot;
        Ok(BundleFacts {
            tenant: snapshot.tenant,
            slug: snapshot.slug.parse().map_err(AppError::internal)?,
            home: snapshot.installation,
            exporter: self.app.unsealed()?.record.installation(),
            size: self.size,
            exported_at: self.exported_at,
            is_final: self.plan.is_final,
            recipient: self.plan.recipient.clone(),
            keys: self.keys.clone(),
        })
    }

    /// Finds out whether the state at the size is known to the store.
    async fn look_back(&mut self) -> Result<(), AppError> {
        let from = self.app.store.past_from(self.plan.snapshot.tenant).await?;
        self.has_past = from.is_some_and(|from| from <= self.size);
        if !self.has_past && self.plan.at.is_some() {
            let known = from.map_or("only the present is".to_owned(), |from| format!("it is from {from} on"));
            return Err(AppError::with_detail(Code::WrongState, format!("what was then is not known; {known}")));
        }
        Ok(())
    }

    /// Some records of a space as they were, or as they are.
    pub(super) async fn read(&self, space: Space, after: Option<&[u8]>) -> Result<Vec<(Vec<u8>, Record)>, AppError> {
        let (store, tenant) = (&self.app.store, self.plan.snapshot.tenant);
        Ok(if self.has_past && space.keeps_past() {
            store.records_at(tenant, space, self.size, after, STEP).await?
        } else {
            store.records(tenant, space, b"", after, STEP).await?
        })
    }

    /// A record of the tenant, opened.
    pub(super) fn open<R: Stored>(&self, key: &[u8], record: &Record) -> Result<R, AppError> {
        self.plan.snapshot.open(key, record.version, &record.sealed)
    }

    /// Whether a record belongs to the state that is exported. Values are never changed, so of them only which there were
    /// has to be known.
    async fn belongs(&mut self, space: Space, key: &[u8]) -> Result<bool, AppError> {
        if !self.has_past || space != Space::SecretVersion {
            return Ok(true);
        }
        let mut metadata = self.metadata.take().unwrap_or_default();
        let belongs = metadata.has(self, key).await;
        self.metadata = Some(metadata);
        belongs
    }

    /// The head, with the tenant's keys sealed to the recipient.
    fn begin(&mut self, header: &Header) -> Result<(), AppError> {
        let unsealed = self.app.unsealed()?;
        let meta = TenantMeta::from_bytes(&header.meta)?;
        let keyring = meta.keyring.as_ref().ok_or_else(|| AppError::internal("a tenant has no keys"))?;
        let head = BundleHead::new(self.facts()?);
        let note = TenantNote { name: meta.name.clone(), created: meta.created };
        let note = serde_json::to_vec(&note).map_err(AppError::internal)?;
        let (root, home) = (unsealed.root_of(keyring)?, head.home);
        let sealed = keyring
            .seal_to(root, home, head.tenant, &head.recipient, &head.bound(), &note)
            .map_err(|_| AppError::invalid("`recipient` holds no usable key"))?;
        let head = head.with_keys(&sealed.encapsulated, &sealed.sealed);
        let (writer, bytes) = BundleWriter::new(head).map_err(refused)?;
        self.writer = Some(writer);
        self.pending = Some(bytes);
        Ok(())
    }

    fn go_on(&mut self, bookmark: Bookmark) -> Result<(), AppError> {
        let gone = |why: &str| AppError::with_detail(Code::WrongState, format!("{why}; begin the export anew"));
        if bookmark.keys != self.keys {
            return Err(gone("the keys that sign were rotated since the bundle was begun"));
        }
        self.size = bookmark.size;
        self.exported_at = bookmark.exported_at;
        let state = data_encoding::BASE64.decode(bookmark.state.as_bytes()).map_err(AppError::internal)?;
        // The head itself has gone out already, and is in the state by its hash.
        let head = BundleHead::new(self.facts()?).with_keys(b"sent", b"sent");
        let writer = BundleWriter::resume(head, &state).map_err(refused)?;
        match writer.last_record() {
            Some((number, key)) => {
                self.spaces.retain(|space| space.number() >= number);
                self.after = Some(key.to_vec());
            }
            None => self.after = None,
        }
        if writer.ledger().size() > 0 {
            // All records went out, and were those of one state.
            self.spaces.clear();
            self.is_compared = true;
        }
        self.writer = Some(writer);
        Ok(())
    }

    /// The next piece of the file, or `None` at its end.
    ///
    /// # Errors
    /// [`Code::PermissionDenied`] if something was revoked meanwhile, [`Code::Contention`] if the tenant was changed; the
    /// stream must be broken off, not ended.
    pub async fn next_piece(&mut self) -> Result<Option<Vec<u8>>, AppError> {
        let turn = self.app.turn_for_piece(self.plan.snapshot.tenant).await?;
        let piece = self.make_piece().await?;
        drop(turn);
        self.check_standing().await?;
        Ok(piece)
    }

    async fn check_standing(&self) -> Result<(), AppError> {
        let snapshot = &self.plan.snapshot;
        let epoch_of = async |tenant| {
            let header = self.app.store.header(tenant).await?;
            Ok::<_, AppError>(header.map(|header| header.epoch))
        };
        let mut holds = epoch_of(snapshot.tenant).await? == Some(self.plan.epoch);
        holds &= epoch_of(TenantId::PLATFORM).await? == Some(snapshot.platform_epoch);
        if holds && self.app.is_unsealed() { Ok(()) } else { Err(AppError::new(Code::PermissionDenied)) }
    }

    async fn make_piece(&mut self) -> Result<Option<Vec<u8>>, AppError> {
        if let Some(first) = self.pending.take() {
            return Ok(Some(first));
        }
        let Some(mut writer) = self.writer.take() else { return Ok(None) };
        if self.frames > 0 && self.frames.is_multiple_of(BOOKMARK_FRAMES) {
            self.frames = 0;
            let bytes = self.bookmark(&mut writer)?;
            self.writer = Some(writer);
            return Ok(Some(bytes));
        }
        let records = self.next_records(&mut writer).await?;
        if records.is_none() && !self.is_compared {
            if !self.has_past {
                self.compare().await?;
            }
            self.is_compared = true;
        }
        let bytes = match records {
            Some(bytes) => bytes,
            None if writer.ledger().size() < self.size => self.next_entries(&mut writer).await?,
            None => return self.finish(writer).await.map(Some),
        };
        self.frames = self.frames.saturating_add(1);
        self.writer = Some(writer);
        Ok(Some(bytes))
    }

    fn bookmark(&self, writer: &mut BundleWriter) -> Result<Vec<u8>, AppError> {
        // The state is that after the bookmark itself, which can only be known without it: so it is taken before, and the
        // frame of the bookmark is dropped from a file that is gone on with.
        let bookmark = Bookmark {
            size: self.size,
            exported_at: self.exported_at,
            is_final: self.plan.is_final,
            recipient: self.plan.recipient.clone(),
            keys: self.keys.clone(),
            state: data_encoding::BASE64.encode(&writer.state()),
        };
        let body = serde_json::to_vec(&bookmark).map_err(AppError::internal)?;
        let mac = self.plan.snapshot.keyring()?.cursor_mac(&bookmark_message(&self.plan.principal, &body));
        writer.bookmark(&[mac.as_slice(), &body].concat()).map_err(refused)
    }

    async fn next_records(&mut self, writer: &mut BundleWriter) -> Result<Option<Vec<u8>>, AppError> {
        while let Some(space) = self.spaces.last().copied() {
            let mut batch: Vec<(Vec<u8>, Record)> = Vec::new();
            let mut bytes = 0;
            let mut is_last = false;
            let mut last: Option<Vec<u8>> = None;
            while bytes < FRAME_BYTES && !is_last {
                let page = self.read(space, last.as_deref().or(self.after.as_deref())).await?;
                is_last = page.len() < STEP;
                for (key, record) in page {
                    if bytes >= FRAME_BYTES {
                        // Read again for the next frame: a page of large records would not fit into one.
                        is_last = false;
                        break;
                    }
                    last = Some(key.clone());
                    if self.belongs(space, &key).await? {
                        bytes += key.len() + record.sealed.len();
                        batch.push((key, record));
                    }
                }
            }
            if is_last {
                self.spaces.pop();
                self.after = None;
            } else {
                self.after = last;
            }
            if batch.is_empty() {
                continue;
            }
            let items: Vec<RecordItem<'_>> = batch
                .iter()
                .map(|(key, record)| RecordItem { key, version: record.version, sealed: &record.sealed })
                .collect();
            return writer.records(space.number(), &items).map(Some).map_err(refused);
        }
        Ok(None)
    }

    async fn next_entries(&mut self, writer: &mut BundleWriter) -> Result<Vec<u8>, AppError> {
        let first = writer.ledger().size();
        let left = usize::try_from(self.size.saturating_sub(first)).unwrap_or(usize::MAX);
        let entries = self.app.store.entries(self.plan.snapshot.tenant, first, STEP.min(left)).await?;
        let mut bytes = 0;
        let mut items = Vec::with_capacity(entries.len());
        for entry in &entries {
            bytes += 36 + entry.sealed.len();
            if !items.is_empty() && bytes > FRAME_BYTES {
                break;
            }
            items.push(EntryItem { leaf: entry.leaf, sealed: &entry.sealed });
        }
        if items.is_empty() {
            return Err(AppError::internal("the ledger has a gap"));
        }
        writer.entries(first, &items).map_err(refused)
    }

    async fn finish(&mut self, writer: BundleWriter) -> Result<Vec<u8>, AppError> {
        let snapshot = &self.plan.snapshot;
        let header = self.app.store.header(snapshot.tenant).await?.ok_or_else(AppError::not_found)?;
        if writer.ledger().size() > header.ledger.size()
            || self.app.root_at(header.tenant, &header.ledger, writer.ledger().size()).await? != writer.ledger().root()
        {
            return Err(tampered("the bundle is of other entries"));
        }
        let origin = origin(snapshot);
        let unsealed = self.app.unsealed()?;
        let own = snapshot.keyring()?.ledger_signer(&origin)?;
        let signers: [&dyn NoteSigner; 2] = [&own, &unsealed.signer];
        let ledger = writer.ledger();
        let checkpoint = Checkpoint { origin, size: ledger.size(), root: ledger.root() };
        let note = checkpoint.sign(&signers).map_err(AppError::internal)?;
        writer.finish(&note, &signers).map_err(refused)
    }

    /// None of the entries that came since the export began changed a record.
    async fn compare(&self) -> Result<(), AppError> {
        let snapshot = &self.plan.snapshot;
        let mut next = self.size;
        loop {
            let entries = self.app.store.entries(snapshot.tenant, next, STEP).await?;
            if entries.is_empty() {
                return Ok(());
            }
            for stored in &entries {
                let canonical = App::open_entry(snapshot, stored)?.ok_or_else(AppError::not_found)?;
                if changes(&Entry::parse(&canonical).map_err(AppError::internal)?) {
                    return Err(AppError::with_detail(
                        Code::Contention,
                        "the tenant was changed while its records were read; begin the export anew",
                    ));
                }
                next = stored.index.saturating_add(1);
            }
        }
    }
}
