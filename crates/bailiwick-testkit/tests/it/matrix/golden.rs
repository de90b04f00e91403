//! Golden files that are guarded: there is no switch that rewrites them.
//!
//! A change of who may do what is written by hand, or copied with open eyes from the candidate that a failing run leaves.

use std::path::{Path, PathBuf};

/// Compares `text` with the reviewed file.
#[track_caller]
pub(crate) fn check(name: &str, text: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect();
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    if reviewed == text {
        return;
    }
    let candidate = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&candidate, text).unwrap();
    panic!(
        "`{}` is not what was reviewed (`-` reviewed, `+` now):\n{}\nIf this is meant, review the candidate and copy it:\n  cp {} {}",
        name,
        difference(&reviewed, text),
        candidate.display(),
        path.display(),
    );
}

/// The most lines of a difference that are shown.
const LINES_MAX: usize = 200;

/// Lines that differ, each with the unindented lines (the routes) above it.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    // The longest common subsequence, from the back.
    let mut longest = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i][j] =
                if old[i] == new[j] { longest[i + 1][j + 1] + 1 } else { longest[i + 1][j].max(longest[i][j + 1]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut shown: Vec<String> = Vec::new();
    let mut heading: Option<&str> = None;
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            if !old[i].starts_with(' ') {
                heading = Some(old[i]);
            }
            (i, j) = (i + 1, j + 1);
            continue;
        }
        shown.extend(heading.take().map(|heading| format!("  {heading}")));
        if j == new.len() || (i < old.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            shown.push(format!("- {}", old[i]));
            i += 1;
        } else {
            shown.push(format!("+ {}", new[j]));
            j += 1;
        }
    }
    let rest = shown.len().saturating_sub(LINES_MAX);
    shown.truncate(LINES_MAX);
    if rest > 0 {
        shown.push(format!("… and {rest} lines more"));
    }
    shown.join("\n")
}

#[test]
fn differences_show_what_changed_and_where() {
    let (old, new) = ("GET /a\n  own\n    200 x\nGET /b\n  own\n", "GET /a\n  own\n    403 x\nGET /b\n  own\n");
    assert_eq!(difference(old, new), "  GET /a\n-     200 x\n+     403 x");
}
