//! What a tenant's flood costs its neighbour: the neighbour's latency alone, and while another tenant sends more than the
//! server can answer.
//!
//! The neighbour reads its secrets at a modest rate: few connections, each of which rests after every answer. The flood
//! comes from hundreds of connections that do not rest, from a process that the kernel lets run only when nobody else wants to:
//! on shared cores the neighbour would otherwise wait for the flood's *sender*, which is not what is measured.

use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command, Stdio};

use bailiwick_load::{
    FLOOD_CONNECTIONS as LOUD, FLOOD_REFUSALS, FLOOD_RISE as RISE, QUIET_CONNECTIONS as QUIET, QUIET_REST as REST,
    Tenant,
};

use super::load::{Plan, Request, Run, Until};
use super::numbers::{percent, short, times, whole};
use super::side::{self, Side};
use super::stats::Spread;
use super::{Bench, Sides, in_turn};
use crate::failure::{Context, Failure, Outcome};

/// Secrets in the folder that is listed.
const FOLDER: usize = 5_000;

/// One kind of flood on one side.
pub(crate) struct Neighbour {
    flood: &'static str,
    side: String,
    /// The neighbour alone, and in the flood; round by round.
    alone: Vec<Run>,
    flooded: Vec<Run>,
    /// The flood itself.
    loud: Vec<Run>,
}

/// What the neighbour and the flood send.
struct Cast {
    quiet: Tenant,
    floods: Vec<(&'static str, Vec<Vec<Request>>)>,
}

impl Cast {
    fn new(side: &dyn Side) -> Outcome<Self> {
        println!("{}: a neighbour, a flooding tenant, {FOLDER} secrets in a folder", side.name());
        let (quiet, loud, dead) = (side.add_tenant("quiet")?, side.add_tenant("loud")?, side.add_tenant("dead")?);
        side::fill(&loud, side.address(), FOLDER)?;
        side::revoke(&dead, side.address())?;
        let kinds = [
            ("reads", loud.reads().collect()),
            ("writes", loud.writes().collect()),
            ("large writes", side::large_writes(&loud)),
            ("failed logins", vec![side::failed_login(&dead)]),
            ("huge lists", vec![side::list(&loud)]),
            ("policy changes", side.policy_change(&loud).into_iter().collect()),
            ("policy dry runs", side.dry_run(&loud).into_iter().collect()),
            ("proofs", side.proofs(&loud)),
            ("health checks", vec![side.ceiling()]),
        ];
        // What a flood is answered is looked at, but a refusal because of its size is what it asks for.
        let unit = |request: Request| vec![request.may_be(&FLOOD_REFUSALS)];
        let mut floods: Vec<(_, Vec<Vec<Request>>)> =
            kinds.map(|(name, requests): (_, Vec<Request>)| (name, requests.into_iter().map(unit).collect())).into();
        let all = floods.iter().flat_map(|(_, units)| units.clone()).collect();
        floods.push(("all of these", all));
        Ok(Self { quiet, floods })
    }
}

impl Bench {
    /// Measures every kind of flood on every side, in alternation.
    pub(super) fn neighbours(&self, sides: &Sides) -> Outcome<Vec<Neighbour>> {
        let casts = sides.iter().map(|side| Cast::new(side.as_ref())).collect::<Outcome<Vec<Cast>>>()?;
        let mut measured: Vec<Neighbour> = Vec::new();
        let kinds = casts.first().map_or(0, |cast| cast.floods.len());
        for kind in 0..kinds {
            let first = measured.len();
            for (side, cast) in sides.iter().zip(&casts) {
                let (flood, side) = (cast.floods.get(kind).map_or("", |(name, _)| *name), side.name().to_owned());
                measured.push(Neighbour { flood, side, alone: Vec::new(), flooded: Vec::new(), loud: Vec::new() });
            }
            for round in 0..self.runs {
                for index in in_turn(round, sides.len()) {
                    let (Some(side), Some(cast), Some(neighbour)) =
                        (sides.get(index), casts.get(index), measured.get_mut(first + index))
                    else {
                        continue;
                    };
                    // What a side cannot be asked is not measured there.
                    let Some((_, units)) = cast.floods.get(kind).filter(|(_, units)| !units.is_empty()) else {
                        continue;
                    };
                    self.flood(side.as_ref(), &cast.quiet, units, neighbour)?;
                    println!("{}", neighbour.line());
                }
            }
        }
        measured.retain(|neighbour| !neighbour.loud.is_empty());
        Ok(measured)
    }

