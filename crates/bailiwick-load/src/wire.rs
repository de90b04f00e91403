//! A connection: as it is, or inside TLS.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use crate::error::LoadError;

/// How long a connection may take to be made, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How to speak with the server.
#[derive(Clone)]
#[non_exhaustive]
pub enum Transport {
    /// In clear.
    Plain,
    /// Inside TLS.
    #[cfg(feature = "tls")]
    Tls {
        /// Whom to trust.
        config: Arc<rustls::ClientConfig>,
        /// Whom the certificate must name.
        name: rustls::pki_types::ServerName<'static>,
    },
}

/// What a read brought.
pub(crate) enum Came {
    /// Perhaps something, perhaps not enough.
    Some,
    /// The other side has closed it.
    End,
}

/// A connection on which reading waits no longer than for what the socket has already.
pub(crate) enum Wire {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Transport {
    /// Connects, and shakes hands.
    pub(crate) fn connect(&self, address: SocketAddr) -> Result<Wire, LoadError> {
        let connected = || -> io::Result<Wire> {
            let socket = TcpStream::connect_timeout(&address, CONNECT_WITHIN)?;
            socket.set_nodelay(true)?;
            match self {
                Self::Plain => Ok(Wire::Plain(socket)),
                #[cfg(feature = "tls")]
                Self::Tls { config, name } => {
                    socket.set_read_timeout(Some(CONNECT_WITHIN))?;
                    let mut connection =
                        rustls::ClientConnection::new(Arc::clone(config), name.clone()).map_err(io::Error::other)?;
                    let mut socket = socket;
                    while connection.is_handshaking() {
                        connection.complete_io(&mut socket)?;
                    }
                    socket.set_read_timeout(None)?;
                    Ok(Wire::Tls(Box::new(rustls::StreamOwned::new(connection, socket))))
                }
            }
        };
        connected().map_err(|reason| LoadError::Connect { address: address.to_string(), reason })
    }
}

impl Wire {
    /// Reads what is there to the end of `inbox`. Called when the socket is known to have something, it does not block.
    pub(crate) fn read(&mut self, inbox: &mut Vec<u8>, scratch: &mut [u8]) -> io::Result<Came> {
        match self {
            Self::Plain(socket) => match socket.read(scratch) {
                Ok(0) => Ok(Came::End),
                Ok(read) => {
                    inbox.extend_from_slice(scratch.get(..read).unwrap_or_default());
                    Ok(Came::Some)
                }
                Err(error) => tolerated(error),
            },
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                match stream.conn.read_tls(&mut stream.sock) {
                    Ok(0) => return Ok(Came::End),
                    Ok(_) => {}
                    Err(error) => return tolerated(error),
                }
                stream.conn.process_new_packets().map_err(io::Error::other)?;
                loop {
                    match stream.conn.reader().read(scratch) {
                        Ok(0) => return Ok(Came::End),
                        Ok(read) => inbox.extend_from_slice(scratch.get(..read).unwrap_or_default()),
                        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Came::Some),
                        Err(error) => return tolerated(error),
                    }
                }
            }
        }
    }

    /// Sends all of it. A request is far smaller than the socket's buffer, which is empty then: this does not block.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                stream.write_all(bytes)?;
                stream.flush()
            }
        }
    }
}

/// What a new connection mends is its end, not a failure.
fn tolerated(error: io::Error) -> io::Result<Came> {
    match error.kind() {
        ErrorKind::Interrupted => Ok(Came::Some),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => Ok(Came::End),
        _ => Err(error),
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plain(socket) => socket.as_fd(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.sock.as_fd(),
        }
    }
}
