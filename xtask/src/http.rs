//! A connection to a server on this machine, for requests one after the other.
//!
//! A client library would have to be compiled by everyone who runs a test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bailiwick_load::http::{encode, parse};
use serde_json::Value;

use crate::failure::{Context, Failure, Outcome};

/// A connection for requests one after the other.
pub(crate) struct Client {
    socket: TcpStream,
    inbox: Vec<u8>,
}

impl Client {
    /// Connects; a server that takes longer than a minute to answer counts as broken.
    pub(crate) fn connect(address: SocketAddr) -> Outcome<Self> {
        let socket = TcpStream::connect_timeout(&address, Duration::from_secs(5)).context(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { socket, inbox: Vec::new() })
    }

    /// Sends one request; answers the status and the body, `Null` when it is not JSON.
    pub(crate) fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> Outcome<(u16, Value)> {
        self.socket.write_all(&encode("localhost", method, path, headers, body)).context(path)?;
        self.inbox.clear();
        let mut chunk = [0_u8; 16 * 1024];
        loop {
            if let Some(answer) = parse(&self.inbox)? {
                let body = serde_json::from_slice(&answer.body_in(&self.inbox)).unwrap_or(Value::Null);
                return Ok((answer.status, body));
            }
            let read = self.socket.read(&mut chunk).context(path)?;
            if read == 0 {
                return Err(Failure::new(format!("{method} {path}: the server closed the connection")));
            }
            self.inbox.extend_from_slice(chunk.get(..read).unwrap_or_default());
        }
    }
}
