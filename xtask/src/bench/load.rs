//! The load generator: a fixed number of connections, each sending its next request when the last one is answered.
//!
//! It runs as a process of its own so that its CPU time can be told from the server's, and on one thread, which sends
//! several times what either server can answer (a control in every report shows how much). `wrk` was tried first:
//! with a Lua script that chooses each request's credential it costs 11 µs of CPU a request, this 6 µs, and it
//! cannot look into answers. On two shared cores the generator's CPU is taken from the server's.
//!
//! # Invariants
//! - Every answer's status is looked at, and every answer of the first cycle is searched for the text it must hold.
//!   One wrong answer makes the whole run worthless, and `bench` throws it away.
//! - Numbers are of the window after the warm-up only; wrong answers count whenever they come.
//!
//! # Not measured
//! A closed loop waits for a slow server, so its latencies are those of 64 patient clients, not those of arrivals at a
//! fixed rate.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use serde::{Deserialize, Serialize};

use super::proc::{self, Machine};
use crate::failure::{Context, Failure, Outcome};
use crate::http;

/// One request and what its answer must be. `{n}` in path, headers and body is the number of the unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Text that the answer holds.
    pub(crate) must_hold: String,
    /// Statuses that are right besides those of success: a flood's are.
    pub(crate) may_be: Vec<u16>,
}

impl Request {
    /// A request without a body whose answer may be anything.
    pub(crate) fn new(method: &str, path: impl Into<String>) -> Self {
        let (method, path) = (method.to_owned(), path.into());
        let (headers, body, must_hold, may_be) = Default::default();
        Self { method, path, headers, body, must_hold, may_be }
    }

    /// With this header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With this body.
    pub(crate) fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// With this text in the answer.
    pub(crate) fn must_hold(mut self, text: impl Into<String>) -> Self {
        self.must_hold = text.into();
        self
    }

    /// Answered with one of these, it is answered rightly as well, whatever the answer holds.
    pub(crate) fn may_be(mut self, statuses: &[u16]) -> Self {
        self.may_be.extend_from_slice(statuses);
        self
    }
}

/// When a run is over.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Until {
    /// After this time, the warm-up not counted.
    Time { warm_up: Duration, window: Duration },
    /// When this many units are done; there is no warm-up.
    Count(u64),
}

/// What to send. The unit with number `n` is the requests in `units[n % units.len()]`, one after the other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Where to send it; connections take them in turn.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The server's processes, to account for their CPU time.
    pub(crate) pids: Vec<u32>,
    pub(crate) connections: usize,
    pub(crate) until: Until,
    /// How long a connection rests after each unit.
    pub(crate) rest: Duration,
    /// The number of the first unit.
    pub(crate) first: u64,
    pub(crate) units: Vec<Vec<Request>>,
}

/// What a run has shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Units completed in the window.
    pub(crate) done: u64,
    /// Length of the window.
    pub(crate) seconds: f64,
    /// Units a second.
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// Answers by status, warm-up included.
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Answers with status 429, and those of them that do not say when to try again.
    pub(crate) refused: u64,
    pub(crate) refused_for_ever: u64,
    /// Answers that were not as they must be, and the first of them.
    pub(crate) wrong: u64,
    pub(crate) first_wrong: String,
    /// CPU seconds in the window.
    pub(crate) server_cpu: f64,
    pub(crate) generator_cpu: f64,
    pub(crate) machine: Machine,
    /// What the server wrote to disk in the window.
    pub(crate) written_mib: f64,
    /// The first unit number that was never sent.
    pub(crate) next: u64,
}

/// The longest that the generator sleeps.
const PATIENCE: Duration = Duration::from_millis(5);

/// Reads the plan, sends the load, prints the result as JSON.
pub(crate) fn main(plan: &Path) -> Outcome {
    let text = std::fs::read_to_string(plan).context(plan.display())?;
    let run = drive(&serde_json::from_str(&text)?)?;
    println!("{}", serde_json::to_string(&run)?);
    Ok(())
}

/// Sends the load.
pub(crate) fn drive(plan: &Plan) -> Outcome<Run> {
    if plan.units.iter().any(Vec::is_empty) || plan.units.is_empty() {
        return Err(Failure::new("a plan without requests"));
    }
    let mut generator = Generator::new(plan)?;
    generator.run()?;
    generator.report()
}

