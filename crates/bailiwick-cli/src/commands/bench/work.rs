//! What is asked, in which order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bailiwick_client::Endpoint;
use bailiwick_load::{
    FLOOD_CONNECTIONS, FLOOD_REFUSALS, FLOOD_RISE, LoadError, Means, Plan, QUIET_CONNECTIONS, QUIET_REST, Request, Run,
    Tenant, Transport, Until, creation, drive,
};
use bailiwick_types::{ErrorClass, Secret};

use super::own::Own;
use super::table::{Measured, Neighbour, Row};
use super::{BenchArgs, Part, Stop};
use crate::fail::Fail;
use crate::session::Session;

/// A way to make one of the run's tenants.
type Make = fn(&mut Own, &Session, &str, u64) -> Result<Tenant, Fail>;

/// Policies of the tenants in which is read.
const POLICIES: [usize; 3] = [5, 50, 500];
/// Tenants that are asked for the first time.
const COLD: u64 = 20;

/// How long it takes, about: the parts that go by time, with their warm-up, and two seconds for each of the others.
pub(super) fn seconds_of(args: &BenchArgs) -> u64 {
    let timed = [(Part::Kv, 2), (Part::Policies, 3), (Part::Neighbour, 3)];
    let runs: u64 = timed.iter().filter(|(part, _)| args.wants(*part)).map(|(_, runs)| runs).sum();
    let others = [Part::Creation, Part::Cold].iter().filter(|part| args.wants(**part)).count();
    (runs * args.seconds * 6).div_ceil(5) + 2 * u64::try_from(others).unwrap_or(0)
}

/// How many connections the flood has, if there is one.
pub(super) fn flood_of(args: &BenchArgs) -> u64 {
    if args.wants(Part::Neighbour) { u64::try_from(FLOOD_CONNECTIONS).unwrap_or(u64::MAX) } else { 0 }
}

