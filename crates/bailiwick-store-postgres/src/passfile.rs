//! The password file of PostgreSQL's clients (`~/.pgpass`), read as libpq reads it.
//!
//! ```text
//! # host:port:database:role:password
//! db.example:5432:bailiwick:bailiwick_server:s3cret
//! ```
//!
//! The first line that fits is taken. A field that is `*` and nothing else fits everything; after `\` a character means
//! itself, so a `:` or `\` in a name or a password is written `\:` or `\\`. A password ends at its first `:`. The host of a
//! socket in the server's own directory is `localhost`. Lines that begin with `#` are comments.
//!
//! # Deliberately absent
//! Where the file is and who else may read it: that is for whoever opens it. A line that is not one is no error, as it is
//! none for libpq, which keeps the file together with other programs.

use bailiwick_types::Secret;
use tokio_postgres::config::Host;

use crate::trouble::OpenError;
use crate::url::Url;

/// Where servers have their sockets: PostgreSQL's own default, and Debian's.
const SOCKET_DIRECTORIES: [&str; 2] = ["/tmp", "/var/run/postgresql"];

impl Url {
    /// The password that a password file has for this role at this database, if it has one.
    ///
    /// # Errors
    /// [`OpenError::Password`] if the URL names several hosts and the file does not have the same for all of them: one
    /// that is meant for one host is not sent to another.
    pub fn password_in(&self, file: &[u8]) -> Result<Option<Secret<Vec<u8>>>, OpenError> {
        let (database, role) =
            (self.config.get_dbname().unwrap_or_default(), self.config.get_user().unwrap_or_default());
        let mut found = self.places().map(|(host, port)| {
            find(file, [host_name(host), port.to_string().as_bytes(), database.as_bytes(), role.as_bytes()])
        });
        let first = found.next().flatten();
        let is_same = |other: Option<Secret<Vec<u8>>>| match (&first, &other) {
            (Some(one), Some(two)) => one.expose() == two.expose(),
            (one, two) => one.is_none() && two.is_none(),
        };
        if found.all(is_same) {
            return Ok(first);
        }
        Err(OpenError::Password(
            "the password file does not have the same password for each host of the URL".to_owned(),
        ))
    }
}

/// What the first field of a line says of a host.
fn host_name(host: &Host) -> &[u8] {
    match host {
        Host::Tcp(name) => name.as_bytes(),
        Host::Unix(path) if SOCKET_DIRECTORIES.iter().any(|directory| path.as_os_str() == *directory) => b"localhost",
        Host::Unix(path) => path.as_os_str().as_encoded_bytes(),
    }
}

/// The password of the first line whose fields are these.
fn find(file: &[u8], fields: [&[u8]; 4]) -> Option<Secret<Vec<u8>>> {
    let mut lines = file.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
    let found = lines.find_map(|line| {
        let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
        let rest = fields.iter().try_fold(line.get(..end)?, |rest, wanted| after_field(rest, wanted))?;
        Some(password(rest))
    });
    // As for libpq, an empty one is none.
    found.filter(|password| !password.expose().is_empty())
}

/// What follows the first field of `line`, if that is `*` or spells `wanted`.
fn after_field<'a>(line: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    if let Some(rest) = line.strip_prefix(b"*:") {
        return Some(rest);
    }
    let mut rest = line;
    for byte in wanted {
        // A `:` that is wanted here ends nothing, whether it was escaped or not: `::1` is often written as it is.
        rest = match rest {
            [b'\\', escaped, after @ ..] if escaped == byte => after,
            [plain, after @ ..] if plain == byte && *plain != b'\\' => after,
            _ => return None,
        };
    }
    rest.strip_prefix(b":")
}

