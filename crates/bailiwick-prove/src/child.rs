//! The solver's process.
//!
//! What is asked is written first and sent at once; what comes back is read line by line, bounded, up to a mark that was
//! asked for with the question, so an answer is never taken for the answer to another question. The time limit is kept
//! by whoever waits (`worker`), who ends the process when it is over.
//!
//! # Deliberately absent
//! No second chance: a process that answered anything odd is ended, and the next question starts a new one.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;

use cedar_policy_symcc::solver::{Decision, DecisionWithModel, Solver, SolverError};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The largest question.
const SCRIPT_BYTES_MAX: usize = 32 * 1_048_576;
/// The largest answer.
const ANSWER_BYTES_MAX: usize = 8 * 1_048_576;
/// The most memory that the process may map.
const MEMORY_BYTES_MAX: u64 = 2 * 1_024 * 1_048_576;

/// A question being written.
#[derive(Debug, Default)]
struct Script(Vec<u8>);

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.0.len() + bytes.len() > SCRIPT_BYTES_MAX {
            return Poll::Ready(Err(io::Error::other("the question is too large")));
        }
        self.0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A running solver.
#[derive(Debug)]
pub(crate) struct Running {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    script: Script,
    asked: u64,
}

fn command(path: &Path) -> Command {
    let mut command = Command::new(path);
    // Nothing of the server's environment is the solver's business.
    command.env_clear().current_dir("/").stderr(Stdio::null()).kill_on_drop(true);
    command
}

impl Running {
    /// Starts a solver that gives up on a question after `limit`; must be called inside a runtime.
    pub(crate) fn start(path: &Path, limit: Duration) -> io::Result<Self> {
        let mut process = command(path)
            .args(["--lang=smt2", &format!("--tlimit-per={}", limit.as_millis().max(1))])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("the solver has no pipes"));
        };
        bound_memory(&process);
        let stdout = BufReader::new(stdout);
        Ok(Self { process, stdin, stdout, script: Script::default(), asked: 0 })
    }

    /// What the program says that it is, such as `cvc5 1.0.3`.
    pub(crate) async fn version(path: &Path) -> io::Result<String> {
        let mut process = command(path).arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        bound_memory(&process);
        let mut said = Vec::new();
        if let Some(stdout) = process.stdout.take() {
            stdout.take(65_536).read_to_end(&mut said).await?;
        }
        let said = String::from_utf8_lossy(&said);
        let words: Vec<&str> = said.split_whitespace().collect();
        let version = words.windows(2).find_map(|pair| match pair {
            ["version", version] => Some(*version),
            _ => None,
        });
        match version {
            Some(version) if said.contains("cvc5") => {
                let plain = version.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'));
                Ok(format!("cvc5 {}", plain.take(40).collect::<String>()))
            }
            _ => Err(io::Error::other("the program does not say that it is cvc5")),
        }
    }

    /// Asks two questions whose answers are known: whoever cannot answer these is not asked others.
    pub(crate) async fn greet(&mut self) -> Result<(), SolverError> {
        for (assertion, expected) in [("true", Decision::Sat), ("false", Decision::Unsat)] {
            self.script.0.extend_from_slice(format!("(reset)\n(set-logic ALL)\n(assert {assertion})\n").as_bytes());
            if self.check_sat().await? != expected {
                return Err(unrecognized("a wrong answer to a known question"));
            }
        }
        Ok(())
    }

    /// Ends the process.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.start_kill();
    }

    /// Resolves when the process is gone.
    pub(crate) async fn gone(&mut self) {
        let _ = self.process.wait().await;
    }

    /// Sends what was written, with a mark, and reads what comes before the mark.
    async fn ask(&mut self) -> Result<String, SolverError> {
        self.asked += 1;
        let mark = format!("bailiwick-{}", self.asked);
        self.script.0.extend_from_slice(format!("(echo \"{mark}\")\n").as_bytes());
        let script = std::mem::take(&mut self.script.0);
        self.stdin.write_all(&script).await?;
        self.stdin.flush().await?;
        let mut answer = String::new();
        loop {
            let mut line = Vec::new();
            let left = ANSWER_BYTES_MAX.saturating_sub(answer.len()) as u64;
            let read = (&mut self.stdout).take(left).read_until(b'\n', &mut line).await?;
            if read == 0 {
                return Err(SolverError::Solver("the solver ended, or talks too much".to_owned()));
            }
            let line = String::from_utf8(line).map_err(|_| unrecognized("what is no text"))?;
            // Versions differ in whether they keep the quotes.
            if line.trim().trim_matches('"') == mark {
                return Ok(answer);
            }
            answer.push_str(&line);
        }
    }
}

fn unrecognized(text: &str) -> SolverError {
    SolverError::UnrecognizedSolverOutput(text.chars().take(200).collect())
}

/// A solver that takes too much memory fails, and nobody else does.
fn bound_memory(process: &Child) {
    let pid = process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let limit = rustix::process::Rlimit { current: Some(MEMORY_BYTES_MAX), maximum: Some(MEMORY_BYTES_MAX) };
        let _ = rustix::process::prlimit(Some(pid), rustix::process::Resource::As, limit);
    }
}

impl Solver for Running {
    fn smtlib_input(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        &mut self.script
    }

    async fn enable_models(&mut self) -> Result<(), SolverError> {
        self.script.0.extend_from_slice(b"(set-option :produce-models true)\n");
        Ok(())
    }

    async fn check_sat(&mut self) -> Result<Decision, SolverError> {
        self.script.0.extend_from_slice(b"(check-sat)\n");
        match self.ask().await?.trim() {
            "sat" => Ok(Decision::Sat),
            "unsat" => Ok(Decision::Unsat),
            "unknown" => Ok(Decision::Unknown),
            other => Err(unrecognized(other)),
        }
    }

    async fn check_sat_with_model(&mut self) -> Result<DecisionWithModel, SolverError> {
        match self.check_sat().await? {
            Decision::Sat => {
                self.script.0.extend_from_slice(b"(get-model)\n");
                Ok(DecisionWithModel::Sat { model: self.ask().await? })
            }
            Decision::Unsat => Ok(DecisionWithModel::Unsat),
            Decision::Unknown => Ok(DecisionWithModel::Unknown),
        }
    }
}
