//! Whether the documents speak of things that exist: every relative link, and every test that a table of claims names.
//!
//! A claim whose test was renamed or removed is a claim without a test, so it fails here. Everything in this module is a
//! test: it needs nothing but the checkout.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure, Outcome};
use crate::shell;

/// Pages with tables whose last cell names tests.
const TABLES: [&str; 2] = ["docs/isolation/trust-table.md", "docs/isolation/history-of-failures.md"];

/// Fails with a list of what does not exist.
fn check() -> Outcome {
    let root = shell::root();
    let mut wrong = Vec::new();
    for page in files(&root, "md", &["docs", "tests"])?.into_iter().chain(pages_at(&root)?) {
        let text = fs::read_to_string(&page).context(page.display())?;
        let here = page.parent().unwrap_or(&root);
        let broken = links(&text).into_iter().filter(|link| !here.join(link).exists());
        wrong
            .extend(broken.map(|link| format!("{}: no `{link}`", page.strip_prefix(&root).unwrap_or(&page).display())));
    }
    let sources = files(&root, "rs", &["crates"])?;
    let sources = sources.iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
    let known: BTreeSet<&str> = sources.iter().flat_map(|source| functions(source)).collect();
    for page in TABLES {
        let table = fs::read_to_string(root.join(page)).context(page)?;
        let missing = tests(&table).into_iter().filter(|test| !known.contains(test));
        wrong.extend(missing.map(|test| format!("{page}: no test `{test}`")));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("the documents name what does not exist:\n{}", wrong.join("\n"))))
}

fn pages_at(root: &Path) -> Outcome<Vec<PathBuf>> {
    let pages = fs::read_dir(root).context(root.display())?.flatten().map(|item| item.path());
    Ok(pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect())
}

fn files(root: &Path, extension: &str, below: &[&str]) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = below.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).context(folder.display())? {
            let path = item?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|of| of == extension) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Where a page's relative links lead, without fragments. Blocks of code hold no links.
fn links(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let targets = prose.flat_map(|part| part.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
    let paths = targets.filter(|target| !target.contains("://")).filter_map(|target| target.split('#').next());
    paths.filter(|path| !path.is_empty()).collect()
}

/// What the last cell of each row has in backticks, if it can be the name of a test.
fn tests(table: &str) -> Vec<&str> {
    let cells = table.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit(" | ").next());
    let quoted = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    quoted
        .filter(|name| name.contains('_') && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()))
        .collect()
}

/// The names of a source's functions.
fn functions(source: &str) -> impl Iterator<Item = &str> {
    let names = source.split("fn ").skip(1);
    names.filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next())
}

mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code_and_without_fragments() {
        let text = "[a](x.md#y) [b](https://z) [c](#d)\n```\n[e](no)\n```\n[f](g/h.md)";
        assert_eq!(links(text), ["x.md", "g/h.md"]);
    }

    #[test]
    fn tests_are_the_names_in_the_last_cell() {
        let table = "| claim | how | `a_b` | `it_holds`, module `m`; `compile_fail` |\n| --- | --- |\n";
        assert_eq!(tests(table), ["it_holds", "compile_fail"]);
    }

    #[test]
    fn functions_are_told_from_other_words() {
        let source = "#[test]\nfn it_holds() {}\n    async fn so_does_this<T>(";
        assert_eq!(functions(source).collect::<Vec<_>>(), ["it_holds", "so_does_this"]);
    }

    #[test]
    fn what_the_documents_name_exists() {
        if let Err(failure) = check() {
            panic!("{failure}");
        }
    }
}
