//! Log lines of a server, on standard error. No other command logs.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use super::config::LogFormat;
use crate::fail::Fail;

/// Starts logging.
pub(crate) fn init(format: LogFormat, level: &str) -> Result<(), Fail> {
    let filter = filter(level).map_err(Fail::usage)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Fail::usage(format!("logging was started already: {error}")))
}

/// The filter that the text describes.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level).map_err(|error| format!("`{level}` is no log filter: {error}"))
}
