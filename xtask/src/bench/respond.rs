//! A server that does nothing: what the load generator reaches against it is the most it can ever show.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use crate::failure::{Context, Outcome};
use crate::http;

const FOUND: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";
const MISSING: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// Answers on this port of the loopback interface until it is stopped.
pub(crate) fn main(port: u16) -> Outcome {
    serve(&TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context(port)?)
}

/// Answers every request with status 200, or with 404 when its path begins with `/missing`.
pub(crate) fn serve(listener: &TcpListener) -> Outcome {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    let mut sockets: Vec<Option<TcpStream>> = vec![None];
    let mut events = Vec::with_capacity(128);
    let mut scratch = vec![0_u8; 64 * 1024];
    loop {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            let number = usize::try_from(event.data.u64())?;
            if number == 0 {
                let (socket, _) = listener.accept()?;
                socket.set_nodelay(true)?;
                let data = epoll::EventData::new_u64(u64::try_from(sockets.len())?);
                epoll::add(&epoll, &socket, data, epoll::EventFlags::IN)?;
                sockets.push(Some(socket));
            } else if let Some(slot) = sockets.get_mut(number)
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
