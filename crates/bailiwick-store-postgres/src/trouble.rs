//! What can go wrong between a node and its database, by what is to be done about it.

use bailiwick_store::{CommitError, StoreError};
use tokio_postgres::error::SqlState;

/// A store that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is not one of a PostgreSQL database, or asks for something that there is not.
    #[error("{0}")]
    Url(String),
    /// Which password is meant is not clear.
    #[error("{0}")]
    Password(String),
    /// The database does not answer, or does not let this node in.
    #[error("the database cannot be reached: {why}")]
    Unreachable {
        /// What was found.
        why: String,
        /// What to do about it, if that is known.
        hint: Option<&'static str>,
    },
    /// All connections that the database has are taken.
    #[error("the database has no connections left for this node: {0}")]
    Crowded(String),
    /// The way to the database is not protected as it must be. Nothing was sent on it.
    #[error("the way to the database is not safe: {why}")]
    Unsafe {
        /// What was found.
        why: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The schema is absent, older or newer than what this build knows.
    #[error("{0}")]
    Schema(String),
    /// The role, the schema or the server is weaker than the promise needs.
    #[error("the database is weaker than it must be: {}", .0.join("; "))]
    Weak(Vec<String>),
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Url(_) => Some("postgres://ROLE@HOST:PORT/DATABASE; see docs/operating/postgres.md"),
            Self::Password(_) => Some(
                "hosts of one database have the same roles: one line with `*` for the host, or `--store-password-file`",
            ),
            Self::Unreachable { hint, .. } => *hint,
            Self::Crowded(_) => Some(
                "raise `max_connections`, or the role's or database's limit, to 14 for each node and 10 more; \
                 a node begins with 3",
            ),
            Self::Unsafe { hint, .. } => Some(hint),
            Self::Schema(_) => Some("run `bailiwick store migrate` as the owner of the schema"),
            Self::Weak(_) => Some("`bailiwick store roles` prints the roles as they must be"),
        }
    }

    /// What keeps a connection from being made.
    pub(crate) fn of(error: &tokio_postgres::Error) -> Self {
        if let Some(found) = rustls_error(error) {
            return Self::untrusted(found);
        }
        let why = with_source(error);
        if matches!(error.code(), Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS) {
            return Self::Crowded(why);
        }
        // The driver has no type for these two; the tests against a real server notice other words.
        if why.contains("server does not support TLS") {
            return Self::Unsafe {
                why: "it speaks no TLS, or somebody on the way says so".to_owned(),
                hint: "turn TLS on there (`ssl = on`); `sslmode=disable` only if nobody else is on that network",
            };
        }
        let is_password =
            why.contains("password missing") || error.code().is_some_and(|code| *code == SqlState::INVALID_PASSWORD);
        let hint = is_password.then_some(
            "put its password into a file and name that with `--store-password-file` or `[store] password_file`, \
             or into `~/.pgpass`",
        );
        Self::Unreachable { why, hint }
    }

    fn untrusted(error: &rustls::Error) -> Self {
        use rustls::CertificateError as Bad;
        let (why, hint) = match error {
            // The second: another authority that has the same name.
            rustls::Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => (
                "its certificate is from an authority that is not trusted here".to_owned(),
                "name the file of the authority that signed it: `sslrootcert=FILE` in the URL, or `[store] root_certificate`",
            ),
            rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => (
                format!("its certificate is for another name: {error}"),
                "name the host in the URL as its certificate does, or give the database a certificate for that name",
            ),
            _ => (error.to_string(), "give the database a valid certificate of its own, signed by an authority"),
        };
        Self::Unsafe { why, hint }
    }
}

/// What TLS found wrong, if that is what an error is about.
fn rustls_error(error: &tokio_postgres::Error) -> Option<&rustls::Error> {
    let cause = std::error::Error::source(error)?;
    // What an I/O error carries is not its source.
    let inner = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
    inner.downcast_ref()
}

/// Something that did not work, by what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The connection is of no more use; nothing that was under way on it is done.
    Gone(String),
    /// The connection is of no more use, and whether its COMMIT was carried out has to be found out.
    Ambiguous(String),
    /// The database put somebody else first (a deadlock, a serialisation failure, a lock that was not to be had): the
    /// same again.
    Again(String),
    /// A unique key is taken: somebody else was faster, or the caller is wrong. The same again tells.
    Taken(String),
    /// A statement failed for a reason in its data or in the schema; it would fail again.
    Statement(String),
    /// There is no room (disk, connections, memory).
    Full(String),
}

impl Trouble {
    /// The same, of a COMMIT.
    pub(crate) fn ambiguous(self) -> Self {
        match self {
            Self::Gone(why) => Self::Ambiguous(why),
            other => other,
        }
    }

    /// Whether the connection has to go.
    pub(crate) fn ends_session(&self) -> bool {
        matches!(self, Self::Gone(_) | Self::Ambiguous(_))
    }

    pub(crate) fn text(self) -> String {
        match self {
            Self::Gone(why)
            | Self::Ambiguous(why)
            | Self::Again(why)
            | Self::Taken(why)
            | Self::Statement(why)
            | Self::Full(why) => why,
        }
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(found) = error.as_db_error() else {
            // Not an answer of the database's: what was read from the wire, or what a parameter could not be made into.
            return if error.is_closed() || std::error::Error::source(&error).is_none_or(is_io) {
                Self::Gone(error.to_string())
            } else {
                Self::Gone(with_source(&error))
            };
        };
        let code = found.code();
        let why = format!("{} ({})", found.message(), code.code());
        match code.code() {
            "40001" | "40P01" | "55P03" => Self::Again(why),
            // A server that became a standby, or that is going away, or a pooler that lost its own.
            "25006" | "25P03" => Self::Gone(why),
            code if code.starts_with("57P") || code.starts_with("08") => Self::Gone(why),
            code if code.starts_with("53") => Self::Full(why),
            _ if *found.code() == SqlState::UNIQUE_VIOLATION => Self::Taken(why),
            _ => Self::Statement(why),
        }
    }
}

fn is_io(source: &(dyn std::error::Error + 'static)) -> bool {
    source.is::<std::io::Error>()
}

/// An error with what caused it.
pub(crate) fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        Self::Unavailable(trouble.text())
    }
}

impl From<Trouble> for CommitError {
    fn from(trouble: Trouble) -> Self {
        Self::Unavailable(trouble.text())
    }
}
