//! Sends a plan: a fixed number of connections, each of which sends its next request when the last one is answered.
//!
//! On one thread, which sends several times what a server can answer (a control in every report of `cargo xtask bench` shows
//! how much). `wrk` was tried first: with a Lua script that chooses each request's credential it costs 11 µs of CPU a
//! request, this 6 µs, and it cannot look into answers. On two shared cores the generator's CPU is taken from the server's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::error::LoadError;
use crate::http;
use crate::plan::{Plan, Request, Run, Until};
use crate::ready::Ready;
use crate::wire::{Came, Transport, Wire};

/// The longest that the generator sleeps.
const PATIENCE: Duration = Duration::from_millis(5);

/// Without any answer for so long, a run ends.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// A run that counts is bounded as well: it must not wait for ever on a server that answers ever more slowly.
const COUNTED_MAX: Duration = Duration::from_secs(3600);

/// What a run needs from outside.
pub struct Means<'a> {
    /// How to speak with the server.
    pub transport: &'a Transport,
    /// Once this is true, the run ends with [`LoadError::Stopped`].
    pub stop: &'a AtomicBool,
    /// Called when the window begins and when it ends: for counters of others.
    pub at_edge: &'a mut dyn FnMut(),
}

/// Sends the load.
///
/// # Errors
/// [`LoadError`]. That answers were wrong is none: it is in the [`Run`].
pub fn drive<'a>(plan: &'a Plan, means: Means<'a>) -> Result<Run, LoadError> {
    if plan.units.iter().any(Vec::is_empty) || plan.units.is_empty() {
        return Err(LoadError::Plan("a unit without requests"));
    }
    let mut generator = Generator::new(plan, means)?;
    generator.run()?;
    generator.report()
}

/// A request, ready to be sent when it does not depend on the number of the unit.
enum Message<'a> {
    Ready(Vec<u8>),
    PerUnit(&'a Request),
}

impl<'a> Message<'a> {
    fn new(host: &str, request: &'a Request) -> Self {
        let in_headers = request.headers.iter().any(|(_, value)| value.contains("{n}"));
        if in_headers || request.path.contains("{n}") || request.body.contains("{n}") {
            return Self::PerUnit(request);
        }
        Self::Ready(http::encode(host, &request.method, &request.path, &request.headers, &request.body))
    }
}

fn encode_for(host: &str, request: &Request, unit: u64) -> Vec<u8> {
    let fill = |text: &str| text.replace("{n}", &unit.to_string());
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
    http::encode(host, &request.method, &fill(&request.path), &headers, &fill(&request.body))
}

/// One connection.
struct Lane {
    number: usize,
    wire: Wire,
    inbox: Vec<u8>,
    unit: u64,
    step: usize,
    began: Instant,
    /// Whether the unit had an answer whose status is no success.
    has_failed: bool,
    /// Whether an answer is awaited.
    is_asking: bool,
    is_done: bool,
}

/// The window's beginning.
struct Opened {
    at: Instant,
    cpu: f64,
}

struct Generator<'a> {
    plan: &'a Plan,
    means: Means<'a>,
    messages: Vec<Vec<Message<'a>>>,
    lanes: Vec<Lane>,
    ready: Ready,
    next: u64,
    begins: Instant,
    ends: Instant,
    opened: Option<Opened>,
    latencies_us: Vec<u32>,
    /// Connections that rest, by when they go on: all rest equally long, so the first is the next.
    resting: VecDeque<(Instant, usize)>,
    run: Run,
}

