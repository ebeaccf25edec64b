//! The serial decoder: no panic, the same packets however the stream is split, every packet found
//! comes out of its own frame again, and a whole frame after any noise is found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mctp_proto::framing::serial::{Decoder, emit};

fn packets(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
    let (mut decoder, mut found) = (Decoder::new(), Vec::new());
    for chunk in chunks {
        decoder.feed(chunk, |packet| found.extend(packet.ok().map(<[u8]>::to_vec)));
    }
    found
}

fn frame(packet: &[u8]) -> Vec<u8> {
    let (header, payload) = packet.split_first_chunk().expect("no packet is below a header");
    let mut out = Vec::new();
    emit(*header, payload, &mut out).expect("what came in a frame fits a frame");
    out
}

fuzz_target!(|input: (u16, Vec<u8>)| {
    let (cut, stream) = input;
    let whole = packets(&[&stream]);
    let (head, tail) = stream.split_at(usize::from(cut) % (stream.len() + 1));
    assert_eq!(packets(&[head, tail]), whole);
    for packet in &whole {
        assert_eq!(packets(&[&frame(packet)]), std::slice::from_ref(packet));
    }
    // Noise may end inside what looks like a frame and costs at most the frame after it.
    let last = [1, 8, 9, 0xc8, 5, 0x7e, 0x7d];
    let noisy = packets(&[&stream, &[0x7e; 2], &frame(&last), &frame(&last)]);
    assert_eq!(noisy.last().map(Vec::as_slice), Some(&last[..]));
});
