//! What the store keeps.

use bailiwick_ledger::{CompactRange, Hash};
use bailiwick_types::{TenantId, Timestamp};

macro_rules! spaces {
    ($($name:ident = $number:literal, $text:literal, $doc:literal;)+) => {
        /// Where records of one kind live inside a tenant. The numbers are on disk: never change or reuse one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Space { $(#[doc = $doc] $name = $number),+ }

        impl Space {
            /// All spaces.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
            /// The name, as it is bound into sealed bytes.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text),+ } }
            /// Whether the store keeps what its records were: what is needed to know a tenant as it was. Not credentials,
            /// which are never put back, and not a secret's values, which are never changed, and gone when they are
            /// destroyed.
            pub const fn keeps_past(self) -> bool {
                matches!(
                    self,
                    Self::Member | Self::Account | Self::Binding | Self::Policy | Self::Mount | Self::Secret | Self::Invariant
                )
            }
            /// The number on disk.
            pub const fn number(self) -> u8 { self as u8 }
            /// The space with this number.
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|space| space.number() == number)
            }
        }
    };
}

spaces! {
    Member = 1, "member", "Members of the tenant.";
    Account = 2, "account", "Service accounts and agents.";
    Credential = 3, "credential", "Verifiers of credentials.";
    CredentialOf = 4, "credential-of", "Which credentials a principal has: key is principal id, then credential id.";
    Binding = 5, "binding", "Role bindings: key is principal id, then binding id.";
    Policy = 6, "policy", "Policies of the tenant; guardrails on the platform's plane.";
    Mount = 7, "mount", "Mounted secret engines, by name.";
    Secret = 8, "secret", "A secret's metadata: key is mount id, then path.";
    SecretVersion = 9, "secret-version", "A secret's versions: key is mount id, path, NUL, version.";
    Idempotency = 10, "idempotency", "Answers to requests with an Idempotency-Key.";
    Operator = 11, "operator", "Operators, on the platform's plane.";
    Usage = 12, "usage", "Derived facts such as a credential's last use.";
    Invariant = 13, "invariant", "Rules over all requests: of the tenant, or of the platform on its plane.";
    LedgerIndex = 14, "ledger-index", "Derived: which entries of a segment of the ledger have which words.";
}

/// A stored record: sealed bytes and the version that they are sealed under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Chosen by whoever sealed the bytes; greater than that of the record that it replaced.
    pub version: u64,
    /// What `bailiwick-seal` made.
    pub sealed: Vec<u8>,
}

/// A record as a process knows it, and what that rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The record, or that there is none.
    pub record: Option<Record>,
    /// The tenant's revision that this was true at. Whoever answers from it commits under [`crate::Expect::Seen`]. `None`: it
    /// was read from the store just now.
    pub revision: Option<u64>,
}

/// How many records each space of a tenant holds, by its number. Kept by the store with the commit that changes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts([u64; SPACE_NUMBERS]);

/// One more than the highest number of a space.
const SPACE_NUMBERS: usize = 15;

impl Counts {
    /// Records in a space.
    pub fn of(&self, space: Space) -> u64 {
        self.0.get(usize::from(space.number())).copied().unwrap_or(0)
    }

    fn set(&mut self, space: Space, count: u64) {
        if let Some(place) = self.0.get_mut(usize::from(space.number())) {
            *place = count;
        }
    }

    /// The same without those of one space.
    #[must_use]
    pub fn without(mut self, space: Space) -> Self {
        self.set(space, 0);
        self
    }

    /// One more.
    pub fn add(&mut self, space: Space) {
        self.set(space, self.of(space).saturating_add(1));
    }

    /// One less.
    pub fn remove(&mut self, space: Space) {
        self.set(space, self.of(space).saturating_sub(1));
    }

    /// Nothing left, after an erasure.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// For the adapter's header row: (space number, count as LEB128) pairs of the spaces that hold any.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SPACE_NUMBERS * 3);
        for (number, count) in (0_u8..).zip(self.0).filter(|(_, count)| *count > 0) {
            out.push(number);
            let mut rest = count;
            while rest >= 0x80 {
                out.push((rest & 0x7f) as u8 | 0x80);
                rest >>= 7;
            }
            out.push((rest & 0x7f) as u8);
        }
        out
    }

    /// The reverse of [`Counts::to_bytes`]; `None` if the bytes are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut counts = Self::default();
        let mut rest = bytes.iter();
        while let Some(number) = rest.next() {
            let space = Space::from_number(*number)?;
            let (mut count, mut shift) = (0u64, 0u32);
            loop {
                let byte = *rest.next()?;
                count |= u64::from(byte & 0x7f).checked_shl(shift)?;
                if byte & 0x80 == 0 {
                    break;
                }
                shift += 7;
            }
            counts.set(space, count);
        }
        Some(counts)
    }
}

/// A tenant's one row: the point at which its commits are put in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The tenant, or [`TenantId::PLATFORM`].
    pub tenant: TenantId,
    /// Its slug. Unique over all tenants that ever were.
    pub slug: String,
    /// A number that only the layers above understand (active, suspended, …).
    pub state: u8,
    /// Grows with every security-relevant change.
    pub epoch: u64,
    /// The ledger's size and right edge.
    pub ledger: CompactRange,
    /// Records per space.
    pub counts: Counts,
    /// What the layers above keep with the tenant (wrapped keys, quotas, …). Opaque here.
    pub meta: Vec<u8>,
    /// Grows by one with each write of `meta`.
    pub meta_version: u64,
    /// Grows by one with each part that has writes: while it stands, so does every record.
    pub revision: u64,
    /// When the tenant's background work is due, if it is. What [`crate::Store::due`] goes by.
    pub wake: Option<Timestamp>,
}

/// A ledger entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its place in the tenant's ledger.
    pub index: u64,
    /// The leaf hash over its canonical bytes.
    pub leaf: Hash,
    /// The sealed canonical bytes; empty once the tenant was erased.
    pub sealed: Vec<u8>,
}

/// A name below a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The name's bytes; a folder's ends in `/`.
    pub name: Vec<u8>,
}

/// How many tenants there are in each state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// (state, tenants)
    pub by_state: Vec<(u8, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_space_is_counted() {
        let mut counts = Counts::default();
        for space in Space::ALL {
            counts.add(*space);
        }
        assert!(Space::ALL.iter().all(|space| counts.of(*space) == 1));
        assert_eq!(Counts::from_bytes(&counts.to_bytes()), Some(counts));
    }

    #[test]
    fn counts_round_trip() {
        let mut counts = Counts::default();
        for _ in 0..300 {
            counts.add(Space::Secret);
        }
        counts.add(Space::Member);
        assert_eq!((counts.of(Space::Secret), counts.of(Space::Member), counts.of(Space::Policy)), (300, 1, 0));
        assert_eq!(counts.to_bytes(), [1, 1, 8, 0xac, 0x02], "the number of a space, then seven bits at a time");
        assert_eq!(Counts::from_bytes(&counts.to_bytes()), Some(counts.clone()));
        counts.remove(Space::Secret);
        counts.remove(Space::Member);
        counts.remove(Space::Member);
        assert_eq!((counts.of(Space::Secret), counts.of(Space::Member)), (299, 0));
        assert_eq!(counts.to_bytes(), [8, 0xab, 0x02], "a space without records is not mentioned");
        assert_eq!(Counts::from_bytes(&[99, 1]), None);
        assert_eq!(Counts::from_bytes(&[8, 0x80]), None);
        counts.add(Space::Member);
        counts.clear();
        assert_eq!(counts, Counts::default());
    }
}
