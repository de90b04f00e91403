//! Keys in byte order, and keys as paths: what every engine needs to search a prefix and to walk a folder.

/// The least key that is greater than every key with this prefix; `None` if there is no such key.
pub fn past(prefix: &[u8]) -> Option<Vec<u8>> {
    let (last, head) = prefix.iter().rposition(|byte| *byte != 0xff).and_then(|at| prefix.get(..=at)?.split_last())?;
    let mut end = head.to_vec();
    end.push(last.checked_add(1)?);
    Some(end)
}

/// The least key that is greater than this one.
pub fn next(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

/// A key's first segment, with its `/` if it has one.
pub fn first_segment(path: &[u8]) -> &[u8] {
    match path.iter().position(|byte| *byte == b'/') {
        Some(at) => path.get(..=at).unwrap_or(path),
        None => path,
    }
}

/// Where to go on after a name: past everything in a folder, or right behind a key.
pub fn behind(prefix: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let key = [prefix, name].concat();
    if name.ends_with(b"/") { past(&key) } else { Some(next(&key)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_least_key_beyond_it() {
        assert_eq!(past(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(past(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(past(b"\xff\xff"), None);
        assert_eq!(past(b""), None);
    }
}
