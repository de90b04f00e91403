//! A person at a terminal: what is coloured, what is asked, and what is typed without being shown.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::house::{Dev, House, PATIENCE};

/// A command at a terminal of its own, which `script` makes.
struct Screen {
    child: Child,
    keys: ChildStdin,
    pieces: Receiver<Vec<u8>>,
    seen: String,
}

impl Screen {
    fn of(house: &House, words: &[&str]) -> Self {
        // Instead of the shell, which the keys would end as well.
        let line = format!("exec {}", house.line(words));
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        house.is_home_of(&mut script);
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keys, mut shown) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, pieces) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4_096];
            while let Ok(length @ 1..) = shown.read(&mut piece) {
                if sender.send(piece[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keys, pieces, seen: String::new() }
    }

    /// Waits until this has been shown.
    #[track_caller]
    fn shows(&mut self, wanted: &str) -> &mut Self {
        let until = Instant::now() + PATIENCE;
        while !self.seen.contains(wanted) {
            let piece = self.pieces.recv_timeout(until.saturating_duration_since(Instant::now()));
            let piece = piece.unwrap_or_else(|_| panic!("no `{wanted}` in:\n{}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&piece));
        }
        self
    }

    /// Waits until the terminal does not show what is typed.
    #[track_caller]
    fn hides_keys(&mut self) -> &mut Self {
        let script = self.child.id();
        let command = std::fs::read_to_string(format!("/proc/{script}/task/{script}/children")).unwrap();
        let terminal = std::fs::read_link(format!("/proc/{}/fd/0", command.trim())).unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            let told = Command::new("stty").arg("-F").arg(&terminal).arg("--all").output().unwrap();
            if String::from_utf8_lossy(&told.stdout).split_whitespace().any(|word| word == "-echo") {
                return self;
            }
            assert!(Instant::now() < until, "{} shows what is typed", terminal.display());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn types(&mut self, keys: &str) -> &mut Self {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self
    }

    /// Waits until the command has ended: its exit code, and everything that was shown.
    fn ends(mut self) -> (i32, String) {
        loop {
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => self.seen.push_str(&String::from_utf8_lossy(&piece)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.seen),
            }
        }
        (self.child.wait().unwrap().code().unwrap_or(-1), std::mem::take(&mut self.seen))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const COLOUR: &str = "\u{1b}[3";

#[test]
fn a_server_starts_at_a_terminal_and_ends_with_ctrl_c() {
    for no_color in [None, Some("1")] {
        let mut house = House::new();
        if let Some(value) = no_color {
            house.set("NO_COLOR", value);
        }
        let mut screen = Screen::of(&house, &["dev", "--listen", "127.0.0.1:0", "--data", "data", "--log", "info"]);
        screen.shows("as it was left.").types("\u{3}");
        let (code, shown) = screen.ends();
        assert!(shown.contains("told to stop"), "{shown}");
        assert_eq!((code, shown.contains(COLOUR)), (0, no_color.is_none()), "{shown}");
    }
}

#[test]
fn what_cannot_be_undone_is_asked_and_only_a_yes_is_one() {
    let mut dev = Dev::start();
    dev.act_as(&dev.operator.clone());
    let state = |dev: &Dev| dev.house.sh("tenant show acme --output json").json()["state"].clone();
    for (answer, code, state_then) in [("n\n", 2, "active"), ("\n", 2, "active"), ("y\n", 0, "suspended")] {
        let mut screen = Screen::of(&dev.house, &["tenant", "suspend", "acme", "--reason", "a test"]);
        screen.shows("Suspend tenant `acme`? All its requests will be refused. [y/N] ").types(answer);
        let (ended, shown) = screen.ends();
        assert_eq!((ended, state(&dev).as_str().unwrap()), (code, state_then), "{answer:?}: {shown}");
    }
}

#[test]
fn a_credential_is_typed_without_being_shown() {
    let mut dev = Dev::start();
    dev.house.unset("BAILIWICK_CREDENTIAL");
    let mut screen = Screen::of(&dev.house, &["login"]);
    // The question comes before the terminal is told to show nothing.
    screen.shows("credential: ").hides_keys().types(&format!("{}\n", dev.acme));
    let (code, shown) = screen.ends();
    assert_eq!((code, shown.contains(&dev.acme)), (0, false), "{shown}");
    let kept = std::fs::read_to_string(dev.house.path(".config/bailiwick/profiles.toml")).unwrap();
    assert!(kept.contains(&dev.acme));
    assert!(dev.house.sh("whoami").ok().out.contains("acme"));
}
