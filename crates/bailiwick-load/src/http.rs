//! Just enough HTTP/1.1: one request as bytes, and one answer found in bytes.
//!
//! Written here because the load generator must cost as little as possible next to the server that it measures.
//!
//! # Deliberately absent
//! Redirects, pipelining, `Expect`, answers without a length.

use std::ops::Range;

use crate::error::LoadError;

/// One whole answer at the front of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Where the body is, chunk sizes included when it is chunked.
    pub body: Range<usize>,
    chunked: bool,
    /// Whether the server closes the connection after it.
    pub closes: bool,
    /// Whether it says when to try again.
    pub has_retry_after: bool,
}

impl Answer {
    /// The body without chunk sizes.
    pub fn body_in(&self, buffer: &[u8]) -> Vec<u8> {
        let raw = buffer.get(self.body.clone()).unwrap_or_default();
        if !self.chunked {
            return raw.to_vec();
        }
        let mut body = Vec::with_capacity(raw.len());
        let mut rest = raw;
        while let Some((size, after)) = chunk_size(rest) {
            body.extend_from_slice(after.get(..size).unwrap_or_default());
            rest = after.get(size + 2..).unwrap_or_default();
        }
        body
    }
}

/// Finds one answer at the front of the buffer; `None` while some of it has not arrived.
pub fn parse(buffer: &[u8]) -> Result<Option<Answer>, LoadError> {
    let Some(head_end) = find(buffer, b"\r\n\r\n") else { return Ok(None) };
    let head = buffer.get(..head_end).unwrap_or_default();
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.get(9..12).and_then(digits).ok_or(LoadError::NotHttp("no status line"))?;
    let status = u16::try_from(status).map_err(|_| LoadError::NotHttp("no status"))?;
    let (mut length, mut chunked, mut closes, mut has_retry_after) = (None, false, false, false);
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            length = digits(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case(b"connection") {
            closes = value.eq_ignore_ascii_case(b"close");
        } else if name.eq_ignore_ascii_case(b"retry-after") {
            has_retry_after = digits(value).is_some();
        }
    }
    let start = head_end + 4;
    let end = if chunked {
        chunked_end(buffer, start)
    } else if status == 204 || status == 304 {
        Some(start)
    } else {
        let length = length.ok_or(LoadError::NotHttp("an answer without a length"))?;
        Some(start + length).filter(|end| *end <= buffer.len())
    };
    Ok(end.map(|end| Answer { status, body: start..end, chunked, closes, has_retry_after }))
}

fn chunked_end(buffer: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        let rest = buffer.get(at..)?;
        let (size, after) = chunk_size(rest)?;
        at += rest.len() - after.len() + size + 2;
        if at > buffer.len() {
            return None;
        }
        if size == 0 {
            return Some(at);
        }
    }
}

/// The size that a chunk starts with, and what follows that line.
fn chunk_size(text: &[u8]) -> Option<(usize, &[u8])> {
    let line_end = find(text, b"\r\n")?;
    let size = std::str::from_utf8(text.get(..line_end)?).ok()?;
    Some((usize::from_str_radix(size.split(';').next()?, 16).ok()?, text.get(line_end + 2..)?))
}

fn digits(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Where `needle` first is in `haystack`.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A request as bytes.
pub fn encode(host: &str, method: &str, path: &str, headers: &[(String, String)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_a_length_is_whole_only_when_all_of_it_is_there() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        for end in 0..text.len() {
            assert_eq!(parse(&text[..end]).unwrap(), None, "{end}");
        }
        let answer = parse(text).unwrap().unwrap();
        assert_eq!((answer.status, answer.body.end, answer.body_in(text)), (200, text.len(), b"hello".to_vec()));
    }

    #[test]
    fn an_answer_in_chunks_is_put_together() {
        let text = b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(parse(&text[..end]).unwrap(), None, "{end}");
        }
        let answer = parse(text).unwrap().unwrap();
        assert_eq!((answer.status, answer.body.end, answer.body_in(text)), (403, text.len(), b"abcde".to_vec()));
    }

    #[test]
    fn an_answer_without_content_ends_with_its_head() {
        let text = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
        let answer = parse(text).unwrap().unwrap();
        assert_eq!((answer.status, answer.body.end, answer.closes), (204, text.len(), true));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert!(parse(b"SSH-2.0-OpenSSH\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "no length");
    }
}
