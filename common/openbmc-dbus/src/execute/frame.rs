//! The two messages of a direct link, written and read without a general parser.
//!
//! They are the D-Bus messages that would go over the bus (D-Bus specification, "Message Protocol"), in this machine's
//! byte order. All but the lengths, the serial numbers and the body is the same in each, so that is copied from, and
//! compared with, a message that the library made. A message that differs, as another implementation of a bridge may
//! send it, is left to the library.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use ipmi_proto::{CompletionCode, Request, ResponseBody};
use zbus::Message;

use super::message::{CallOptions, Caller, OptionValue, call_message, reply_message};

/// Offsets of the body's length, the serial number and the length of the header's fields.
const BODY_LENGTH: usize = 4;
const SERIAL: usize = 8;
const FIELDS: usize = 12;
/// Offset of the serial number of the call in a reply: the value of the first field.
const REPLY_SERIAL: usize = 20;

/// The header of a call.
static CALL: LazyLock<Vec<u8>> = LazyLock::new(|| header(&sample_call()));
/// The header of a reply.
static REPLY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let empty = ResponseBody::from(CompletionCode::OK);
    header(&reply_message(&sample_call(), 0, 0, 0, &empty).expect("a reply without data"))
});

fn sample_call() -> Message {
    let request = Request {
        netfn: ipmi_proto::NetFn::APP,
        lun: ipmi_proto::Lun::BMC,
        command: 0,
        data: Vec::new(),
    };
    call_message(&request, Caller::System).expect("a call without data")
}

/// The header of a message, filled up to where its body begins.
fn header(message: &Message) -> Vec<u8> {
    let bytes = message.data().bytes();
    let length = bytes.len() - message.body().len();
    bytes.get(..length).unwrap_or_default().to_vec()
}

/// A call as it was read; its data is still in the buffer.
#[derive(Debug)]
pub(super) struct CallFrame<'a> {
    pub(super) serial: u32,
    pub(super) netfn: u8,
    pub(super) lun: u8,
    pub(super) command: u8,
    pub(super) data: &'a [u8],
    pub(super) options: CallOptions,
}

impl<'a> CallFrame<'a> {
    /// Reads a message; `None` if it differs from what [`write_call`] writes.
    pub(super) fn read(message: &'a [u8]) -> Option<Self> {
        let (serial, body) = split(message, &CALL, CALL.len())?;
        let mut body = Body::new(body);
        let [netfn, lun, command] = *body.array()?;
        let data = body.bytes()?;
        let end = body.array_end()?;
        let mut options = CallOptions::default();
        while body.at < end {
            let (name, value) = body.option()?;
            options.add(name, Some(value));
        }
        body.is_empty().then_some(Self { serial, netfn, lun, command, data, options })
    }
}

/// Appends the call for `request`; returns its serial number.
pub(super) fn write_call(out: &mut Vec<u8>, request: &Request, caller: Caller) -> u32 {
    let serial = next_serial();
    let mut message = Writer::begin(out, &CALL, serial);
    message.out.extend([request.netfn.value(), request.lun.value(), request.command]);
    message.bytes(&request.data);
    message.array(|message| {
        for (name, value) in caller.options() {
            message.option(name, value);
        }
    });
    message.end();
    serial
}

/// Reads a reply: the serial number of its call, the completion code, the data. `None` if it differs from what
/// [`write_reply`] writes.
pub(super) fn read_reply(message: &[u8]) -> Option<(u32, CompletionCode, &[u8])> {
    let (_, body) = split(message, &REPLY, REPLY_SERIAL)?;
    let fixed = REPLY_SERIAL + 4..REPLY.len();
    if message.get(fixed.clone())? != REPLY.get(fixed)? {
        return None;
    }
    let mut body = Body::new(body);
    let [_, _, _, completion] = *body.array()?;
    let data = body.bytes()?;
    let serial = number(message.get(REPLY_SERIAL..)?)?;
    body.is_empty().then_some((serial, CompletionCode(completion), data))
}

