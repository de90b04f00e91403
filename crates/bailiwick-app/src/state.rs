//! The life of a tenant.
//!
//! ```text
//! active ⇄ suspended        operator: suspend, resume
//! active, suspended → deleting → deleted     operator: delete; after the hold period the job shreds
//! deleting → suspended      operator: resume, while the hold lasts
//! importing → active        the import of a bundle that makes the tenant here, when it is complete
//! any but deleted: sealed or not
//! ```

/// Where in its life a tenant is, and whether it is sealed. One byte in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TenantState {
    pub(crate) phase: Phase,
    pub(crate) is_sealed: bool,
}

/// Where in its life a tenant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Active,
    Suspended,
    Deleting,
    Deleted,
    /// Not here yet: its bundle is being written. Nothing but that import may touch it, for its ledger has to come out
    /// as it was.
    Importing,
}

impl Phase {
    pub(crate) const ALL: &'static [Self] =
        &[Self::Active, Self::Suspended, Self::Deleting, Self::Deleted, Self::Importing];
}

const SEALED: u8 = 0x10;

impl TenantState {
    pub(crate) const ACTIVE: Self = Self { phase: Phase::Active, is_sealed: false };

    /// Unknown numbers read as deleted: whatever a newer version meant, this one must not let it in.
    pub(crate) fn from_number(number: u8) -> Self {
        let phase = match number & !SEALED {
            1 => Phase::Active,
            2 => Phase::Suspended,
            3 => Phase::Deleting,
            5 => Phase::Importing,
            _ => Phase::Deleted,
        };
        Self { phase, is_sealed: number & SEALED != 0 }
    }

    pub(crate) fn number(self) -> u8 {
        let phase = match self.phase {
            Phase::Active => 1,
            Phase::Suspended => 2,
            Phase::Deleting => 3,
            Phase::Deleted => 4,
            Phase::Importing => 5,
        };
        phase | if self.is_sealed { SEALED } else { 0 }
    }

    pub(crate) fn in_phase(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    pub(crate) fn sealed(self, is_sealed: bool) -> Self {
        Self { is_sealed, ..self }
    }
}

impl Phase {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Importing => "importing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_strange_ones_are_closed() {
        for phase in Phase::ALL.iter().copied() {
            for is_sealed in [false, true] {
                let state = TenantState { phase, is_sealed };
                assert_eq!(TenantState::from_number(state.number()), state);
            }
        }
        assert_eq!(TenantState::from_number(0).phase, Phase::Deleted);
        assert_eq!(TenantState::from_number(9).phase, Phase::Deleted);
    }
}
