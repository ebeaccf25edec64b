//! The recorder as a bridge uses it.

use super::*;

fn recorder(exchanges: usize) -> (Recorder, Arc<Channel>) {
    let recorder = Recorder::of_bridge("kcsbridged", RecorderConfig { exchanges, bytes: 64 });
    let channel = recorder.channel("kcs0", 15);
    (recorder, channel)
}

fn request(command: u8, data: &[u8]) -> RequestView<'_> {
    RequestView { origin: Origin::session(2, 0x1234), netfn: 6, lun: 0, command, data }
}

#[test]
fn a_broadcast_has_no_response_and_is_in_no_metric() {
    let (recorder, channel) = recorder(4);
    let broadcast = RequestView {
        origin: Origin::to_satellite(0),
        netfn: 0x30,
        lun: 0,
        command: 1,
        data: &[7],
    };
    let times = recorder.metrics().times;
    channel.broadcast(&broadcast);
    let [recorded] = &recorder.exchanges("")[..] else { panic!("one exchange") };
    assert_eq!((recorded.state, recorded.request.as_slice()), (Exchange::BROADCAST, &[7][..]));
    assert!(!recorded.has_response());
    let metrics = recorder.metrics();
    assert_eq!(metrics.times, times);
    assert!(metrics.numbers.iter().all(|sample| !sample.name.ends_with("requests_total")));
}

#[test]
fn an_exchange_has_request_and_response() {
    let (recorder, channel) = recorder(4);
    let started = channel.begin(&request(1, &[]));
    assert_eq!(recorder.exchanges("")[0].state, Exchange::PENDING);
    channel.end(started, 0, &[0x20, 1], false);
    let exchanges = recorder.exchanges("kcs0");
    let [exchange] = exchanges.as_slice() else { panic!("{exchanges:?}") };
    assert_eq!((exchange.netfn, exchange.command, exchange.completion), (6, 1, 0));
    assert_eq!((exchange.origin.user, exchange.origin.session), (2, 0x1234));
    assert_eq!(
        (exchange.state, exchange.response.as_slice()),
        (Exchange::ANSWERED, &[0x20, 1][..])
    );
    assert!(recorder.exchanges("lan0").is_empty());
}

#[test]
fn metrics_count_by_network_function_and_completion_code_whether_or_not_requests_are_recorded() {
    for exchanges in [0, 4] {
        let (recorder, channel) = recorder(exchanges);
        for completion in [0, 0, 0xc1] {
            channel.record(&request(1, &[]), completion, &[]);
        }
        let started = channel.begin(&request(2, &[]));
        channel.end(started, 0xc3, &[], true);
        let metrics = recorder.metrics();
        let count = |name: &str, completion: &str| {
            let is = |sample: &&daemon::metrics::Sample<u64>| {
                let code = sample.labels.get("completion").map_or("", String::as_str);
                sample.name == name && code == completion
            };
            metrics.numbers.iter().find(is).map(|sample| sample.value)
        };
        assert_eq!(count("causeway_ipmi_requests_total", "0x00"), Some(2));
        assert_eq!(count("causeway_ipmi_requests_total", "0xc1"), Some(1));
        assert_eq!(count("causeway_ipmi_requests_total", "0xc3"), Some(1));
        assert_eq!(count("causeway_ipmi_deadline_misses_total", ""), Some(1));
        assert_eq!(metrics.times[0].value.buckets.iter().sum::<u64>(), 4);
        assert_eq!(recorder.exchanges("").len(), exchanges.min(4));
    }
}

#[test]
fn pairs_of_network_function_and_completion_code_are_bounded() {
    let (_recorder, channel) = recorder(0);
    for netfn in (0..64).step_by(2) {
        for completion in 0..=u8::MAX {
            channel.record(&RequestView { netfn, ..request(1, &[]) }, completion, &[]);
        }
    }
    let counts = lock(&channel.book).counts();
    assert_eq!(counts.len(), 32 + MAX_COUNTS + 1);
    assert_eq!(counts.values().sum::<u64>(), 32 * 256);
}

#[test]
fn the_time_of_day_follows_the_monotonic_clock_and_is_read_again() {
    let mut clock = Clock { read: 5_000_000, wall: 7 };
    assert_eq!(clock.wall(5_000_010), 17);
    assert_eq!(clock.wall(5_999_999), 1_000_006);
    let now = wall();
    assert!(clock.wall(6_000_000) >= now);
    assert_eq!(clock.read, 6_000_000);
}

#[tokio::test]
async fn a_subscriber_gets_whole_exchanges_without_secrets() {
    let (recorder, channel) = recorder(0);
    let mut exchanges = recorder.0.tap.connect();
    channel.record(&request(1, &[]), 0, &[]);
    let subscriber = tap::Subscriber { name: ":1.7".to_owned(), channel: String::new() };
    recorder.0.tap.add(subscriber).unwrap();
    let password = [&[2, 2][..], b"hunter2-hunter2-"].concat();
    channel.record(&request(0x47, &password), 0, &[7; 200]);
    let exchange = exchanges.recv().await.unwrap();
    assert_eq!((exchange.serial, exchange.command), (2, 0x47));
    assert_eq!(exchange.request, [&[2, 2][..], &[b'*'; 16]].concat());
    assert_eq!((exchange.response_length, exchange.response.len()), (200, 200));
    assert!(exchanges.try_recv().is_err());
}