impl<'a> Generator<'a> {
    fn new(plan: &'a Plan, means: Means<'a>) -> Result<Self, LoadError> {
        let mut generator = Self {
            plan,
            messages: plan.units.iter().map(|unit| messages(&plan.host, unit)).collect(),
            lanes: Vec::new(),
            ready: Ready::new()?,
            next: plan.first,
            begins: Instant::now(),
            ends: Instant::now(),
            opened: None,
            latencies_us: Vec::new(),
            resting: VecDeque::new(),
            run: Run::default(),
            means,
        };
        for number in 0..plan.connections {
            if generator.means.stop.load(Ordering::Relaxed) {
                return Err(LoadError::Stopped);
            }
            let wire = generator.connect(number)?;
            generator.lanes.push(Lane {
                number,
                wire,
                inbox: Vec::new(),
                unit: 0,
                step: 0,
                began: Instant::now(),
                has_failed: false,
                is_asking: false,
                is_done: false,
            });
        }
        let now = Instant::now();
        (generator.begins, generator.ends) = match plan.until {
            Until::Time { warm_up, window } => (now + warm_up, now + warm_up + window),
            Until::Count(_) => (now, now + COUNTED_MAX),
        };
        Ok(generator)
    }

    fn connect(&mut self, number: usize) -> Result<Wire, LoadError> {
        let at = number.checked_rem(self.plan.addresses.len()).and_then(|at| self.plan.addresses.get(at));
        let wire = self.means.transport.connect(*at.ok_or(LoadError::Plan("no address"))?)?;
        self.ready.watch(&wire, number)?;
        Ok(wire)
    }

    fn run(&mut self) -> Result<(), LoadError> {
        let mut lanes = std::mem::take(&mut self.lanes);
        if let Until::Count(count) = self.plan.until {
            lanes.truncate(usize::try_from(count).unwrap_or(usize::MAX));
        }
        for lane in &mut lanes {
            self.start_unit(lane)?;
        }
        let mut found = Vec::with_capacity(lanes.len());
        let mut scratch = vec![0_u8; 64 * 1024];
        let mut last_answer = Instant::now();
        loop {
            let now = Instant::now();
            if self.means.stop.load(Ordering::Relaxed) {
                return Err(LoadError::Stopped);
            }
            if self.opened.is_none() && now >= self.begins {
                (self.means.at_edge)();
                self.opened = Some(Opened { at: Instant::now(), cpu: cpu_seconds() });
            }
            if now >= self.ends || lanes.iter().all(|lane| lane.is_done) {
                return Ok(());
            }
            while let Some((_, number)) = self.resting.front().copied().filter(|(until, _)| *until <= now) {
                self.resting.pop_front();
                if let Some(lane) = lanes.get_mut(number) {
                    self.start_unit(lane)?;
                }
            }
            // Wakes up in time for the window's edges also when the server answers nothing.
            let next = self.resting.front().map_or(PATIENCE, |(until, _)| until.duration_since(now).min(PATIENCE));
            self.ready.wait(Some(next), &mut found)?;
            if !found.is_empty() || !self.resting.is_empty() {
                last_answer = now;
            } else if now - last_answer > SILENCE_MAX {
                return Err(LoadError::Silent);
            }
            for number in &found {
                if let Some(lane) = lanes.get_mut(*number) {
                    self.receive(lane, &mut scratch)?;
                }
            }
        }
    }

    fn receive(&mut self, lane: &mut Lane, scratch: &mut [u8]) -> Result<(), LoadError> {
        let came = lane.wire.read(&mut lane.inbox, scratch)?;
        let answer = if lane.is_asking { http::parse(&lane.inbox)? } else { None };
        let is_over = matches!(came, Came::End) || answer.as_ref().is_some_and(|answer| answer.closes);
        if is_over {
            // A proxy does that after some number of requests.
            lane.wire = self.connect(lane.number)?;
            self.run.reopened += 1;
        }
        let Some(answer) = answer else {
            if is_over {
                let was_asking = std::mem::take(&mut lane.is_asking);
                lane.inbox.clear();
                // What was asked may have been done, so it is not asked again.
                return if was_asking { self.go_on(lane) } else { Ok(()) };
            }
            return Ok(());
        };
        self.judge(lane, &answer);
        lane.is_asking = false;
        lane.inbox.clear();
        lane.step += 1;
        if lane.step < self.steps(lane.unit)?.len() {
            return self.send(lane);
        }
        self.finish_unit(lane)
    }

