//! Whose turn it is to try the installation's isolation: of several nodes one does, or they would find each other.
//!
//! The turn is in the platform's header. Its holder makes a number grow; who sees the number stand still for long, by its
//! own clock, takes over. No two clocks are compared.
//!
//! # Deliberately absent
//! A list of nodes: there is one turn, so nothing grows with the nodes that come and go.

use std::time::Duration;

use bailiwick_store::{Commit, CommitError, Expect, HeaderChange, Part};
use bailiwick_types::{Code, Random, RequestId, TenantId, Timestamp};
use parking_lot::Mutex;

use crate::app::App;
use crate::error::AppError;
use crate::records::{ProbingTurn, TenantMeta};

/// How long the turn of an earlier run of this very node must have stood still.
const OWN_PATIENCE_MAX: Duration = Duration::from_secs(30);
/// So many times an unchanged turn is left alone before it is made to grow.
const RENEWALS_PER_PATIENCE: u32 = 6;

/// Whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// This node's.
    Own,
    /// That of the node with this name.
    Elsewhere(String),
}

/// What this node knows of the turn.
pub(crate) struct Probing {
    /// This run of this node.
    run: String,
    /// The holder and number that were seen last, and since when.
    watched: Mutex<Option<(String, u64, Timestamp)>>,
    /// The number at which somebody's wish for a whole round was passed on.
    heard: Mutex<Option<u64>>,
}

impl Probing {
    pub(crate) fn new(random: &dyn Random) -> Self {
        Self { run: RequestId::random(random).to_string(), watched: Mutex::default(), heard: Mutex::default() }
    }

    /// A number that differs from node to node.
    pub(crate) fn place(&self) -> usize {
        self.run.bytes().fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)))
    }

    /// For how long the turn has been as it is.
    fn stands_still(&self, turn: &ProbingTurn, now: Timestamp) -> Duration {
        let mut watched = self.watched.lock();
        match watched.as_ref() {
            Some((holder, number, since)) if *holder == turn.holder && *number == turn.turn => now.since(*since),
            _ => {
                *watched = Some((turn.holder.clone(), turn.turn, now));
                Duration::ZERO
            }
        }
    }
}

impl App {
    /// Takes the turn, or keeps it. Another node's is taken once it has stood still for `patience`.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn take_probing_turn(&self, patience: Duration) -> Result<Turn, AppError> {
        loop {
            let (version, mut meta) = self.platform_meta().await?;
            let (state, last) = self.isolation.summary();
            let own = |turn| ProbingTurn {
                holder: self.probing.run.clone(),
                node: self.config.node.clone(),
                turn,
                is_wanted: false,
                state,
                last: last.clone(),
            };
            let next = match &meta.probing {
                None => own(1),
                Some(turn) => {
                    let still = self.probing.stands_still(turn, self.now());
                    let patience =
                        if turn.node == self.config.node { patience.min(OWN_PATIENCE_MAX) } else { patience };
                    let renewed = own(turn.turn.saturating_add(1));
                    if turn.holder == self.probing.run {
                        let is_news = turn.is_wanted || turn.state != renewed.state || turn.last != renewed.last;
                        let every = patience.checked_div(RENEWALS_PER_PATIENCE).unwrap_or_default();
                        if !is_news && still < every {
                            return Ok(Turn::Own);
                        }
                    } else if !turn.is_free() && still < patience {
                        return Ok(Turn::Elsewhere(turn.node.clone()));
                    }
                    renewed
                }
            };
            meta.probing = Some(next);
            if self.put_platform_meta(version, &meta).await? {
                return Ok(Turn::Own);
            }
        }
    }

    /// Whether the turn is still this node's: otherwise what it saw just now may have been another node's doing.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn has_probing_turn(&self) -> Result<bool, AppError> {
        let (_, meta) = self.platform_meta().await?;
        Ok(meta.probing.is_some_and(|turn| turn.holder == self.probing.run))
    }

    /// Gives the turn back, so that another node need not wait.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn release_probing_turn(&self) -> Result<(), AppError> {
        let (state, last) = self.isolation.summary();
        self.change_turn(|turn| {
            if turn.holder == self.probing.run {
                turn.holder = String::new();
                (turn.state, turn.last) = (state, last.clone());
            }
        })
        .await
    }

    /// Tells the node whose turn it is that somebody wants a whole round at once.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn want_probing_round(&self) -> Result<(), AppError> {
        self.change_turn(|turn| turn.is_wanted = true).await
    }

    /// What the platform's header says of the turn, for the board of a node that does not have it.
    pub(crate) fn see_probing(&self, meta: &TenantMeta) {
        let Some(turn) = &meta.probing else { return };
        if turn.holder != self.probing.run {
            if turn.node != self.config.node || !turn.is_free() {
                self.isolation.elsewhere(&turn.node, turn.state, turn.last.clone());
            }
        } else if turn.is_wanted && self.probing.heard.lock().replace(turn.turn) != Some(turn.turn) {
            self.isolation.hurry();
        }
    }

    async fn change_turn(&self, change: impl Fn(&mut ProbingTurn)) -> Result<(), AppError> {
        loop {
            let (version, mut meta) = self.platform_meta().await?;
            let Some(turn) = &mut meta.probing else { return Ok(()) };
            let before = turn.clone();
            change(turn);
            if *turn == before || self.put_platform_meta(version, &meta).await? {
                return Ok(());
            }
        }
    }

    async fn platform_meta(&self) -> Result<(u64, TenantMeta), AppError> {
        let header = self.store.header(TenantId::PLATFORM).await?;
        let header = header.ok_or_else(|| AppError::new(Code::NotInitialized))?;
        Ok((header.meta_version, TenantMeta::from_bytes(&header.meta)?))
    }

    /// Whether it was put: `false` if somebody was faster.
    async fn put_platform_meta(&self, version: u64, meta: &TenantMeta) -> Result<bool, AppError> {
        let part = Part {
            tenant: TenantId::PLATFORM,
            expect: Expect::Exists,
            header: HeaderChange { meta: Some((version, meta.to_bytes()?)), ..HeaderChange::default() },
            writes: Vec::new(),
            entries: Vec::new(),
        };
        match self.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl ProbingTurn {
    /// Whether the last holder has given it back.
    fn is_free(&self) -> bool {
        self.holder.is_empty()
    }
}
