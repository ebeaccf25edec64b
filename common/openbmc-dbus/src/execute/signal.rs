//! Requests in signals, as OpenBMC's btbridge sends them ([`host_ipmi`]), and the calls that respond to them.

use ipmi_proto::{CompletionCode, ResponseBody};
use tracing::warn;
use zbus::message::{self, Flags};
use zbus::{Connection, MatchRule, Message};

use super::message::{Call, CallOptions, sender_of};
use crate::bus::add_match;
use crate::ipmi::host_ipmi;

/// The most data of a response: btbridge's message of 64 bytes, less the five that come first.
const RESPONSE_DATA: u8 = 59;

/// Subscribes to the signals of the owner of the bridge's name. Any process can send one to us alone, so the sender
/// is checked as a caller is.
pub(super) async fn follow(connection: Connection) {
    let rule = MatchRule::builder()
        .msg_type(message::Type::Signal)
        .sender(host_ipmi::SERVICE)
        .interface(host_ipmi::NAME)
        .member(host_ipmi::RECEIVED_MESSAGE.name)
        .build();
    let followed = async { add_match(&connection, &rule?).await };
    if let Err(error) = followed.await {
        warn!(%error, "cannot subscribe to OpenBMC's btbridge; its requests are not served");
    }
}

/// A request, and its sequence number.
pub(super) struct Signalled {
    pub(super) call: Call,
    seq: u8,
    path: String,
}

impl Signalled {
    /// Reads a signal; `None` for one that is no request.
    pub(super) fn parse(signal: &Message) -> Option<Self> {
        let header = signal.header();
        let is_request = header.interface()?.as_str() == host_ipmi::NAME
            && header.member()?.as_str() == host_ipmi::RECEIVED_MESSAGE.name;
        if !is_request {
            return None;
        }
        let (seq, netfn, lun, command, data) = signal.body().deserialize().ok()?;
        Some(Self {
            call: Call {
                sender: sender_of(signal).into(),
                netfn,
                lun,
                command,
                data,
                options: CallOptions { room: Some(RESPONSE_DATA), ..CallOptions::default() },
            },
            seq,
            path: header.path()?.to_string(),
        })
    }

    /// The request, and a function that makes a call to its sender of the response; `CAh` for one that is too long
    /// for the bridge.
    pub(super) fn split(self) -> (Call, impl FnOnce(&ResponseBody) -> zbus::Result<Message>) {
        let Self { call, seq, path } = self;
        let Call { sender: ref bridge, netfn, lun, command, .. } = call;
        let bridge = bridge.clone();
        let build = move |reply: &ResponseBody| {
            let (completion, data) = match reply.data.get(usize::from(RESPONSE_DATA)..) {
                Some([_, ..]) => (CompletionCode::CANNOT_RETURN_BYTES, &[][..]),
                _ => (reply.completion, reply.data.as_slice()),
            };
            Message::method_call(path.as_str(), host_ipmi::SEND_MESSAGE.name)
                // No reply is awaited here, and the bus daemon needs no memory for one.
                .with_flags(Flags::NO_REPLY_EXPECTED)
                .destination(&*bridge)
                .interface(host_ipmi::NAME)
                .build(&(seq, netfn | 1, lun, command, completion.0, data))
        };
        (call, build)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: (u8, u8, u8, u8, &[u8]) = (7, 0x0a, 0, 0x11, &[1, 2]);

    fn signal(member: &str) -> Message {
        let signal = Message::signal(host_ipmi::PATH, host_ipmi::NAME, member);
        signal.sender(":1.5").build(&REQUEST).unwrap()
    }

    fn response(length: usize) -> Message {
        let (call, build) = Signalled::parse(&signal("ReceivedMessage")).unwrap().split();
        assert_eq!(
            (call.netfn, call.lun, call.command, call.data.as_slice()),
            (0x0a, 0, 0x11, &[1, 2][..])
        );
        let reply = ResponseBody { completion: CompletionCode::OK, data: vec![9; length] };
        build(&reply).unwrap()
    }

    #[test]
    fn the_response_to_a_signal_is_a_call_to_its_sender() {
        let message = response(RESPONSE_DATA.into());
        let header = message.header();
        assert_eq!(header.destination().unwrap().as_str(), ":1.5");
        assert_eq!(header.path().unwrap().as_str(), host_ipmi::PATH);
        assert!(header.primary().flags().contains(Flags::NO_REPLY_EXPECTED));
        let body = message.body();
        assert_eq!(body.signature().to_string_no_parens(), host_ipmi::SEND_MESSAGE.input);
        let body: (u8, u8, u8, u8, u8, Vec<u8>) = body.deserialize().unwrap();
        assert_eq!(body, (7, 0x0b, 0, 0x11, 0x00, vec![9; RESPONSE_DATA.into()]));
    }

    #[test]
    fn a_response_that_is_too_long_is_ca() {
        let message = response(usize::from(RESPONSE_DATA) + 1);
        let body: (u8, u8, u8, u8, u8, Vec<u8>) = message.body().deserialize().unwrap();
        assert_eq!(body, (7, 0x0b, 0, 0x11, 0xca, vec![]));
    }

    #[test]
    fn other_signals_and_other_bodies_are_no_requests() {
        assert!(Signalled::parse(&signal("SomethingElse")).is_none());
        let signal = Message::signal(host_ipmi::PATH, host_ipmi::NAME, "ReceivedMessage");
        let signal = signal.sender(":1.5");
        assert!(Signalled::parse(&signal.build(&(1_u8, "x")).unwrap()).is_none());
    }
}
