//! Concurrent requests that change something: state and responses are those of some sequential order of the
//! requests.

use ipmi_proto::ChannelNumber;
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::task;

use super::*;
use crate::request::context::Context;

/// Requests that change one thing, each as network function, command and data.
type Group = &'static [&'static str];

const ACCOUNTS: Group = &[
    "06 40 01 82 04", // volatile mode alone
    "06 40 01 a2 04",
    "06 40 01 00 82", // volatile limit alone
    "06 40 01 60 42", // non-volatile mode, then limit
    "06 40 01 40 43",
    "06 43 91 03 04", // flags and privilege
    "06 43 01 03 02", // a lower privilege alone
    "06 43 01 03 0f",
    "06 43 a1 03 03 05", // session limit
    "06 4c 01 03 02 00 00 00",
    "06 4c 01 43 01 00 00 00",
    "06 4c 01 03 00 00 04 00",
    "06 45 03 626f62 00000000000000000000000000", // one name for two users
    "06 45 04 626f62 00000000000000000000000000",
    "06 45 03 00000000000000000000000000000000",
    "06 47 03 02 31323334353637383930313233343536",
    "06 47 03 01",
    "06 47 03 00",
    "06 56 01 01 01 5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
    "06 56 01 02 01",
];
const NETWORK: Group = &[
    "0c 01 01 03 c0000263",
    "0c 01 01 06 ffff0000",
    "0c 01 01 04 02",
    "0c 01 01 05 525400000001",
    "0c 01 01 0a 03",
    "0c 01 01 0b 07",
    "0c 01 01 0c c00002fe",
    "0c 01 01 0d 525400000009",
    "0c 01 01 0e c0000203",
    "0c 01 01 0f 525400000003",
    "0c 01 01 14 6480",
    "0c 01 01 15 05",
    "0c 01 01 10 736563726574000000000000000000000000",
    "0c 01 01 12 03 80 05 02",
    "0c 01 01 13 03 00 00 c0000209 525400000009",
    "0c 01 01 18 00 00 30 00 00 00 00 00 00",
    "0c 01 01 1a 01 05 1e00 3c00",
    "0c 01 01 38 00 80 20010db8000000000000000000000007 40",
    "0c 01 01 38 00 00 00000000000000000000000000000000 00",
    "0c 01 01 41 20010db8000000000000000000000001",
    "0c 01 01 42 525400000008",
    "0c 01 01 00 01", // set in progress, commit, complete
    "0c 01 01 00 02",
    "0c 01 01 00 00",
    "2c 12 dc 01 00 01",
    "2c 12 dc 02 00 81",
    "2c 12 dc 04 00 6400",
];
const SOL: Group = &[
    "0c 21 01 01 00",
    "0c 21 01 02 83",
    "0c 21 01 02 42",
    "0c 21 01 03 0a 60",
    "0c 21 01 05 06",
    "0c 21 01 00 01",
    "0c 21 01 00 00",
];
const BOOT: Group = &[
    "00 08 05 c0 04 00 00 00",
    "00 08 05 80 08 10 00 00",
    "00 08 85",
    "00 08 04 01 01",
    "00 08 04 02 02",
    "00 08 07 00 61626364",
    "00 08 07 01 65666768",
    "00 08 06 010203040506070809",
    "00 08 00 01",
    "00 08 00 00",
];
const POWER: Group = &["00 02 00", "00 02 01", "00 02 02", "00 02 03", "00 0b 05", "00 0b 00"];
const CHASSIS: Group = &[
    "00 04 0f",
    "00 04 00",
    "00 04 0f 01",
    "00 05 03 20 20 20 20 20",
    "00 05 00 22 22 22 22",
    "00 06 01",
    "00 06 02",
    "00 0a 07",
    "00 0a 01",
];
const SENSORS: Group = &[
    "04 24 01 ff 02 03",
    "04 24 01 ff 05 06",
    "04 26 01 18 00 00 00 46 50 00",
    "04 26 01 08 00 00 00 3c 00 00",
    "04 28 01 a0 80 02 00 00",
    "04 28 01 d0 00 00 80 02",
    "04 28 01 40",
    "04 2a 01 00",
    "04 2e 01 02 01",
    "04 2e 01 01 01",
    "04 30 02 01 20",
    "04 30 02 01 21",
    "04 00 20 00",
    "04 00 ff 01",
];
const PEF: Group = &[
    "04 11 14",
    "04 11 00",
    "04 12 01 01",
    "04 12 02 01",
    "04 12 03 05",
    "04 12 06 01 80 01 01 00 ffff ff ff 01 ffff 000000 000000 000000",
    "04 12 07 01 80",
    "04 12 09 01 18 11 00",
    "04 12 0c 01 01 02",
    "04 12 0d 01 01 61626300",
    "04 12 0d 01 02 64656600",
    "04 12 00 01",
    "04 12 00 00",
    "04 14 01 0100",
    "04 14 00 ffff",
];
const APPLICATION: Group = &[
    "06 06 80 ff",
    "06 06 ff 81",
    "06 22",
    "06 24 03 01 00 00 6400",
    "06 24 44 00 00 3e e803",
    "06 2e 0d",
    "06 2e 08",
    "06 3c 02000000",
    "06 58 02 00 00 03 616263",
    "06 58 02 01 64656667",
    "06 58 04 00 00 03 616263",
    "06 58 00 01",
    "06 58 00 00",
    "06 60 01 06 00 ffffffffffffffffffffffffffffff7f",
    "06 60 01 06 00 fffffffffffffffffffffffffffffffd",
    "06 62 01 00 00 02 3e000000",
    "06 62 01 00 00 02 1f000000",
    "2c 02 ae 010000000102030400",
    "2c 02 ae 010000000506070800",
];
const STORAGE: Group = &[
    "0a 12 00 2000 6162",
    "0a 12 00 2200 6364",
    "0a 12 00 2100 6566",
    "0a 12 00 0000 01000000000000ff",
    "0a 22",
    "0a 24 0000 51 c0 04 cfc200aa",
    "0a 25 0100 0000 00 00 0000 51 c0 04 cfc200bb",
    "0a 25 0100 0000 00 01 0000 51 c0 04 cfc200cc",
    "0a 26 0100 0010",
    "0a 27 0100 434c52 aa",
    "0a 2a",
    "0a 2b",
    "0a 28",
    "0a 29 00000050",
    "0a 48",
    "0a 49 00000060",
    "0a 5b 00 01000000 02000000",
    "0a 5b 01 01000000 cfc200 0102",
    "0a 5d 3c00",
];
const EVENT_LOG: Group = &[
    "0a 42",
    "0a 44 0000 02 00000000 2000 04 01 30 01 00 ff ff",
    "0a 45 0100 0000 00 01 0000 02 00000000 2000 04 01 30 01 00 ff ff",
    "0a 46 0100 0100",
    "0a 46 0100 ffff",
    "0a 47 0100 434c52 aa",
    "04 02 20 04 01 31 01 00 ff ff",
];
const DCMI: Group = &[
    "2c 04 dc 000000 01 6400 e8030000 0000 0500",
    "2c 04 dc 000000 11 c800 d0070000 0000 0600",
    "2c 05 dc 01 0000",
    "2c 05 dc 00 0000",
    "2c 08 dc 00 04 61626364",
    "2c 08 dc 02 02 6566",
    "2c 08 dc 00 01 7a",
    "2c 0a dc 00 03 616263",
    "2c 0a dc 00 03 787900",
    "2c 0a dc 03 02 6400",
    "2c 0b dc 03 01 60 50 0500",
    "2c 0b dc 03 01 00 00 0000",
];
const GROUPS: [Group; 12] = [
    ACCOUNTS,
    NETWORK,
    SOL,
    BOOT,
    POWER,
    CHASSIS,
    SENSORS,
    PEF,
    APPLICATION,
    STORAGE,
    EVENT_LOG,
    DCMI,
];

