//! A server that does nothing: what the generator reaches against it is the most it can ever show.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::http;
use crate::ready::Ready;

const FOUND: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";
const MISSING: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// Answers on this port of the loopback interface until it is stopped.
///
/// # Errors
/// If the port is taken, or waiting fails.
pub fn main(port: u16) -> io::Result<()> {
    serve(&TcpListener::bind((Ipv4Addr::LOCALHOST, port))?)
}

/// Answers every request with status 200, or with 404 when its path begins with `/missing`.
pub(crate) fn serve(listener: &TcpListener) -> io::Result<()> {
    let mut ready = Ready::new()?;
    ready.watch(listener, 0)?;
    let mut sockets: Vec<Option<TcpStream>> = vec![None];
    let mut found = Vec::with_capacity(128);
    let mut scratch = vec![0_u8; 64 * 1024];
    loop {
        ready.wait(None, &mut found)?;
        for number in &found {
            if *number == 0 {
                let (socket, _) = listener.accept()?;
                socket.set_nodelay(true)?;
                ready.watch(&socket, sockets.len())?;
                sockets.push(Some(socket));
            } else if let Some(slot) = sockets.get_mut(*number)
                && let Some(socket) = slot
                && !answer(socket, &mut scratch)
            {
                *slot = None;
            }
        }
    }
}

/// Whether the connection goes on. The generator writes a request at once, so one read has all of it.
fn answer(socket: &mut TcpStream, scratch: &mut [u8]) -> bool {
    let Ok(read @ 1..) = socket.read(scratch) else { return false };
    let request = scratch.get(..read).unwrap_or_default();
    let is_missing = http::find(request.get(..32.min(read)).unwrap_or_default(), b" /missing").is_some();
    socket.write_all(if is_missing { MISSING } else { FOUND }).is_ok()
}
