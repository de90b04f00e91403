//! A race: somebody reads through every node at once, and loses the right to it meanwhile.
//!
//! What must hold is strict. Nothing that began after the loss was acknowledged is allowed; and in the ledger nothing that
//! was allowed comes after the loss, so whatever was answered later had been decided and made durable before.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use bailiwick_client::Call;

use super::caller::Outcome;
use super::fleet::Fleet;
use super::record::Record;

/// How long a race may take. Nothing here waits for time to pass; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// One request of a reader.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) node: usize,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) outcome: Outcome,
}

/// What came of a race.
#[derive(Debug)]
pub(crate) struct Race {
    /// What this was about, for people.
    pub(crate) what: String,
    /// The credential that was used.
    pub(crate) key: String,
    /// The request that took the right away.
    pub(crate) loss: String,
    acknowledged: Instant,
    pub(crate) answers: Vec<Answer>,
}

/// What readers and the one who takes away tell each other.
#[derive(Default)]
struct Board {
    done: Vec<usize>,
    acknowledged: Option<Instant>,
}

/// Runs a race: one reader at each of these nodes; `take` is called when all of them have read, and `more` times more.
/// It answers the request that took the right away.
pub(crate) fn race<A>(
    fleet: &Fleet,
    nodes: &[usize],
    (what, key, credential): (String, &str, &str),
    read: &Call<A>,
    more: usize,
    take: impl FnOnce() -> String,
) -> Race {
    race_and(fleet, nodes, (what, key, credential), read, more, take, || {})
}

/// The same, with something that happens when the loss is acknowledged.
pub(crate) fn race_and<A>(
    fleet: &Fleet,
    nodes: &[usize],
    (what, key, credential): (String, &str, &str),
    read: &Call<A>,
    more: usize,
    take: impl FnOnce() -> String,
    then: impl FnOnce(),
) -> Race {
    let board = Mutex::new(Board { done: vec![0; fleet.nodes.len()], acknowledged: None });
    let changed = Condvar::new();
    let mut answers = Vec::new();
    let mut loss = (String::new(), Instant::now());
    std::thread::scope(|scope| {
        let readers: Vec<_> = nodes
            .iter()
            .map(|node| {
                let (board, changed) = (&board, &changed);
                scope.spawn(move || reader(fleet, *node, credential, read, board, changed))
            })
            .collect();
        let until = Instant::now() + PATIENCE;
        let mut seen = board.lock().unwrap();
        while nodes.iter().any(|node| seen.done[*node] == 0) || seen.done.iter().sum::<usize>() < nodes.len() + more {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: readers do not read: {:?}", seen.done);
            seen = changed.wait_timeout(seen, left).unwrap().0;
        }
        drop(seen);
        loss = (take(), Instant::now());
        board.lock().unwrap().acknowledged = Some(loss.1);
        then();
        answers = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
    });
    Race { what, key: key.to_owned(), loss: loss.0, acknowledged: loss.1, answers }
}

/// Reads until it is refused at a time when it must be.
fn reader<A>(
    fleet: &Fleet,
    node: usize,
    credential: &str,
    read: &Call<A>,
    board: &Mutex<Board>,
    changed: &Condvar,
) -> Vec<Answer> {
    let caller = fleet.nodes[node].caller(credential);
    let until = Instant::now() + PATIENCE;
    let mut answers: Vec<Answer> = Vec::new();
    loop {
        let is_last = board.lock().unwrap().acknowledged.is_some();
        let began = Instant::now();
        let outcome = caller.ask(read);
        let ended = Instant::now();
        if outcome.is_done() {
            board.lock().unwrap().done[node] += 1;
            changed.notify_all();
        }
        // "Try again" is no decision; whoever asks again gets one.
        let is_decided = !outcome.is_temporary();
        answers.push(Answer { node, began, ended, outcome });
        if is_last && is_decided || Instant::now() > until {
            return answers;
        }
    }
}

