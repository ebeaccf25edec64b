//! The last exchanges of one channel, in memory that is allocated once.

use std::ops::Range;

use ipmi_proto::Request;

use super::exchange::{Exchange, Origin};
use super::secrets::{self, Hide};

/// A request as it comes in.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// Who sent it.
    pub origin: Origin,
    /// Network function.
    pub netfn: u8,
    /// Logical unit.
    pub lun: u8,
    /// Command number.
    pub command: u8,
    /// Its data.
    pub data: &'a [u8],
}

impl<'a> RequestView<'a> {
    /// A request of `origin`.
    #[must_use]
    pub fn of(request: &'a Request, origin: Origin) -> Self {
        let Request { netfn, lun, command, data } = request;
        Self { origin, netfn: netfn.value(), lun: lun.value(), command: *command, data }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending<'a> {
    pub(super) state: u8,
    pub(super) completion: u8,
    pub(super) duration: u64,
    pub(super) data: &'a [u8],
    pub(super) hide: Hide,
}

/// Fixed parts of the exchanges in `slots`, the first data bytes of each request and response in `bytes`.
#[derive(Debug, Default)]
pub(super) struct Ring {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
    most_slots: usize,
    most_bytes: usize,
    /// The slot of the next exchange.
    next: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    serial: u64,
    wall: u64,
    monotonic: u64,
    duration: u64,
    origin: Origin,
    request_length: u32,
    response_length: u32,
    netfn: u8,
    lun: u8,
    command: u8,
    state: u8,
    completion: u8,
}

impl Ring {
    /// For `slots` exchanges with `bytes` data bytes of each request and each response. Memory is allocated with the
    /// first request: most channels of a configuration are never used.
    pub(super) fn new(slots: usize, bytes: usize) -> Self {
        Self { most_slots: slots, most_bytes: bytes, ..Self::default() }
    }

    /// Adds a request; returns its slot.
    pub(super) fn begin(
        &mut self,
        serial: u64,
        (wall, monotonic): (u64, u64),
        request: &RequestView,
    ) -> usize {
        if self.slots.len() < self.most_slots {
            self.slots = vec![Slot::default(); self.most_slots];
            self.bytes = vec![0; self.most_slots * 2 * self.most_bytes];
        }
        let RequestView { origin, netfn, lun, command, data } = *request;
        let at = self.next;
        self.next = if at + 1 < self.slots.len() { at + 1 } else { 0 };
        let secret = secrets::of_request(netfn, command, data);
        self.copy(2 * at, data, secret);
        if let Some(slot) = self.slots.get_mut(at) {
            let request_length = length(data);
            *slot = Slot {
                serial,
                wall,
                monotonic,
                origin,
                netfn,
                lun,
                command,
                request_length,
                ..Slot::default()
            };
        }
        at
    }

    /// Adds the response to request `serial`, unless a newer request has its slot `at`.
    pub(super) fn end(&mut self, at: usize, serial: u64, ending: &Ending) {
        let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.serial == serial) else {
            return;
        };
        slot.state = ending.state;
        slot.completion = ending.completion;
        slot.duration = ending.duration;
        slot.response_length = length(ending.data);
        self.copy(2 * at + 1, ending.data, ending.hide.range(ending.data));
    }

    /// The exchanges, the oldest first.
    pub(super) fn exchanges(&self, channel: &str, number: u8) -> Vec<Exchange> {
        let used = self.slots.iter().enumerate().filter(|(_, slot)| slot.serial > 0);
        let exchange = |(at, slot): (usize, &Slot)| Exchange {
            serial: slot.serial,
            wall: slot.wall,
            monotonic: slot.monotonic,
            channel: channel.to_owned(),
            number,
            origin: slot.origin,
            netfn: slot.netfn,
            lun: slot.lun,
            command: slot.command,
            request_length: slot.request_length,
            request: self.data(2 * at, slot.request_length),
            state: slot.state,
            completion: slot.completion,
            duration: slot.duration,
            response_length: slot.response_length,
            response: self.data(2 * at + 1, slot.response_length),
        };
        let mut exchanges: Vec<_> = used.map(exchange).collect();
        exchanges.sort_by_key(|exchange| exchange.serial);
        exchanges
    }

    fn part(&self, part: usize, length: usize) -> Range<usize> {
        let start = part * self.most_bytes;
        start..start + length.min(self.most_bytes)
    }

    fn copy(&mut self, part: usize, data: &[u8], secret: Range<usize>) {
        let range = self.part(part, data.len());
        let Some(to) = self.bytes.get_mut(range) else { return };
        if let Some(data) = data.get(..to.len()) {
            to.copy_from_slice(data);
        }
        secrets::mask(to, secret);
    }

    fn data(&self, part: usize, length: u32) -> Vec<u8> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.bytes.get(self.part(part, length)).unwrap_or_default().to_vec()
    }
}

fn length(data: &[u8]) -> u32 {
    u32::try_from(data.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(data: &[u8]) -> RequestView<'_> {
        RequestView { origin: Origin::host(), netfn: 6, lun: 0, command: 0x47, data }
    }

    fn ending(data: &[u8]) -> Ending<'_> {
        let state = Exchange::ANSWERED;
        Ending { state, completion: 0, duration: 5, data, hide: Hide::Nothing }
    }

    #[test]
    fn the_last_exchanges_stay_with_their_first_bytes() {
        let mut ring = Ring::new(4, 8);
        let long: Vec<u8> = (0..20).collect();
        for serial in 1..=10 {
            let at = ring.begin(serial, (serial, 2 * serial), &incoming(&long));
            // The seventh has no answer.
            if serial != 7 {
                ring.end(at, serial, &ending(&long[..3]));
            }
        }
        // Its slot has a newer one.
        ring.end(1, 2, &ending(&[9]));
        let exchanges = ring.exchanges("kcs0", 15);
        let serials: Vec<_> = exchanges.iter().map(|exchange| exchange.serial).collect();
        assert_eq!(serials, [7, 8, 9, 10]);
        let states: Vec<_> = exchanges.iter().map(|exchange| exchange.state).collect();
        assert_eq!(states, [0, 1, 1, 1]);
        let last = &exchanges[3];
        assert_eq!((last.request_length, last.response_length), (20, 3));
        assert_eq!(last.request, [&[0, 1][..], &[secrets::MASK; 6]].concat());
        assert_eq!(last.response, [0, 1, 2]);
        assert_eq!((last.wall, last.monotonic, last.duration), (10, 20, 5));
    }

    #[test]
    fn without_slots_nothing_is_recorded() {
        let mut ring = Ring::new(0, 8);
        let at = ring.begin(1, (1, 1), &incoming(&[1]));
        ring.end(at, 1, &ending(&[1]));
        assert!(ring.exchanges("kcs0", 15).is_empty());
    }

    #[test]
    fn memory_is_allocated_once() {
        let mut ring = Ring::new(8, 16);
        ring.begin(1, (1, 1), &incoming(&[0; 300]));
        let before = (ring.slots.as_ptr(), ring.bytes.as_ptr(), ring.bytes.len());
        for serial in 2..1000 {
            let at = ring.begin(serial, (1, 1), &incoming(&[0; 300]));
            ring.end(at, serial, &ending(&[0; 300]));
        }
        assert_eq!((ring.slots.as_ptr(), ring.bytes.as_ptr(), ring.bytes.len()), before);
        assert_eq!(before.2, 8 * 2 * 16);
    }
}
