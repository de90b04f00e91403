//! Scripts as text: for people, and to be kept. What is printed can be read back, so a history that failed once stays what
//! it was, whatever becomes of the seeds.
//!
//! ```text
//! seed 21 tenants 5
//!  136 +98337948ms tenant-2 binding:show first own 49/128 hold=0/6
//! ```

use std::fmt;
use std::str::FromStr;

use crate::script::{Act, Aim, Ask, Caller, Mishap, Script, Step, Whose};

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} tenants {}", self.seed, self.tenants)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>4} +{}ms ", self.number, self.at_ms)?;
        match self.whose {
            Whose::Tenant(tenant) => write!(f, "tenant-{tenant} "),
            Whose::About(tenant) => write!(f, "operator-of-{tenant} "),
            Whose::Nobody => write!(f, "nobody "),
        }?;
        match self.act {
            Act::Ask(ask) => write!(f, "{} {} {} {}/{}", ask.action, ask.caller, ask.aim, ask.pick, ask.variant),
            Act::Again(which) => write!(f, "again {which}"),
            Act::Open(which) => write!(f, "open {which}"),
            Act::Jobs => write!(f, "jobs"),
            Act::Restart => write!(f, "restart"),
            Act::Crash => write!(f, "crash"),
            Act::DiskFull => write!(f, "disk-full"),
            Act::DiskFree => write!(f, "disk-free"),
        }?;
        match self.mishap {
            Mishap::None => Ok(()),
            Mishap::Fail(call) => write!(f, " fail={call}"),
            Mishap::LoseCommit => write!(f, " lose-commit=0"),
            Mishap::Cancel(call, false) => write!(f, " cancel={call}"),
            Mishap::Cancel(call, true) => write!(f, " cancel-after={call}"),
            Mishap::Hold(call, steps) => write!(f, " hold={call}/{steps}"),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => write!(f, "first"),
            Self::Some(which) => write!(f, "some={which}"),
            Self::Forged => write!(f, "forged"),
            Self::Nobody => write!(f, "anonymous"),
        }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => write!(f, "own"),
            Self::Absent => write!(f, "absent"),
            Self::Theirs(tenant) => write!(f, "theirs={tenant}"),
            Self::AtTheirs(tenant) => write!(f, "at-theirs={tenant}"),
        }
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let head: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        let ["seed", seed, "tenants", tenants] = head[..] else { return Err("no `seed N tenants N`".to_owned()) };
        let steps =
            lines.map(|line| step(line).ok_or_else(|| format!("not a step: {line}"))).collect::<Result<_, _>>()?;
        let number = |text: &str| text.parse().map_err(|_| format!("not a number: {text}"));
        Ok(Self { seed: number(seed)?, tenants: number(tenants)? as usize, steps })
    }
}

fn step(line: &str) -> Option<Step> {
    let mut words = line.split_whitespace().peekable();
    let number = words.next()?.parse().ok()?;
    let at_ms = words.next()?.strip_prefix('+')?.strip_suffix("ms")?.parse().ok()?;
    let whose = words.next()?;
    let whose = match (whose.strip_prefix("tenant-"), whose.strip_prefix("operator-of-")) {
        (Some(tenant), _) => Whose::Tenant(tenant.parse().ok()?),
        (_, Some(tenant)) => Whose::About(tenant.parse().ok()?),
        _ => Whose::Nobody,
    };
    let act = match words.next()? {
        "again" => Act::Again(words.next()?.parse().ok()?),
        "open" => Act::Open(words.next()?.parse().ok()?),
        "jobs" => Act::Jobs,
        "restart" => Act::Restart,
        "crash" => Act::Crash,
        "disk-full" => Act::DiskFull,
        "disk-free" => Act::DiskFree,
        action => {
            let (caller, aim) = (words.next()?, words.next()?);
            let (pick, variant) = words.next()?.split_once('/')?;
            Act::Ask(Ask {
                action: action.parse().ok()?,
                caller: match named(caller) {
                    ("first", _) => Caller::First,
                    ("some", which) => Caller::Some(which.parse().ok()?),
                    ("forged", _) => Caller::Forged,
                    ("anonymous", _) => Caller::Nobody,
                    _ => return None,
                },
                aim: match named(aim) {
                    ("own", _) => Aim::Own,
                    ("absent", _) => Aim::Absent,
                    ("theirs", tenant) => Aim::Theirs(tenant.parse().ok()?),
                    ("at-theirs", tenant) => Aim::AtTheirs(tenant.parse().ok()?),
                    _ => return None,
                },
                pick: pick.parse().ok()?,
                variant: variant.parse().ok()?,
            })
        }
    };
    let mishap = match words.next().map(named) {
        None => Mishap::None,
        Some(("fail", call)) => Mishap::Fail(call.parse().ok()?),
        Some(("lose-commit", _)) => Mishap::LoseCommit,
        Some(("cancel", call)) => Mishap::Cancel(call.parse().ok()?, false),
        Some(("cancel-after", call)) => Mishap::Cancel(call.parse().ok()?, true),
        Some(("hold", rest)) => {
            let (call, steps) = rest.split_once('/')?;
            Mishap::Hold(call.parse().ok()?, steps.parse().ok()?)
        }
        Some(_) => return None,
    };
    words.next().is_none().then_some(Step { number, at_ms, whose, act, mishap })
}

fn named(word: &str) -> (&str, &str) {
    word.split_once('=').unwrap_or((word, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Size, script};

    #[test]
    fn what_is_printed_can_be_read_back() {
        for seed in 0..50 {
            let script = script(seed, Size::default());
            assert_eq!(script.to_string().parse::<Script>(), Ok(script));
        }
        assert!("seed 1 tenants 2\n 1 +2ms tenant-0 no:such first own 1/2".parse::<Script>().is_err());
    }
}
