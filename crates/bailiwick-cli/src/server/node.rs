//! What a node is called, and how it leaves a fleet.

use std::ops::RangeInclusive;
use std::time::Duration;

use bailiwick_app::AppConfig;
use bailiwick_http::{Drain, HttpConfig};
use bailiwick_types::time::parse_duration;
use serde::Deserialize;
use toml::Spanned;

/// How long a node with a store elsewhere accepts connections still once it is told to stop: it has neighbours, and
/// something in front of them that must see it go.
const DELAY_IN_A_FLEET: Duration = Duration::from_secs(5);
/// The longest that each of the two spans can be.
const SPAN_MAX: Duration = Duration::from_secs(3_600);
/// What the memory for what is remembered of tenants can be: from some three thousand small tenants on.
const CACHE_MIB: RangeInclusive<u64> = 24..=1_048_576;
/// What the memory for bodies can be: an eighth of it has room for several of the largest.
const BODIES_MIB: RangeInclusive<u64> = 64..=1_048_576;
/// How many connections there can be.
const CONNECTIONS: RangeInclusive<usize> = 16..=1_048_576;
/// The longest name.
const NAME_BYTES_MAX: usize = 255;

/// What a node is called, and how it stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Shown in logs, metrics and readiness.
    pub(crate) name: String,
    /// How it stops.
    pub(crate) drain: Drain,
    /// Bytes of memory for what is remembered of tenants.
    pub(crate) cache_bytes: u64,
    /// The most connections of clients.
    pub(crate) connections_max: usize,
    /// Bytes of memory for bodies.
    pub(crate) bodies_bytes: u64,
}

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeSection {
    name: Option<Spanned<String>>,
    drain_delay: Option<Spanned<String>>,
    drain_timeout: Option<Spanned<String>>,
    cache_mib: Option<Spanned<u64>>,
    connections_max: Option<Spanned<usize>>,
    bodies_mib: Option<Spanned<u64>>,
}

impl Node {
    /// What the section says, or what holds without it. An error says where and what.
    pub(crate) fn of(section: NodeSection, is_remote: bool) -> Result<Self, (std::ops::Range<usize>, String)> {
        let span = |text: Option<Spanned<String>>| {
            text.map(|text| match parse_duration(text.get_ref()) {
                Ok(span) if span <= SPAN_MAX => Ok(span),
                Ok(_) => Err((text.span(), "must be 0s to 1h".to_owned())),
                Err(error) => Err((text.span(), error.to_string())),
            })
            .transpose()
        };
        let usual = Drain::default();
        let delay = if is_remote { DELAY_IN_A_FLEET } else { usual.delay };
        let name = match section.name {
            Some(name) => {
                let is_usable = (1..=NAME_BYTES_MAX).contains(&name.get_ref().len())
                    && name.get_ref().bytes().all(|byte| byte.is_ascii_graphic());
                if !is_usable {
                    return Err((name.span(), format!("must have 1 to {NAME_BYTES_MAX} visible ASCII characters")));
                }
                name.into_inner()
            }
            None => host_name(),
        };
        let http = HttpConfig::default();
        let cache_mib = within(section.cache_mib, &CACHE_MIB)?;
        let bodies_mib = within(section.bodies_mib, &BODIES_MIB)?;
        let connections_max = within(section.connections_max, &CONNECTIONS)?;
        Ok(Self {
            name,
            cache_bytes: cache_mib.map_or(AppConfig::default().cache_bytes, |mib| mib << 20),
            connections_max: connections_max.unwrap_or(http.connections_max),
            bodies_bytes: bodies_mib.map_or(http.bodies_bytes, |mib| mib << 20),
            drain: Drain {
                delay: span(section.drain_delay)?.unwrap_or(delay),
                timeout: span(section.drain_timeout)?.unwrap_or(usual.timeout),
            },
        })
    }
}

/// A number, if there is one, in its range.
fn within<T: PartialOrd + std::fmt::Display>(
    number: Option<Spanned<T>>,
    range: &RangeInclusive<T>,
) -> Result<Option<T>, (std::ops::Range<usize>, String)> {
    match number {
        Some(number) if !range.contains(number.get_ref()) => {
            Err((number.span(), format!("must be {} to {}", range.start(), range.end())))
        }
        number => Ok(number.map(Spanned::into_inner)),
    }
}

/// What this machine is called.
pub(crate) fn host_name() -> String {
    let system = rustix::system::uname();
    system.nodename().to_str().ok().filter(|name| !name.is_empty()).unwrap_or("node").to_owned()
}
