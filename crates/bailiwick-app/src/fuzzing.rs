//! The parsers of this crate, as fuzz targets call them. Not part of its interface.

/// Merges a patch into a target, both JSON texts of objects.
pub fn merge_patch(target: &[u8], patch: &[u8]) -> Option<Vec<u8>> {
    crate::merge::merge_patch(target, patch).ok().map(|merged| merged.expose().clone())
}

/// Takes a page cursor apart: its MAC, and the position that the MAC is over.
pub fn cursor(text: &str) -> Option<([u8; 32], Vec<u8>)> {
    crate::page::split(text)
}

/// The reverse of [`cursor`].
pub fn cursor_text(mac: &[u8; 32], position: &[u8]) -> String {
    crate::page::join(mac, position)
}
