//! HTTP/2 in clear with prior knowledge, as far as one question needs it: another parser between the wire and the log.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A text of HPACK (RFC 7541, section 5.2), not compressed.
fn text(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        short @ 0..127 => out.push(u8::try_from(short).unwrap()),
        long => {
            out.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                out.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            out.push(u8::try_from(rest).unwrap());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// Asks one question; everything that the server sends, and the body of its answer.
pub(super) fn ask(address: &str, headers: &[(&str, &str)], body: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut block = Vec::new();
    for (name, value) in headers {
        // A literal that nobody indexes.
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend(frame(SETTINGS, 0, 0, &[]));
    sent.extend(frame(HEADERS, END_HEADERS, 1, &block));
    sent.extend(frame(DATA, END_STREAM, 1, body));
    stream.write_all(&sent).unwrap();
    let (mut all, mut answer) = (Vec::new(), Vec::new());
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).unwrap();
        all.extend_from_slice(&payload);
        let (kind, flags) = (head[3], head[4]);
        if kind == DATA {
            answer.extend_from_slice(&payload);
        }
        if matches!(kind, GO_AWAY | RESET) || (matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0) {
            return (all, answer);
        }
    }
}