/// Requests that prepare a machine with records and settings to change.
const SET_UP: Group = &[
    "06 45 03 616c 0000000000000000000000000000",
    "0a 44 0000 02 00000000 2000 04 01 30 01 00 ff ff",
    "0a 44 0000 02 00000000 2000 04 01 32 01 00 ff ff",
    "0a 24 0000 51 c0 04 cfc20011",
    "0a 42",
    "0a 22",
];

/// Requests that read all that can be changed. The bytes in the range depend on time and are left out.
const READ_REQUESTS: &[(&str, std::ops::Range<usize>)] = &[
    ("00 00", 0..0),
    ("00 01", 0..0),
    ("04 01", 0..0),
    ("04 15", 0..4),
    ("04 25 01 ff", 0..0),
    ("04 27 01", 0..0),
    ("04 29 01", 0..0),
    ("04 2d 01", 0..0),
    ("04 2f 01", 0..0),
    ("06 07", 0..0),
    ("06 25", 0..0),
    ("06 2f", 0..0),
    ("06 3d 00", 0..0),
    ("06 3d 01", 0..0),
    ("06 3d 02", 0..0),
    ("06 41 01 40", 0..0),
    ("06 41 01 80", 0..0),
    ("06 44 01 03", 0..0),
    ("06 46 03", 0..0),
    ("06 46 04", 0..0),
    ("06 47 03 03 31323334353637383930313233343536", 0..0),
    ("06 4d 01 03", 0..0),
    ("06 56 01 00 01", 0..0),
    ("06 59 00 02 00 00", 0..0),
    ("06 59 00 02 01 00", 0..0),
    ("06 59 00 04 00 00", 0..0),
    ("06 61 01 06 00", 0..0),
    ("06 63 01 00 00 02", 0..0),
    ("0a 11 00 0000 30", 0..0),
    ("0a 20", 5..13),
    ("0a 23 0000 0010 00 ff", 0..0),
    ("0a 23 0000 0110 00 ff", 0..0),
    ("0a 23 0000 0210 00 ff", 0..0),
    ("0a 26 0200 0110", 0..0), // whether the next reservation is there
    ("0a 2a", 0..0),
    ("0a 40", 5..13),
    ("0a 43 0000 0100 00 ff", 5..9),
    ("0a 43 0000 0200 00 ff", 5..9),
    ("0a 43 0000 0300 00 ff", 5..9),
    ("0a 43 0000 0400 00 ff", 5..9),
    ("0a 43 0000 0500 00 ff", 5..9),
    ("0a 43 0200 0100 01 01", 0..0),
    ("0a 48", 0..2),
    ("0a 5a 00", 0..0),
    ("0a 5a 01", 0..0),
    ("0a 5c", 0..0),
    ("2c 03 ae", 0..0),
    ("2c 03 dc 0000", 0..0),
    ("2c 06 dc 00 10", 0..0),
    ("2c 09 dc 00 10", 0..0),
    ("2c 0c dc 03 01", 0..0),
    ("2c 13 dc 02 00", 0..0),
    ("2c 13 dc 04 00", 0..0),
];
/// Parameters, and what begins a request for one: its number and selectors follow.
const PARAMETERS: &[(&str, &[[u8; 3]])] = &[
    ("00 09", &[[0, 0, 0], [4, 0, 0], [5, 0, 0], [6, 0, 0], [7, 0, 0], [7, 1, 0]]),
    ("04 13", &[[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [6, 1, 0], [7, 1, 0], [9, 1, 0]]),
    ("04 13", &[[12, 1, 0], [13, 1, 1], [13, 1, 2]]),
    ("0c 02 01", &[[0, 0, 0], [3, 0, 0], [4, 0, 0], [5, 0, 0], [6, 0, 0], [10, 0, 0]]),
    ("0c 02 01", &[[11, 0, 0], [12, 0, 0], [13, 0, 0], [14, 0, 0], [15, 0, 0], [16, 0, 0]]),
    ("0c 02 01", &[[18, 3, 0], [19, 3, 0], [20, 0, 0], [21, 0, 0], [24, 0, 0], [26, 0, 0]]),
    ("0c 02 01", &[[56, 0, 0], [56, 1, 0], [65, 0, 0], [66, 0, 0]]),
    ("0c 22 01", &[[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [5, 0, 0]]),
];

/// A request, and who sends it.
pub(super) type Sent = (Context, Vec<u8>);
/// Completion code and data.
pub(super) type Reply = (u8, Vec<u8>);
/// The answers to requests, and all that can be seen afterwards.
type Outcome = (Vec<Reply>, Vec<String>);

pub(super) fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let pairs = digits.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// The host, and two sessions of the LAN.
pub(super) fn sender(number: usize) -> Context {
    let host = Context::system_interface();
    let Ok(id @ 1..) = u32::try_from(number) else {
        return host;
    };
    let session = Some(Session { user_id: 2, id });
    Context { channel: ChannelNumber::new(1).unwrap(), medium: Medium::Lan, session, ..host }
}

pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A machine as it is before the requests.
pub(super) struct Model {
    dispatcher: Arc<Dispatcher>,
    platform: Arc<FakePlatform>,
    _state: TempDir,
}

impl Model {
    pub(super) async fn new() -> Self {
        let machine = machine();
        for id in [1, 2] {
            machine.platform.open_session(id);
        }
        {
            let mut state = machine.platform.state();
            state.bmc_time = Some(0x4000_0000);
            state.power = crate::platform::PowerState::On;
        }
        let filter = Box::new(machine.firewall);
        let dispatcher = Arc::new(Dispatcher::new(machine.registry, vec![filter]));
        let model = Self { dispatcher, platform: machine.platform, _state: machine.state };
        for request in SET_UP {
            let (completion, _) = model.send(&(sender(0), bytes(request))).await;
            assert_eq!(completion, 0, "{request}");
        }
        model
    }

    pub(super) async fn send(&self, (context, request): &Sent) -> Reply {
        let [netfn, command, data @ ..] = &request[..] else { panic!("no request") };
        let context = Context { command: *command, ..*context };
        let mut reply = self.dispatcher.dispatch(context, *netfn, data).await;
        if matches!((*netfn, *command), (0x0a, 0x28 | 0x48)) {
            // The clock goes on: of a time the highest byte says which time was set.
            reply.data.iter_mut().take(3).for_each(|byte| *byte = 0);
        }
        (reply.completion.0, reply.data)
    }

    async fn view(&self) -> Vec<String> {
        let mut seen = Vec::new();
        let mut look = async |request: Vec<u8>, hidden: std::ops::Range<usize>| {
            let (completion, mut data) = self.send(&(sender(0), request.clone())).await;
            let hidden = hidden.start.min(data.len())..hidden.end.min(data.len());
            data.drain(hidden);
            seen.push(format!("{request:02x?}: {completion:02x} {data:02x?}"));
        };
        for (request, hidden) in READ_REQUESTS {
            look(bytes(request), hidden.clone()).await;
        }
        for (begin, parameters) in PARAMETERS {
            for parameter in *parameters {
                look([&bytes(begin)[..], parameter].concat(), 0..0).await;
            }
        }
        let state = self.platform.state();
        let mut buttons = state.disabled_buttons.clone();
        buttons.sort_by_key(|button| format!("{button:?}"));
        seen.push(format!("{buttons:?} {:?} {:?}", state.chassis_requests, state.host_requests));
        seen.push(format!("{:?} {:?}", state.set_readings, state.written_fru));
        seen
    }
}

/// The requests one after the other.
fn in_order(requests: &[Sent], order: &[usize]) -> Outcome {
    runtime().block_on(async {
        let model = Model::new().await;
        let mut answers = vec![(0, Vec::new()); requests.len()];
        for index in order {
            answers[*index] = model.send(&requests[*index]).await;
        }
        (answers, model.view().await)
    })
}

/// The requests at once; each begins after so many turns of the others.
fn at_once(requests: &[Sent], turns: &[u8]) -> Outcome {
    runtime().block_on(async {
        let model = Arc::new(Model::new().await);
        let tasks: Vec<_> = requests
            .iter()
            .zip(turns)
            .map(|(request, turns)| {
                let (model, request, turns) = (Arc::clone(&model), request.clone(), *turns);
                task::spawn(async move {
                    for _ in 0..turns {
                        task::yield_now().await;
                    }
                    model.send(&request).await
                })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        (answers, model.view().await)
    })
}

/// All orders of so many.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    let insert = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, count - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..count).rev().map(move |at| insert(order, at))).collect()
}

/// The result, unless some sequential order leads to the same.
fn disorder(requests: &[Sent], turns: &[u8]) -> Option<String> {
    let happened = at_once(requests, turns);
    let orders = orders(requests.len());
    let serial: Vec<Outcome> = orders.iter().map(|order| in_order(requests, order)).collect();
    if serial.contains(&happened) {
        return None;
    }
    let mut difference = format!("{:02x?}\nat once: {:02x?}", requests, happened.0);
    for (order, outcome) in orders.iter().zip(&serial) {
        writeln!(difference, "\nin order {order:?}: {:02x?}", outcome.0).unwrap();
        for (now, then) in happened.1.iter().zip(&outcome.1).filter(|(now, then)| now != then) {
            writeln!(difference, "  {now}\n  {then} in order").unwrap();
        }
    }
    Some(difference)
}

#[test]
fn two_requests_at_once_are_two_in_some_order() {
    for group in GROUPS {
        for (first, one) in group.iter().enumerate() {
            for (second, other) in group.iter().enumerate().skip(first) {
                let of = |number: usize, request| (sender(number % 3), bytes(request));
                let requests = [of(first, one), of(second + 1, other)];
                if let Some(difference) = disorder(&requests, &[0, 0]) {
                    panic!("{difference}");
                }
            }
        }
    }
}

fn request() -> impl Strategy<Value = Sent> {
    let all: Vec<&str> = GROUPS.iter().flat_map(|group| group.iter().copied()).collect();
    (0..3_usize, prop::sample::select(all)).prop_map(|(from, text)| (sender(from), bytes(text)))
}

fn three_of_one_group() -> impl Strategy<Value = Vec<Sent>> {
    let of = |group: Group| (0..3_usize, prop::sample::select(group));
    let one = |(from, text): (usize, &str)| (sender(from), bytes(text));
    let three = move |group| prop::collection::vec(of(group).prop_map(one), 3);
    prop::sample::select(GROUPS.to_vec()).prop_flat_map(three)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn three_requests_at_once_are_three_in_some_order(
        requests in prop_oneof![3 => three_of_one_group(), 1 => prop::collection::vec(request(), 3)],
        turns in prop::collection::vec(0..6_u8, 3),
    ) {
        prop_assert_eq!(disorder(&requests, &turns), None);
    }
}

/// Commands that change something, but in one step: each adds to or takes from a queue or the log, or has an effect
/// outside of this daemon.
const ONE_STEP: [&str; 12] = [
    "Add SEL Entry",
    "Alert Immediate",
    "Clear Message Flags",
    "Enable Message Channel Receive",
    "Master Write-Read",
    "PET Acknowledge",
    "Platform Event Message",
    "Read Event Message Buffer",
    "Read FRU Data",
    "Reserve Device SDR Repository",
    "Run Initialization Agent",
    "Send Message",
];
/// Commands that end the daemon, or the machine, after their response.
const ENDS: [&str; 2] = ["Cold Reset", "Warm Reset"];

#[test]
fn each_command_that_changes_something_says_so_and_is_tried() {
    let machine = machine();
    let tried: Vec<Vec<u8>> =
        GROUPS.iter().flat_map(|group| group.iter()).map(|text| bytes(text)).collect();
    for row in machine.registry.iter() {
        let (netfn, prefix) = address(row);
        let address = [&[netfn, row.code][..], &prefix].concat();
        let is_tried = tried.iter().any(|request| request.starts_with(&address));
        let is_read_only = row.name.starts_with("Get ") || ONE_STEP.contains(&row.name);
        assert!(is_read_only || row.changes.is_some(), "{}: what does it change?", row.name);
        let ends = ENDS.contains(&row.name);
        assert!(row.changes.is_none() || ends || is_tried, "{} is not tried", row.name);
    }
}
