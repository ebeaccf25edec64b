//! Requests of satellites that `ipmid` has in hand. No bus, device or clock in here.
//!
//! A satellite repeats a request that is not answered soon: the copy is dropped while the first one
//! runs. One satellite has a bounded share, so that it cannot use up that of the others.

use std::collections::{HashMap, HashSet};

use ipmi_proto::ipmb::{IpmbAddress, IpmbHeader};

/// What to do with a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Have `ipmid` execute it, and [`finish`](Inbox::finish) it then.
    Run,
    /// Drop it: the same request runs.
    Copy,
    /// Answer it C0h: too many of this satellite run.
    Busy,
}

/// The requests that run, by their headers and by who sent them.
#[derive(Debug)]
pub struct Inbox {
    per_satellite: usize,
    running: HashSet<IpmbHeader>,
    count: HashMap<IpmbAddress, usize>,
}

impl Inbox {
    /// Nothing runs; each satellite may have `per_satellite` requests running.
    #[must_use]
    pub fn new(per_satellite: usize) -> Self {
        Self { per_satellite, running: HashSet::new(), count: HashMap::new() }
    }

    /// Takes a request.
    pub fn start(&mut self, header: IpmbHeader) -> Verdict {
        if self.running.contains(&header) {
            return Verdict::Copy;
        }
        let count = self.count.entry(header.requester).or_default();
        if *count >= self.per_satellite {
            return Verdict::Busy;
        }
        *count += 1;
        self.running.insert(header);
        Verdict::Run
    }

    /// The request has been answered.
    pub fn finish(&mut self, header: &IpmbHeader) {
        if !self.running.remove(header) {
            return;
        }
        if let Some(count) = self.count.get_mut(&header.requester) {
            *count -= 1;
            if *count == 0 {
                self.count.remove(&header.requester);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ipmi_proto::ipmb::IpmbSequence;
    use ipmi_proto::{Lun, NetFn};

    use super::*;

    fn header(from: u8, sequence: u8) -> IpmbHeader {
        IpmbHeader {
            responder: IpmbAddress::BMC,
            responder_lun: Lun::BMC,
            requester: IpmbAddress(from),
            requester_lun: Lun::BMC,
            sequence: IpmbSequence::new(sequence).unwrap(),
            netfn: NetFn::APP,
            command: 0x01,
        }
    }

    #[test]
    fn copy_is_dropped_while_the_first_runs_and_taken_after() {
        let mut inbox = Inbox::new(2);
        assert_eq!(inbox.start(header(0x24, 1)), Verdict::Run);
        assert_eq!(inbox.start(header(0x24, 1)), Verdict::Copy);
        inbox.finish(&header(0x24, 1));
        inbox.finish(&header(0x24, 1));
        assert_eq!(inbox.start(header(0x24, 1)), Verdict::Run);
    }

    #[test]
    fn satellite_that_asks_too_much_does_not_take_anothers_share() {
        let mut inbox = Inbox::new(2);
        assert_eq!(inbox.start(header(0x24, 1)), Verdict::Run);
        assert_eq!(inbox.start(header(0x24, 2)), Verdict::Run);
        assert_eq!(inbox.start(header(0x24, 3)), Verdict::Busy);
        assert_eq!(inbox.start(header(0x26, 3)), Verdict::Run);
        inbox.finish(&header(0x24, 1));
        assert_eq!(inbox.start(header(0x24, 3)), Verdict::Run);
        for (from, sequence) in [(0x24, 2), (0x24, 3), (0x26, 3)] {
            inbox.finish(&header(from, sequence));
        }
        assert!(inbox.running.is_empty() && inbox.count.is_empty());
    }
}
