//! Requests on their way through providers to the command that is compiled in, without a bus.

use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use ipmi_proto::{ChannelNumber, CompletionCode, GroupBody, Iana, NetFn, Privilege, ResponseBody};
use tokio::{task, time};

use super::*;
use crate::model::persistent::Persistent;
use crate::request::command::{Access, CommandTable};
use crate::request::context::{Context, Session};
use crate::request::dispatch::Dispatcher;
use crate::request::filter::Filter;

const DEVICE_ID: Command = Command::standard(NetFn::APP, 0x01, Privilege::User, "Get Device ID");
const OWN: Command = Command::standard(NetFn::new(0x30).unwrap(), 0x01, Privilege::User, "Own");
const LAN: ChannelNumber = ChannelNumber::new(1).unwrap();
const BASE: u8 = 0xba;

async fn base(_: Arc<()>, _: Context) -> Result<u8, CompletionCode> {
    Ok(BASE)
}

/// What a provider does with each request.
#[derive(Clone, Debug)]
enum Does {
    Answers(u8, Vec<u8>),
    Fails(Failure),
    Hangs,
}

#[derive(Debug)]
struct Fake {
    does: Arc<Mutex<Does>>,
    requests: Arc<AtomicUsize>,
}

#[async_trait]
impl Link for Fake {
    async fn execute(&self, _: Request) -> Result<(u8, Vec<u8>), Failure> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let does = lock(&self.does).clone();
        match does {
            Does::Answers(completion, data) => Ok((completion, data)),
            Does::Fails(failure) => Err(failure),
            Does::Hangs => std::future::pending().await,
        }
    }
}

/// A provider under test.
struct Actor {
    provider: Arc<Provider>,
    does: Arc<Mutex<Does>>,
    requests: Arc<AtomicUsize>,
}

impl Actor {
    fn new(name: &str, does: Does) -> Self {
        let does = Arc::new(Mutex::new(does));
        let requests = Arc::default();
        let link = Fake { does: Arc::clone(&does), requests: Arc::clone(&requests) };
        let identity = Identity { name: name.to_owned(), user: 0, process: Some(1) };
        Self { provider: Arc::new(Provider::new(identity, Box::new(link))), does, requests }
    }