    /// One round: the neighbour alone, then in the flood.
    fn flood(&self, side: &dyn Side, quiet: &Tenant, units: &[Vec<Request>], into: &mut Neighbour) -> Outcome {
        let reads: Vec<_> = quiet.reads().map(|read| vec![read]).collect();
        let mut quiet = self.plan(side, &reads, QUIET)?;
        quiet.load.rest = REST;
        let alone = self.sent(&quiet)?;
        let mut loud = self.plan(side, units, LOUD)?;
        // A policy is another one in each round, too.
        loud.load.first = into.loud.last().map_or(0, |run| run.next);
        let Until::Time { warm_up, window } = quiet.load.until else {
            return Err(Failure::new("a plan without an end"));
        };
        loud.load.until = Until::Time { warm_up: RISE, window: warm_up + window };
        let flood = self.start_flood(&loud)?;
        std::thread::sleep(RISE);
        let flooded = self.sent(&quiet)?;
        let told = flood.wait_with_output()?;
        if !told.status.success() {
            return Err(Failure::new(format!("the flood broke off: {}", String::from_utf8_lossy(&told.stderr))));
        }
        let loud: Run = serde_json::from_slice(&told.stdout)?;
        if loud.wrong > 0 {
            return Err(Failure::new(format!("{} wrong answers, the first: {}", loud.wrong, loud.first_wrong)));
        }
        into.alone.push(alone);
        into.flooded.push(flooded);
        into.loud.push(loud);
        Ok(())
    }

    fn start_flood(&self, plan: &Plan) -> Outcome<Child> {
        let file = self.home().join("flood.json");
        fs::write(&file, serde_json::to_string(plan)?).context(file.display())?;
        // Not `nice`: Linux lets even what is nice finish its slice of a millisecond or more before a thread that wakes up.
        let mut command = Command::new("chrt");
        command.args(["--idle", "0"]).arg(&self.generator).arg("load").arg(&file);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("chrt")
    }
}

impl Neighbour {
    pub(crate) fn flood(&self) -> &'static str {
        self.flood
    }

    pub(crate) fn side(&self) -> &str {
        &self.side
    }

    pub(crate) fn p99_alone(&self) -> Spread {
        Spread::of(self.alone.iter().map(|run| run.p99_ms))
    }

    pub(crate) fn p99_flooded(&self) -> Option<Spread> {
        self.is_answered().then(|| Spread::of(self.flooded.iter().map(|run| run.p99_ms)))
    }

    /// A server that answers the neighbour nothing at all has no latency.
    fn is_answered(&self) -> bool {
        self.flooded.iter().all(|run| run.done > 0)
    }

    pub(crate) fn ratio_if_answered(&self) -> Option<Spread> {
        self.is_answered().then(|| self.ratio())
    }

    fn ratio(&self) -> Spread {
        Spread::of(self.alone.iter().zip(&self.flooded).map(|(alone, flooded)| flooded.p99_ms / alone.p99_ms))
    }

    /// For the terminal, while the benchmark goes on: the last round.
    fn line(&self) -> String {
        let (Some(alone), Some(flooded), Some(loud)) = (self.alone.last(), self.flooded.last(), self.loud.last())
        else {
            return String::new();
        };
        format!(
            "{}, {}: p99 {} ms alone, {} ms flooded by {} answers/s",
            self.flood,
            self.side,
            short(alone.p99_ms),
            short(flooded.p99_ms),
            whole(loud.rate)
        )
    }
}

/// Everything about neighbours.
pub(crate) fn table(text: &mut String, neighbours: &[Neighbour]) {
    let _ = write!(
        text,
        "\n### A neighbour's flood\n\nA tenant reads its secrets over {QUIET} connections, {} ms after each answer the next; then \
         the same while another tenant floods the server over {LOUD} connections that do not rest. The flood's sender runs only \
         when nobody else wants to (`SCHED_IDLE`), so that the neighbour does not wait for it. Ratio: the neighbour's p99 in the flood by its p99 alone, of \
         the runs of one round; median, and lowest–highest. A list is of {FOLDER} names; a change of policies is another one each \
         time, and Bailiwick proves it if it has a solver. A dry run is of another permit each time. Proofs are of the flooding tenant's \
         ledger. OpenBao has neither.\n\n| flood | side | alone, p50 / p99 ms | flooded, p50 / p99 ms | p99 ratio | the neighbour's errors | flood, answers/s | with 429 | of these without `Retry-After` |\n|{}\n",
        REST.as_millis(),
        "---|".repeat(9)
    );
    for neighbour in neighbours {
        let of = |runs: &[Run], value: fn(&Run) -> f64| short(Spread::of(runs.iter().map(value)).median);
        let sum = |runs: &[Run], value: fn(&Run) -> u64| runs.iter().map(value).sum::<u64>();
        let answers = sum(&neighbour.loud, |run| run.statuses.values().sum());
        let refused = sum(&neighbour.loud, |run| run.refused);
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let share = refused as f64 / answers.max(1) as f64;
        let ratio = neighbour.ratio_if_answered().map_or("**no answer** in some round".to_owned(), times);
        let _ = writeln!(
            text,
            "| {} | {} | {} / {} | {} / {} | {ratio} | {} | {} | {} | {} |",
            neighbour.flood,
            neighbour.side,
            of(&neighbour.alone, |run| run.p50_ms),
            of(&neighbour.alone, |run| run.p99_ms),
            of(&neighbour.flooded, |run| run.p50_ms),
            of(&neighbour.flooded, |run| run.p99_ms),
            sum(&neighbour.alone, |run| run.wrong) + sum(&neighbour.flooded, |run| run.wrong),
            whole(Spread::of(neighbour.loud.iter().map(|run| run.rate)).median),
            percent(share),
            sum(&neighbour.loud, |run| run.refused_for_ever),
        );
    }
}
