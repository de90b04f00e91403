//! What must not be seen is seen nowhere: not in logs at their most talkative, in errors, metrics, ledgers and exports, on
//! the disk, on a terminal that did not ask for it, in `Debug`, or in a core file.
//!
//! - `canary`: values that nothing else contains, and a search for them in every encoding.
//! - `visit`: a server that is asked, and all that it has said; `requests` and `mistakes`: what it is asked.
//! - `places`: the real binary is asked all of that, and then every place is searched.
//! - `core`: what becomes of the process's memory.
//! - `debug`: what `Debug` shows of the types that carry secrets on the wire.
//!
//! # Deliberately absent
//! Paths of secrets, names and ids: these are not sealed, and `docs/isolation/limits-of-the-claim.md` says so. They serve as
//! the positive control: a search that does not find them where they are is no search.

mod canary;
mod core;
mod debug;
mod http2;
mod mistakes;
mod places;
mod requests;
mod visit;
