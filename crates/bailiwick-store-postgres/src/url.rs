//! Where the database is and how to speak with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::session::{BOUNDS, Statements};
use crate::trouble::OpenError;

/// How long one attempt to connect may take.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// How long data that was sent may stay unacknowledged before a connection counts as gone.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A database: where it is, who asks, and how the way there is protected.
///
/// `postgres://ROLE[:PASSWORD]@HOST[:PORT][,HOST…]/DATABASE[?…]`, with libpq's parameters `connect_timeout`,
/// `target_session_attrs`, `application_name`, `host`, `sslmode` (`disable` or `verify-full`; `require` and `verify-ca` are
/// taken as `verify-full`) and `sslrootcert`; and one of our own, `statements=prepared|text`.
#[derive(Clone)]
pub struct Url {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) tls: Option<MakeRustlsConnect>,
    pub(crate) statements: Statements,
}

/// What is said about the way to a database elsewhere than in its URL. Neither overrules the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    /// As `sslmode`.
    pub sslmode: Option<String>,
    /// As `sslrootcert`.
    pub roots: Option<PathBuf>,
    /// The authorities that this machine trusts, for when none are named.
    pub system_roots: Option<PathBuf>,
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

fn refused(why: impl Into<String>) -> OpenError {
    OpenError::Url(why.into())
}

impl Url {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`OpenError::Url`] for what is no such URL, and for one that would send data over a network in clear text without
    /// saying so.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        Self::parse_with(text, Way::default())
    }

    /// Reads a URL and what else is said about the way there.
    ///
    /// # Errors
    /// As [`Url::parse`]; and for two words on the way that are not the same.
    pub fn parse_with(text: &str, way: Way) -> Result<Self, OpenError> {
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        if !(base.starts_with("postgres://") || base.starts_with("postgresql://")) {
            return Err(refused("a PostgreSQL URL begins with `postgres://`"));
        }
        let Way { mut sslmode, mut roots, system_roots } = way;
        let (mut statements, mut rest) = (Statements::Prepared, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("statements", "prepared")) => statements = Statements::Prepared,
                Some(("statements", "text")) => statements = Statements::Text,
                Some(("statements", other)) => {
                    return Err(refused(format!("`statements` is `prepared` or `text`, not `{other}`")));
                }
                Some((name @ "sslmode", mode)) => once(name, &mut sslmode, mode.to_owned())?,
                Some((name @ "sslrootcert", path)) => once(name, &mut roots, PathBuf::from(path))?,
                Some(("options", _)) => return Err(refused("`options` are this program's own to set")),
                _ => rest.push(pair),
            }
        }
        let whole = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        // What does not parse may hold a password: the text is not repeated.
        let mut config: tokio_postgres::Config = whole.parse().map_err(|error| {
            refused(format!("the database's URL does not parse: {}", crate::trouble::with_source(&error)))
        })?;
        if config.get_user().is_none() || config.get_dbname().is_none() || config.get_hosts().is_empty() {
            return Err(refused("a PostgreSQL URL names a role, a host and a database"));
        }
        if config.get_application_name().is_none() {
            config.application_name("bailiwick");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_WAIT);
        }
        config.tcp_user_timeout(SILENCE_MAX).keepalives_idle(SILENCE_MAX);
        if statements == Statements::Prepared {
            let options: Vec<String> = BOUNDS.iter().map(|(name, value)| format!("-c {name}={value}")).collect();
            config.options(options.join(" "));
        }
        let is_local =
            config.get_hosts().iter().all(is_local) && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback);
        let tls = match sslmode.as_deref() {
            Some("disable") if roots.is_some() => {
                return Err(refused("`sslmode=disable` uses no `sslrootcert`: leave out one of them"));
            }
            Some("disable") => None,
            None if roots.is_none() && is_local => None,
            None if roots.is_none() => {
                return Err(refused(
                    "the database is not on this machine: say `sslmode=verify-full`, or `sslmode=disable`",
                ));
            }
            // libpq's `require` and `verify-ca` would take anybody's word for who is there; nothing here does.
            None | Some("verify-full" | "verify-ca" | "require") => Some(tls(roots.or(system_roots).as_deref())?),
            Some(other @ ("prefer" | "allow")) => {
                return Err(refused(format!(
                    "`sslmode={other}` would go on in clear text when there is no TLS: say `verify-full` or `disable`"
                )));
            }
            Some(other) => {
                return Err(refused(format!("`sslmode` is `verify-full` or `disable`, not `{other}`")));
            }
        };
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        Ok(Self { config, tls, statements })
    }

    /// The same, with this password.
    #[must_use]
    pub fn with_password(mut self, password: impl AsRef<[u8]>) -> Self {
        self.config.password(password);
        self
    }

    /// Whether the URL itself holds a password.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Its hosts, each with its port.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&Host, u16)> {
        let ports = self.config.get_ports();
        let port = move |at: usize| ports.get(at).or_else(|| ports.first()).copied().unwrap_or(5432);
        self.config.get_hosts().iter().enumerate().map(move |(at, host)| (host, port(at)))
    }

    /// The URL for people: no password.
    pub fn shown(&self) -> String {
        let hosts = self.places().map(|(host, port)| match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<String> = hosts.collect();
        let (user, name) = (self.config.get_user(), self.config.get_dbname());
        format!("postgres://{}@{}/{}", user.unwrap_or_default(), hosts.join(","), name.unwrap_or_default())
    }
}

/// Notes what a parameter says, unless something else was said before.
fn once<T: PartialEq>(name: &str, place: &mut Option<T>, value: T) -> Result<(), OpenError> {
    if place.as_ref().is_some_and(|before| *before != value) {
        return Err(refused(format!("`{name}` is said twice, and not the same")));
    }
    *place = Some(value);
    Ok(())
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
    }
}

/// TLS that verifies whom it speaks with.
fn tls(roots: Option<&Path>) -> Result<MakeRustlsConnect, OpenError> {
    let Some(path) = roots else {
        return Err(refused(
            "`sslmode=verify-full` needs `sslrootcert`: the file of the authority that signed the database's certificate",
        ));
    };
    let unreadable = |error: &dyn std::error::Error| refused(format!("`{}`: {error}", path.display()));
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        store.add(certificate).map_err(|error| unreadable(&error))?;
    }
    if store.is_empty() {
        return Err(refused(format!("`{}` holds no certificate", path.display())));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
