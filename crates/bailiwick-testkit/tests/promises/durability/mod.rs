//! What was acknowledged stays, whatever happens to the process or the disk; and nothing is half there.
//!
//! - `kill`: the real server is killed (SIGKILL) at random moments under concurrent load, started again, and asked. What the
//!   clients saw acknowledged is the only truth (`load`); the server's answers, counts and ledgers must all tell the same
//!   story (`judge`).
//! - `space`: the disk is full, or refuses to write.
//!
//! `BAILIWICK_TEST_KILLS` sets how often, `BAILIWICK_TEST_SEED` repeats a run's choices (not its scheduling).
//!
//! # Deliberately absent
//! Power cuts: what the disk's own cache loses cannot be lost from here.

mod judge;
mod kill;
mod load;
mod space;
