//! Which of a segment's entries: a bit for each, and how that is stored in few bytes.
//!
//! Stored, it begins with two bytes. Below 4,096 they are the only place there is; with the highest bit set they are the
//! length of what follows: the gaps from place to place, one or two bytes each; all ones, the bits themselves follow. So a
//! word that one entry has takes two bytes, and one that every entry has takes an eighth of a byte for each.

use super::index::SEGMENT;

/// Places of a segment.
const PLACES: usize = 4_096;
const _: () = assert!(PLACES as u64 == SEGMENT);
/// Bytes that have a bit for each place.
const MAP_BYTES: usize = PLACES / 8;
/// Set where gaps follow.
const LISTED: u16 = 0x8000;
/// Bits follow.
const MAPPED: u16 = 0xffff;
/// Set in the first byte of a gap that has two.
const LONG: u16 = 0x80;

/// Which of a segment's entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places([u64; PLACES / 64]);

impl Places {
    /// None of them.
    pub(super) const fn none() -> Self {
        Self([0; PLACES / 64])
    }

    /// All of them.
    pub(super) const fn all() -> Self {
        Self([u64::MAX; PLACES / 64])
    }

    /// Adds a place. `None`: no segment has that many.
    fn insert(&mut self, place: u16) -> Option<()> {
        *self.0.get_mut(usize::from(place / 64))? |= 1 << (place % 64);
        Some(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Leaves those that are in both.
    pub(super) fn retain(&mut self, others: &Self) {
        self.0.iter_mut().zip(&others.0).for_each(|(word, other)| *word &= other);
    }

    /// The places, from the first on.
    pub(super) fn iter(&self) -> impl Iterator<Item = u16> {
        (0_u16..).step_by(64).zip(self.0).flat_map(|(base, mut word)| {
            std::iter::from_fn(move || {
                let lowest = u16::try_from(word.trailing_zeros()).ok().filter(|lowest| *lowest < 64)?;
                word &= word - 1;
                Some(base + lowest)
            })
        })
    }
}

/// Appends places, of which each is greater than the one before, as they are stored.
pub(super) fn write(places: &[u16], out: &mut Vec<u8>) {
    if let [only] = places {
        return out.extend_from_slice(&only.to_be_bytes());
    }
    let mut gaps = Vec::with_capacity(2 * places.len());
    let befores = std::iter::once(0).chain(places.iter().copied());
    for (place, before) in places.iter().zip(befores) {
        let gap = place - before;
        if gap < LONG {
            gaps.push(low_byte(gap));
        } else {
            gaps.extend([LONG | gap >> 7, gap & (LONG - 1)].map(low_byte));
        }
    }
    match u16::try_from(gaps.len()) {
        Ok(length) if gaps.len() < MAP_BYTES => {
            out.extend_from_slice(&(LISTED | length).to_be_bytes());
            out.extend_from_slice(&gaps);
        }
        _ => {
            let mut map = Places::none();
            places.iter().for_each(|place| map.insert(*place).unwrap_or_default());
            out.extend_from_slice(&MAPPED.to_be_bytes());
            map.0.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        }
    }
}

fn low_byte(number: u16) -> u8 {
    let [_, low] = number.to_be_bytes();
    low
}

/// Places as they are stored, not yet looked at.
pub(super) enum Stored<'a> {
    Only(u16),
    Gaps(&'a [u8]),
    Map(&'a [u8; MAP_BYTES]),
}

impl<'a> Stored<'a> {
    /// Takes places off the front of bytes. `None`: they are damaged.
    pub(super) fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first_chunk()?;
        match u16::from_be_bytes(*head) {
            MAPPED => rest.split_first_chunk().map(|(map, rest)| (Self::Map(map), rest)),
            head if head & LISTED != 0 => {
                rest.split_at_checked(usize::from(head & !LISTED)).map(|(gaps, rest)| (Self::Gaps(gaps), rest))
            }
            only => Some((Self::Only(only), rest)),
        }
    }

    /// Which these are. `None`: they are damaged.
    pub(super) fn places(&self) -> Option<Places> {
        let mut places = Places::none();
        match self {
            Self::Only(place) => places.insert(*place)?,
            Self::Gaps(gaps) => {
                let (mut place, mut gaps) = (0_u16, gaps.iter().copied().map(u16::from));
                while let Some(high) = gaps.next() {
                    let gap = if high < LONG { high } else { (high & (LONG - 1)) << 7 | gaps.next()? };
                    place = place.checked_add(gap)?;
                    places.insert(place)?;
                }
            }
            Self::Map(map) => {
                let words = map.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
                places.0.iter_mut().zip(words).for_each(|(place, word)| *place = word);
            }
        }
        Some(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes places take, having read them back.
    fn stored(places: &[u16]) -> usize {
        let mut bytes = Vec::new();
        write(places, &mut bytes);
        let length = bytes.len();
        bytes.extend_from_slice(b"next");
        let (stored, rest) = Stored::split(&bytes).unwrap();
        assert_eq!(rest, b"next");
        assert_eq!(stored.places().unwrap().iter().collect::<Vec<_>>(), places);
        for cut in 0..length {
            assert!(Stored::split(&bytes[..cut]).is_none_or(|(stored, _)| stored.places().is_none()), "{cut}");
        }
        length
    }

    #[test]
    fn places_are_read_as_they_were_written_and_take_few_bytes() {
        let every = |step: usize| (0..4_096).step_by(step).collect::<Vec<u16>>();
        assert_eq!([0, 1, 127, 128, 4_095].map(|only| stored(&[only])), [2; 5]);
        assert_eq!(stored(&[0, 4_095]), 2 + 3);
        assert_eq!(stored(&[127, 255, 256]), 2 + 1 + 2 + 1);
        assert_eq!(stored(&every(100)), 2 + 41);
        assert_eq!(stored(&every(9)), 2 + 456);
        assert_eq!([1, 2, 8].map(|step| stored(&every(step))), [2 + 512; 3]);
        // Any places at all: what a generator of small period gives.
        let mut number = 1_u32;
        for round in 0..200 {
            let mut places: Vec<u16> = (0..=round * 3)
                .map(|_| {
                    number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    u16::try_from(number >> 20).unwrap()
                })
                .collect();
            places.sort_unstable();
            places.dedup();
            assert!(stored(&places) <= 2 + 512);
        }
    }

    #[test]
    fn what_no_segment_has_is_damage() {
        let places = |bytes: &[u8]| Stored::split(bytes).and_then(|(stored, _)| stored.places());
        assert_eq!(places(&4_096_u16.to_be_bytes()), None);
        assert_eq!(places(&[0x80, 3, 0x9f, 0x7f, 1]), None, "one after the last");
        assert_eq!(places(&[0x80, 1, 0x9f]), None, "half a gap");
        assert!(places(&[0x80, 2, 0x9f, 0x7f]).is_some_and(|places| places.iter().eq([4_095])));
    }

    #[test]
    fn what_is_in_both_is_left() {
        let of = |places: &[u16]| {
            let mut all = Places::none();
            places.iter().for_each(|place| all.insert(*place).unwrap());
            all
        };
        let mut places = of(&[0, 63, 64, 4_095]);
        places.retain(&of(&[1, 63, 65, 4_095]));
        assert_eq!(places, of(&[63, 4_095]));
        places.retain(&Places::all());
        assert!(!places.is_empty());
        places.retain(&Places::none());
        assert!(places.is_empty());
        assert_eq!(Places::all().iter().count(), PLACES);
    }
}
