//! What the process gives up at its start: a core file would hold keys and secrets.

use rustix::process::{Resource, Rlimit, setrlimit};

/// No core files, and on Linux no tracing of this process and no reading of its memory by others of the same user.
///
/// # Errors
/// If the system refuses. The caller then stops: what was promised to leave no trace must not run as if it did.
pub(crate) fn process() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn nothing_of_the_process_is_left_for_others() {
        process().unwrap();
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        // One's own descriptors stay reachable: `--credential-file <(…)` works.
        assert!(std::fs::metadata("/proc/self/fd/0").is_ok());
    }
}
