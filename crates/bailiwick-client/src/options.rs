//! How the client behaves.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_types::Random;

/// How the client behaves. The defaults suit the CLI.
#[derive(Clone)]
pub struct Options {
    /// PEM file with the certificate authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Lets a credential go over a network in clear. For test networks; never for anything else.
    pub allow_plain_http: bool,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for an answer, all in all. Downloads: for each piece.
    pub timeout: Duration,
    /// How often to try in all, at least once.
    pub attempts: u32,
    /// Makes `Idempotency-Key`s and spreads retries; the TLS library's generator if absent.
    pub random: Option<Arc<dyn Random>>,
    /// Waits between attempts.
    pub wait: Arc<dyn Fn(Duration) + Send + Sync>,
    /// What to call ourselves.
    pub user_agent: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ca_file: None,
            allow_plain_http: false,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(60),
            attempts: 4,
            random: None,
            wait: Arc::new(std::thread::sleep),
            user_agent: concat!("bailiwick/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("ca_file", &self.ca_file)
            .field("allow_plain_http", &self.allow_plain_http)
            .field("timeout", &self.timeout)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
