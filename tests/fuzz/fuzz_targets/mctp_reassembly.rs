//! The reassembler: no panic, bounds hold, and every message is one that a simple model of the
//! specification returns too.
#![no_main]

use std::collections::HashMap;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mctp_proto::packet::Header;
use mctp_proto::reassembly::{Limits, Reassembler};
use mctp_proto::{Address, DropCounts, LinkId};

/// Per key: size of the first packet, next sequence number, bytes so far.
type Model = HashMap<[u8; 3], (usize, u8, Vec<u8>)>;

fn expected(model: &mut Model, raw: [u8; 4], payload: &[u8]) -> Option<Vec<u8>> {
    let [_, destination, source, flags] = raw;
    let key = [destination, source, flags & 0x0f];
    let (start, end, sequence) = (flags & 0x80 != 0, flags & 0x40 != 0, (flags >> 4) & 3);
    let open = model.remove(&key);
    let (first, message) = match (start, open) {
        (true, _) if payload.is_empty() => return None,
        (true, _) => (payload.len(), payload.to_vec()),
        (false, None) => return None,
        (false, Some((first, next, mut message))) => {
            let size =
                if end { (1..=first).contains(&payload.len()) } else { payload.len() == first };
            if next != sequence || !size {
                return None;
            }
            message.extend_from_slice(payload);
            (first, message)
        }
    };
    if end {
        return Some(message);
    }
    model.insert(key, (first, (sequence + 1) & 3, message));
    None
}

fuzz_target!(|packets: Vec<(u8, u8, u8, u8)>| {
    let roomy = Limits::default();
    let tight = Limits {
        message: 200,
        peer_assemblies: 2,
        peer_bytes: 250,
        assemblies: 5,
        bytes: 600,
        timeout: Duration::from_millis(20),
    };
    let (mut ours, mut bounded) = (Reassembler::new(roomy), Reassembler::new(tight));
    let (mut model, mut drops) = (Model::new(), DropCounts::default());
    let filler: Vec<u8> = (0..=255).collect();
    for (index, (destination, source, flags, len)) in packets.into_iter().enumerate().take(500) {
        // Few sources, so that keys meet; within the share of each.
        let raw = [1, 8 + destination % 2, 9 + source % 4, flags & !0x04];
        let payload = &filler[..usize::from(len % 70)];
        let (header, _) = Header::parse(&raw).expect("a version 1 header");
        let now = Duration::from_millis(index as u64);
        let got = ours.accept(now, LinkId(0), Address::None, &header, payload, &mut drops);
        assert_eq!(got.map(|message| message.into_owned()), expected(&mut model, raw, payload));
        assert_eq!(ours.unfinished(), model.len());
        let got = bounded.accept(now, LinkId(0), Address::None, &header, payload, &mut drops);
        assert!(got.is_none_or(|message| message.len() <= tight.message));
        assert!(bounded.unfinished() <= tight.assemblies);
        bounded.handle_timeout(now, |_| {});
    }
});
