//! The network between a client and a server, as bad as a test wants it.
//!
//! A proxy of bytes. It understands nothing of PostgreSQL's protocol but how a commit looks from both sides: the client
//! writes the word in some message, and the server answers with the tag `COMMIT`. Which transactions are worth breaking is
//! told by what their `BEGIN` says.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Trying as _};
use crate::ports;
use crate::process::PATIENCE;

/// How much is passed on at once.
const CHUNK: usize = 16 * 1024;
/// The end of a text that ends a transaction; `READ COMMITTED` does not.
const COMMIT: &[u8] = b"COMMIT\0";
/// A `CommandComplete` message up to its tag's end: type, length and tag.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";
/// The longest beginning of a word that is remembered from one chunk to the next.
const LONGEST: usize = 128;

/// Where the wire breaks by itself, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    /// When the client says `COMMIT`; the server does not hear it, and rolls back. On connections whose client has said
    /// these words before, such as those that only a transaction that writes begins with.
    BeforeCommit(&'static str),
    /// When the server says that it committed; the client does not hear it. On the same connections.
    AfterCommit(&'static str),
    /// After this many more bytes from client to server.
    ClientBytes(usize),
    /// After this many more bytes from server to client.
    ServerBytes(usize),
}

/// A proxy between clients and the server at one port.
pub struct Wire {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: u16,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ends: bool,
    refuses: bool,
    holds: bool,
    delay: Duration,
    trap: Option<Trap>,
    sprung: usize,
    connections: usize,
    next: u64,
    open: HashMap<u64, [TcpStream; 2]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Client,
    Server,
}

impl Wire {
    /// A wire to the server at this port, in perfect order.
    ///
    /// # Errors
    /// When the machine refuses a port.
    pub fn to(target: u16) -> Result<Self, Error> {
        let port = ports::free_port()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).trying("a wire")?;
        let shared = Arc::new(Shared { target, state: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.lock().ends {
                    break;
                }
                // A connection that cannot be made is one that is cut.
                let _ = client.and_then(|client| accepting.connect(client));
            }
        });
        Ok(Self { port, shared })
    }

    /// The port that clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts all connections; new ones are welcome.
    pub fn cut(&self) {
        self.shared.lock().cut();
    }

    /// Cuts all connections, and new ones as they come, until [`mend`](Self::mend).
    pub fn refuse(&self) {
        let mut state = self.shared.lock();
        state.refuses = true;
        state.cut();
    }

    /// Passes nothing on, as a network that loses every packet, until [`mend`](Self::mend) or a cut.
    pub fn hold(&self) {
        self.shared.lock().holds = true;
    }

    /// Delays everything by this, in both directions, until [`mend`](Self::mend).
    pub fn delay(&self, delay: Duration) {
        self.shared.lock().delay = delay;
    }

    /// In perfect order from now on. What was held is passed on.
    pub fn mend(&self) {
        let mut state = self.shared.lock();
        (state.refuses, state.holds, state.delay, state.trap) = (false, false, Duration::ZERO, None);
        self.shared.changed.notify_all();
    }

    /// Cuts the first connection on which this happens, and only that.
    pub fn set(&self, trap: Trap) {
        self.shared.lock().trap = Some(trap);
    }

    /// How many times somebody has connected, the refused included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// How many traps have sprung.
    #[must_use]
    pub fn sprung(&self) -> usize {
        self.shared.lock().sprung
    }

    /// Waits until this many traps have sprung since the wire was made.
    ///
    /// # Errors
    /// When they do not.
    pub fn wait_until_sprung(&self, times: usize) -> Result<(), Error> {
        let until = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        while state.sprung < times {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let what = format!("{} traps have sprung, not {times}; waiting: {:?}", state.sprung, state.trap);
                return Err(Error::program(what));
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.ends = true;
        state.holds = false;
        state.cut();
        drop(state);
        self.shared.changed.notify_all();
        // Wakes the one that accepts; when it is gone already there is nobody to wake.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl State {
    fn cut(&mut self) {
        for [client, server] in self.open.drain().map(|(_, ends)| ends) {
            // An end that is closed already is what is wanted.
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let mut state = self.lock();
        state.connections += 1;
        if state.refuses {
            return Ok(());
        }
        drop(state);
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let ends = [client.try_clone()?, server.try_clone()?];
        let both = [(From::Client, client.try_clone()?, server.try_clone()?), (From::Server, server, client)];
        let marked = Arc::new(AtomicBool::new(false));
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.open.insert(id, ends);
        drop(state);
        for (from, source, sink) in both {
            let (shared, marked) = (Arc::clone(self), Arc::clone(&marked));
            std::thread::spawn(move || {
                let _ = shared.pump(from, source, sink, &marked);
                // Whichever end is closed first closes the other.
                if let Some([client, server]) = shared.lock().open.remove(&id) {
                    let _ = client.shutdown(Shutdown::Both);
                    let _ = server.shutdown(Shutdown::Both);
                }
            });
        }
        Ok(())
    }

    fn pump(&self, from: From, mut source: TcpStream, mut sink: TcpStream, marked: &AtomicBool) -> std::io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        // What may be the beginning of what a trap waits for, and was passed on.
        let mut before: Vec<u8> = Vec::new();
        loop {
            let read = source.read(&mut chunk)?;
            if read == 0 {
                return Ok(());
            }
            let bytes = &chunk[..read];
            let delay = self.lock().delay;
            std::thread::sleep(delay);
            let mut state = self.lock();
            while state.holds {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if let Some(passes) = state.springs(from, &before, bytes, marked) {
                state.sprung += 1;
                state.trap = None;
                drop(state);
                // The waiting hear of it when the cut is made.
                let passed = sink.write_all(&bytes[..passes]);
                let _ = sink.shutdown(Shutdown::Both);
                let _ = source.shutdown(Shutdown::Both);
                self.changed.notify_all();
                return passed;
            }
            drop(state);
            sink.write_all(bytes)?;
            before.extend_from_slice(bytes);
            before.drain(..before.len().saturating_sub(LONGEST));
        }
    }
}

impl State {
    /// Whether the trap springs at these bytes, and how many of them still pass.
    fn springs(&mut self, from: From, before: &[u8], bytes: &[u8], marked: &AtomicBool) -> Option<usize> {
        let trap = self.trap?;
        if let (Trap::BeforeCommit(words) | Trap::AfterCommit(words), From::Client) = (trap, from)
            && find(before, bytes, words.as_bytes()).is_some()
        {
            marked.store(true, Ordering::SeqCst);
        }
        let is_marked = marked.load(Ordering::SeqCst);
        let count = |left: usize| if bytes.len() >= left { Ok(left) } else { Err(left - bytes.len()) };
        let (found, rest) = match (trap, from) {
            (Trap::BeforeCommit(_), From::Client) if is_marked => (find(before, bytes, COMMIT), None),
            (Trap::AfterCommit(_), From::Server) if is_marked => (find(before, bytes, COMMITTED), None),
            (Trap::ClientBytes(left), From::Client) => (count(left).ok(), count(left).err().map(Trap::ClientBytes)),
            (Trap::ServerBytes(left), From::Server) => (count(left).ok(), count(left).err().map(Trap::ServerBytes)),
            _ => return None,
        };
        if let Some(rest) = rest {
            self.trap = Some(rest);
        }
        found
    }
}

/// Where `wanted` begins in `bytes`; zero when it began in what came before them.
fn find(before: &[u8], bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let tail = &before[before.len().saturating_sub(wanted.len() - 1)..];
    let whole = [tail, bytes].concat();
    let at = whole.windows(wanted.len()).position(|window| window == wanted)?;
    Some(at.saturating_sub(tail.len()))
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn what_comes_in_two_pieces_is_found() {
        assert_eq!(find(b"xxCOM", b"MIT;", b"COMMIT"), Some(0));
        assert_eq!(find(b"", b"x;COMMIT", b"COMMIT"), Some(2));
        assert_eq!(find(b"COMMI", b"x", b"COMMIT"), None);
        // What passed before the trap was set does not spring it.
        assert_eq!(find(b"COMMIT", b"x", b"COMMIT"), None);
    }
}
