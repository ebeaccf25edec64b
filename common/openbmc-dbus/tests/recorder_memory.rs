//! What recording a request costs in memory: nothing, after the first one.

use std::alloc::System;

use openbmc_dbus::recorder::{Origin, Recorder, RecorderConfig, RequestView};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_request_allocates_nothing_once_its_channel_has_recorded_one() {
    let recorder = Recorder::of_bridge("netipmid", RecorderConfig::default());
    let channel = recorder.channel("lan0", 1);
    let data: Vec<u8> = (0..=u8::MAX).collect();
    let record = |command: u8| {
        let (netfn, lun) = (6, 0);
        let origin = Origin::session(2, 0x1234);
        let started = channel.begin(&RequestView { origin, netfn, lun, command, data: &data });
        channel.end(started, 0, &data, false);
    };
    record(0x01);
    let region = Region::new(ALLOCATOR);
    // Those with secrets, which are masked, too; many times round the ring.
    for command in 0..=u8::MAX {
        (0..8).for_each(|_| record(command));
    }
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations, change.deallocations), (0, 0, 0));
}
