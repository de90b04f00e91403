//! A history as data: who does what when, and what goes wrong meanwhile.
//!
//! A step says what is asked in terms of what its tenant has *seen* ("the third account"), so a script with steps taken out
//! is still one that can be run. What it comes to is decided when it runs.

use bailiwick_types::Action;

/// A history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The seed of everything random in it, and its name.
    pub seed: u64,
    /// How many tenants take part.
    pub tenants: usize,
    /// In order. Their numbers grow, and stay what they are when others are taken out.
    pub steps: Vec<Step>,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name in the script: what it draws depends on this and on nothing else.
    pub number: u32,
    /// Milliseconds after the beginning.
    pub at_ms: i64,
    /// Whose doing it is.
    pub whose: Whose,
    /// What.
    pub act: Act,
    /// What goes wrong.
    pub mishap: Mishap,
}

/// Whose doing a step is: with whom it goes when one is taken out of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// A tenant's.
    Tenant(usize),
    /// An operator's, about one tenant.
    About(usize),
    /// Nobody's in particular: the installation's operator, the public, the machine.
    Nobody,
}

impl Whose {
    /// The tenant that it goes with.
    pub fn tenant(self) -> Option<usize> {
        match self {
            Self::Tenant(tenant) | Self::About(tenant) => Some(tenant),
            Self::Nobody => None,
        }
    }
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A request for an action of the table.
    Ask(Ask),
    /// The same request as one before, to the byte: by whom it was sent, counted backwards.
    Again(u8),
    /// A request that everybody may make.
    Open(u8),
    /// Background work.
    Jobs,
    /// The server stops in good order and starts again.
    Restart,
    /// The server is gone, and what it had in memory and in flight; another starts on what is on disk.
    Crash,
    /// From now on nothing can be written.
    DiskFull,
    /// From now on it can again.
    DiskFree,
}

/// A request, in terms of what there is to ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// For what.
    pub action: Action,
    /// By whom: place among the credentials that are known, or one that is none.
    pub caller: Caller,
    /// About what.
    pub aim: Aim,
    /// Which of the things; which of the ways to ask.
    pub pick: u8,
    /// The same.
    pub variant: u8,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The tenant's first owner; among operators, the one for whom the step is.
    First,
    /// Somebody who has, or had, a credential.
    Some(u8),
    /// Somebody with a credential that has the right form, a true id, and a wrong secret.
    Forged,
    /// Somebody with no credential.
    Nobody,
}

/// About what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// One's own.
    Own,
    /// What is not there.
    Absent,
    /// Another tenant's thing, in one's own tenant.
    Theirs(usize),
    /// Another tenant's thing, in that tenant.
    AtTheirs(usize),
}

/// What goes wrong with a request. Calls of the store are counted that concern its own tenant, so that what others have
/// left in a cache does not change which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// Nothing.
    None,
    /// This call of the store fails.
    Fail(u8),
    /// The first commit is applied, and whoever waits for it is told that storage is unavailable.
    LoseCommit,
    /// The client is gone at this call; if it is a commit, before or after it was applied.
    Cancel(u8, bool),
    /// It is held up at this call while so many steps go by.
    Hold(u8, u8),
}
