//! One thread's solver, and the questions that it can be asked.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bailiwick_authz::analysis::cedar_schema;
use cedar_policy::PolicySet;
use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::solver::SolverError;
use cedar_policy_symcc::{
    CedarSymCompiler, CompiledPolicy, CompiledPolicySet, CompiledSchema, Env, WellFormedAsserts, always_denies_asserts,
    implies_asserts, never_errors_asserts, never_matches_asserts,
};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::child::Running;
use crate::environment::Environment;
use crate::statement::Piece;
use crate::why::Why;

/// Names in one question: the translation relates every name with every other.
const NAMES_MAX: usize = 160;
/// Statements in one question.
const STATEMENTS_MAX: usize = 512;
/// Text in one question.
const TEXT_BYTES_MAX: usize = 262_144;

/// How solvers are run.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) path: PathBuf,
    /// For one question.
    pub(crate) limit: Duration,
    pub(crate) version: Mutex<Option<String>>,
}

/// A thread's part of the prover.
pub(crate) struct Worker {
    setup: Arc<Setup>,
    runtime: Runtime,
    solver: Option<CedarSymCompiler<Running>>,
}

/// A set, translated for one kind of request.
pub(crate) type Translated = CompiledPolicySet;

fn schema() -> Result<&'static CompiledSchema, Why> {
    static SCHEMA: LazyLock<Option<CompiledSchema>> = LazyLock::new(|| CompiledSchema::new(cedar_schema()).ok());
    SCHEMA.as_ref().ok_or_else(|| Why::Untranslatable("the schema".to_owned()))
}

/// Whether a question of these statements is small enough. What is translated cannot be interrupted, so this is known
/// before.
pub(crate) fn check_size<'p>(pieces: impl IntoIterator<Item = &'p Arc<Piece>>) -> Result<(), Why> {
    let mut names = std::collections::HashSet::new();
    let (mut statements, mut bytes) = (0, 0);
    for piece in pieces {
        names.extend(&piece.names);
        statements += 1;
        bytes += piece.bytes;
    }
    if names.len() > NAMES_MAX || statements > STATEMENTS_MAX || bytes > TEXT_BYTES_MAX {
        return Err(Why::TooLarge);
    }
    Ok(())
}

/// A set of statements. The same statement twice is one; two of the same id are refused.
pub(crate) fn set_of<'p>(pieces: impl IntoIterator<Item = &'p Arc<Piece>>) -> Result<PolicySet, Why> {
    let mut set = PolicySet::new();
    let mut known = std::collections::HashMap::new();
    for piece in pieces {
        match known.insert(&piece.id, piece.digest) {
            None => set.add(piece.policy.clone()).map_err(|_| Why::Untranslatable(piece.id.clone()))?,
            Some(digest) if digest == piece.digest => {}
            Some(_) => return Err(Why::Untranslatable(format!("two statements are `{}`", piece.id))),
        }
    }
    Ok(set)
}

