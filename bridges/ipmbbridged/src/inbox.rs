//! Requests of satellites that run in `ipmid`. No bus, device or clock in here.
//!
//! A satellite repeats a request without a response: the duplicate is dropped while the first one runs.
//! The requests of one satellite are bounded, so that it leaves room for the others.

use std::collections::{HashMap, HashSet};

use ipmi_proto::ipmb::{IpmbAddress, IpmbHeader};

/// How to handle a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// Have `ipmid` execute it, and [`finish`](Inbox::finish) it then.
    Run,
    /// Drop it: the same request runs.
    Duplicate,
    /// Respond C0h: too many requests of this satellite run.
    Busy,
}

/// The requests that run: their headers, and their number by requester.
#[derive(Debug)]
pub struct Inbox {
    per_satellite: usize,
    running: HashSet<IpmbHeader>,
    count: HashMap<IpmbAddress, usize>,
}

impl Inbox {
    /// An empty inbox; each satellite may have `per_satellite` requests running.
    #[must_use]
    pub fn new(per_satellite: usize) -> Self {
        Self { per_satellite, running: HashSet::new(), count: HashMap::new() }
    }

    /// Sets the number of requests that each satellite may have running; those that run go on.
    pub fn set_limit(&mut self, per_satellite: usize) {
        self.per_satellite = per_satellite;
    }

    /// Admits a request, or refuses it.
    pub fn start(&mut self, header: IpmbHeader) -> Admission {
        if self.running.contains(&header) {
            return Admission::Duplicate;
        }
        let count = self.count.entry(header.requester).or_default();
        if *count >= self.per_satellite {
            return Admission::Busy;
        }
        *count += 1;
        self.running.insert(header);
        Admission::Run
    }

    /// Removes a request, which has its response.
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
    fn duplicate_is_dropped_while_the_first_runs_and_admitted_after() {
        let mut inbox = Inbox::new(2);
        assert_eq!(inbox.start(header(0x24, 1)), Admission::Run);
        assert_eq!(inbox.start(header(0x24, 1)), Admission::Duplicate);
        inbox.finish(&header(0x24, 1));
        inbox.finish(&header(0x24, 1));
        assert_eq!(inbox.start(header(0x24, 1)), Admission::Run);
    }

    #[test]
    fn satellite_that_asks_too_much_does_not_take_anothers_share() {
        let mut inbox = Inbox::new(2);
        assert_eq!(inbox.start(header(0x24, 1)), Admission::Run);
        assert_eq!(inbox.start(header(0x24, 2)), Admission::Run);
        assert_eq!(inbox.start(header(0x24, 3)), Admission::Busy);
        assert_eq!(inbox.start(header(0x26, 3)), Admission::Run);
        inbox.finish(&header(0x24, 1));
        assert_eq!(inbox.start(header(0x24, 3)), Admission::Run);
        for (from, sequence) in [(0x24, 2), (0x24, 3), (0x26, 3)] {
            inbox.finish(&header(from, sequence));
        }
        assert!(inbox.running.is_empty() && inbox.count.is_empty());
    }
}