/// A request, ready to be sent when it does not depend on the number of the unit.
enum Message<'a> {
    Ready(Vec<u8>),
    PerUnit(&'a Request),
}

impl<'a> Message<'a> {
    fn new(request: &'a Request) -> Self {
        let in_headers = request.headers.iter().any(|(_, value)| value.contains("{n}"));
        if in_headers || request.path.contains("{n}") || request.body.contains("{n}") {
            return Self::PerUnit(request);
        }
        Self::Ready(http::encode(&request.method, &request.path, &request.headers, &request.body))
    }
}

fn encode_for(request: &Request, unit: u64) -> Vec<u8> {
    let fill = |text: &str| text.replace("{n}", &unit.to_string());
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
    http::encode(&request.method, &fill(&request.path), &headers, &fill(&request.body))
}

/// One connection.
struct Lane {
    number: usize,
    socket: TcpStream,
    inbox: Vec<u8>,
    unit: u64,
    step: usize,
    began: Instant,
    idle: bool,
}

/// Counters at one moment.
struct Reading {
    at: Instant,
    server: f64,
    generator: f64,
    machine: Machine,
    written: f64,
}

impl Reading {
    fn take(plan: &Plan) -> Outcome<Self> {
        Ok(Self {
            at: Instant::now(),
            server: summed(&plan.pids, proc::cpu_seconds)?,
            generator: proc::cpu_seconds(std::process::id())?,
            machine: Machine::now()?,
            written: summed(&plan.pids, proc::written_mib)?,
        })
    }
}

fn summed(pids: &[u32], of: fn(u32) -> Outcome<f64>) -> Outcome<f64> {
    pids.iter().map(|pid| of(*pid)).sum()
}

struct Generator<'a> {
    plan: &'a Plan,
    messages: Vec<Vec<Message<'a>>>,
    lanes: Vec<Lane>,
    epoll: rustix::fd::OwnedFd,
    next: u64,
    begins: Instant,
    ends: Instant,
    opened: Option<Reading>,
    latencies_us: Vec<u32>,
    /// Connections that rest, by when they go on: all rest equally long, so the first is the next.
    resting: VecDeque<(Instant, usize)>,
    run: Run,
}

impl<'a> Generator<'a> {
    fn new(plan: &'a Plan) -> Outcome<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut lanes = Vec::new();
        for number in 0..plan.connections {
            let at = number.checked_rem(plan.addresses.len()).and_then(|at| plan.addresses.get(at));
            let address = at.context("a plan without an address")?;
            let socket = TcpStream::connect(address).context(address)?;
            socket.set_nodelay(true)?;
            let data = epoll::EventData::new_u64(u64::try_from(number)?);
            epoll::add(&epoll, &socket, data, epoll::EventFlags::IN)?;
            lanes.push(Lane {
                number,
                socket,
                inbox: Vec::new(),
                unit: 0,
                step: 0,
                began: Instant::now(),
                idle: false,
            });
        }
        let now = Instant::now();
        let (begins, ends) = match plan.until {
            Until::Time { warm_up, window } => (now + warm_up, now + warm_up + window),
            // A run that counts is bounded as well: it must not wait for ever on a server that has stopped working.
            Until::Count(_) => (now, now + Duration::from_secs(3600)),
        };
        Ok(Self {
            plan,
            messages: plan.units.iter().map(|unit| unit.iter().map(Message::new).collect()).collect(),
            lanes,
            epoll,
            next: plan.first,
            begins,
            ends,
            opened: None,
            latencies_us: Vec::new(),
            resting: VecDeque::new(),
            run: Run::default(),
        })
    }

