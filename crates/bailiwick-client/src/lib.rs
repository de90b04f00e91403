//! A small, blocking, typed client of the native API: what the CLI and the tests speak through.
//!
//! ```no_run
//! use bailiwick_client::{Client, Options, routes};
//! use bailiwick_types::{Secret, SecretPath};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let credential = Secret::new(String::from("bwk_…"));
//! let client = Client::new("http://127.0.0.1:8200", Some(credential), Options::default())?;
//! let acme = routes::tenant("acme");
//! let path: SecretPath = "app/db".parse()?;
//! let revealed = client.send(&acme.reveal_secret("secret", &path, None))?.value()?;
//! println!("version {}", revealed.version.version);
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//! - INV-CLIENT-1: a credential leaves the process over TLS or to this machine, never in clear over a network, unless
//!   [`Options::allow_plain_http`] says so; and never to where a redirect points.
//! - INV-CLIENT-2: a request is repeated only where that cannot do a thing twice: it only reads, or it carries an
//!   `Idempotency-Key`, or it never reached the server.
//! - INV-CLIENT-3: each route is written down once, in [`routes`].
//!
//! # Deliberately absent
//! No async, no cache, no environment variables, no credential file: where a credential comes from is the caller's
//! business. No cryptography library but `aws-lc-rs`.

mod call;
mod client;
mod endpoint;
mod error;
mod options;
mod path;
mod retry;
pub mod routes;
mod tls;

pub use call::{Call, Method, Reply};
pub use client::Client;
pub use endpoint::Endpoint;
pub use error::ClientError;
pub use options::Options;
pub use path::Path;
pub use tls::system_authorities;
