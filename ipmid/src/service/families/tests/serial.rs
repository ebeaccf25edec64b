//! Concurrent requests that change something: state and responses are those of some sequential order of the
//! requests.

mod requests;

use ipmi_proto::ChannelNumber;
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::task;

use self::requests::{GROUPS, Group, PARAMETERS, READ_REQUESTS, SET_UP};
use super::*;
use crate::request::context::Context;

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
