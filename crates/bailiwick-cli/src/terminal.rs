//! The streams, and the person who may be at the other end of them.

use std::io::{self, BufRead, IsTerminal as _, Read as _, Write};

use bailiwick_types::Secret;
use zeroize::Zeroizing;

use crate::fail::Fail;

/// Standard input, output and error.
pub(crate) struct Terminal {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    input: Box<dyn BufRead>,
    /// Whether somebody can be asked.
    pub(crate) is_interactive: bool,
    /// Whether somebody looks at the output.
    pub(crate) is_out_terminal: bool,
    ask_secret: fn(&str) -> io::Result<String>,
}

impl Terminal {
    /// Of this process.
    pub(crate) fn of_this_process() -> Self {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        Self {
            is_interactive: stdin.is_terminal() && stderr.is_terminal(),
            is_out_terminal: stdout.is_terminal(),
            input: Box::new(io::BufReader::new(stdin)),
            out: Box::new(io::LineWriter::new(stdout)),
            err: Box::new(stderr),
            ask_secret: |question| rpassword::prompt_password(question),
        }
    }

    #[cfg(test)]
    pub(crate) fn of_parts(out: Box<dyn Write>, err: Box<dyn Write>, input: Box<dyn BufRead>) -> Self {
        Self {
            out,
            err,
            input,
            is_interactive: false,
            is_out_terminal: false,
            ask_secret: |_| Err(io::Error::other("")),
        }
    }

    /// Writes to standard output as it is.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Fail> {
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).map_err(Fail::output)
    }

    /// Writes a line to standard output.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Fail> {
        self.print(text)?;
        self.print("\n")
    }

    /// Standard output, for what is streamed.
    pub(crate) fn output(&mut self) -> &mut dyn Write {
        &mut *self.out
    }

    /// Writes a line to standard error: for people, never part of the result. That nobody may see it is no failure.
    pub(crate) fn note(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Shows how far something is, in a line that the next call replaces; an empty text ends it. Only for people.
    pub(crate) fn progress(&mut self, text: &str) {
        if self.is_interactive {
            let _ = write!(self.err, "\r\x1b[K{text}");
            let _ = self.err.flush();
        }
    }

    /// Asks before something that cannot be undone. Where nobody can be asked, whoever wrote the script has decided.
    pub(crate) fn confirm(&mut self, question: &str, is_decided: bool) -> Result<(), Fail> {
        if is_decided || !self.is_interactive {
            return Ok(());
        }
        let _ = write!(self.err, "{question} [y/N] ");
        let _ = self.err.flush();
        let mut answer = String::new();
        self.input.read_line(&mut answer).map_err(|error| Fail::input(&error))?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Fail::usage("not done").with_hint("answer `y`, or give --yes")),
        }
    }

    /// Asks for a secret without showing it; from a pipe, takes the next line.
    pub(crate) fn secret(&mut self, question: &str) -> Result<Secret<String>, Fail> {
        if self.is_interactive {
            let answer = (self.ask_secret)(&format!("{question}: ")).map_err(|error| Fail::input(&error))?;
            return Ok(Secret::new(answer));
        }
        self.secret_line()?.ok_or_else(|| Fail::usage(format!("{question}: standard input is empty")))
    }

    /// The next line of standard input without its end; none at the end.
    pub(crate) fn secret_line(&mut self) -> Result<Option<Secret<String>>, Fail> {
        let mut line = Zeroizing::new(String::new());
        let read = self.input.read_line(&mut line).map_err(|error| Fail::input(&error))?;
        Ok((read > 0).then(|| Secret::new(line.trim_end_matches(['\r', '\n']).to_owned())))
    }

    /// Standard input, for what is streamed.
    pub(crate) fn input(&mut self) -> &mut dyn BufRead {
        &mut *self.input
    }

    /// All of standard input.
    pub(crate) fn read_all(&mut self) -> Result<Vec<u8>, Fail> {
        let mut bytes = Vec::new();
        self.input.read_to_end(&mut bytes).map_err(|error| Fail::input(&error))?;
        Ok(bytes)
    }
}
