//! Answers that are given again for the same `Idempotency-Key`.
//!
//! What is repeated is an answer, not a right: policy is asked as if it were the first time.

use bailiwick_types::{Code, Sensitivity};

use super::{Answer, Reply, Scope, Tx};
use crate::error::AppError;
use crate::records::IdempotencyRecord;

/// An answer that an `Idempotency-Key` got before.
pub(super) struct Remembered {
    text: Box<serde_json::value::RawValue>,
    is_allowed: bool,
}

impl<S: Scope> Tx<'_, S> {
    /// Looks for the answer that this `Idempotency-Key` got before. It is not given yet: what is repeated is an answer,
    /// not a right, so policy is asked as if it were the first time.
    pub(crate) async fn recall(&mut self) -> Result<(), AppError> {
        let Some(idempotency) = &self.meta.idempotency else { return Ok(()) };
        if matches!(self.action.sensitivity(), Sensitivity::Read | Sensitivity::Reveal) {
            return Ok(());
        }
        let keyring = self.snapshot.keyring()?;
        let caller = format!("{}\0{}\0{}", self.principal().id, self.action, idempotency.key);
        let key = keyring.fingerprint(caller.as_bytes()).to_vec();
        let request = data_encoding::BASE64.encode(&keyring.fingerprint(idempotency.request.expose()));
        match self.app.read::<IdempotencyRecord>(&self.snapshot, &key).await? {
            None => self.remember = Some((key, request)),
            Some((_, record)) if record.request != request => return Err(AppError::new(Code::IdempotencyMismatch)),
            Some((_, record)) => self.remembered = Some(Remembered { text: record.reply, is_allowed: false }),
        }
        Ok(())
    }

    /// Ends a use case that has its answer already, now that policy has allowed it. Nobody sees this error:
    /// [`Tx::or_remembered`] puts the answer in its place.
    pub(super) fn check_unanswered(&mut self) -> Result<(), AppError> {
        match &mut self.remembered {
            None => Ok(()),
            Some(remembered) => {
                remembered.is_allowed = true;
                Err(AppError::new(Code::IdempotencyMismatch))
            }
        }
    }

    /// The remembered answer, if there is one and policy has allowed the request again; otherwise what came of it.
    pub(crate) async fn or_remembered<T: Reply>(
        &mut self,
        outcome: Result<Answer<T>, AppError>,
    ) -> Result<Answer<T>, AppError> {
        match self.remembered.take().filter(|remembered| remembered.is_allowed) {
            None => outcome,
            Some(remembered) => Box::pin(self.recalled(remembered)).await,
        }
    }

    async fn recalled<T: Reply>(&mut self, remembered: Remembered) -> Result<Answer<T>, AppError> {
        self.withdraw();
        let value = T::recalled(remembered.text.get()).ok_or_else(|| AppError::internal("a remembered answer"))?;
        self.note("idempotent_replay", "true");
        let receipt = self.append().await?;
        Ok(Answer { value, index: receipt.first_index, etag: None, place: None })
    }
}
