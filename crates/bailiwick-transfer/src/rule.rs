//! What may be different in the target, and nothing else is.

use std::fmt;
use std::sync::Arc;

use bailiwick_store::Header;

/// The contents of a header in the target, from what it is in the source.
type Meta = Arc<dyn Fn(&Header) -> Vec<u8> + Send + Sync>;

/// What a header becomes on its way.
#[derive(Clone)]
pub struct Rule {
    /// The state of a tenant that is being put. The layers above answer nothing for it.
    pub closed: u8,
    state: Arc<dyn Fn(&Header) -> u8 + Send + Sync>,
    meta: Option<Meta>,
    epoch_min: Option<u64>,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("closed", &self.closed).field("epoch_min", &self.epoch_min).finish_non_exhaustive()
    }
}

impl Rule {
    /// Everything as it was.
    pub fn exact(closed: u8) -> Self {
        Self { closed, state: Arc::new(|header| header.state), meta: None, epoch_min: None }
    }

    /// A history begins anew: each tenant is in the state that `state` says, and its epoch and revision are beyond what they
    /// were and not less than `epoch_min`. A process that has seen what came after the backup, and remembers it by those
    /// numbers, finds none of them again.
    pub fn anew(closed: u8, epoch_min: u64, state: impl Fn(&Header) -> u8 + Send + Sync + 'static) -> Self {
        Self { closed, state: Arc::new(state), meta: None, epoch_min: Some(epoch_min) }
    }

    /// The same, but each header's contents become what `meta` says: always the same for the same header, or a move that
    /// was cut off does not know again what it put.
    #[must_use]
    pub fn with_meta(self, meta: impl Fn(&Header) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { meta: Some(Arc::new(meta)), ..self }
    }

    /// The same, but the platform stays closed: until everything was compared.
    pub(crate) fn with_platform_closed(&self) -> Self {
        let (state, closed) = (Arc::clone(&self.state), self.closed);
        let state = move |header: &Header| if header.tenant.is_platform() { closed } else { state(header) };
        Self { state: Arc::new(state), ..self.clone() }
    }

    /// Whether a history begins.
    pub(crate) fn is_anew(&self) -> bool {
        self.epoch_min.is_some()
    }

    /// The header that the target shall have. Its revision is the least that will do.
    pub(crate) fn of(&self, source: &Header) -> Header {
        let mut header = source.clone();
        header.state = (self.state)(source);
        if let Some(meta) = &self.meta {
            header.meta = meta(source);
        }
        if let Some(min) = self.epoch_min {
            header.epoch = source.epoch.saturating_add(1).max(min);
            header.revision = source.revision.max(min);
        }
        header
    }

    /// What of the target's header is not as it shall be. A move that goes on later may have another `epoch_min`, and what
    /// was put before it stays: so there an epoch need only be beyond the source's.
    pub(crate) fn violation(&self, source: &Header, target: &Header) -> Option<&'static str> {
        let wanted = self.of(source);
        let is_epoch_right = match self.epoch_min {
            None => target.epoch == wanted.epoch,
            Some(_) => target.epoch > source.epoch,
        };
        [
            ("the slug", target.slug == wanted.slug),
            ("the ledger's root", target.ledger == wanted.ledger),
            ("how many records there are", target.counts == wanted.counts),
            ("the state", target.state == wanted.state),
            ("the epoch", is_epoch_right),
            ("the header's contents", target.meta == wanted.meta),
            ("the header's version", target.meta_version == wanted.meta_version),
            ("the wake-up", target.wake == wanted.wake),
        ]
        .into_iter()
        .find_map(|(what, is_right)| (!is_right).then_some(what))
    }
}