/// What a reply repeats of its call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// The serial number of the call's message.
    pub(super) serial: u32,
    pub(super) netfn: u8,
    pub(super) lun: u8,
    pub(super) command: u8,
}

/// Appends the reply to a call.
pub(super) fn write_reply(out: &mut Vec<u8>, answered: Answered, reply: &ResponseBody) {
    let Answered { serial, netfn, lun, command } = answered;
    let mut message = Writer::begin(out, &REPLY, next_serial());
    message.set(REPLY_SERIAL, serial);
    message.out.extend([netfn | 1, lun, command, reply.completion.0]);
    message.bytes(&reply.data);
    message.end();
}

/// The serial number of a message, as no other has it on its link for a long time.
fn next_serial() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    // 0 is no serial number.
    match LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1) {
        0 => next_serial(),
        serial => serial,
    }
}

/// Serial number and body of a message whose header is `expected`, as far as `compared`.
fn split<'a>(message: &'a [u8], expected: &[u8], compared: usize) -> Option<(u32, &'a [u8])> {
    let (header, body) = message.split_at_checked(expected.len())?;
    let same = |from: usize, to: usize| Some(header.get(from..to)? == expected.get(from..to)?);
    let is_expected = same(0, BODY_LENGTH)? && same(FIELDS, compared)?;
    is_expected.then_some((number(header.get(SERIAL..)?)?, body))
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// What follows a header, read from its beginning. Values are aligned within it, as it begins at a multiple of 8.
struct Body<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Body<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    const fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn align(&mut self, alignment: usize) {
        self.at = self.at.next_multiple_of(alignment);
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..length)?;
        self.at += length;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        self.take(N)?.first_chunk()
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4);
        number(self.take(4)?)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    /// An `ay`.
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    /// The end of an array of dictionary entries.
    fn array_end(&mut self) -> Option<usize> {
        let length = self.length()?;
        self.align(8);
        self.at.checked_add(length).filter(|end| *end <= self.bytes.len())
    }

    /// An entry of `a{sv}`, whose value is a number.
    fn option(&mut self) -> Option<(&'a str, OptionValue)> {
        self.align(8);
        let length = self.length()?;
        let name = str::from_utf8(self.take(length)?).ok()?;
        let [0, 1, kind, 0] = *self.array()? else { return None };
        let value = self.number()?;
        match kind {
            b'i' => Some((name, OptionValue::Signed(value.cast_signed()))),
            b'u' => Some((name, OptionValue::Unsigned(value))),
            _ => None,
        }
    }
}

/// A message that is being appended.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    body: usize,
}

impl<'a> Writer<'a> {
    fn begin(out: &'a mut Vec<u8>, header: &[u8], serial: u32) -> Self {
        let start = out.len();
        out.extend_from_slice(header);
        let body = out.len();
        let mut message = Self { out, start, body };
        message.set(SERIAL, serial);
        message
    }

    /// Sets the number at `offset` of the message.
    fn set(&mut self, offset: usize, number: u32) {
        let at = self.start + offset;
        if let Some(to) = self.out.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *to = number.to_ne_bytes();
        }
    }

    fn align(&mut self, alignment: usize) {
        let length = (self.out.len() - self.body).next_multiple_of(alignment);
        self.out.resize(self.body + length, 0);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.out.extend(number.to_ne_bytes());
    }

    /// An `ay`.
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(length(bytes.len()));
        self.out.extend_from_slice(bytes);
    }

    /// An array of dictionary entries, which `entries` writes.
    fn array(&mut self, entries: impl FnOnce(&mut Self)) {
        self.number(0);
        let at = self.out.len() - 4 - self.start;
        self.align(8);
        let first = self.out.len();
        entries(self);
        self.set(at, length(self.out.len() - first));
    }

    /// An entry of `a{sv}`.
    fn option(&mut self, name: &str, value: OptionValue) {
        let (kind, value) = match value {
            OptionValue::Signed(value) => (b'i', value.cast_unsigned()),
            OptionValue::Unsigned(value) => (b'u', value),
        };
        self.align(8);
        self.bytes(name.as_bytes());
        self.out.extend([0, 1, kind, 0]);
        self.number(value);
    }

    fn end(mut self) {
        let body = length(self.out.len() - self.body);
        self.set(BODY_LENGTH, body);
    }
}

