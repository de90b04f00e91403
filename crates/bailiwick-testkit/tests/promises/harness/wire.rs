//! HTTP/1.1 over one kept-alive connection, written out by hand: what was sent and what was acknowledged is known exactly,
//! and nothing is ever sent twice.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::{Ask, Told};

/// Longer than any answer takes; a server that hangs fails the test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection.
pub(crate) struct Wire(BufReader<TcpStream>);

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, what.to_owned())
}

impl Wire {
    pub(crate) fn to(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address.trim_start_matches("http://"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a question and reads its answer. An error means that nobody knows what became of it.
    pub(crate) fn ask(&mut self, ask: &Ask) -> io::Result<Told> {
        self.0.get_mut().write_all(&bytes_of(ask))?;
        self.answer()
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Everything until the server closes the connection, or says nothing for a while.
    pub(crate) fn drain(&mut self, quiet: Duration) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 4_096];
        let _ = self.0.get_mut().set_read_timeout(Some(quiet));
        while let Ok(count @ 1..) = self.0.read(&mut buffer) {
            all.extend(buffer.iter().take(count));
        }
        all
    }

    pub(crate) fn answer(&mut self) -> io::Result<Told> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
        let status = status.ok_or_else(|| broken("no status"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
                None => break,
            }
        }
        let header = |wanted: &str| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, v)| v);
        let body = match header("content-length") {
            Some(length) => self.exactly(length.parse().map_err(|_| broken("no length"))?)?,
            None if header("transfer-encoding").is_some() => self.chunks()?,
            None => Vec::new(),
        };
        Ok(Told { status, headers, body })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(broken("cut off in a line")),
        }
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(body)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let length = usize::from_str_radix(&self.line()?, 16).map_err(|_| broken("no chunk length"))?;
            body.extend(self.exactly(length)?);
            self.line()?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

/// A request as it is sent.
pub(crate) fn bytes_of(ask: &Ask) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\nHost: test\r\n", ask.method, ask.path);
    if let Some(credential) = &ask.credential {
        head.push_str(&format!("Authorization: Bearer {credential}\r\n"));
    }
    let has_type = ask.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !ask.body.is_empty() && !has_type {
        head.push_str("Content-Type: application/json\r\n");
    }
    for (name, value) in &ask.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", ask.body.len()));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&ask.body);
    bytes
}
