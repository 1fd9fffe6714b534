//! Errors of the log on their way through the wire.

use gleaner_core::{Epoch, Error, ErrorKind, Fence, GrainId, Result, Writer};
use prost::Message;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use super::{HeadReader, Malformed, cursor, encode_cursor, push_head};
use crate::BACKEND;
use crate::proto;
use crate::proto::error::Kind;

/// Where a status carries the log's [`proto::Error`]. Not in gRPC's own `details`: a client that cannot
/// decode those panics.
const KEY: &str = "gleaner-error-bin";
/// What caused the [`Permanent`](ErrorKind::Permanent) error of a call whose token was not admitted, or is
/// not good for it: its [`source`](std::error::Error::source), for who wants to tell it from other errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the leader refuses the token, or what was asked with it")]
pub struct Denied;

/// The longest message for people that travels, in bytes.
const LONGEST: usize = 1 << 10;

/// An error of the served log.
pub(crate) fn encode_error(error: &Error) -> proto::Error {
    let mut wire = proto::Error {
        message: clipped(&told(error), LONGEST).to_owned(),
        cursor: error.cursor().map(encode_cursor),
        ..proto::Error::default()
    };
    let kind = match error.kind() {
        ErrorKind::Transient => Kind::Transient,
        ErrorKind::Unknown => Kind::Unknown,
        ErrorKind::Fenced { fence } => {
            wire.fence_epoch = fence.epoch.get();
            wire.fence_writer = fence.writer.get();
            Kind::Fenced
        }
        ErrorKind::Conflict { head } => {
            wire.head = head.map(|head| {
                let mut heads = proto::Heads::default();
                push_head(&mut heads, &head);
                heads
            });
            Kind::Conflict
        }
        ErrorKind::Truncated { floor } => {
            wire.floor = Some(encode_cursor(floor));
            Kind::Truncated
        }
        ErrorKind::Expired => Kind::Expired,
        ErrorKind::Invalid => Kind::Invalid,
        // A kind that this version does not know allows nothing.
        _ => Kind::Permanent,
    };
    wire.set_kind(kind);
    wire
}

/// What followers are told. What went wrong beneath the log (paths, hosts, users) stays in the leader's
/// own log.
fn told(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Transient | ErrorKind::Unknown | ErrorKind::Permanent
            if error.backend() != BACKEND =>
        {
            tracing::warn!(%error, "the leader's log has failed");
            format!("the leader's log ({}) has failed", error.backend())
        }
        _ => error.to_string(),
    }
}

/// What of a text lies within so many bytes, cut at a character's start.
pub(crate) fn clipped(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// An error that came over the wire, of the grain that it was answered for.
pub(crate) fn decode_error(
    wire: proto::Error,
    grain: Option<&GrainId>,
) -> Result<Error, Malformed> {
    let kind = match wire.kind() {
        Kind::Transient => ErrorKind::Transient,
        Kind::Unknown => ErrorKind::Unknown,
        Kind::Fenced => ErrorKind::Fenced {
            fence: Fence {
                epoch: Epoch::new(wire.fence_epoch),
                writer: Writer::new(wire.fence_writer),
            },
        },
        Kind::Conflict => {
            let mut heads = HeadReader::new(wire.head)?;
            let head = if heads.left() == 0 {
                None
            } else {
                Some(heads.next()?)
            };
            heads.end()?;
            ErrorKind::Conflict { head }
        }
        Kind::Truncated => ErrorKind::Truncated {
            floor: cursor(wire.floor),
        },
        Kind::Expired => ErrorKind::Expired,
        Kind::Invalid => ErrorKind::Invalid,
        Kind::Unspecified | Kind::Permanent => ErrorKind::Permanent,
    };
    let error = Error::new(kind, BACKEND, clipped(&wire.message, LONGEST));
    Ok(match (grain, wire.cursor) {
        (Some(grain), Some(at)) => error.at(grain, cursor(Some(at))),
        (Some(grain), None) => error.of(grain),
        (None, _) => error,
    })
}

/// A call of the served log that failed as a whole.
pub(crate) fn status_of_error(error: &Error) -> Status {
    let code = match error.kind() {
        ErrorKind::Transient => Code::Unavailable,
        ErrorKind::Unknown => Code::Unknown,
        ErrorKind::Fenced { .. } | ErrorKind::Conflict { .. } => Code::FailedPrecondition,
        ErrorKind::Truncated { .. } | ErrorKind::Expired => Code::OutOfRange,
        ErrorKind::Invalid => Code::InvalidArgument,
        _ => Code::Internal,
    };
    let wire = encode_error(error);
    let mut metadata = MetadataMap::new();
    let value = MetadataValue::from_bytes(&wire.encode_to_vec());
    metadata.insert_bin(KEY, value);
    Status::with_metadata(code, wire.message, metadata)
}

/// What a failed call means for its caller. `lost` says what may have happened if the answer was lost.
pub(crate) fn error_of_status(status: &Status, lost: ErrorKind, grain: Option<&GrainId>) -> Error {
    let carried = status
        .metadata()
        .get_bin(KEY)
        .and_then(|value| value.to_bytes().ok());
    if let Some(bytes) = carried
        && let Ok(wire) = proto::Error::decode(bytes)
        && let Ok(error) = decode_error(wire, grain)
    {
        return error;
    }
    let kind = match status.code() {
        // Made here, of a broken connection: what became of the call is not known.
        _ if std::error::Error::source(status).is_some() => lost,
        // Refused before anything was done.
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => {
            ErrorKind::Permanent
        }
        Code::InvalidArgument => ErrorKind::Invalid,
        Code::ResourceExhausted => ErrorKind::Transient,
        _ => lost,
    };
    let message = format!(
        "{:?}: {}",
        status.code(),
        clipped(status.message(), LONGEST)
    );
    let mut error = Error::new(kind, BACKEND, message);
    if matches!(
        status.code(),
        Code::Unauthenticated | Code::PermissionDenied
    ) && kind == ErrorKind::Permanent
    {
        error = error.caused_by(Denied);
    }
    match grain {
        Some(grain) => error.of(grain),
        None => error,
    }
}