impl Worker {
    pub(crate) fn new(setup: Arc<Setup>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { setup, runtime, solver: None })
    }

    /// Translates a set.
    pub(crate) fn translate(&self, set: &PolicySet, environment: &Environment) -> Result<Translated, Why> {
        let symbols = schema()?.sym_env(&environment.env).map_err(|error| untranslatable(&error))?;
        CompiledPolicySet::compile_with_custom_symenv(set, &environment.env, cedar_schema(), symbols)
            .map_err(|error| untranslatable(&error))
    }

    fn translate_one(piece: &Piece, environment: &Environment) -> Result<CompiledPolicy, Why> {
        let symbols = schema()?.sym_env(&environment.env).map_err(|error| untranslatable(&error))?;
        CompiledPolicy::compile_with_custom_symenv(&piece.policy, &environment.env, cedar_schema(), symbols)
            .map_err(|error| untranslatable(&error))
    }

    /// Whether whatever `inner` allows is allowed by `outer`; if not, a request that shows it.
    pub(crate) fn implies(
        &mut self,
        inner: &Translated,
        outer: &Translated,
        deadline: Instant,
    ) -> Result<Option<Env>, Why> {
        self.ask(&implies_asserts(inner, outer), deadline)
    }

    /// Whether `set` allows nothing; if not, a request that it allows.
    pub(crate) fn always_denies(&mut self, set: &Translated, deadline: Instant) -> Result<Option<Env>, Why> {
        self.ask(&always_denies_asserts(set), deadline)
    }

    /// Whether a statement always evaluates.
    pub(crate) fn never_errors(
        &mut self,
        piece: &Piece,
        environment: &Environment,
        deadline: Instant,
    ) -> Result<bool, Why> {
        let translated = Self::translate_one(piece, environment)?;
        Ok(self.ask(&never_errors_asserts(&translated), deadline)?.is_none())
    }

    /// Whether a statement matches nothing; if not, a request that it matches.
    pub(crate) fn never_matches(
        &mut self,
        piece: &Piece,
        environment: &Environment,
        deadline: Instant,
    ) -> Result<Option<Env>, Why> {
        let translated = Self::translate_one(piece, environment)?;
        self.ask(&never_matches_asserts(&translated), deadline)
    }

    /// Asks for a request that breaks something. `None`: there is none. Some questions fall together to nothing when they
    /// are translated; for those, too, there must be a solver that answers.
    fn ask(&mut self, question: &WellFormedAsserts<'_>, deadline: Instant) -> Result<Option<Env>, Why> {
        self.ensure_solver(deadline)?;
        let Some(mut solver) = self.solver.take() else { return Err(Why::NoSolver) };
        let left = deadline.saturating_duration_since(Instant::now());
        // A little longer than the solver's own limit, so that it can say so itself and be used again.
        let limit = left.min(self.setup.limit + self.setup.limit / 4);
        let answer = self.runtime.block_on(async { tokio::time::timeout(limit, solver.check_sat(question)).await });
        match answer {
            Ok(Ok(found)) => {
                self.solver = Some(solver);
                Ok(found)
            }
            Ok(Err(Error::SolverUnknown)) => {
                self.solver = Some(solver);
                Err(if self.setup.limit <= left { Why::Unknown } else { Why::TimedOut })
            }
            Ok(Err(error)) => {
                self.end(solver);
                Err(why(&error))
            }
            Err(_) => {
                self.end(solver);
                Err(Why::TimedOut)
            }
        }
    }

    fn ensure_solver(&mut self, deadline: Instant) -> Result<(), Why> {
        if deadline <= Instant::now() {
            return Err(Why::TimedOut);
        }
        self.version()?;
        if self.solver.is_some() {
            return Ok(());
        }
        let setup = Arc::clone(&self.setup);
        let running = self.runtime.block_on(async { Running::start(&setup.path, setup.limit) });
        let running = running.map_err(|_| Why::NoSolver)?;
        let mut solver = CedarSymCompiler::new(running).map_err(|error| why(&error))?;
        let limit = deadline.saturating_duration_since(Instant::now()).min(setup.limit);
        let greeted = self.runtime.block_on(async { tokio::time::timeout(limit, solver.solver_mut().greet()).await });
        match greeted {
            Ok(Ok(())) => {
                self.solver = Some(solver);
                Ok(())
            }
            Ok(Err(_)) => {
                self.end(solver);
                Err(Why::SolverFailed)
            }
            Err(_) => {
                self.end(solver);
                Err(Why::TimedOut)
            }
        }
    }

    /// The solver's version, asked once. That there is none is not remembered: it may be installed meanwhile.
    pub(crate) fn version(&self) -> Result<String, Why> {
        let mut known = self.setup.version.lock();
        if let Some(version) = known.as_ref() {
            return Ok(version.clone());
        }
        let limit = self.setup.limit.max(Duration::from_secs(2));
        let version =
            self.runtime.block_on(async { tokio::time::timeout(limit, Running::version(&self.setup.path)).await });
        let version = match version {
            Ok(Ok(version)) => version,
            Ok(Err(_)) => return Err(Why::NoSolver),
            Err(_) => return Err(Why::TimedOut),
        };
        *known = Some(version.clone());
        Ok(version)
    }

    fn end(&self, mut solver: CedarSymCompiler<Running>) {
        self.runtime.block_on(async {
            solver.solver_mut().kill();
            // A process that was killed is gone in a moment; if not, somebody else will reap it.
            let _ = tokio::time::timeout(Duration::from_secs(1), solver.solver_mut().gone()).await;
        });
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(solver) = self.solver.take() {
            self.end(solver);
        }
    }
}

fn untranslatable(error: &Error) -> Why {
    Why::Untranslatable(error.to_string().chars().take(200).collect())
}

fn why(error: &Error) -> Why {
    match error {
        Error::SolverUnknown => Why::Unknown,
        Error::SolverError(SolverError::Io(_) | SolverError::Solver(_) | SolverError::SolverMarkedFailed) => {
            Why::SolverFailed
        }
        Error::SolverError(SolverError::UnrecognizedSolverOutput(_))
        | Error::DecodeModel(_)
        | Error::ConcretizeError(_)
        | Error::EncodeError(_) => Why::SolverFailed,
        Error::ModelInvalid { .. } => Why::Disagreement,
        _ => untranslatable(error),
    }
}
