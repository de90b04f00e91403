//! The machine that a report was made on, and waiting for a process to come to rest.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::proc::{self, Memory};
use super::stats::Spread;
use crate::failure::{Context, Outcome};
use crate::shell;

/// One line about the day, processor, memory, kernel and versions.
pub(crate) fn describe() -> String {
    let cpu = first_value("/proc/cpuinfo", "model name");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = first_value("/proc/meminfo", "MemTotal");
    let gib = memory.trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / f64::from(1 << 20);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = shell::capture(Command::new("rustc").arg("--version")).unwrap_or_default();
    let commit =
        shell::capture(Command::new("git").current_dir(shell::root()).args(["describe", "--always", "--dirty"]));
    let today = shell::capture(Command::new("date").args(["--utc", "+%Y-%m-%d"])).unwrap_or_default();
    format!(
        "{}: {cpu}, {cores} cores, {gib:.0} GiB, Linux {}, {}, commit {}",
        today.trim_end(),
        kernel.trim_end(),
        rustc.trim_end(),
        commit.unwrap_or_default().trim_end()
    )
}

fn first_value(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

/// How many times a second this disk makes 4 KiB durable, one after the other, and how long one takes (ms).
pub(crate) fn sync_rate(folder: &Path) -> Outcome<(f64, Spread)> {
    let path = folder.join("sync");
    let mut file = File::create(&path).context(path.display())?;
    let mut times = Vec::new();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        let one = Instant::now();
        file.write_all(&[0x55; 4096])?;
        file.sync_data()?;
        times.push(one.elapsed().as_secs_f64() * 1000.0);
    }
    fs::remove_file(&path).context(path.display())?;
    let spread = Spread::of(times);
    Ok((1000.0 / spread.median, spread))
}

/// A process's memory once it no longer changes by more than a hundredth in two seconds, or after twenty.
pub(crate) fn settled_memory(pid: u32) -> Outcome<Memory> {
    let mut last = proc::memory(pid)?;
    for _ in 0..10 {
        std::thread::sleep(Duration::from_secs(2));
        let now = proc::memory(pid)?;
        let moved = (now.resident_mib - last.resident_mib).abs();
        last = now;
        if moved <= now.resident_mib / 100.0 {
            break;
        }
    }
    Ok(last)
}
