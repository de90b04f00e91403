//! How many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For what is no connection of a client: the store, provers, receivers of events, who monitors.
const OTHERS: u64 = 1_024;

/// How many connections of clients there can be, if there are to be as many as `wanted`: as many, unless the system lets the
/// process have fewer files open. What it has to ask for is asked for.
pub(super) fn connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    // Systems let a process have few at first, for programs of the time of `select`.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let available = getrlimit(Resource::Nofile).current.map_or(usize::MAX, beside_others);
    if available < wanted {
        tracing::warn!(
            wanted,
            connections = available,
            "fewer connections than configured: the system limits how many files the process may have open"
        );
    }
    available.min(wanted)
}

/// How many of so many files can be connections. Where there are few, one half.
fn beside_others(files: u64) -> usize {
    usize::try_from(files.saturating_sub(OTHERS).max(files / 2)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_left_for_what_is_no_connection() {
        assert_eq!([0, 100, 2_048, 10_000].map(beside_others), [0, 50, 1_024, 8_976]);
    }

    #[test]
    fn as_many_files_as_may_be_are_asked_for() {
        assert_eq!(connections(16), 16);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