    fn judge(&mut self, lane: &mut Lane, answer: &http::Answer) {
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
        lane.has_failed |= !is_success;
        if is_success && holds || request.is_some_and(|request| request.may_be.contains(&answer.status)) {
            return;
        }
        self.run.wrong += 1;
        self.run.mistaken += u64::from(is_success);
        if self.run.first_wrong.is_empty() {
            let path = request.map_or("", |request| request.path.as_str());
            self.run.first_wrong = format!("{path}: {} {}", answer.status, String::from_utf8_lossy(body));
        }
    }

    fn finish_unit(&mut self, lane: &mut Lane) -> Result<(), LoadError> {
        if self.opened.is_some() {
            self.latencies_us.push(u32::try_from(lane.began.elapsed().as_micros()).unwrap_or(u32::MAX));
            self.run.failed += u64::from(lane.has_failed);
        }
        self.go_on(lane)
    }

    /// With the next unit, after the rest.
    fn go_on(&mut self, lane: &mut Lane) -> Result<(), LoadError> {
        if let Until::Count(count) = self.plan.until
            && self.next - self.plan.first >= count
        {
            lane.is_done = true;
            return Ok(());
        }
        if self.plan.rest > Duration::ZERO {
            self.resting.push_back((Instant::now() + self.plan.rest, lane.number));
            return Ok(());
        }
        self.start_unit(lane)
    }

    fn start_unit(&mut self, lane: &mut Lane) -> Result<(), LoadError> {
        lane.unit = self.next;
        lane.step = 0;
        lane.has_failed = false;
        lane.began = Instant::now();
        self.next += 1;
        self.send(lane)
    }

    fn send(&self, lane: &mut Lane) -> Result<(), LoadError> {
        let message = self.steps(lane.unit)?.get(lane.step).ok_or(LoadError::Plan("a unit without requests"))?;
        lane.is_asking = true;
        let sent = match message {
            Message::Ready(bytes) => lane.wire.write(bytes),
            Message::PerUnit(request) => lane.wire.write(&encode_for(&self.plan.host, request, lane.unit)),
        };
        match sent {
            // It was closed while nothing was under way; reading finds that, and opens it anew.
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset) =>
            {
                Ok(())
            }
            sent => Ok(sent?),
        }
    }

    fn steps(&self, unit: u64) -> Result<&[Message<'a>], LoadError> {
        let cycle = u64::try_from(self.messages.len()).unwrap_or(u64::MAX);
        self.messages.get(position(unit, cycle)).map(Vec::as_slice).ok_or(LoadError::Plan("no units"))
    }

    fn report(mut self) -> Result<Run, LoadError> {
        let opened = self.opened.take().ok_or(LoadError::TooShort)?;
        let seconds = opened.at.elapsed().as_secs_f64();
        (self.means.at_edge)();
        self.latencies_us.sort_unstable();
        let (sorted, mut run) = (&self.latencies_us, self.run);
        run.done = u64::try_from(sorted.len()).unwrap_or(u64::MAX);
        run.seconds = seconds;
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let done = run.done as f64;
        run.rate = done / run.seconds;
        run.p50_ms = percentile_ms(sorted, 50);
        run.p99_ms = percentile_ms(sorted, 99);
        run.max_ms = percentile_ms(sorted, 100);
        run.generator_cpu = cpu_seconds() - opened.cpu;
        run.next = self.next;
        Ok(run)
    }
}

fn messages<'a>(host: &str, unit: &'a [Request]) -> Vec<Message<'a>> {
    unit.iter().map(|request| Message::new(host, request)).collect()
}