    fn run(&mut self) -> Outcome {
        let mut lanes = std::mem::take(&mut self.lanes);
        if let Until::Count(count) = self.plan.until {
            lanes.truncate(usize::try_from(count)?);
        }
        for lane in &mut lanes {
            self.start_unit(lane)?;
        }
        let mut events = Vec::with_capacity(lanes.len());
        let mut scratch = vec![0_u8; 64 * 1024];
        let mut last_answer = Instant::now();
        loop {
            let now = Instant::now();
            if self.opened.is_none() && now >= self.begins {
                self.opened = Some(Reading::take(self.plan)?);
            }
            if now >= self.ends || lanes.iter().all(|lane| lane.idle) {
                return Ok(());
            }
            while let Some((_, number)) = self.resting.front().copied().filter(|(until, _)| *until <= now) {
                self.resting.pop_front();
                let lane = lanes.get_mut(number).context("a connection that is none")?;
                self.start_unit(lane)?;
            }
            // Wakes up in time for the window's edges also when the server answers nothing.
            let next = self.resting.front().map_or(PATIENCE, |(until, _)| until.duration_since(now).min(PATIENCE));
            let patience = Timespec { tv_sec: 0, tv_nsec: next.subsec_nanos().into() };
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&patience)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if !events.is_empty() || !self.resting.is_empty() {
                last_answer = now;
            } else if now - last_answer > Duration::from_secs(60) {
                return Err(Failure::new("the server has answered nothing for a minute"));
            }
            for event in &events {
                let number = usize::try_from(event.data.u64())?;
                let lane = lanes.get_mut(number).context("an event of no connection")?;
                self.receive(lane, &mut scratch)?;
            }
        }
    }

    fn receive(&mut self, lane: &mut Lane, scratch: &mut [u8]) -> Outcome {
        // The socket is blocking, but `epoll` has said that there is something to read.
        let read = match lane.socket.read(scratch) {
            Ok(0) => return Err(Failure::new("the server closed a connection")),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        lane.inbox.extend_from_slice(scratch.get(..read).unwrap_or_default());
        let Some(answer) = http::parse(&lane.inbox)? else { return Ok(()) };
        self.judge(lane, &answer);
        if answer.closes {
            return Err(Failure::new(format!("the server closes the connection after status {}", answer.status)));
        }
        lane.inbox.clear();
        lane.step += 1;
        if lane.step < self.steps(lane.unit)?.len() {
            return self.send(lane);
        }
        self.finish_unit(lane)
    }

    fn judge(&mut self, lane: &Lane, answer: &http::Answer) {
        *self.run.statuses.entry(answer.status).or_default() += 1;
        let body = lane.inbox.get(answer.body.clone()).unwrap_or_default();
        let cycle = u64::try_from(self.plan.units.len()).unwrap_or(u64::MAX);
        let request = self.plan.units.get(position(lane.unit, cycle)).and_then(|unit| unit.get(lane.step));
        let must_hold = request.map_or("", |request| request.must_hold.as_str());
        let is_first_cycle = lane.unit - self.plan.first < cycle;
        let holds = !is_first_cycle || must_hold.is_empty() || http::find(body, must_hold.as_bytes()).is_some();
        self.run.refused += u64::from(answer.status == 429);
        self.run.refused_for_ever += u64::from(answer.status == 429 && !answer.has_retry_after);
        let is_success = (200..300).contains(&answer.status);
        if is_success && holds || request.is_some_and(|request| request.may_be.contains(&answer.status)) {
            return;
        }
        self.run.wrong += 1;
        if self.run.first_wrong.is_empty() {
            let path = request.map_or("", |request| request.path.as_str());
            self.run.first_wrong = format!("{path}: {} {}", answer.status, String::from_utf8_lossy(body));
        }
    }

    fn finish_unit(&mut self, lane: &mut Lane) -> Outcome {
        if self.opened.is_some() {
            self.latencies_us.push(u32::try_from(lane.began.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        if let Until::Count(count) = self.plan.until
            && self.next - self.plan.first >= count
        {
            lane.idle = true;
            return Ok(());
        }
        if self.plan.rest > Duration::ZERO {
            self.resting.push_back((Instant::now() + self.plan.rest, lane.number));
            return Ok(());
        }
        self.start_unit(lane)
    }

    fn start_unit(&mut self, lane: &mut Lane) -> Outcome {
        lane.unit = self.next;
        lane.step = 0;
        lane.began = Instant::now();
        self.next += 1;
        self.send(lane)
    }

    fn send(&self, lane: &mut Lane) -> Outcome {
        // A request is far smaller than the socket's buffer, which is empty here: this does not block.
        match self.steps(lane.unit)?.get(lane.step).context("a step of no unit")? {
            Message::Ready(bytes) => lane.socket.write_all(bytes)?,
            Message::PerUnit(request) => lane.socket.write_all(&encode_for(request, lane.unit))?,
        }
        Ok(())
    }

    fn steps(&self, unit: u64) -> Outcome<&[Message<'a>]> {
        let cycle = u64::try_from(self.messages.len())?;
        self.messages.get(position(unit, cycle)).map(Vec::as_slice).context("a unit of no plan")
    }

    fn report(mut self) -> Outcome<Run> {
        let opened = self.opened.take().context("the run ended in its warm-up")?;
        let closed = Reading::take(self.plan)?;
        self.latencies_us.sort_unstable();
        let (sorted, mut run) = (&self.latencies_us, self.run);
        run.done = u64::try_from(sorted.len())?;
        run.seconds = (closed.at - opened.at).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let done = run.done as f64;
        run.rate = done / run.seconds;
        run.p50_ms = percentile_ms(sorted, 50);
        run.p99_ms = percentile_ms(sorted, 99);
        run.max_ms = percentile_ms(sorted, 100);
        run.server_cpu = closed.server - opened.server;
        run.generator_cpu = closed.generator - opened.generator;
        run.machine = closed.machine.since(opened.machine);
        run.written_mib = closed.written - opened.written;
        run.next = self.next;
        Ok(run)
    }
}

fn position(unit: u64, cycle: u64) -> usize {
    usize::try_from(unit % cycle.max(1)).unwrap_or_default()
}

/// The smallest value that at least `percent` of the values do not exceed.
fn percentile_ms(sorted_us: &[u32], percent: usize) -> f64 {
    let rank = (sorted_us.len() * percent).div_ceil(100).max(1);
    sorted_us.get(rank - 1).map_or(0.0, |us| f64::from(*us) / 1000.0)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;
    use crate::bench::respond;

    fn plan(units: Vec<Vec<Request>>, until: Until) -> Plan {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || respond::serve(&listener));
        let (addresses, pids, rest) = (vec![address], vec![std::process::id()], Duration::ZERO);
        Plan { addresses, pids, connections: 4, until, rest, first: 10, units }
    }

    #[test]
    fn a_counted_run_sends_exactly_that_many_units_with_all_their_steps() {
        let unit = vec![Request::new("GET", "/a/{n}"), Request::new("POST", "/b").body("{}").must_hold("ok")];
        let run = drive(&plan(vec![unit], Until::Count(50))).unwrap();
        assert_eq!((run.done, run.next, run.wrong), (50, 60, 0), "{}", run.first_wrong);
        assert_eq!(run.statuses, BTreeMap::from([(200, 100)]));
    }

    #[test]
    fn an_answer_without_the_text_it_must_hold_is_wrong() {
        let unit = vec![Request::new("GET", "/a").must_hold("what nobody says")];
        let run = drive(&plan(vec![unit], Until::Count(5))).unwrap();
        assert_eq!(run.wrong, 1, "only the first cycle is searched, and it has one unit");
        assert!(run.first_wrong.starts_with("/a: 200"), "{}", run.first_wrong);
    }

    #[test]
    fn a_status_that_is_no_success_is_wrong_every_time() {
        let unit = vec![Request::new("GET", "/missing")];
        let run = drive(&plan(vec![unit], Until::Count(5))).unwrap();
        assert_eq!(run.wrong, 5);
    }

    #[test]
    fn a_status_that_a_flood_expects_is_not_wrong() {
        let unit = vec![Request::new("GET", "/missing").may_be(&[404, 429])];
        let run = drive(&plan(vec![unit], Until::Count(5))).unwrap();
        assert_eq!((run.wrong, run.refused), (0, 0));
    }

    #[test]
    fn a_connection_rests_between_two_units() {
        let unit = vec![Request::new("GET", "/a")];
        let rest = Duration::from_millis(20);
        let run = drive(&Plan { rest, ..plan(vec![unit], Until::Count(12)) }).unwrap();
        assert_eq!((run.done, run.wrong), (12, 0));
        assert!(run.seconds >= 0.04, "three units on each of four connections: {}", run.seconds);
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let sorted: Vec<u32> = (1..=200).map(|n| n * 1000).collect();
        assert_eq!(percentile_ms(&sorted, 50), 100.0);
        assert_eq!(percentile_ms(&sorted, 99), 198.0);
        assert_eq!(percentile_ms(&sorted, 100), 200.0);
        assert_eq!(percentile_ms(&[], 50), 0.0);
    }
}
