//! What the kernel says about processes and about the machine.
//!
//! All times are CPU seconds since a start that does not matter: only differences are used.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::failure::{Context, Outcome};

/// CPU seconds of the whole machine, over all cores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Work of any process or of the kernel.
    pub(crate) busy: f64,
    /// Nothing to do.
    pub(crate) idle: f64,
    /// Nothing to do but wait for a disk.
    pub(crate) io_wait: f64,
    /// Taken away by the machine that this virtual machine runs on.
    pub(crate) steal: f64,
}

impl Machine {
    /// Since the start of the machine.
    pub(crate) fn now() -> Outcome<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").context("/proc/stat")?).context("/proc/stat")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().map(ticks);
        let mut next = || fields.next().flatten();
        let (user, nice, system, idle) = (next()?, next()?, next()?, next()?);
        let (io_wait, irq, soft_irq, steal) = (next()?, next()?, next()?, next()?);
        Some(Self { busy: user + nice + system + irq + soft_irq, idle, io_wait, steal })
    }

    /// What has passed since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            busy: self.busy - earlier.busy,
            idle: self.idle - earlier.idle,
            io_wait: self.io_wait - earlier.io_wait,
            steal: self.steal - earlier.steal,
        }
    }

    /// All CPU seconds, used or not.
    pub(crate) fn total(self) -> f64 {
        self.busy + self.idle + self.io_wait + self.steal
    }
}

/// CPU seconds that a process has used.
pub(crate) fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let path = format!("/proc/{pid}/stat");
    cpu_in(&fs::read_to_string(&path).context(&path)?).context(path)
}

fn cpu_in(text: &str) -> Option<f64> {
    // The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11).map(ticks);
    Some(fields.next()?? + fields.next()??)
}

fn ticks(text: &str) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a hundred ticks a second")]
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    text.parse::<f64>().ok().map(|ticks| ticks / per_second)
}

/// Memory of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// All of it that is in RAM, the program's own file included.
    pub(crate) resident_mib: f64,
    /// The part that the process itself has written.
    pub(crate) anonymous_mib: f64,
}

/// Memory of a process now.
pub(crate) fn memory(pid: u32) -> Outcome<Memory> {
    let path = format!("/proc/{pid}/status");
    memory_in(&fs::read_to_string(&path).context(&path)?).context(path)
}

fn memory_in(text: &str) -> Option<Memory> {
    let mib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|kib| kib / 1024.0)
    };
    Some(Memory { resident_mib: mib("VmRSS:")?, anonymous_mib: mib("RssAnon:")? })
}

/// MiB that a process has caused to be written to disks.
pub(crate) fn written_mib(pid: u32) -> Outcome<f64> {
    let path = format!("/proc/{pid}/io");
    let text = fs::read_to_string(&path).context(&path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    let bytes = line.and_then(|bytes| bytes.trim().parse::<f64>().ok()).context(path)?;
    Ok(bytes / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_program_name() {
        let text = "4242 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(cpu_in(text), Some(200.0 / per_second));
        assert_eq!(cpu_in("4242 (short) S 1"), None);
    }

    #[test]
    fn machine_time_is_told_apart() {
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        let machine = Machine::parse("cpu  100 0 50 1000 20 5 5 7 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n").unwrap();
        let seconds = [machine.busy, machine.idle, machine.io_wait, machine.steal].map(|s| s * per_second);
        assert_eq!(seconds.map(f64::round), [160.0, 1000.0, 20.0, 7.0]);
    }

    #[test]
    fn memory_is_in_mib() {
        let memory = memory_in("Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\n").unwrap();
        assert_eq!(memory, Memory { resident_mib: 2.0, anonymous_mib: 1.0 });
    }
}
