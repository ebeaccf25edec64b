//! Responses that were bridged to the console (IPMI v2.0 §6.13.3).
//!
//! A console that sends a request to a controller behind the BMC by a tracked Send Message gets two
//! messages: the response to Send Message, and then the controller's response. The command daemon gives
//! both at once, the second as the data of the first; behind a further controller, as the data of the
//! response to that controller's Send Message. Consoles expect a message for each.

use ipmi_proto::ipmb::{IpmbHeader, IpmbResponse};
use ipmi_proto::{CompletionCode, NetFn, Response};

const SEND_MESSAGE: u8 = 0x34;

/// The messages that carry `response` to the request with `header`, in their order.
pub(super) fn messages(header: &IpmbHeader, response: &Response) -> Vec<Vec<u8>> {
    let mut messages = Vec::with_capacity(1);
    let mut next = IpmbResponse::answering(header, response);
    loop {
        let inner = inner_response(&next);
        let sent = match inner {
            Some(_) => IpmbResponse { data: &[], ..next },
            None => next,
        };
        let mut message = Vec::with_capacity(8 + sent.data.len());
        sent.emit(&mut message);
        messages.push(message);
        match inner {
            Some(inner) => next = inner,
            None => return messages,
        }
    }
}

/// The response that a successful Send Message has as its data.
fn inner_response<'a>(response: &IpmbResponse<'a>) -> Option<IpmbResponse<'a>> {
    let is_send_message = response.header.netfn == NetFn::APP.response()
        && response.header.command == SEND_MESSAGE
        && response.completion == CompletionCode::OK;
    is_send_message
        .then(|| IpmbResponse::parse(response.data).ok())
        .flatten()
        .filter(|inner| !inner.header.netfn.is_request())
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use ipmi_proto::ipmb::IpmbRequest;
    use ipmi_proto::{Lun, Request};

    use super::*;

    fn answer(command: u8, data: &[u8]) -> Vec<Vec<u8>> {
        let header = IpmbRequest::parse(&hex!("20 18 c8 81 0c 34 3f")).unwrap().header;
        let request = Request { netfn: NetFn::APP, lun: Lun::BMC, command, data: vec![] };
        let response = Response::to(&request, CompletionCode::OK, data.to_vec());
        messages(&IpmbHeader { command, ..header }, &response)
    }

    /// Get Device ID's response from 24h.
    const DIRECT: [u8; 9] = hex!("81 1c 63 24 0c 01 00 42 8d");
    /// What accepts the console's Send Message.
    const ACCEPTED: [u8; 8] = hex!("81 1c 63 20 0c 34 00 a0");

    #[test]
    fn bridged_response_is_a_message_of_its_own() {
        assert_eq!(answer(0x34, &DIRECT), [&ACCEPTED[..], &DIRECT]);
    }

    #[test]
    fn response_from_behind_a_further_controller_is_the_third() {
        let further = hex!("81 1c 63 26 0c 34 00 81 1c 63 24 0c 01 00 42 8d 9a");
        let passing = hex!("81 1c 63 26 0c 34 00 9a");
        assert_eq!(answer(0x34, &further), [&ACCEPTED[..], &passing, &DIRECT]);
    }

    #[test]
    fn everything_else_is_one_message() {
        assert_eq!(answer(0x34, &[]), [&ACCEPTED[..]]);
        assert_eq!(answer(0x01, &DIRECT).len(), 1);
        let mut damaged = DIRECT;
        damaged[8] ^= 1;
        assert_eq!(answer(0x34, &damaged).len(), 1);
    }
}