/// The last field: up to its first `:`, with what was escaped as itself.
fn password(field: &[u8]) -> Secret<Vec<u8>> {
    // As much room as it can need, so that it does not move and leave a copy behind.
    let mut password = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [byte, after @ ..] = rest {
        let (meant, next) = match (byte, after) {
            (b':', _) => break,
            (b'\\', [escaped, after @ ..]) => (escaped, after),
            _ => (byte, after),
        };
        password.push(*meant);
        rest = next;
    }
    Secret::new(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The password that such a file has for a role at a database, as text.
    #[track_caller]
    fn found(url: &str, file: impl AsRef<[u8]>) -> Option<String> {
        let password = Url::parse(url).unwrap().password_in(file.as_ref()).unwrap()?;
        Some(String::from_utf8(password.expose().clone()).unwrap())
    }

    const URL: &str = "postgres://role@localhost:5433/base";

    #[test]
    fn a_line_is_of_one_role_at_one_database() {
        let file = "localhost:5433:base:role:s3cret\n";
        assert_eq!(found(URL, file).as_deref(), Some("s3cret"));
        for other in [
            "postgres://role@127.0.0.1:5433/base",
            "postgres://role@localhost:5432/base",
            "postgres://role@localhost/base",
            "postgres://role@localhost:5433/base2",
            "postgres://role@localhost:5433/bas",
            "postgres://rol@localhost:5433/base",
            "postgres://ROLE@localhost:5433/base",
        ] {
            assert_eq!(found(other, file), None, "{other}");
        }
        assert_eq!(
            found("postgres://role@localhost/base", "localhost:5432:base:role:s3cret").as_deref(),
            Some("s3cret")
        );
    }

    #[test]
    fn the_first_line_that_fits_is_taken_and_what_is_no_line_is_passed_over() {
        let file = "\n# *:*:*:*:comment\nnonsense\n:::\nlocalhost:5433:base\nlocalhost:5433:base:role\n\
            localhost:5433:other:role:other\n*:*:base:role:first\r\nlocalhost:5433:base:role:second\n";
        assert_eq!(found(URL, file).as_deref(), Some("first"));
        assert_eq!(found(URL, ""), None);
        // An empty one is none, and it is the first.
        assert_eq!(found(URL, "*:*:*:*:\n*:*:*:*:second"), None);
    }

    #[test]
    fn a_star_is_a_whole_field_or_a_star() {
        for file in ["*:*:*:*:p", "*:5433:*:role:p", "localhost:*:base:*:p"] {
            assert_eq!(found(URL, file).as_deref(), Some("p"), "{file}");
        }
        for file in ["local*:*:*:*:p", "*host:*:*:*:p", "**:*:*:*:p", r"\*:*:*:*:p", "*:54*:*:*:p"] {
            assert_eq!(found(URL, file), None, "{file}");
        }
        let starred = "postgres://role@localhost:5433/%2A";
        assert_eq!(found(starred, r"*:*:\*:*:p").as_deref(), Some("p"));
    }

    #[test]
    fn what_is_escaped_means_itself() {
        let colons = r"postgres://a%3Ab%5Cc@localhost:5433/base";
        assert_eq!(found(colons, r"*:*:*:a\:b\\c:p").as_deref(), Some("p"));
        assert_eq!(found(colons, r"*:*:*:\a\:\b\\\c:p").as_deref(), Some("p"));
        assert_eq!(found(colons, r"*:*:*:a\:b\c:p"), None);
        for (field, password) in
            [(r"a\:b\\c", r"a:b\c"), ("until:here", "until"), (r"\p\q", "pq"), (r"last\", r"last\"), (" s p ", " s p ")]
        {
            assert_eq!(found(URL, format!("*:*:*:*:{field}\n")).as_deref(), Some(password), "{field}");
        }
    }

    #[test]
    fn a_host_is_named_as_libpq_names_it() {
        for file in [r"\:\:1:5433:base:role:p", "::1:5433:base:role:p"] {
            assert_eq!(found("postgres://role@[::1]:5433/base", file).as_deref(), Some("p"), "{file}");
        }
        for (directory, host) in
            [("/tmp", "localhost"), ("/var/run/postgresql", "localhost"), ("/srv/sockets", "/srv/sockets")]
        {
            let url = format!("postgres://role@{}:5433/base", directory.replace('/', "%2F"));
            assert_eq!(found(&url, format!("{host}:5433:base:role:p")).as_deref(), Some("p"), "{directory}");
        }
        assert_eq!(found("postgres://role@%2Ftmp:5433/base", "/tmp:5433:base:role:p"), None);
    }

    #[test]
    fn a_password_of_one_host_is_not_sent_to_another() {
        let url = "postgres://role@localhost:1,127.0.0.1:2/base";
        for file in ["*:*:base:role:p", "localhost:1:*:*:p\n127.0.0.1:2:*:*:p"] {
            assert_eq!(found(url, file).as_deref(), Some("p"), "{file}");
        }
        assert_eq!(found(url, "elsewhere:*:*:*:p"), None);
        for file in ["localhost:*:*:*:p", "127.0.0.1:*:*:*:p", "localhost:*:*:*:p\n*:*:*:*:q"] {
            let refused = Url::parse(url).unwrap().password_in(file.as_bytes()).unwrap_err();
            assert!(refused.to_string().contains("for each host"), "{file}: {refused}");
            assert!(refused.hint().unwrap().contains('*'));
        }
    }

    #[test]
    fn no_bytes_are_too_strange() {
        let pieces: [&[u8]; 9] = [b":", b"*", b"\\", b"\n", b"\r", b"localhost", b"\xff\x00", b"#", b"5433"];
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let mut file = Vec::new();
            for _ in 0..state % 23 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                file.extend_from_slice(pieces[usize::try_from(state >> 33).unwrap() % pieces.len()]);
            }
            state = state.wrapping_add(1);
            let _ = Url::parse(URL).unwrap().password_in(&file).unwrap();
        }
    }
}
