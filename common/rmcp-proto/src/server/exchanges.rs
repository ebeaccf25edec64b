//! The requests of one session: each is executed at most once (a retry is answered from the last reply), and
//! a late reply is never sent for a newer request.

use std::time::{Duration, Instant};

use ipmi_proto::ipmb::IpmbHeader;

/// How long a reply is stored for a retry of its request.
const REPLY_LIFETIME: Duration = Duration::from_secs(5);

/// The running requests, and the last reply.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    running: Vec<Running>,
    last: Option<Answered>,
    /// Number of the newest request.
    newest: u64,
}

/// A request without a reply yet.
#[derive(Debug)]
struct Running {
    serial: u64,
    header: IpmbHeader,
    /// The whole message as it came: addresses, sequence, LUNs, command, data.
    message: Vec<u8>,
}

#[derive(Debug)]
struct Answered {
    message: Vec<u8>,
    /// More than one message where the reply was bridged.
    reply: Vec<Vec<u8>>,
    at: Instant,
}

/// How an arrived message relates to those before.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Arrival<'a> {
    /// A request not seen before: this is its serial number.
    New(u64),
    /// A copy of a request that is still running.
    StillRunning,
    /// A copy of the last request, with the reply to it.
    Answered(&'a [Vec<u8>]),
    /// The session has too many requests running.
    TooMany,
}

impl Exchanges {
    /// Notes that `message` arrived; at most `limit` may run at a time.
    pub(super) fn arrive(
        &mut self,
        now: Instant,
        header: IpmbHeader,
        message: &[u8],
        limit: usize,
    ) -> Arrival<'_> {
        if self.running.iter().any(|running| running.message == message) {
            return Arrival::StillRunning;
        }
        let fresh = |last: &Answered| now.saturating_duration_since(last.at) <= REPLY_LIFETIME;
        if self.last.as_ref().is_some_and(|last| last.message == message && fresh(last)) {
            let reply = self.last.as_ref().map(|last| last.reply.as_slice());
            return Arrival::Answered(reply.unwrap_or_default());
        }
        self.last = None;
        if self.running.len() >= limit {
            return Arrival::TooMany;
        }
        self.newest += 1;
        self.running.push(Running { serial: self.newest, header, message: message.to_vec() });
        Arrival::New(self.newest)
    }

    /// Whether `message` is a copy of a request that runs, or of the one answered last.
    pub(super) fn knows(&self, message: &[u8]) -> bool {
        let last = self.last.iter().map(|last| &last.message);
        let mut all = self.running.iter().map(|running| &running.message).chain(last);
        all.any(|known| known == message)
    }

    /// The header of request `serial`; `None` if it is not running.
    pub(super) fn header(&self, serial: u64) -> Option<&IpmbHeader> {
        self.running.iter().find(|running| running.serial == serial).map(|running| &running.header)
    }

    /// Notes that request `serial` was answered with `reply`.
    pub(super) fn answered(&mut self, now: Instant, serial: u64, reply: Vec<Vec<u8>>) {
        let Some(index) = self.running.iter().position(|running| running.serial == serial) else {
            return;
        };
        let running = self.running.swap_remove(index);
        if serial == self.newest {
            self.last = Some(Answered { message: running.message, reply, at: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use ipmi_proto::ipmb::IpmbRequest;

    use super::*;
    use crate::testing::now;

    fn message(sequence: u8) -> Vec<u8> {
        let mut bytes = vec![0x20, 0x18, 0xc8, 0x81, sequence << 2, 0x01];
        bytes.push(ipmi_proto::ipmb::checksum(&bytes[3..]));
        bytes
    }

    fn arrive(exchanges: &mut Exchanges, at: Instant, sequence: u8) -> Arrival<'_> {
        let message = message(sequence);
        let header = IpmbRequest::parse(&message).unwrap().header;
        exchanges.arrive(at, header, &message, 2)
    }

    #[test]
    fn a_copy_of_a_running_request_is_recognised() {
        let (mut exchanges, now) = (Exchanges::default(), now());
        assert_eq!(arrive(&mut exchanges, now, 1), Arrival::New(1));
        assert_eq!(arrive(&mut exchanges, now, 1), Arrival::StillRunning);
        assert_eq!(arrive(&mut exchanges, now, 2), Arrival::New(2));
        assert_eq!(arrive(&mut exchanges, now, 1), Arrival::StillRunning);
        assert_eq!(arrive(&mut exchanges, now, 3), Arrival::TooMany);
    }

    #[test]
    fn a_copy_of_the_last_request_gets_the_last_reply_for_five_seconds() {
        let (mut exchanges, now) = (Exchanges::default(), now());
        arrive(&mut exchanges, now, 1);
        exchanges.answered(now, 1, vec![vec![7]]);
        assert_eq!(arrive(&mut exchanges, now + REPLY_LIFETIME, 1), Arrival::Answered(&[vec![7]]));
        let later = now + REPLY_LIFETIME + Duration::from_millis(1);
        assert_eq!(arrive(&mut exchanges, later, 1), Arrival::New(2));
    }

    #[test]
    fn a_request_with_another_between_is_new() {
        let (mut exchanges, now) = (Exchanges::default(), now());
        arrive(&mut exchanges, now, 1);
        exchanges.answered(now, 1, vec![vec![7]]);
        arrive(&mut exchanges, now, 2);
        exchanges.answered(now, 2, vec![vec![8]]);
        assert_eq!(arrive(&mut exchanges, now, 1), Arrival::New(3));
    }

    #[test]
    fn a_reply_to_a_request_that_is_not_running_has_no_effect() {
        let (mut exchanges, now) = (Exchanges::default(), now());
        exchanges.answered(now, 1, vec![vec![7]]);
        assert_eq!(arrive(&mut exchanges, now, 1), Arrival::New(1));
        assert!(exchanges.header(1).is_some() && exchanges.header(2).is_none());
    }
}
