//! Frames of HTTP/2 and of gRPC that are none.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::{Body, Frame};

use crate::chance::Chance;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// No settings.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// The beginning of a connection, and then frames of any type, flags, stream and length, with what they
/// say they hold, more, or less.
pub(crate) fn junk(chance: &mut Chance) -> Bytes {
    let mut bytes = BytesMut::from(PREFACE);
    if chance.below(4) > 0 {
        bytes.put_slice(SETTINGS);
    }
    if chance.below(4) == 0 {
        bytes.put_slice(&chance.bytes(600));
        return bytes.freeze();
    }
    for _ in 0..=chance.below(6) {
        let held = chance.bytes(200);
        let length = if chance.below(2) == 0 {
            u32::try_from(held.len()).unwrap()
        } else {
            chance.number()
        };
        bytes.put_slice(&length.to_be_bytes()[1..]);
        // The ten types that there are, and others.
        bytes.put_u8(u8::try_from(chance.below(12)).unwrap());
        bytes.put_u8(chance.byte());
        bytes.put_u32(chance.number() % 9);
        bytes.put_slice(&held);
    }
    bytes.freeze()
}

/// A body in pieces, which may never end.
pub(crate) struct Frames {
    pieces: VecDeque<Bytes>,
    hangs: bool,
}

impl Frames {
    /// Cut anywhere.
    pub(crate) fn new(mut whole: Bytes, hangs: bool, chance: &mut Chance) -> Self {
        let mut pieces = VecDeque::new();
        while chance.below(3) == 0 && whole.len() > 1 {
            pieces.push_back(whole.split_to(1 + chance.below(whole.len() - 1)));
        }
        pieces.push_back(whole);
        Self { pieces, hangs }
    }

    pub(crate) fn hangs(&self) -> bool {
        self.hangs
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            // Nobody is woken: it is given up from outside.
            None if self.hangs => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

/// A message of gRPC, with a flag and a length that may lie.
pub(crate) fn message(content: &[u8], chance: &mut Chance) -> Bytes {
    let mut bytes = BytesMut::new();
    let length = u32::try_from(content.len()).unwrap();
    let flag = match chance.below(6) {
        // Compressed, which nobody has agreed on; and what is no flag.
        0 => 1,
        1 => chance.byte(),
        _ => 0,
    };
    let told = match chance.below(6) {
        0 => chance.number(),
        1 => length.wrapping_sub(1),
        2 => length + 1,
        // Within what a message may have.
        3 => length + chance.number() % (16 << 20),
        _ => length,
    };
    bytes.put_u8(flag);
    bytes.put_u32(told);
    bytes.put_slice(content);
    if chance.below(12) == 0 {
        bytes.put_slice(&chance.bytes(40));
    }
    bytes.freeze()
}
