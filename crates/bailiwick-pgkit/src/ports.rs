//! Ports that nobody uses.
//!
//! They are taken from below the range that the kernel gives to outgoing connections: a server that is killed and
//! started again must find its own port still free, whatever connected to anything meanwhile.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::error::Error;

const FIRST: u16 = 15_000;
const COUNT: u16 = 15_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback port that was free a moment ago. Processes begin at random places, so they seldom meet.
///
/// # Errors
/// When all are taken.
pub fn free_port() -> Result<u16, Error> {
    let random = u16::try_from(RandomState::new().hash_one(std::process::id()) % u64::from(COUNT)).unwrap_or(0);
    // One place for the whole process: two fixtures that start together never get the same port.
    let _ = NEXT.compare_exchange(0, random.max(1), Ordering::Relaxed, Ordering::Relaxed);
    let mut ports = (0..COUNT).map(|_| FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT);
    ports
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| Error::program(format!("no port from {FIRST} to {} is free", FIRST + COUNT - 1)))
}
