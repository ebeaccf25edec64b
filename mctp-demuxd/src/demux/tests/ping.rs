//! Pings of an operator.

use hex_literal::hex;
use mctp_proto::{BASELINE_MTU, Eid};

use super::*;
use crate::demux::{PingError, Pong};

#[test]
fn an_answered_ping_has_its_time_and_message() {
    let mut demux = TestDemux::new();
    let id = demux.inner.ping(demux.now, Eid(FAR)).unwrap();
    let sent = demux.one();
    assert_eq!((sent.to, sent.owner), (FAR, true));
    assert_eq!(sent.bytes, hex!("00 80 02"));
    assert_eq!(demux.inner.pong(id), None);
    demux.now += Duration::from_micros(1500);
    // One of another instance is no answer to this.
    let answer = hex!("00 00 02 00 09 00 00");
    demux.receive(false, sent.tag, &answer);
    assert!(demux.inner.take_pinged() && !demux.inner.take_pinged());
    let pong = Pong { message: answer.to_vec(), took: Duration::from_micros(1500) };
    assert_eq!(demux.inner.pong(id), Some(&pong));
    demux.inner.end_ping(demux.now, id);
    assert_eq!(demux.inner.pong(id), None);
    let next = demux.inner.ping(demux.now, Eid(FAR)).unwrap();
    assert_ne!(next, id);
    assert_eq!(demux.one().bytes, hex!("00 81 02"));
}

#[test]
fn a_late_answer_to_a_ping_that_has_ended_is_dropped() {
    let mut demux = TestDemux::new();
    let id = demux.inner.ping(demux.now, Eid(FAR)).unwrap();
    let tag = demux.one().tag;
    demux.inner.end_ping(demux.now, id);
    demux.receive(false, tag, &hex!("00 00 02 00 09 00 00"));
    assert!(!demux.inner.take_pinged());
    assert_eq!(demux.inner.pong(id), None);
    assert_eq!(demux.refused(Refusal::Unsolicited), 1);
}

#[test]
fn endpoints_that_cannot_be_asked_are_refused_with_the_reason() {
    let mut demux = TestDemux::new();
    for (eid, error) in [
        (OWN, PingError::NotAnEndpoint),
        (0, PingError::NotAnEndpoint),
        (0xff, PingError::NotAnEndpoint),
    ] {
        assert_eq!(demux.inner.ping(demux.now, Eid(eid)), Err(error), "{eid}");
    }
    let pings: Vec<_> = (0..8).map(|_| demux.inner.ping(demux.now, Eid(FAR))).collect();
    assert!(pings.iter().all(Result::is_ok), "{pings:?}");
    assert_eq!(demux.inner.ping(demux.now, Eid(FAR)), Err(PingError::Busy));
    demux.inner.set_link_up(demux.now, LINK, false, &mut demux.out);
    assert_eq!(demux.inner.ping(demux.now, Eid(FAR)), Err(PingError::LinkDown));
    let kernel = vec![("kernel:1".to_owned(), LinkKind::Kernel)];
    let mut kernel = Demux::new(Settings::default(), kernel);
    assert_eq!(kernel.ping(demux.now, Eid(FAR)), Err(PingError::Kernel));
    let i2c = LinkKind::Packets(Medium::Smbus, BASELINE_MTU);
    let mut i2c = Demux::new(Settings::default(), vec![("i2c".to_owned(), i2c)]);
    assert_eq!(i2c.ping(demux.now, Eid(FAR)), Err(PingError::NoRoute));
}
