//! Log lines of a server, on standard error. No other command logs.
//!
//! # Invariants
//! - INV-LOG-1: below `info` only our own crates are heard, whatever the filter says. Parsers of others log there what a
//!   client has sent and they did not understand, and a secret may be in it.

use std::io::{self, IsTerminal as _};

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::config::LogFormat;
use crate::fail::Fail;

/// Starts logging.
pub(crate) fn init(format: LogFormat, level: &str) -> Result<(), Fail> {
    let filter = filter(level).map_err(Fail::usage)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // For people there are colours, unless `NO_COLOR` says that they want none.
    let builder = if io::stderr().is_terminal() { builder } else { builder.with_ansi(false) };
    let started = match format {
        LogFormat::Text => builder.finish().with(filter_fn(may_be_heard)).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().with(filter_fn(may_be_heard)).try_init(),
    };
    started.map_err(|error| Fail::usage(format!("logging was started already: {error}")))
}

/// Whether a line may be written at all.
fn may_be_heard(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().starts_with("bailiwick")
}

/// The filter that the text describes.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level).map_err(|error| format!("`{level}` is no log filter: {error}"))
}
