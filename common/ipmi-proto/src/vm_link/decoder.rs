//! Frames out of the byte stream.

use std::mem;

use super::{Control, END_CONTROL, END_MESSAGE, ESCAPE, ESCAPED, Frame, MAX_FRAME};
use crate::frame::{FrameError, zero_sum};

/// Takes the stream byte by byte and gives a frame at each end mark.
///
/// What follows a damaged frame is read well: an end mark is never inside of one.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    escaped: bool,
    fault: Option<FrameError>,
}

impl Decoder {
    /// Decodes one byte; returns a frame, or why it is invalid, when the byte ends one.
    pub fn push(&mut self, byte: u8) -> Option<Result<Frame, FrameError>> {
        match byte {
            END_MESSAGE => Some(self.finish(message)),
            END_CONTROL => Some(self.finish(|bytes| Control::parse(bytes).map(Frame::Control))),
            ESCAPE => {
                if mem::replace(&mut self.escaped, true) {
                    self.fault.get_or_insert(FrameError::Escape);
                }
                None
            }
            _ => {
                let escaped = mem::take(&mut self.escaped);
                self.push_unescaped(if escaped { byte & !ESCAPED } else { byte });
                None
            }
        }
    }

    fn push_unescaped(&mut self, byte: u8) {
        if self.bytes.len() < MAX_FRAME {
            self.bytes.push(byte);
        } else {
            self.fault.get_or_insert(FrameError::TooLong { limit: MAX_FRAME, have: MAX_FRAME + 1 });
        }
    }

    fn finish(
        &mut self,
        parse: impl FnOnce(&[u8]) -> Result<Frame, FrameError>,
    ) -> Result<Frame, FrameError> {
        let bytes = mem::take(&mut self.bytes);
        let dangling = mem::take(&mut self.escaped).then_some(FrameError::Escape);
        match self.fault.take().or(dangling) {
            Some(fault) => Err(fault),
            None => parse(&bytes),
        }
    }
}

fn message(bytes: &[u8]) -> Result<Frame, FrameError> {
    let [seq, body @ .., _checksum] = bytes else {
        return Err(FrameError::Truncated { what: "message", need: 2, have: bytes.len() });
    };
    if zero_sum(bytes) != 0 {
        return Err(FrameError::Checksum);
    }
    Ok(Frame::Message { seq: *seq, body: body.to_vec() })
}
