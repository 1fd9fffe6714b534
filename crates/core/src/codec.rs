//! [`Codec`]: how an application's states become payloads and come back.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{RawState, Schema};

/// Encodes and decodes values of type `T`.
///
/// Implement it to keep an existing format; [`Bincode`] serves every serde type and [`Raw`] passes
/// bytes through.
pub trait Codec<T>: Send + Sync + 'static {
    /// A value as a payload.
    ///
    /// # Errors
    /// [`CodecError`] if the value cannot be encoded or would be over the codec's limit.
    fn encode(&self, value: &T) -> Result<Bytes, CodecError>;

    /// A payload as a value. `schema` is the version that its publisher stated.
    ///
    /// # Errors
    /// [`CodecError`] for a payload that is damaged, too large, or not used up by the value. It
    /// never panics and never allocates beyond a small multiple of the payload.
    fn decode(&self, payload: &[u8], schema: Schema) -> Result<T, CodecError>;

    /// A replica's state as a value, for codecs whose values can be that state itself. Default:
    /// [`Self::decode`].
    ///
    /// # Errors
    /// As [`Self::decode`].
    fn decode_state(&self, state: RawState, schema: Schema) -> Result<T, CodecError> {
        self.decode(&state, schema)
    }
}

/// Why a value could not be encoded, or a payload not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(String);

impl CodecError {
    /// A reason, in lower case.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Any serde type in bincode 2's `legacy` layout: fixed-width little-endian integers, `u64` lengths,
/// `u32` enum tags; byte for byte what bincode 1 wrote by default.
///
/// `LIMIT` bounds a payload in bytes, both ways; the default is 16 MiB, as in
/// [`Limits`](crate::Limits). A payload with bytes left over is refused. Do not put sequences of
/// zero-sized elements (`Vec<()>`) or unboundedly recursive types into a state: their cost is not
/// bounded by the payload's length. Put byte strings into `Bytes` or `serde_bytes` fields, not
/// `Vec<u8>`, which serde handles a byte at a time.
///
/// ```
/// use gleaner_core::{Bincode, Codec, Schema};
/// let codec: Bincode = Bincode; // `Bincode<1024>` for a limit of 1 KiB
/// let payload = codec.encode(&("N14228".to_owned(), 7_u32))?;
/// let back: (String, u32) = codec.decode(&payload, Schema::default())?;
/// assert_eq!(back.1, 7);
/// # Ok::<(), gleaner_core::CodecError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Bincode<const LIMIT: usize = { 16 << 20 }>;

impl<T, const LIMIT: usize> Codec<T> for Bincode<LIMIT>
where
    T: Serialize + DeserializeOwned,
{
    fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
        let config = bincode::config::legacy();
        let bytes = bincode::serde::encode_to_vec(value, config)
            .map_err(|error| CodecError(format!("cannot encode: {error}")))?;
        if bytes.len() > LIMIT {
            return Err(CodecError(format!(
                "encoded value of {} bytes is over the limit of {LIMIT}",
                bytes.len()
            )));
        }
        Ok(bytes.into())
    }

    fn decode(&self, payload: &[u8], _schema: Schema) -> Result<T, CodecError> {
        if payload.len() > LIMIT {
            return Err(CodecError(format!(
                "payload of {} bytes is over the limit of {LIMIT}",
                payload.len()
            )));
        }
        let config = bincode::config::legacy().with_limit::<LIMIT>();
        let (value, used) = bincode::serde::decode_from_slice(payload, config)
            .map_err(|error| CodecError(format!("cannot decode: {error}")))?;
        if used == payload.len() {
            Ok(value)
        } else {
            Err(CodecError(format!(
                "{} bytes are left over",
                payload.len() - used
            )))
        }
    }
}

/// Bytes as they are, with no limit but the log's: a state read as [`RawState`] is the replica's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw;

impl Codec<RawState> for Raw {
    fn encode(&self, value: &RawState) -> Result<Bytes, CodecError> {
        Ok(value.clone().into())
    }

    fn decode(&self, payload: &[u8], _schema: Schema) -> Result<RawState, CodecError> {
        Ok(RawState::copy_of(payload))
    }

    fn decode_state(&self, state: RawState, _schema: Schema) -> Result<RawState, CodecError> {
        Ok(state)
    }
}

impl Codec<Bytes> for Raw {
    fn encode(&self, value: &Bytes) -> Result<Bytes, CodecError> {
        Ok(value.clone())
    }

    fn decode(&self, payload: &[u8], _schema: Schema) -> Result<Bytes, CodecError> {
        Ok(Bytes::copy_from_slice(payload))
    }

    fn decode_state(&self, state: RawState, _schema: Schema) -> Result<Bytes, CodecError> {
        Ok(state.into())
    }
}

#[cfg(test)]
mod tests;