/// What this thread has used of processors.
fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "a thread's seconds")]
    let seconds = used.tv_sec as f64;
    #[expect(clippy::cast_precision_loss, reason = "less than 2^30")]
    let below = used.tv_nsec as f64;
    seconds + below / 1e9
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
    use std::collections::BTreeMap;
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};

    use super::*;
    use crate::respond;

    fn plan(units: Vec<Vec<Request>>, until: Until) -> Plan {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || respond::serve(&listener));
        let (addresses, host, rest) = (vec![address], "localhost".to_owned(), Duration::ZERO);
        Plan { addresses, host, connections: 4, until, rest, first: 10, units }
    }

    fn drive(plan: &Plan) -> Result<Run, LoadError> {
        let stop = AtomicBool::new(false);
        super::drive(plan, Means { transport: &Transport::Plain, stop: &stop, at_edge: &mut || {} })
    }

    /// A server that closes each connection after so many answers, and says so or not.
    fn impatient(answers: usize, says_so: bool) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                std::thread::spawn(move || {
                    let (mut socket, mut buffer) = (socket.unwrap(), [0; 4_096]);
                    for number in 1..=answers {
                        if !matches!(socket.read(&mut buffer), Ok(1..)) {
                            return;
                        }
                        let closes = if says_so && number == answers { "Connection: close\r\n" } else { "" };
                        let answer = format!("HTTP/1.1 200 OK\r\n{closes}Content-Length: 2\r\n\r\nok");
                        socket.write_all(answer.as_bytes()).unwrap();
                    }
                });
            }
        });
        address
    }

    #[test]
    fn a_connection_that_the_server_closes_is_opened_anew_and_counted() {
        let of = |address| {
            let plan = plan(vec![vec![Request::new("GET", "/a").must_hold("ok")]], Until::Count(40));
            drive(&Plan { addresses: vec![address], connections: 2, ..plan }).unwrap()
        };
        let run = of(impatient(5, true));
        assert_eq!((run.done, run.wrong), (40, 0), "whoever says that it closes has answered before");
        assert!((6..=8).contains(&run.reopened), "{}", run.reopened);
        let run = of(impatient(5, false));
        assert!(run.done < 40 && run.reopened >= 5, "what was under way is not asked again: {run:?}");
    }

    #[test]
    fn a_run_that_is_told_to_stop_shows_nothing() {
        let plan = plan(vec![vec![Request::new("GET", "/a")]], Until::window(Duration::from_secs(60)));
        let stop = AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            let run = scope.spawn(|| {
                super::drive(&plan, Means { transport: &Transport::Plain, stop: &stop, at_edge: &mut || {} })
            });
            stop.store(true, Ordering::Relaxed);
            run.join().unwrap()
        });
        assert!(matches!(outcome, Err(LoadError::Stopped)));
    }

    #[test]
    fn others_are_told_of_both_edges_of_the_window() {
        let (mut edges, stop) = (0, AtomicBool::new(false));
        let mut at_edge = || edges += 1;
        let plan = plan(vec![vec![Request::new("GET", "/a")]], Until::Count(4));
        super::drive(&plan, Means { transport: &Transport::Plain, stop: &stop, at_edge: &mut at_edge }).unwrap();
        assert_eq!(edges, 2);
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
        assert_eq!((run.wrong, run.mistaken, run.failed), (1, 1, 0), "only the first cycle is searched: one unit");
        assert!(run.first_wrong.starts_with("/a: 200"), "{}", run.first_wrong);
    }

    #[test]
    fn a_status_that_is_no_success_is_wrong_every_time() {
        let unit = vec![Request::new("GET", "/missing")];
        let run = drive(&plan(vec![unit], Until::Count(5))).unwrap();
        assert_eq!((run.wrong, run.mistaken, run.failed), (5, 0, 5));
    }

    #[test]
    fn a_status_that_a_flood_expects_is_not_wrong() {
        let unit = vec![Request::new("GET", "/missing").may_be(&[404, 429])];
        let run = drive(&plan(vec![unit], Until::Count(5))).unwrap();
        assert_eq!((run.wrong, run.refused, run.failed), (0, 0, 5));
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
