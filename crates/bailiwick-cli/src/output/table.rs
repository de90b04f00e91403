//! Tables without lines: columns of text, as `ls` and `kubectl` print them.
//!
//! # Invariants
//! - INV-TABLE-1: nothing that a tenant wrote can steer the terminal: control and invisible formatting characters are
//!   shown as escapes.
//!
//! Deliberately absent: colours, and folding to the terminal's width. What is copied from a table is what was there.

use comfy_table::{ContentArrangement, Table, TableStyle};

/// The text with everything that could steer a terminal or hide from a reader as an escape.
pub(crate) fn clean(text: &str) -> String {
    escape(text, |c| c.is_control())
}

/// The same, but with its line breaks and tabs.
pub(crate) fn clean_lines(text: &str) -> String {
    escape(text, |c| c.is_control() && !matches!(c, '\n' | '\t'))
}

fn escape(text: &str, steers: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) || is_invisible(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that print as nothing or turn the direction of the text around them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Rows below a head.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.set_header(head.to_vec());
    render(table, rows)
}

/// Names and values, one a line.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let rows: Vec<_> = fields.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]).collect();
    render(Table::new(), &rows)
}

fn render(mut table: Table, rows: &[Vec<String>]) -> String {
    table.load_style(TableStyle::new());
    table.set_content_arrangement(ContentArrangement::Disabled);
    for row in rows {
        table.add_row(row.iter().map(|cell| clean_lines(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_where_the_text_ends() {
        let rows = vec![
            vec!["a".to_owned(), "long value".to_owned(), "x".to_owned()],
            vec!["bbb".to_owned(), String::new(), "y".to_owned()],
        ];
        assert_eq!(table(&["ID", "NAME", "Z"], &rows), "ID   NAME        Z\na    long value  x\nbbb              y\n");
        assert_eq!(fields(&[("id", "1".to_owned()), ("name", "two".to_owned())]), "id    1\nname  two\n");
        assert_eq!(table(&["ID"], &[]), "ID\n");
    }

    #[test]
    fn a_value_of_several_lines_stays_in_its_column() {
        assert_eq!(fields(&[("k", "one\ntwo".to_owned())]), "k  one\n   two\n");
    }

    #[test]
    fn tenants_cannot_steer_the_terminal() {
        for evil in ["\u{1b}[2J", "a\rb", "a\u{8}b", "\u{9b}31m", "\u{202e}abc", "a\u{200b}b", "\u{7}"] {
            let text = fields(&[("k", evil.to_owned())]);
            assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || is_invisible(c)), "{text:?}");
        }
        assert_eq!(clean("a\nb"), "a\\nb");
        assert_eq!(clean("grün 日本"), "grün 日本");
    }
}
