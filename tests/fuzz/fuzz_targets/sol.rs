//! Any bytes as SOL packets to both ends: no panic, a packet that parses is emitted as it came, and
//! what an end keeps of its peer stays bounded.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use rmcp_proto::sol::{Console, Instance, Parameters, Ring, Role, ToBmc, ToConsole};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packet) = ToBmc::parse(bytes) {
        assert_eq!(ToBmc::parse(&packet.to_vec()), Ok(packet));
    }
    if let Ok(packet) = ToConsole::parse(bytes) {
        assert_eq!(ToConsole::parse(&packet.to_vec()), Ok(packet));
    }
    let (mut ring, mut now) = (Ring::new(64), Instant::now());
    let parameters = Parameters::default();
    let mut instance = Instance::new(Role::Writer, parameters, 0, false);
    let mut console = Console::new(&parameters);
    // A byte with the length of what follows, again and again.
    let mut rest = bytes;
    while let Some((len, after)) = rest.split_first() {
        let (packet, after) = after.split_at(after.len().min(usize::from(*len)));
        rest = after;
        now += Duration::from_millis(u64::from(*len));
        ring.write(packet);
        let _ = instance.handle_packet(now, packet);
        let _ = console.handle_packet(now, packet);
        instance.handle_timeout(now);
        console.handle_timeout(now);
        assert!((0..8).any(|_| instance.poll_transmit(now, &ring).is_none()));
        assert!((0..8).any(|_| console.poll_transmit(now).is_none()));
        while console.poll_event().is_some() {}
        assert!(instance.chars().len() <= 1024);
        assert!(instance.position() <= ring.head());
    }
});