impl Race {
    /// Fails when something was allowed that began after the loss was acknowledged, or that was not answered at all.
    #[track_caller]
    pub(crate) fn check_answers(&self) {
        for answer in &self.answers {
            let is_after = answer.began >= self.acknowledged;
            assert!(
                !(is_after && answer.outcome.is_done()),
                "{}: allowed at node{} {:?} after the loss was acknowledged ({}): {answer:?}",
                self.what,
                answer.node,
                answer.began - self.acknowledged,
                self.loss
            );
            let is_answer = !matches!(answer.outcome, Outcome::Lost(_)) || answer.outcome.is_temporary();
            assert!(is_answer, "{}: {answer:?}", self.what);
        }
        let last = self.answers.iter().filter(|answer| answer.began >= self.acknowledged);
        assert!(
            last.clone().any(|answer| matches!(answer.outcome, Outcome::Refused(_))),
            "{}: nobody asked",
            self.what
        );
    }

    /// Fails when the ledger has something allowed after the loss, or has not everything that was answered.
    #[track_caller]
    pub(crate) fn check_record(&self, record: &Record) {
        self.check_acknowledged(record);
        let loss = record.of_done(&self.loss).index;
        let late = record
            .entries
            .iter()
            .find(|entry| entry.index > loss && entry.credential == self.key && entry.outcome == "ok");
        assert!(late.is_none(), "{}: lost at {loss}, and allowed later: {late:?}", self.what);
    }

    /// Fails when the ledger has not everything that was answered.
    #[track_caller]
    pub(crate) fn check_acknowledged(&self, record: &Record) {
        for answer in &self.answers {
            if let Outcome::Done(request) = &answer.outcome {
                record.of_done(request);
            }
        }
    }

    /// How many requests were under way when the right was taken away, or began before that was known.
    pub(crate) fn overlapping(&self) -> usize {
        self.answers
            .iter()
            .filter(|answer| answer.began < self.acknowledged && answer.ended > self.acknowledged)
            .count()
    }
}

/// The judge itself, on races that went wrong: it must have been seen to say no.
mod judged {
    use super::{Answer, Outcome, Race};
    use crate::record::{Entry, Record};
    use std::time::{Duration, Instant};

    /// Allowed, then lost by request `loss`, then refused.
    fn race(now: Instant) -> Race {
        let at = |ms| now + Duration::from_millis(ms);
        let answer = |began, ended, outcome| Answer { node: 1, began: at(began), ended: at(ended), outcome };
        Race {
            what: "k revoked".to_owned(),
            key: "k".to_owned(),
            loss: "loss".to_owned(),
            acknowledged: at(10),
            answers: vec![
                answer(0, 20, Outcome::Done("one".to_owned())),
                answer(21, 22, Outcome::Refused("401".to_owned())),
            ],
        }
    }

    fn entry(index: u64, request: &str, credential: &str) -> Entry {
        Entry::of(index, request, credential, "ok")
    }

    fn fails(check: impl FnOnce() + std::panic::UnwindSafe) -> bool {
        std::panic::catch_unwind(check).is_err()
    }

    #[test]
    fn what_began_after_the_loss_was_acknowledged_must_not_be_allowed() {
        let now = Instant::now();
        race(now).check_answers();
        assert_eq!(race(now).overlapping(), 1);
        let mut late = race(now);
        late.answers.push(Answer { outcome: Outcome::Done("two".to_owned()), ..late.answers[1].clone() });
        assert!(fails(move || late.check_answers()));
        let mut silent = race(now);
        silent.answers.pop();
        assert!(fails(move || silent.check_answers()), "nobody asked afterwards");
    }

    #[test]
    fn what_is_in_the_ledger_after_the_loss_must_not_be_allowed() {
        let now = Instant::now();
        race(now).check_record(&Record::from(vec![entry(0, "one", "k"), entry(1, "loss", "o")]));
        for (wrong, what) in [
            (vec![entry(0, "loss", "o"), entry(1, "one", "k")], "decided before, committed after"),
            (vec![entry(0, "one", "k"), entry(1, "loss", "o"), entry(2, "three", "k")], "allowed, and never answered"),
            (vec![entry(0, "loss", "o")], "answered without an entry"),
            (vec![entry(0, "one", "k")], "lost without an entry"),
            (vec![entry(0, "one", "k"), entry(1, "one", "k"), entry(2, "loss", "o")], "done twice"),
        ] {
            let race = race(now);
            assert!(fails(move || race.check_record(&Record::from(wrong))), "{what}");
        }
    }
}
