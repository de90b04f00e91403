//! Running a script, and what is seen of it.

use std::collections::BTreeMap;

use bailiwick_store::{Header, Record, Space, StoredEntry};
use bailiwick_testkit::Answer;
use bailiwick_types::{Action, TenantId};

use crate::asking::{self, Asked, Books};
use crate::book::one;
use crate::coverage::Coverage;
use crate::leak::Leak;
use crate::machine::{Flight, Machine, Sent};
use crate::script::{Act, Script, Step, Whose};

/// What whoever asked has seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// An answer, to the byte.
    Answer(Answer),
    /// Nothing: it was gone before the answer, or the server was.
    Nothing,
}

/// Everything that is stored of one plane, as the bytes that they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its row.
    pub header: Header,
    /// Its records.
    pub records: Vec<(Space, Vec<u8>, Record)>,
    /// Its ledger.
    pub entries: Vec<StoredEntry>,
}

/// A script that was run.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// What was asked, by the steps' numbers.
    pub asked: BTreeMap<u32, Asked>,
    /// What was seen of it.
    pub seen: BTreeMap<u32, Seen>,
    /// What is left of each tenant; of those that were made.
    pub stored: BTreeMap<usize, Stored>,
    /// What is left of the platform.
    pub platform: Stored,
    /// Which actions were asked for, and what came of them.
    pub coverage: Coverage,
}

struct Runner<'a> {
    machine: Machine,
    books: Books,
    /// What is asked, where that was found out in another run.
    fixed: Option<&'a BTreeMap<u32, Asked>>,
    flights: Vec<Flight>,
    asked: BTreeMap<u32, Asked>,
    seen: BTreeMap<u32, Seen>,
    whose: BTreeMap<u32, Whose>,
    coverage: Coverage,
}

/// Runs a script. With `fixed` its requests are those of another run, to the byte.
pub fn run(script: &Script, fixed: Option<&BTreeMap<u32, Asked>>, leak: Option<Leak>) -> Run {
    let (machine, books) = Machine::new(script.seed, leak);
    let mut runner = Runner {
        machine,
        books,
        fixed,
        flights: Vec::new(),
        asked: BTreeMap::new(),
        seen: BTreeMap::new(),
        whose: BTreeMap::new(),
        coverage: Coverage::default(),
    };
    for step in &script.steps {
        runner.land_until(step.number);
        runner.take(step);
    }
    runner.land_until(u32::MAX);
    let ids =
        runner.books.tenants.iter().enumerate().filter_map(|(tenant, book)| Some((tenant, book.id.parse().ok()?)));
    let stored = ids.map(|(tenant, id)| (tenant, stored(&runner.machine, id))).collect();
    let platform = stored_of_platform(&runner.machine);
    Run { asked: runner.asked, seen: runner.seen, stored, platform, coverage: runner.coverage }
}

impl Runner<'_> {
    fn take(&mut self, step: &Step) {
        self.machine.set_clock(step.at_ms);
        match step.act {
            Act::Ask(ask) => self.ask(step, |books| Some(asking::asked(ask, step.whose, books))),
            Act::Open(which) => self.ask(step, |_| Some(asking::open(which))),
            Act::Again(which) => self.ask(step, |books| one(&books.tenants[step.whose.tenant()?].sent, which).cloned()),
            Act::Jobs => self.machine.run_due_jobs(step.number),
            Act::Restart => {
                // In good order: what is under way is finished first.
                self.land_until(u32::MAX);
                self.machine.set_clock(step.at_ms);
                self.machine.restart(step.number, false, &self.books.platform.shares);
            }
            Act::Crash => {
                for flight in self.flights.drain(..) {
                    self.seen.insert(flight.number, Seen::Nothing);
                }
                self.machine.restart(step.number, true, &self.books.platform.shares);
            }
            Act::DiskFull => self.machine.set_full(true),
            Act::DiskFree => self.machine.set_full(false),
        }
    }

    fn ask(&mut self, step: &Step, asked: impl FnOnce(&Books) -> Option<Asked>) {
        let asked = match self.fixed {
            Some(fixed) => fixed.get(&step.number).cloned(),
            None => asked(&self.books),
        };
        let Some(asked) = asked else { return };
        self.asked.insert(step.number, asked.clone());
        self.whose.insert(step.number, step.whose);
        let own: Option<TenantId> = step.whose.tenant().and_then(|tenant| self.books.tenants[tenant].id.parse().ok());
        let is_shared = asked.action == Some(Action::RootKeyRotate);
        match self.machine.ask(step.number, &asked, own, step.mishap, is_shared) {
            Sent::Answered(answer) => self.answered(step.number, answer),
            Sent::Gone => {
                self.coverage.gone(asked.action);
                self.seen.insert(step.number, Seen::Nothing);
            }
            Sent::Held(mut flight) => {
                flight.at_ms = step.at_ms;
                self.flights.push(flight);
            }
        }
    }

    fn answered(&mut self, number: u32, answer: Answer) {
        let asked = &self.asked[&number];
        self.coverage.answered(asked, &answer);
        let book = match self.whose[&number].tenant() {
            Some(tenant) => &mut self.books.tenants[tenant],
            None => &mut self.books.platform,
        };
        book.learn(asked, answer.status, &answer.json());
        self.seen.insert(number, Seen::Answer(answer));
    }

    /// Lets requests that have been held up long enough go on. The clock then shows when they were sent, and some seconds:
    /// not the time of the step that comes next, which may be another's. For the same reason they go on in the order in which
    /// their time is over, however many of them the next step finds.
    fn land_until(&mut self, number: u32) {
        let due = |flights: &[Flight]| {
            let due = flights.iter().enumerate().filter(|(_, flight)| flight.until <= number);
            due.min_by_key(|(_, flight)| (flight.until, flight.number)).map(|(at, _)| at)
        };
        while let Some(at) = due(&self.flights) {
            let flight = self.flights.remove(at);
            let number = flight.number;
            self.machine.set_clock(flight.at_ms + i64::from(flight.until - number) * 1_000);
            let answer = self.machine.land(flight);
            self.answered(number, answer);
        }
    }
}

fn stored_of_platform(machine: &Machine) -> Stored {
    stored(machine, TenantId::PLATFORM)
}

fn stored(machine: &Machine, id: TenantId) -> Stored {
    let store = machine.store().inner();
    machine.block_on(async {
        let header = store.header(id).await.expect("a read").expect("the plane");
        let mut records = Vec::new();
        for space in Space::ALL {
            let page = store.records(id, *space, b"", None, 10_000).await.expect("a read");
            records.extend(page.into_iter().map(|(key, record)| (*space, key, record)));
        }
        let entries = store.entries(id, 0, 100_000).await.expect("a read");
        assert_eq!(entries.len() as u64, header.ledger.size(), "the ledger has a gap");
        Stored { header, records, entries }
    })
}
