//! A session whose streams a test holds in its hands.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use crate::args::Cli;
use crate::commands;
use crate::env::Environment;
use crate::session::Session;
use crate::terminal::Terminal;

/// What was written to a stream.
#[derive(Clone, Default)]
pub(crate) struct Written(Rc<RefCell<Vec<u8>>>);

impl Written {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A terminal at which nobody sits, with this on standard input; and its output and error.
pub(crate) fn terminal(stdin: &str) -> (Terminal, Written, Written) {
    let (out, err) = (Written::default(), Written::default());
    let input = io::Cursor::new(stdin.to_owned().into_bytes());
    (Terminal::of_parts(Box::new(out.clone()), Box::new(err.clone()), Box::new(input)), out, err)
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command line as the program would, in this environment.
pub(crate) fn run(line: &[&str], env: Environment, stdin: &str) -> Ran {
    let words = std::iter::once("bailiwick").chain(line.iter().copied());
    let cli = match <Cli as clap::Parser>::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap();
            return Ran { code, out: String::new(), err: error.to_string() };
        }
    };
    let (terminal, out, err) = terminal(stdin);
    let now = "2026-01-10T00:00:00Z".parse().unwrap();
    let mut session = Session::of_parts(cli.globals, env, terminal, now);
    let result = commands::run(&mut session, cli.command);
    let code = result.map_or_else(
        |fail| {
            fail.report(&mut session.terminal, session.globals.output);
            fail.exit_code()
        },
        |()| 0,
    );
    Ran { code, out: out.text(), err: err.text() }
}
