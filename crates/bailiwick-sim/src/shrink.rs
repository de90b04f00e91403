//! From a history that fails to one that a person can read: whatever can go without the failure going, goes.

use crate::check::{Failure, check};
use crate::leak::Leak;
use crate::script::{Mishap, Script};

/// How many runs a failure is worth.
const RUNS_MAX: usize = 400;

struct Shrinking {
    best: Failure,
    leak: Option<Leak>,
    runs: usize,
}

/// The smallest history that still fails, as far as so many runs find it.
pub fn shrink(failure: Failure, leak: Option<Leak>) -> Failure {
    let mut shrinking = Shrinking { best: failure, leak, runs: 0 };
    shrinking.cut();
    let mut piece = shrinking.best.script.steps.len() / 2;
    while piece > 0 && shrinking.runs < RUNS_MAX {
        if !shrinking.pieces(piece) {
            piece /= 2;
        }
    }
    shrinking.calm();
    shrinking.best
}

impl Shrinking {
    /// Takes this history, if it fails too.
    fn take(&mut self, script: Script) -> bool {
        self.runs += 1;
        match check(&script, self.best.without, self.leak) {
            Ok(_) => false,
            Err(failure) => {
                self.best = *failure;
                true
            }
        }
    }

    /// Without everything after the first difference.
    fn cut(&mut self) {
        let mut length = self.best.script.steps.len();
        while length > 1 && self.runs < RUNS_MAX {
            let mut script = self.best.script.clone();
            script.steps.truncate(length / 2);
            if !self.take(script) {
                return;
            }
            length = self.best.script.steps.len();
        }
    }

    /// Without so many steps in a row, wherever that is possible.
    fn pieces(&mut self, piece: usize) -> bool {
        let (mut at, mut has_shrunk) = (0, false);
        while at < self.best.script.steps.len() && self.runs < RUNS_MAX {
            let mut script = self.best.script.clone();
            let end = (at + piece).min(script.steps.len());
            script.steps.drain(at..end);
            if self.take(script) {
                has_shrunk = true;
            } else {
                at += piece;
            }
        }
        has_shrunk
    }

    /// Without mishaps, where they do not matter.
    fn calm(&mut self) {
        for at in 0..self.best.script.steps.len() {
            if self.best.script.steps[at].mishap != Mishap::None {
                let mut script = self.best.script.clone();
                script.steps[at].mishap = Mishap::None;
                self.take(script);
            }
        }
    }
}
