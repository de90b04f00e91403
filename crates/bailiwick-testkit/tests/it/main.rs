//! The isolation tests of the whole product: one binary, one file for each subject.
//!
//! All of them go through the doors, in process; none opens a socket, sleeps, or needs anything installed.

mod fuzz;
mod matrix;
mod tenancy;
mod vault;
