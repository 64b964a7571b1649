//! Refusals: a code and the bytes of the reason.

use alloc::vec::Vec;

use super::bytes::{DecodeError, Reader, put_bytes, put_unsigned};
use crate::Refusal;

/// Appends a refusal.
pub fn put_refusal(out: &mut Vec<u8>, refusal: &Refusal) {
    put_unsigned(out, refusal.code().into());
    put_bytes(out, refusal.reason().as_bytes());
}

/// Reads a refusal.
///
/// # Errors
/// [`DecodeError`] for anything that [`put_refusal`] does not write.
pub fn read_refusal(reader: &mut Reader<'_>) -> Result<Refusal, DecodeError> {
    let code = u16::try_from(reader.unsigned("a refusal")?);
    let code = code.map_err(|_| DecodeError::Invalid("the code of a refusal beyond 16 bits"))?;
    Ok(Refusal::new(code, reader.text("a refusal", Refusal::MAX_REASON_BYTES)?))
}