pub(super) struct Bench<'a> {
    session: &'a mut Session,
    args: &'a BenchArgs,
    own: &'a mut Own,
    operator: Secret<String>,
    endpoint: Endpoint,
    transport: Transport,
    stop: &'a Stop,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        session: &'a mut Session,
        args: &'a BenchArgs,
        own: &'a mut Own,
        operator: Secret<String>,
        endpoint: Endpoint,
        stop: &'a Stop,
    ) -> Result<Self, Fail> {
        let transport = match &endpoint.tls {
            None => Transport::Plain,
            Some((config, name)) => Transport::Tls { config: Arc::clone(config), name: name.clone() },
        };
        Ok(Self { session, args, own, operator, endpoint, transport, stop })
    }

    /// Measures what was asked for; what there is already stays when it breaks off.
    pub(super) fn measure(&mut self, into: &mut Measured) -> Result<(), Fail> {
        let args = self.args;
        if args.wants(Part::Kv) {
            self.kv(into)?;
        }
        if args.wants(Part::Policies) {
            self.policies(into)?;
        }
        if args.wants(Part::Creation) {
            self.creation(into)?;
        }
        if args.wants(Part::Cold) {
            self.cold(into)?;
        }
        if args.wants(Part::Neighbour) {
            self.neighbour(into)?;
        }
        Ok(())
    }

    fn kv(&mut self, into: &mut Measured) -> Result<(), Fail> {
        let tenants = self.made("kv", self.args.tenants, Own::make_unbound)?;
        self.prepare(tenants.iter().flat_map(Tenant::writes))?;
        // Consecutive requests are of different tenants.
        let around = |request: fn(&Tenant, usize) -> Request| -> Vec<Vec<Request>> {
            (0..bailiwick_load::SECRETS)
                .flat_map(|number| tenants.iter().map(move |tenant| vec![request(tenant, number)]))
                .collect()
        };
        for (work, name, units) in
            [("kv_read", "KV v2 read", around(Tenant::read)), ("kv_write", "KV v2 write", around(Tenant::write))]
        {
            let plan = self.plan(units, self.args.connections(), self.timed());
            into.push(self.row(work, name, &plan)?);
        }
        Ok(())
    }

    fn policies(&mut self, into: &mut Measured) -> Result<(), Fail> {
        for (number, count) in (0..).zip(POLICIES) {
            let tenant = self.own.make_unbound(self.session, "policies", number)?;
            self.prepare(tenant.writes())?;
            // One after the other: each change is decided under the one before.
            self.prepare_with(tenant.policies(count), 1)?;
            let plan =
                self.plan(tenant.reads().map(|read| vec![read]).collect(), self.args.connections(), self.timed());
            into.push(self.row("kv_read_with_policies", &format!("KV v2 read, {count} policies"), &plan)?);
        }
        Ok(())
    }

    fn creation(&mut self, into: &mut Measured) -> Result<(), Fail> {
        for number in 0..self.args.create {
            self.own.name("made", number);
        }
        let request = creation(&self.own.group("made"), self.operator.expose());
        let plan = self.plan(vec![vec![request]], self.args.connections(), Until::Count(self.args.create));
        into.push(self.row("tenant_create", "tenants created", &plan)?);
        Ok(())
    }

    fn cold(&mut self, into: &mut Measured) -> Result<(), Fail> {
        let tenants = self.made("cold", COLD, Own::make)?;
        let units: Vec<_> = tenants.iter().map(|tenant| vec![tenant.native("GET", "/whoami")]).collect();
        for (work, name) in [("first_request", "first request of a tenant"), ("second_request", "second request of it")]
        {
            let plan = self.plan(units.clone(), 1, Until::Count(COLD));
            into.push(self.row(work, name, &plan)?);
        }
        Ok(())
    }

    fn neighbour(&mut self, into: &mut Measured) -> Result<(), Fail> {
        let (quiet, loud) = (self.own.make(self.session, "quiet", 0)?, self.own.make(self.session, "loud", 0)?);
        self.prepare(quiet.writes().chain(loud.writes()))?;
        let units = quiet.reads().map(|read| vec![read]).collect();
        let quiet = Plan { rest: QUIET_REST, ..self.plan(units, QUIET_CONNECTIONS, self.timed()) };
        let alone = self.run("a neighbour alone", &quiet)?;
        // It begins before and ends after what is measured meanwhile.
        let window = self.args.window().mul_f64(1.2);
        let flood = Until::Time { warm_up: FLOOD_RISE, window };
        let units = loud.reads().map(|read| vec![read.may_be(&FLOOD_REFUSALS)]).collect();
        let loud = self.plan(units, FLOOD_CONNECTIONS, flood);
        self.say("a neighbour, and another tenant's flood");
        let (transport, is_told) = (&self.transport, &self.stop.is_told);
        let (flooded, loud) = std::thread::scope(|scope| {
            let flood = scope.spawn(|| {
                // The neighbour would otherwise wait for the flood's sender, which is not what is measured. Where that is
                // refused, it does.
                #[cfg(target_os = "linux")]
                let _ = rustix::process::setpriority_process(None, 19);
                sent(&loud, transport, is_told)
            });
            std::thread::sleep(FLOOD_RISE);
            let flooded = sent(&quiet, transport, is_told);
            (flooded, flood.join())
        });
        let loud = loud.map_err(|_| Fail::new(ErrorClass::Fault, "load", "the flood broke off"))?.map_err(failed)?;
        let flooded = flooded.map_err(failed)?;
        into.neighbour = Some(Neighbour::of(&alone, &flooded, &loud));
        into.push(Row::of("neighbour_alone", "a neighbour alone", QUIET_CONNECTIONS, &alone));
        into.push(Row::of("neighbour_flooded", "a neighbour in a flood", QUIET_CONNECTIONS, &flooded));
        into.push(Row::of("flood", "the flood", FLOOD_CONNECTIONS, &loud));
        Ok(())
    }

    /// So many tenants.
    fn made(&mut self, what: &str, count: u64, make: Make) -> Result<Vec<Tenant>, Fail> {
        self.say("making tenants");
        (0..count)
            .map(|number| {
                if self.stop.is_told.load(Ordering::Relaxed) {
                    return Err(failed(LoadError::Stopped));
                }
                make(self.own, self.session, what, number)
            })
            .collect()
    }

    /// Sends each of these once; all of them must succeed.
    fn prepare(&mut self, requests: impl IntoIterator<Item = Request>) -> Result<(), Fail> {
        self.prepare_with(requests, self.args.connections())
    }

    fn prepare_with(&mut self, requests: impl IntoIterator<Item = Request>, connections: usize) -> Result<(), Fail> {
        let units: Vec<_> = requests.into_iter().map(|request| vec![request]).collect();
        let count = u64::try_from(units.len()).unwrap_or(u64::MAX);
        let run = self.run("preparing tenants", &self.plan(units, connections, Until::Count(count)))?;
        if run.wrong == 0 && run.done == count {
            return Ok(());
        }
        let what = if run.wrong == 0 { "the server closed connections".to_owned() } else { run.first_wrong };
        Err(Fail::new(ErrorClass::Fault, "not_prepared", format!("its tenants cannot be filled: {what}")).with_hint(
            "a guardrail, a low limit or a proxy may be in the way; `bailiwick guardrail list` shows guardrails",
        ))
    }

    fn timed(&self) -> Until {
        Until::window(self.args.window())
    }

    fn plan(&self, mut units: Vec<Vec<Request>>, connections: usize, until: Until) -> Plan {
        for request in units.iter_mut().flatten() {
            request.path.insert_str(0, &self.endpoint.prefix);
        }
        let (addresses, host) = (self.endpoint.addresses.clone(), self.endpoint.host.clone());
        Plan { addresses, host, connections, until, rest: Duration::ZERO, first: 0, units }
    }

    fn row(&mut self, work: &'static str, name: &str, plan: &Plan) -> Result<Row, Fail> {
        Ok(Row::of(work, name, plan.connections, &self.run(name, plan)?))
    }

    fn run(&mut self, name: &str, plan: &Plan) -> Result<Run, Fail> {
        self.say(name);
        sent(plan, &self.transport, &self.stop.is_told).map_err(failed)
    }

    fn say(&mut self, what: &str) {
        if !self.session.is_quiet() && !self.session.is_json() {
            self.session.terminal.progress(&format!("{what} …"));
        }
    }
}

fn sent(plan: &Plan, transport: &Transport, stop: &AtomicBool) -> Result<Run, LoadError> {
    drive(plan, Means { transport, stop, at_edge: &mut || {} })
}

#[expect(clippy::needless_pass_by_value, reason = "an adapter for `map_err`")]
fn failed(error: LoadError) -> Fail {
    let (class, code, hint) = match &error {
        LoadError::Connect { .. } => {
            (ErrorClass::Busy, "unreachable", "the server, or what is in front of it, may allow fewer --connections")
        }
        LoadError::Broken(_) | LoadError::Silent => {
            (ErrorClass::Busy, "interrupted", "see whether the server still runs: `bailiwick status`")
        }
        LoadError::Stopped => {
            (ErrorClass::Busy, "interrupted", "it was told to stop; what was measured until then is shown")
        }
        LoadError::TooShort => (ErrorClass::Invalid, "usage", "give more --seconds"),
        _ => (ErrorClass::Fault, "load", "what listens there may not be this program's server"),
    };
    Fail::new(class, code, error.to_string()).with_hint(hint)
}
