//! Which pictures a report has.

use std::fs;
use std::path::Path;

use super::growth::Level;
use super::neighbour::Neighbour;
use super::plot::{Marks, Panel, Plot};
use super::report::{Report, Row};
use super::side::OURS;
use super::stats::Spread;
use crate::failure::{Context, Outcome};

/// Their names; those that a report does not have are removed when it is written, for they are of another.
const NAMES: [&str; 5] = ["throughput", "latency", "growth", "neighbour", "policies"];

/// Draws what there is into the folder named like the report's file, and links it.
pub(super) fn draw(report: &mut Report, file: &Path) -> Outcome {
    let folder = file.with_extension("");
    let stem = folder.file_name().context("a report without a name")?.to_string_lossy().into_owned();
    fs::create_dir_all(&folder).context(folder.display())?;
    let plots = NAMES.map(|name| (name, plot(report, name)));
    for (name, plot) in plots {
        let path = folder.join(format!("{name}.svg"));
        if let Some(plot) = plot {
            fs::write(&path, plot.svg()).context(path.display())?;
            report.pictures.push((plot.title, format!("{stem}/{name}.svg")));
        } else if path.exists() {
            fs::remove_file(&path).context(path.display())?;
        }
    }
    Ok(())
}

fn plot(report: &Report, name: &str) -> Option<Plot> {
    let (title, panels) = match name {
        "throughput" => ("Throughput: median, lowest–highest run", rows(report, throughput)),
        "latency" => ("Latency: median, lowest–highest run", rows(report, latency)),
        "growth" => ("As tenants grow: median, lowest–highest", growth(&report.names, &report.levels)),
        "neighbour" => ("p99 of a neighbour's reads, alone and in a flood", neighbours(report)),
        _ => ("Reads by number of policies: median, lowest–highest run", policies(report)),
    };
    if panels.is_empty() {
        return None;
    }
    // Nobody else is asked about policies.
    let is_in = |side: &str| name != "policies" || side == OURS;
    let series = report.names.iter().cloned().enumerate().filter(|(_, side)| is_in(side)).collect();
    Some(Plot { title: title.to_owned(), caption: report.conditions.clone(), series, panels })
}

fn rows(report: &Report, panel: fn(&Row) -> Panel) -> Vec<Panel> {
    report.rows.iter().map(panel).collect()
}

/// What is measured, without the paths in brackets that are in the table.
fn heading(row: &Row) -> String {
    row.name.split(':').next().unwrap_or_default().to_owned()
}

fn throughput(row: &Row) -> Panel {
    let bar = |(side, runs): (usize, &Vec<super::load::Run>)| {
        (String::new(), side, Some(Spread::of(runs.iter().map(|run| run.rate))))
    };
    let marks = Marks::Bars(row.columns.iter().enumerate().map(bar).collect());
    let x = format!("{} connections", row.connections);
    Panel { title: heading(row), x, y: "a second".to_owned(), marks }
}

fn latency(row: &Row) -> Panel {
    let bars = |name: &str, value: fn(&super::load::Run) -> f64| {
        let bar = |(side, runs): (usize, &Vec<super::load::Run>)| {
            (name.to_owned(), side, Some(Spread::of(runs.iter().map(value))))
        };
        row.columns.iter().enumerate().map(bar).collect::<Vec<_>>()
    };
    let marks = Marks::Bars([bars("p50", |run| run.p50_ms), bars("p99", |run| run.p99_ms)].concat());
    let x = format!("{} connections", row.connections);
    Panel { title: heading(row), x, y: "milliseconds".to_owned(), marks }
}

fn growth(names: &[String], levels: &[Level]) -> Vec<Panel> {
    let panel = |title: &str, y: &str, value: fn(&Level) -> Option<Spread>| {
        let point = |level: &Level| {
            let series = names.iter().position(|name| *name == level.side)?;
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
            let tenants = level.tenants as f64;
            value(level).map(|value| (tenants, series, value))
        };
        let marks: Vec<_> = levels.iter().filter_map(point).collect();
        let x = "tenants (logarithmic, from 0)".to_owned();
        let panel = Panel { title: title.to_owned(), x, y: y.to_owned(), marks: Marks::Points(marks.clone()) };
        (!marks.is_empty()).then_some(panel)
    };
    let panels = [
        panel("created", "tenants a second", |level| (!level.legs.is_empty()).then(|| level.rate())),
        panel("memory after a restart", "MiB resident", |level| Some(Spread::of([level.idle.resident_mib]))),
        panel("restart", "seconds to the first secret", |level| Some(level.restart())),
        panel("restart after kill -9", "seconds to the first secret", Level::crash),
        panel("disk, each tenant", "KiB", |level| level.kib_each().map(|kib| Spread::of([kib]))),
        panel("first request to a cold tenant", "ms, median and up to p99", |level| {
            level.cold().map(|(median, p99)| Spread { median, min: median, max: p99 })
        }),
    ];
    panels.into_iter().flatten().collect()
}

fn neighbours(report: &Report) -> Vec<Panel> {
    let mut floods: Vec<&str> = report.neighbours.iter().map(Neighbour::flood).collect();
    floods.dedup();
    let panel = |flood: &&str| {
        let here = || report.neighbours.iter().filter(|neighbour| neighbour.flood() == *flood);
        let bars = |name: &str, of: fn(&Neighbour) -> Option<Spread>| {
            let series = |neighbour: &Neighbour| report.names.iter().position(|side| side == neighbour.side());
            here()
                .filter_map(|neighbour| Some((name.to_owned(), series(neighbour)?, of(neighbour))))
                .collect::<Vec<_>>()
        };
        let marks = Marks::Bars(
            [bars("alone", |neighbour| Some(neighbour.p99_alone())), bars("flooded", Neighbour::p99_flooded)].concat(),
        );
        Panel {
            title: format!("flood: {flood}"),
            x: "the neighbour".to_owned(),
            y: "p99, milliseconds".to_owned(),
            marks,
        }
    };
    floods.iter().map(panel).collect()
}

fn policies(report: &Report) -> Vec<Panel> {
    let Some((counts, row)) = &report.policies else { return Vec::new() };
    let ours = report.names.iter().position(|side| side == OURS).unwrap_or_default();
    let bars = counts
        .iter()
        .zip(&row.columns)
        .map(|(count, runs)| (count.to_string(), ours, Some(Spread::of(runs.iter().map(|run| run.rate)))));
    let marks = Marks::Bars(bars.collect());
    vec![Panel { title: "KV v2 read".to_owned(), x: "policies".to_owned(), y: "reads a second".to_owned(), marks }]
}
