//! What commands print: the API's own JSON for machines, tables for people.

mod human;
mod json;
mod nouns;
mod table;

pub(crate) use human::{Human, bytes, count, span, to_second};
pub(crate) use json::{merged, pretty};
pub(crate) use nouns::{Noun, list, or_default, seconds};
pub(crate) use table::{clean, clean_lines, fields, table};

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    /// Tables, for people.
    #[default]
    Table,
    /// The API's own JSON, for machines.
    Json,
}
