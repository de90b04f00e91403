//! What people type, parsed once.

mod pairs;
mod paths;
mod when;

pub(crate) use pairs::{Pair, SecretItem, secret_data};
pub(crate) use paths::{FolderRef, SecretRef};
pub(crate) use when::When;

use std::path::Path;

use crate::fail::Fail;
use crate::terminal::Terminal;

/// A file's text, or standard input's for `-`.
pub(crate) fn text_of(file: &Path, terminal: &mut Terminal) -> Result<String, Fail> {
    let bytes = if file.as_os_str() == "-" {
        terminal.read_all()?
    } else {
        std::fs::read(file).map_err(|error| Fail::file(file, &error))?
    };
    String::from_utf8(bytes).map_err(|_| Fail::usage(format!("`{}` is not UTF-8 text", file.display())))
}