/// A length as messages have it; no message is as long as 4 GiB.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use ipmi_proto::{Lun, NetFn, Privilege};

    use super::*;
    use crate::execute::message::Call;

    const CALLERS: [Caller; 4] = [
        Caller::System,
        Caller::Session {
            user_id: 2,
            privilege: Privilege::Administrator,
            session_id: 0x8000_0001,
        },
        Caller::Outside,
        Caller::Ipmb { rq_sa: 0x41, host_id: 3 },
    ];

    fn request(length: u8) -> Request {
        let data = (0..length).collect();
        Request { netfn: NetFn::STORAGE, lun: Lun::BMC, command: 0x43, data }
    }

    fn response(length: u8) -> ResponseBody {
        ResponseBody { completion: CompletionCode(0xc3), data: (0..length).collect() }
    }

    /// `bytes` with the serial number of `message`.
    fn renumbered(bytes: &[u8], message: &Message) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        bytes[SERIAL..FIELDS].copy_from_slice(&message.data().bytes()[SERIAL..FIELDS]);
        bytes
    }

    #[test]
    fn calls_are_those_that_the_library_makes() {
        for caller in CALLERS {
            for length in [0, 1, 2, 5, 255] {
                let request = request(length);
                let message = call_message(&request, caller).unwrap();
                // Where the message begins is of no importance.
                let mut out = vec![0; 3];
                let serial = write_call(&mut out, &request, caller);
                let out = &out[3..];
                assert_eq!(renumbered(out, &message), message.data().bytes(), "{caller:?}");
                let frame = CallFrame::read(out).unwrap();
                let call = Call::parse(&message).unwrap();
                assert_eq!((frame.serial, frame.data), (serial, request.data.as_slice()));
                let read = (frame.netfn, frame.lun, frame.command, frame.options);
                assert_eq!(read, (call.netfn, call.lun, call.command, call.options));
            }
        }
    }

    #[test]
    fn replies_are_those_that_the_library_makes() {
        let call = call_message(&request(1), Caller::System).unwrap();
        let serial = call.primary_header().serial_num().get();
        let answered = Answered { serial, netfn: 0x0a, lun: 1, command: 0x43 };
        for length in [0, 1, 15, 255] {
            let reply = response(length);
            let message = reply_message(&call, 0x0a, 1, 0x43, &reply).unwrap();
            let mut out = vec![0; 5];
            write_reply(&mut out, answered, &reply);
            let out = &out[5..];
            assert_eq!(renumbered(out, &message), message.data().bytes(), "{length} bytes");
            assert_eq!(read_reply(out), Some((serial, reply.completion, reply.data.as_slice())));
        }
    }

    #[test]
    fn what_is_cut_or_differs_is_left_to_the_library() {
        let (mut call, mut reply) = (Vec::new(), Vec::new());
        let serial = write_call(&mut call, &request(3), CALLERS[1]);
        let answered = Answered { serial, netfn: 0x0a, lun: 0, command: 0x43 };
        write_reply(&mut reply, answered, &response(3));
        for length in 0..call.len() {
            assert!(CallFrame::read(&call[..length]).is_none());
        }
        for length in 0..reply.len() {
            assert!(read_reply(&reply[..length]).is_none());
        }
        assert!(CallFrame::read(&reply).is_none() && read_reply(&call).is_none());
        // Another method, another type of an option.
        for (from, to) in [(&b"execute"[..], &b"example"[..]), (&b"\x01i\0"[..], &b"\x01s\0"[..])] {
            let at = call.windows(from.len()).position(|window| window == from).unwrap();
            let mut other = call.clone();
            other[at..at + to.len()].copy_from_slice(to);
            assert!(CallFrame::read(&other).is_none());
        }
    }
}