    fn does(&self, does: Does) {
        *lock(&self.does) = does;
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

/// The dispatcher over one base command, and the providers before it.
struct Site {
    dispatcher: Arc<Dispatcher>,
    providers: Arc<Providers>,
    firewall: Arc<Firewall>,
}

impl Site {
    fn new() -> Self {
        let mut table = CommandTable::default();
        table.at(Priority::BASE).add(DEVICE_ID, &Arc::new(()), base);
        let registry = table.finish().unwrap();
        let firewall = Arc::new(Firewall::new(Persistent::volatile()));
        firewall.learn(registry.iter());
        let providers = Arc::new(Providers::new(&registry, Arc::clone(&firewall)));
        let filters: Vec<Box<dyn Filter>> = vec![Box::new(Arc::clone(&firewall))];
        let dispatcher = Dispatcher::new(registry, filters);
        let dispatcher = Arc::new(dispatcher.with_providers(Arc::clone(&providers)));
        Self { dispatcher, providers, firewall }
    }

    fn add(&self, actor: &Actor, command: Command, priority: Priority) -> Result<(), Refused> {
        self.providers.register(&actor.provider, vec![offer(command, priority)])
    }

    async fn send(&self, command: Command, data: &[u8]) -> (u8, Vec<u8>) {
        self.send_from(Context::system_interface(), command, data).await
    }

    async fn send_from(&self, context: Context, command: Command, data: &[u8]) -> (u8, Vec<u8>) {
        let context = Context { command: command.code, ..context };
        let netfn = command.family.netfn().value();
        let ResponseBody { completion, data } =
            self.dispatcher.dispatch(context, netfn, data).await;
        (completion.0, data)
    }
}

fn offer(command: Command, priority: Priority) -> Offer {
    let (name, times) = ("Test".to_owned(), OnceLock::new());
    Offer { command, name, priority, lengths: 0..=4, channels: u16::MAX, times }
}

fn session(privilege: Privilege) -> Context {
    let session = Some(Session { user_id: 2, id: 1 });
    Context { privilege, session, channel: LAN, ..Context::system_interface() }
}

#[tokio::test]
async fn request_goes_from_the_highest_priority_down_to_the_base() {
    let site = Site::new();
    let (high, low) = (
        Actor::new(":1.1", Does::Answers(0, vec![1])),
        Actor::new(":1.2", Does::Answers(0x80, vec![2])),
    );
    site.add(&low, DEVICE_ID, Priority::OEM).unwrap();
    site.add(&high, DEVICE_ID, Priority::CUSTOM).unwrap();
    assert_eq!(site.send(DEVICE_ID, &[]).await, (0, vec![1]));
    high.does(Does::Fails(Failure::NotMine));
    assert_eq!(site.send(DEVICE_ID, &[]).await, (0x80, vec![2]));
    low.does(Does::Fails(Failure::NotMine));
    assert_eq!(site.send(DEVICE_ID, &[]).await, (0, vec![BASE]));
    assert!(site.providers.withdraw(":1.1").is_some());
    low.does(Does::Fails(Failure::Left));
    assert_eq!(site.send(DEVICE_ID, &[]).await, (0xc3, vec![]));
    low.does(Does::Fails(Failure::Absent));
    assert_eq!(site.send(DEVICE_ID, &[]).await, (0, vec![BASE]));
    low.does(Does::Fails(Failure::Invalid("text".to_owned())));
    assert_eq!(site.send(DEVICE_ID, &[]).await, (0xff, vec![]));
    assert!(site.providers.withdraw(":1.2").is_some());
    assert_eq!(site.send(DEVICE_ID, &[]).await, (0, vec![BASE]));
    assert!(site.providers.find(DEVICE_ID.family, DEVICE_ID.code).is_none());
}

#[tokio::test]
async fn commands_of_providers_are_measured_beside_those_that_are_compiled_in() {
    let site = Site::new();
    let actor = Actor::new(":1.1", Does::Answers(0, vec![1]));
    site.add(&actor, DEVICE_ID, Priority::OEM).unwrap();
    site.send(DEVICE_ID, &[]).await;
    actor.does(Does::Fails(Failure::NotMine));
    site.send(DEVICE_ID, &[]).await;
    let mut metrics = Metrics::default();
    site.dispatcher.measure(&mut metrics);
    let counts = metrics.times.iter().map(|times| {
        let label = |name: &str| times.labels.get(name).map(String::as_str);
        let count = times.value.buckets.iter().sum::<u64>();
        (label("netfn"), label("command"), label("name"), label("priority"), count)
    });
    let (netfn, command) = (Some("0x06"), Some("0x01"));
    let base = (netfn, command, Some("Get Device ID"), None, 1);
    let provided = (netfn, command, Some("Test"), Some("20"), 2);
    assert_eq!(counts.collect::<Vec<_>>(), [base, provided]);
}

#[tokio::test]
async fn own_command_that_nobody_answers_is_unknown() {
    let site = Site::new();
    let actor = Actor::new(":1.1", Does::Fails(Failure::NotMine));
    site.add(&actor, OWN, Priority::OEM).unwrap();
    assert_eq!(site.send(OWN, &[]).await, (0xc1, vec![]));
    site.providers.withdraw_all();
    assert_eq!(site.send(OWN, &[]).await, (0xc1, vec![]));
    assert_eq!(actor.requests(), 1);
}

#[tokio::test]
async fn privilege_channel_length_and_firewall_come_before_the_provider() {
    let site = Site::new();
    let actor = Actor::new(":1.1", Does::Answers(0, vec![1]));
    let operator = Command { access: Access::AtLeast(Privilege::Operator), ..OWN };
    let offer =
        Offer { lengths: 1..=2, channels: 1 << LAN.value(), ..offer(operator, Priority::OEM) };
    site.providers.register(&actor.provider, vec![offer]).unwrap();
    let send = |context, data: &'static [u8]| site.send_from(context, OWN, data);
    assert_eq!(send(session(Privilege::User), &[1]).await.0, 0xd4);
    let outside = Context { session: Some(Session::NONE), ..session(Privilege::Administrator) };
    assert_eq!(send(outside, &[1]).await.0, 0xd4);
    let operator = session(Privilege::Operator);
    assert_eq!(send(operator, &[]).await.0, 0xc7);
    assert_eq!(send(operator, &[1, 2, 3]).await.0, 0xc7);
    assert_eq!(send(Context::system_interface(), &[1]).await.0, 0xc1);
    assert_eq!(actor.requests(), 0);
    assert_eq!(send(operator, &[1]).await, (0, vec![1]));
    // The firewall has learnt it, and forgets it with the provider.
    let learnt = site.firewall.commands();
    assert_eq!(learnt.iter().filter(|command| command.family == OWN.family).count(), 1);
    site.firewall.set_enabled(LAN, &[(OWN, false)]).await.unwrap();
    assert_eq!(send(operator, &[1]).await.0, 0xd4);
    site.providers.withdraw(":1.1");
    assert_eq!(site.firewall.commands().len(), 1);
    assert_eq!(actor.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn provider_that_hangs_is_left_out_until_it_answers() {
    let site = Site::new();
    let actor = Actor::new(":1.1", Does::Hangs);
    site.add(&actor, DEVICE_ID, Priority::OEM).unwrap();
    site.add(&actor, OWN, Priority::OEM).unwrap();
    for _ in 0..3 {
        assert_eq!(site.send(OWN, &[]).await.0, 0xc3);
    }
    assert!(actor.provider.is_suspended());
    assert_eq!(site.send(OWN, &[]).await.0, 0xc0);
    assert_eq!(site.send(DEVICE_ID, &[]).await, (0, vec![BASE]));
    assert_eq!(actor.requests(), 3);
    // The trial hangs too.
    time::advance(circuit::PAUSE).await;
    assert_eq!(site.send(OWN, &[]).await.0, 0xc3);
    assert_eq!(site.send(OWN, &[]).await.0, 0xc0);
    actor.does(Does::Answers(0, vec![7]));
    time::advance(circuit::PAUSE).await;
    assert_eq!(site.send(OWN, &[]).await, (0, vec![7]));
    assert_eq!(site.send(DEVICE_ID, &[]).await, (0, vec![7]));
    let suspended = actor.provider.counters.suspended.load(Ordering::Relaxed);
    let timed_out = actor.provider.counters.timed_out.load(Ordering::Relaxed);
    assert_eq!((suspended, timed_out), (3, 4));
}

#[tokio::test(start_paused = true)]
async fn requests_beyond_those_in_flight_are_busy_and_others_are_answered() {
    let site = Arc::new(Site::new());
    let (hung, well) =
        (Actor::new(":1.1", Does::Hangs), Actor::new(":1.2", Does::Answers(0, vec![9])));
    site.add(&hung, OWN, Priority::OEM).unwrap();
    site.add(&well, Command { code: 2, ..OWN }, Priority::OEM).unwrap();
    let waiting: Vec<_> = (0..MAX_IN_FLIGHT)
        .map(|_| {
            let site = Arc::clone(&site);
            task::spawn(async move { site.send(OWN, &[]).await.0 })
        })
        .collect();
    while hung.requests() < MAX_IN_FLIGHT {
        task::yield_now().await;
    }
    assert_eq!(site.send(OWN, &[]).await.0, 0xc0);
    assert_eq!(site.send(Command { code: 2, ..OWN }, &[]).await, (0, vec![9]));
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), 0xc3);
    }
}

#[tokio::test]
async fn answer_that_does_not_fit_the_channel_is_not_returned() {
    let site = Site::new();
    let actor = Actor::new(":1.1", Does::Answers(0, vec![0; 65536]));
    let oem = Command { family: Family::Oem(Iana::OPENBMC), ..OWN };
    site.add(&actor, OWN, Priority::OEM).unwrap();
    site.add(&actor, oem, Priority::OEM).unwrap();
    assert_eq!(site.send(OWN, &[]).await, (0xca, vec![]));
    let iana = Iana::OPENBMC.to_bytes();
    let narrow = Context { room: Some(24), ..session(Privilege::User) };
    for (size, completion) in [(21, 0), (22, 0xca)] {
        actor.does(Does::Answers(0, vec![0; size]));
        let (code, data) = site.send_from(narrow, oem, &iana).await;
        assert_eq!(code, completion);
        assert_eq!(data.get(..3), Some(&iana[..]));
    }
}

#[test]
fn conflicts_are_refused_and_change_nothing() {
    let site = Site::new();
    let (one, two) = (Actor::new(":1.1", Does::Hangs), Actor::new(":1.2", Does::Hangs));
    site.add(&one, OWN, Priority::OEM).unwrap();
    let other = offer(Command { code: 2, ..OWN }, Priority::OEM);
    let refused = site.providers.register(&two.provider, vec![other, offer(OWN, Priority::OEM)]);
    let with = one.provider.identity.to_string();
    let conflict = |with: String| {
        Err(Refused::Conflict { name: "Test".to_owned(), family: OWN.family, code: 1, with })
    };
    assert_eq!(refused, conflict(with));
    assert_eq!(
        (site.providers.commands_of(":1.2"), site.providers.get(":1.2").is_some()),
        (0, false)
    );
    site.add(&two, OWN, Priority::ODM).unwrap();
    let twice = vec![offer(OWN, Priority::CUSTOM), offer(OWN, Priority::CUSTOM)];
    assert_eq!(site.providers.register(&two.provider, twice), conflict("the same call".to_owned()));
    assert_eq!(site.providers.commands_of(":1.2"), 1);
}

#[test]
fn handlers_that_are_compiled_in_win_at_their_priority() {
    let mut table = CommandTable::default();
    table.at(Priority::ODM).add(DEVICE_ID, &Arc::new(()), base);
    let firewall = Arc::new(Firewall::new(Persistent::volatile()));
    let providers = Providers::new(&table.finish().unwrap(), firewall);
    let actor = Actor::new(":1.1", Does::Hangs);
    let register = |priority| providers.register(&actor.provider, vec![offer(DEVICE_ID, priority)]);
    assert!(matches!(register(Priority::OEM), Err(Refused::Conflict { .. })));
    assert!(matches!(register(Priority::ODM), Err(Refused::Conflict { .. })));
    assert_eq!(register(Priority::CUSTOM), Ok(()));
}

#[test]
fn commands_and_providers_are_bounded() {
    let site = Site::new();
    let actor = Actor::new(":1.1", Does::Hangs);
    let offers = |netfn| {
        let family = Family::NetFn(NetFn::new(netfn).unwrap());
        let all = (0..=u8::MAX).map(move |code| Command { family, code, ..OWN });
        all.map(|command| offer(command, Priority::OEM)).collect::<Vec<_>>()
    };
    site.providers.register(&actor.provider, offers(0x30)).unwrap();
    let refused =
        site.add(&actor, Command { family: Family::Oem(Iana::OPENBMC), ..OWN }, Priority::OEM);
    assert!(matches!(refused, Err(Refused::Limit(_))));
    for number in 2..=MAX_OF_A_USER {
        assert_eq!(site.providers.has_room(0), Ok(()));
        let actor = Actor::new(&format!(":1.{number}"), Does::Hangs);
        site.providers.register(&actor.provider, Vec::new()).unwrap();
    }
    assert!(matches!(site.providers.has_room(0), Err(Refused::Limit(_))));
    assert_eq!(site.providers.has_room(1), Ok(()));
}

#[test]
fn reserved_commands_are_refused() {
    let site = Site::new();
    let actor = Actor::new(":1.1", Does::Hangs);
    let bootstrap = Command { family: Family::Group(GroupBody::REDFISH), code: 2, ..OWN };
    let password = Command { code: 0x47, ..DEVICE_ID };
    for command in [password, Command { code: WILDCARD, ..DEVICE_ID }, bootstrap] {
        let refused = site.add(&actor, command, Priority::CUSTOM);
        assert!(matches!(refused, Err(Refused::Reserved { .. })), "{command:?}");
    }
}

#[tokio::test]
async fn wildcard_answers_what_has_no_handler_of_its_own() {
    let site = Site::new();
    let (any, one) = (
        Actor::new(":1.1", Does::Answers(0, vec![1])),
        Actor::new(":1.2", Does::Answers(0, vec![2])),
    );
    site.add(&any, Command { code: WILDCARD, ..OWN }, Priority::OEM).unwrap();
    site.add(&one, OWN, Priority::OEM).unwrap();
    assert_eq!(site.send(OWN, &[]).await, (0, vec![2]));
    assert_eq!(site.send(Command { code: 0x55, ..OWN }, &[]).await, (0, vec![1]));
    one.does(Does::Fails(Failure::NotMine));
    assert_eq!(site.send(OWN, &[]).await, (0, vec![1]));
}

#[test]
fn refusals_name_the_command_by_family_and_code() {
    let families = [
        (Family::from(NetFn::APP), "NetFn 06h"),
        (Family::from(GroupBody::DCMI), "group DCh"),
        (Family::from(Iana::new(32473).unwrap()), "enterprise number 32473"),
    ];
    for (family, text) in families {
        let refused = Refused::Reserved { name: "Test".to_owned(), family, code: 0x4b };
        let expected = format!("Test ({text}, command 4Bh): no provider may answer this command");
        assert_eq!(refused.to_string(), expected);
    }
}
