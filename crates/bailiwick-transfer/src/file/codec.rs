//! Numbers and byte strings in a frame's payload. A payload that is not used up, or not enough, is refused.

use crate::TransferError;

/// A payload in the making.
#[derive(Default)]
pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    pub(super) fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub(super) fn number(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn array(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(crate::progress::length(bytes.len()));
        self.array(bytes)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// A payload being read.
pub(super) struct Decoder<'a>(&'a [u8]);

fn short() -> TransferError {
    TransferError::File("a frame of the backup does not parse".to_owned())
}

impl<'a> Decoder<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self(payload)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], TransferError> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or_else(short)?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, TransferError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn number(&mut self) -> Result<u64, TransferError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], TransferError> {
        let length = usize::try_from(self.number()?).map_err(|_| short())?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(short)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<String, TransferError> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| short())
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn finish(self) -> Result<(), TransferError> {
        if self.is_done() { Ok(()) } else { Err(short()) }
    }
}
