//! Exports: the whole ledger of a plane, streamed.
//!
//! An export is long, and its admission is over when it begins. So the epochs are looked at again each time that a piece
//! is made and not yet handed out: once a revocation is acknowledged the stream ends, without its seal, and whoever
//! verifies it is told that it is cut off.

use std::sync::Arc;

use bailiwick_ledger::checkpoint::Checkpoint;
use bailiwick_ledger::entry::Entry;
use bailiwick_ledger::export::{ExportHeader, ExportWriter};
use bailiwick_ledger::note::NoteSigner;
use bailiwick_ledger::{CompactRange, ocsf};
use bailiwick_types::{Code, ErrorClass, TenantId};

use crate::app::App;
use crate::error::AppError;
use crate::gate::Pass;
use crate::ledger::{ExportFormat, ExportPlan, origin, tampered};
use crate::tx::Answer;

/// A running export. Ask for pieces until there is none.
pub struct Export {
    app: Arc<App>,
    plan: ExportPlan,
    /// The ledger's edge when the export began.
    ledger: CompactRange,
    /// The tree of what was handed out so far.
    read: CompactRange,
    next: u64,
    writer: Option<ExportWriter>,
    pending: Option<Vec<u8>>,
    is_done: bool,
    /// An export is in flight until it ends.
    _place: Option<Pass>,
}

const STEP: usize = 500;

impl App {
    /// Begins an export that was allowed. The answer shows that its entry is durable, so the export holds that too.
    ///
    /// # Errors
    /// [`Code::StorageUnavailable`] and [`Code::Internal`].
    pub async fn export(self: &Arc<Self>, allowed: Answer<ExportPlan>) -> Result<Export, AppError> {
        let (plan, place) = allowed.into_parts();
        let snapshot = &plan.snapshot;
        let header = self.store.header(snapshot.tenant).await?.ok_or_else(AppError::not_found)?;
        let (writer, pending) = match plan.format {
            ExportFormat::Bailiwick => {
                let first = ExportHeader {
                    origin: origin(snapshot),
                    tenant: crate::tx::tenant_name(snapshot.tenant),
                    slug: snapshot.slug.clone(),
                    size: header.ledger.size(),
                    exported_at: self.now(),
                    keys: self.ledger_keys(snapshot)?,
                };
                let (writer, line) = ExportWriter::new(first);
                (Some(writer), Some(line))
            }
            ExportFormat::JsonLines | ExportFormat::Ocsf => (None, None),
        };
        Ok(Export {
            app: Arc::clone(self),
            plan,
            ledger: header.ledger,
            read: CompactRange::new(),
            next: 0,
            writer,
            pending,
            is_done: false,
            _place: place,
        })
    }
}

impl Export {
    /// The next piece of the file, or `None` at its end.
    ///
    /// # Errors
    /// [`Code::PermissionDenied`] if something was revoked meanwhile; the stream must be broken off, not ended.
    pub async fn next_piece(&mut self) -> Result<Option<Vec<u8>>, AppError> {
        let turn = self.app.turn_for_piece(self.plan.snapshot.tenant).await?;
        let piece = self.make_piece().await?;
        drop(turn);
        // Last: a revocation that comes while the piece is made is acknowledged before the piece would be read.
        self.check_standing().await?;
        Ok(piece)
    }

    /// Whether everything that the export was allowed under still holds.
    async fn check_standing(&self) -> Result<(), AppError> {
        let snapshot = &self.plan.snapshot;
        let epoch_of = async |tenant| {
            let header = self.app.store.header(tenant).await?;
            Ok::<_, AppError>(header.map(|header| header.epoch))
        };
        let mut holds = epoch_of(snapshot.tenant).await? == Some(snapshot.epoch);
        if !snapshot.tenant.is_platform() {
            // Guardrails are the platform's.
            holds &= epoch_of(TenantId::PLATFORM).await? == Some(snapshot.platform_epoch);
        }
        if holds && self.app.is_unsealed() { Ok(()) } else { Err(AppError::new(Code::PermissionDenied)) }
    }

    async fn make_piece(&mut self) -> Result<Option<Vec<u8>>, AppError> {
        if let Some(first) = self.pending.take() {
            return Ok(Some(first));
        }
        if self.is_done {
            return Ok(None);
        }
        let snapshot = Arc::clone(&self.plan.snapshot);
        if self.next >= self.ledger.size() {
            self.is_done = true;
            return self.finish();
        }
        let entries = self.app.store.entries(snapshot.tenant, self.next, STEP).await?;
        let mut piece = Vec::with_capacity(entries.len() * 640);
        for stored in entries.iter().take_while(|stored| stored.index < self.ledger.size()) {
            let canonical = App::open_entry(&snapshot, stored)?;
            match (&mut self.writer, &canonical) {
                (Some(writer), canonical) => piece.extend(
                    writer.entry(stored.index, &stored.leaf, canonical.as_deref()).map_err(AppError::internal)?,
                ),
                (None, Some(canonical)) => {
                    match self.plan.format {
                        ExportFormat::Ocsf => {
                            let entry = Entry::parse(canonical).map_err(AppError::internal)?;
                            let origin = origin(&snapshot);
                            let source =
                                ocsf::Source { origin: &origin, product_version: crate::installation::VERSION };
                            let event = ocsf::event(&entry, stored.index, &source);
                            serde_json::to_writer(&mut piece, &event).map_err(AppError::internal)?;
                        }
                        _ => piece.extend_from_slice(canonical),
                    }
                    piece.push(b'\n');
                }
                (None, None) => {}
            }
            self.read.append(stored.leaf, |_, _, _| {});
            self.next = stored.index + 1;
        }
        if piece.is_empty() {
            return Err(AppError::internal("the ledger has a gap"));
        }
        Ok(Some(piece))
    }

    fn finish(&mut self) -> Result<Option<Vec<u8>>, AppError> {
        if self.read != self.ledger {
            return Err(tampered("the export is of other entries"));
        }
        let Some(writer) = self.writer.take() else { return Ok(None) };
        let snapshot = &self.plan.snapshot;
        let origin = origin(snapshot);
        let unsealed = self.app.unsealed()?;
        let own = snapshot.keyring()?.ledger_signer(&origin)?;
        let signers: [&dyn NoteSigner; 2] = [&own, &unsealed.signer];
        let checkpoint = Checkpoint { origin, size: self.ledger.size(), root: self.ledger.root() };
        let note = checkpoint.sign(&signers).map_err(AppError::internal)?;
        writer.finish(&note, &signers).map(Some).map_err(AppError::internal)
    }

    /// Whether a failure means that the reader's right has ended, rather than that something broke.
    pub fn was_revoked(error: &AppError) -> bool {
        error.class() == ErrorClass::Denied
    }
}
