//! A server as a process, and commands against it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_bailiwick");
/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a command did.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) line: String,
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Fails unless it did what it was asked for.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}{}", self.line, self.out, self.err);
        self
    }

    /// Fails unless it ended with this exit code.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}{}", self.line, self.out, self.err);
        self
    }

    /// The one line that was printed.
    #[track_caller]
    pub(crate) fn word(self) -> String {
        let this = self.ok();
        let word = this.out.trim_end();
        assert!(!word.is_empty() && !word.contains('\n'), "{}\n{}", this.line, this.out);
        word.to_owned()
    }

    /// What was printed, as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let this = self.ok();
        serde_json::from_str(&this.out).unwrap_or_else(|error| panic!("{}: {error}\n{}", this.line, this.out))
    }

    /// The stable code of the problem on standard error, as machines read it.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        let problem: Value = serde_json::from_str(&self.err).unwrap_or_else(|_| panic!("{}\n{}", self.line, self.err));
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// A place to run commands in: a directory, and what the environment says.
pub(crate) struct House {
    pub(crate) directory: TempDir,
    env: BTreeMap<&'static str, String>,
}

impl House {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().display().to_string();
        Self { directory, env: [("HOME", home)].into() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file with these contents.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.env.insert(name, value.to_owned());
    }

    pub(crate) fn unset(&mut self, name: &'static str) {
        self.env.remove(name);
    }

    /// Commands by the holder of this credential at this server.
    pub(crate) fn aim(&mut self, address: &str, credential: &str) {
        self.set("BAILIWICK_ADDRESS", address);
        self.set("BAILIWICK_CREDENTIAL", credential);
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(words);
        self.is_home_of(&mut command);
        command
    }

    /// Has a command run here, with this environment.
    pub(crate) fn is_home_of(&self, command: &mut Command) {
        command.current_dir(self.directory.path()).env_clear().envs(&self.env);
    }

    /// A command as a shell takes it.
    #[cfg(target_os = "linux")]
    pub(crate) fn line(&self, words: &[&str]) -> String {
        let quoted = |word: &&str| format!("'{}'", word.replace('\'', r"'\''"));
        std::iter::once(&BINARY).chain(words).map(quoted).collect::<Vec<_>>().join(" ")
    }

    /// Runs a command with this on its standard input.
    pub(crate) fn run_with(&self, words: &[&str], stdin: &[u8]) -> Ran {
        let mut command = self.command(words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that does not read its input closes it; that is no failure.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let output = child.wait_with_output().unwrap();
        Ran {
            line: format!("bailiwick {}", words.join(" ")),
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command.
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        self.run_with(words, b"")
    }

    /// Runs a command line, split at its spaces.
    pub(crate) fn sh(&self, line: &str) -> Ran {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Starts a command that goes on; ended when dropped.
    pub(crate) fn start(&self, words: &[&str]) -> Running {
        Self::started(self.command(words))
    }

    /// The same, by a shell that does something before.
    #[cfg(target_os = "linux")]
    pub(crate) fn start_after(&self, before: &str, words: &[&str]) -> Running {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{before} && exec \"$0\" \"$@\""), BINARY]).args(words);
        self.is_home_of(&mut command);
        Self::started(command)
    }

    fn started(mut command: Command) -> Running {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (Lines::of(child.stdout.take().unwrap()), Lines::of(child.stderr.take().unwrap()));
        Running { child, out, err }
    }
}

/// The lines of a stream as they come.
pub(crate) struct Lines(std::sync::mpsc::Receiver<String>);

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self(receiver)
    }

    /// The next line that holds this.
    #[track_caller]
    pub(crate) fn wait_for(&self, wanted: &str) -> String {
        let mut seen = Vec::new();
        let until = Instant::now() + PATIENCE;
        while let Ok(line) = self.0.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if line.contains(wanted) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line with `{wanted}` in:\n{}", seen.join("\n"));
    }

    /// The next line, if it is there already or comes in a moment.
    pub(crate) fn next_if_any(&self) -> Option<String> {
        self.0.recv_timeout(Duration::from_millis(100)).ok()
    }

    /// All lines until the stream ends.
    pub(crate) fn rest(&self) -> Vec<String> {
        self.0.iter().collect()
    }
}

/// A command that goes on.
pub(crate) struct Running {
    child: Child,
    pub(crate) out: Lines,
    pub(crate) err: Lines,
}

impl Running {
    /// Ends it at once.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, as `kill` does, and waits until it has: the exit code, and what it wrote that nobody has read.
    pub(crate) fn terminate(mut self) -> (i32, String) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        let lines: Vec<String> = self.out.rest().into_iter().chain(self.err.rest()).collect();
        (code, lines.join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `bailiwick dev`, with its two sample tenants.
pub(crate) struct Dev {
    pub(crate) house: House,
    pub(crate) address: String,
    pub(crate) operator: String,
    pub(crate) acme: String,
    pub(crate) globex: String,
    server: Running,
}

impl Dev {
    pub(crate) fn start() -> Self {
        let mut house = House::new();
        let server = house.start(&["dev", "--listen", "127.0.0.1:0", "--data", "data", "--credentials-file", "c.json"]);
        server.out.wait_for("Ctrl-C stops it");
        let credentials: Value = serde_json::from_slice(&std::fs::read(house.path("c.json")).unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let tenant = |slug: &str| text(&credentials["tenants"][slug]["admin"]["credential"]);
        let address = text(&credentials["address"]);
        house.aim(&address, &tenant("acme"));
        Self {
            operator: text(&credentials["operator"]["credential"]),
            acme: tenant("acme"),
            globex: tenant("globex"),
            address,
            house,
            server,
        }
    }

    /// Ends the server at once, as a power cut would.
    pub(crate) fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts a server on another directory, which has the same keys.
    pub(crate) fn move_to(&mut self, data: &str) {
        self.stop();
        for kept in ["root.key", "credentials.json"] {
            std::fs::copy(self.house.path("data").join(kept), self.house.path(data).join(kept)).unwrap();
        }
        self.server = self.house.start(&["dev", "--listen", "127.0.0.1:0", "--data", data]);
        self.server.out.wait_for("Ctrl-C stops it");
        let kept = std::fs::read(self.house.path(data).join("credentials.json")).unwrap();
        let kept: Value = serde_json::from_slice(&kept).unwrap();
        self.address = kept["address"].as_str().unwrap().to_owned();
    }

    /// From here on commands are this holder's.
    pub(crate) fn act_as(&mut self, credential: &str) {
        let (address, credential) = (self.address.clone(), credential.to_owned());
        self.house.aim(&address, &credential);
    }

    /// A GET of the API, without the CLI: status and body.
    pub(crate) fn get(&self, credential: &str, target: &str) -> (u16, String) {
        let authority = self.address.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(authority).unwrap();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {credential}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

/// Whether others than the owner may read or write it.
pub(crate) fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o077 == 0
}
