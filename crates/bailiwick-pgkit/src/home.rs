//! Where the files of this process's fixtures are, and who cleans up when it is killed.
//!
//! A `Drop` does not run in a process that is killed, and what is stopped with `SIGSTOP` does not see that its parent
//! died. So a *janitor* stands by: a shell that waits for the end of its standard input. The kernel closes that when
//! this process ends, however it ends. Then the janitor kills whatever works in the directory and removes it.
//!
//! INVARIANT: every program of a fixture is started with its working directory below [`root`]; the janitor knows them
//! by that.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::process::geteuid;

use crate::error::{Error, Trying};

/// The user that Debian makes for PostgreSQL, which refuses to run as root.
const USER: &str = "postgres";

/// Kills what works below `$1` until nothing does (what is killed may have been forking), then removes it.
const JANITOR: &str = r#"
while read -r _; do :; done
for _ in 1 2 3 4 5 6 7 8 9 10; do
  found=
  for process in /proc/[0-9]*; do
    case "$(readlink "$process/cwd")" in
      "$1"/*) found=1; kill -KILL "${process#/proc/}" ;;
    esac
  done
  [ -z "$found" ] && break
done
cd / && rm -rf "$1"
"#;

struct Home {
    root: PathBuf,
    /// Held open for as long as this process lives.
    _janitor: ChildStdin,
}

static HOME: OnceLock<Home> = OnceLock::new();
static MAKING: Mutex<()> = Mutex::new(());

/// The directory of this process's fixtures.
pub(crate) fn root() -> Result<&'static Path, Error> {
    let _guard = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(home) = HOME.get() {
        return Ok(&home.root);
    }
    // Others must be able to pass through it: the servers are another user's. What is secret is in private folders.
    let mut builder = tempfile::Builder::new();
    builder.prefix("bailiwick-pgkit-").permissions(Permissions::from_mode(0o711));
    let root = builder.tempdir().trying("a temporary directory")?.keep();
    let root = root.canonicalize().trying(root.display())?;
    let mut janitor = Command::new("/bin/sh");
    janitor.args(["-c", JANITOR, "janitor"]).arg(&root).current_dir("/");
    // A group of its own: whoever interrupts the test must not interrupt who cleans up.
    janitor.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let stdin = janitor.spawn().trying("/bin/sh")?.stdin.take();
    let stdin = stdin.ok_or_else(|| Error::program("the janitor has no standard input"))?;
    Ok(&HOME.get_or_init(|| Home { root, _janitor: stdin }).root)
}

/// A new private folder below the directory of this process's fixtures, for the user that servers run as.
///
/// # Errors
/// When the machine refuses it.
pub fn folder(name: &str) -> Result<PathBuf, Error> {
    let mut builder = tempfile::Builder::new();
    let prefix = format!("{name}-");
    builder.prefix(&prefix).permissions(Permissions::from_mode(0o700));
    let folder = builder.tempdir_in(root()?).trying(name)?.keep();
    hand_over(&folder)?;
    Ok(folder)
}

/// Gives a file or folder to the user that servers run as.
pub(crate) fn hand_over(path: &Path) -> Result<(), Error> {
    match server_user()? {
        Some((uid, gid)) => chown(path, Some(uid), Some(gid)).trying(path.display()),
        None => Ok(()),
    }
}

/// A file that only the servers' user reads.
pub(crate) fn private_file(path: &Path, contents: &str) -> Result<(), Error> {
    fs::write(path, contents).trying(path.display())?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).trying(path.display())?;
    hand_over(path)
}

/// A program as the user that servers run as, working in `folder`.
pub(crate) fn as_server_user(program: &Path, folder: &Path) -> Result<Command, Error> {
    let mut command = match server_user()? {
        Some((uid, gid)) => {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).args(["--clear-groups", "--"]);
            command.arg(program);
            command
        }
        None => Command::new(program),
    };
    // The messages that fixtures wait for are the untranslated ones.
    command.current_dir(folder).env("LC_ALL", "C");
    Ok(command)
}

/// Who servers run as, when this process is root; else they run as it does.
fn server_user() -> Result<Option<(u32, u32)>, Error> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").trying("/etc/passwd")?;
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == USER);
    let ids = fields.and_then(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)));
    let none = || Error::Missing(format!("no user `{USER}`, which PostgreSQL runs as when the tests run as root"));
    ids.map(Some).ok_or_else(none)
}

/// Letters that nobody guesses, for a password.
pub(crate) fn random_word() -> Result<String, Error> {
    use std::io::Read as _;
    let mut bytes = [0_u8; 16];
    let mut source = fs::File::open("/dev/urandom").trying("/dev/urandom")?;
    source.read_exact(&mut bytes).trying("/dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
