//! The hardest promises, each put to the test by somebody who wants to break it: strict revocation, durability, sealing,
//! no leaks, exports that cannot be tampered with, keys that change while requests run.
//!
//! One binary of its own beside `it`, because these tests start the real server as a process, kill it, fill disks and edit
//! database files, and take minutes. They install nothing and share nothing but the machine.

mod durability;
mod export;
mod harness;
mod keys;
mod leaks;
mod revocation;
mod sealing;
