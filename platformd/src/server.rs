//! The bus connection: turns messages into calls, and changes into signals.

mod links;
mod messages;
mod senders;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use daemon::{AbortOnDrop, Failure, RateLimit, sleep_until};
use futures_util::StreamExt as _;
use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver};
use tracing::{debug, info, warn};
use zbus::message::{Flags, Message, Type};

use self::links::{LinkId, Links, Outbox, lost_name};
use self::messages::{log_event, read_call, read_header, reply, signal_of};
use self::senders::{LookedUp, Senders, Verdict};
use crate::config::Platform;
use crate::dispatch;
use crate::fault::Fault;
use crate::host::Running;
use crate::host::console::SimulatedConsole;
use crate::mapper::{self, Foreign, Update};
use crate::part::{Effect, Now, Ticket};
use crate::simulation::Simulation;
use crate::state_file::Store;

/// The delay before names that another process owns are requested again.
const TAKEN_RETRY: Duration = Duration::from_secs(1);
/// The same while a killed predecessor of this process may still be on the bus.
const START_RETRY: Duration = Duration::from_millis(50);
/// How long that may take.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(2);
/// How many updates about other services may be queued.
const UPDATES: usize = 256;
/// Bounded because any process on the bus can cause refusals.
static REFUSED: RateLimit = RateLimit::new(5, Duration::from_secs(10));

/// Serves a simulation on the bus.
pub(crate) struct Server {
    simulation: Simulation,
    foreign: Foreign,
    senders: Senders,
    store: Store,
    /// The host outside this process, if it is not simulated.
    host: Running,
    /// The console of a simulated host, if it has one.
    console: Option<SimulatedConsole>,
    /// Calls whose reply depends on that host.
    pending: BTreeMap<Ticket, (LinkId, Message)>,
    started: Instant,
    config: Platform,
    /// Configurations that were reloaded.
    plans: UnboundedReceiver<Platform>,
    /// Whether a name was ever owned: nothing is written to disk before, as another platformd may use the file.
    has_served: bool,
}

/// Why serving ended.
#[derive(Debug, Eq, PartialEq)]
enum Ended {
    /// The bus went away.
    BusLost,
    /// The BMC is to be restarted.
    Reset,
    /// At the start, other processes own all names.
    Taken,
}

/// The bus names, and the state of requesting them.
#[derive(Debug)]
struct Names {
    all: BTreeSet<String>,
    /// Lost while others were being requested.
    lost: BTreeSet<String>,
    is_first: bool,
    is_complete: bool,
    since: Instant,
}

impl Server {
    /// Serves `simulation`, whose clock began at `started` and which `host` reports to, by `config` and those of `plans`
    /// that follow.
    pub(crate) fn new(
        simulation: Simulation,
        host: Running,
        store: Store,
        config: Platform,
        plans: UnboundedReceiver<Platform>,
        started: Instant,
    ) -> Self {
        let (foreign, senders) =
            (Foreign::default(), Senders::new(config.services.callers.clone()));
        let (pending, has_served) = (BTreeMap::new(), false);
        let console = SimulatedConsole::open(&config.host.console);
        Self {
            simulation,
            foreign,
            senders,
            store,
            host,
            console,
            pending,
            started,
            config,
            plans,
            has_served,
        }
    }

    /// The configuration as it was last, and those that follow.
    pub(crate) fn into_configuration(self) -> (Platform, UnboundedReceiver<Platform>) {
        (self.config, self.plans)
    }

    fn reconfigure(&mut self, config: Platform) {
        let now = self.now();
        self.simulation.reconfigure(now, &config);
        self.senders.configure(config.services.callers.clone());
        self.config = config;
    }

    /// Serves until the BMC is to be restarted. When the bus closes it connects again; the simulation
    /// runs on meanwhile.
    ///
    /// `ready` is called once, when all names were requested for the first time.
    ///
    /// # Errors
    ///
    /// [`Failure::Fatal`] when other processes own all names at the start.
    pub(crate) async fn run(&mut self, ready: impl FnOnce()) -> Result<(), Failure> {
        let mut ready = Some(ready);
        for report in self.host.first().await {
            self.simulation.report(self.now(), &report);
        }
        loop {
            let Some(links) = self.connect().await else {
                return Ok(());
            };
            let ended = self.serve(&links, &mut ready).await;
            match ended {
                Ended::Reset => return Ok(()),
                Ended::BusLost => debug!("the connection to the bus closed; connecting again"),
                Ended::Taken => {
                    let text = "cannot own any bus name: other processes own them all";
                    return Err(Failure::Fatal(text.to_owned()));
                }
            }
            self.foreign.clear();
            self.senders.clear();
            self.pending.clear();
        }
    }

    /// Connects while the simulation runs on; `None` when the BMC is to be restarted.
    async fn connect(&mut self) -> Option<Links> {
        let connecting = Links::connect(self.names());
        tokio::pin!(connecting);
        loop {
            let due = self.due();
            tokio::select! {
                links = &mut connecting => return Some(links),
                report = self.host.next() => self.simulation.report(self.now(), &report),
                Some(config) = self.plans.recv() => self.reconfigure(config),
                () = sleep_until(due) => self.handle_timeout(),
            }
            if self.act(None) {
                return None;
            }
            // Without a bus there are no subscribers; clients that connect later read the values.
            self.simulation.take_changes();
        }
    }

    async fn serve(&mut self, links: &Links, ready: &mut Option<impl FnOnce()>) -> Ended {
        let mut stream = links.messages();
        // What has changed before this process owns a name is signalled to nobody: clients read the objects of a name
        // that has a new owner.
        self.simulation.take_changes();
        let mut names = Names::new(self.names());
        let (sender, mut updates) = mpsc::channel(UPDATES);
        let _tracking = AbortOnDrop::spawn(mapper::track(names.all.clone(), sender));
        let requesting = links.request_names(names.all.clone(), Duration::ZERO);
        tokio::pin!(requesting);
        loop {
            let due = self.due();
            let mut outbox = Outbox::default();
            tokio::select! {
                biased;
                message = stream.next() => {
                    let Some((link, Some(message))) = message else { return Ended::BusLost };
                    if let Some(name) = lost_name(&message).filter(|name| names.loses(name)) {
                        requesting.set(links.request_names([name].into(), TAKEN_RETRY));
                    }
                    self.message(links, link, message, &mut outbox);
                }
                known = self.senders.looked_up() => self.answer_waiting(links, known, &mut outbox),
                taken = &mut requesting, if !names.is_complete => {
                    if names.are_all_of(&taken) && ready.is_some() {
                        if names.since.elapsed() >= PREDECESSOR_TIMEOUT {
                            return Ended::Taken;
                        }
                        requesting.set(links.request_names(taken, START_RETRY));
                        continue;
                    }
                    self.has_served = true;
                    self.save();
                    if let Some(ready) = ready.take() {
                        ready();
                    }
                    requesting.set(links.request_names(names.requested(taken), TAKEN_RETRY));
                }
                Some(update) = next_update(&mut updates) => self.foreign.apply(update),
                report = self.host.next() => {
                    self.simulation.report(self.now(), &report);
                    self.save();
                }
                Some(config) = self.plans.recv() => self.reconfigure(config),
                () = sleep_until(due) => self.handle_timeout(),
            }
            self.late_replies(&mut outbox);
            self.signals(links, &mut outbox);
            let is_reset = self.act(Some(&mut outbox));
            if !outbox.is_empty() && links.send(outbox).await.is_err() {
                return Ended::BusLost;
            }
            if is_reset {
                return Ended::Reset;
            }
        }
    }

    /// The well-known names of the services that have objects.
    fn names(&mut self) -> BTreeSet<String> {
        let now = self.now();
        self.simulation.tree(now).objects().map(|(_, object)| object.service.to_owned()).collect()
    }

    fn now(&self) -> Now {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { uptime: self.started.elapsed(), epoch }
    }

    fn due(&self) -> Option<Instant> {
        self.simulation.poll_timeout().and_then(|due| self.started.checked_add(due))
    }

    fn handle_timeout(&mut self) {
        let now = self.now();
        self.simulation.handle_timeout(now);
        self.save();
    }

    /// Executes effects; returns whether the BMC is to be restarted. Events wait until there is a bus.
    fn act(&mut self, mut outbox: Option<&mut Outbox>) -> bool {
        let mut is_reset = false;
        let mut waiting = Vec::new();
        while let Some(effect) = self.simulation.poll_effect() {
            match (effect, &mut outbox) {
                (Effect::ResetBmc, _) => is_reset = true,
                (Effect::LogEvent(event), Some(outbox)) => {
                    if let Some(message) = log_event(event) {
                        outbox.push(0, message);
                    }
                }
                (Effect::LogEvent(_), None) => waiting.push(effect),
                (Effect::Print(line), _) => self.console.iter().for_each(|it| it.print(line)),
                (Effect::LoseConsole(lost), _) => self.console.iter().for_each(|it| it.lose(lost)),
            }
        }
        self.simulation.put_back(waiting);
        is_reset
    }

    /// Replies to the calls that waited for the host.
    fn late_replies(&mut self, outbox: &mut Outbox) {
        for (ticket, result) in self.simulation.take_settled() {
            if let Some((link, call)) = self.pending.remove(&ticket) {
                send(link, &call, result.map(|()| Vec::new()), outbox);
            }
        }
    }

    fn save(&mut self) {
        if self.has_served
            && let Some(saved) = self.simulation.take_unsaved()
        {
            self.store.save(saved);
        }
    }

    /// Handles a message: dispatches a call once it is known whether its sender may make it.
    fn message(&mut self, links: &Links, link: LinkId, message: Message, outbox: &mut Outbox) {
        if message.message_type() != Type::MethodCall {
            return;
        }
        let Some(bus) = links.main() else { return };
        let changes = !read_header(&message, links.only(link)).only_reads();
        match self.senders.admit(link, message, changes, bus) {
            Verdict::Dispatch(call) => {
                let is_accepted = self.senders.is_accepted(&call);
                self.answer(links, link, &call, is_accepted, outbox);
            }
            Verdict::Pending => {}
            Verdict::Overload(call) => send(link, &call, Err(Fault::overload()), outbox),
        }
    }

    /// Answers the calls of a sender that was looked up.
    fn answer_waiting(&mut self, links: &Links, known: LookedUp, outbox: &mut Outbox) {
        let LookedUp { link, uid, is_accepted, calls } = known;
        for call in calls {
            let read = read_header(&call, links.only(link));
            if !is_accepted
                && !read.only_reads()
                && let Some(pass) = REFUSED.admit()
            {
                let (path, interface, member) = (read.path, read.interface, read.member);
                let swallowed = pass.swallowed;
                warn!(uid, path, interface, member, swallowed, "refused a call: user not accepted");
            }
            self.answer(links, link, &call, is_accepted, outbox);
        }
    }

    fn answer(
        &mut self,
        links: &Links,
        link: LinkId,
        message: &Message,
        is_accepted: bool,
        outbox: &mut Outbox,
    ) {
        let now = self.now();
        let answer = read_call(message, links.only(link), is_accepted)
            .and_then(|call| dispatch::dispatch(&mut self.simulation, &self.foreign, now, &call));
        // On disk before the client gets its reply: an acknowledged setting survives a power loss.
        self.save();
        match (self.simulation.take_deferred(), &answer) {
            (Some(ticket), Ok(_)) => {
                self.pending.insert(ticket, (link, message.clone()));
            }
            _ => send(link, message, answer, outbox),
        }
    }

    fn signals(&mut self, links: &Links, outbox: &mut Outbox) {
        let changes = self.simulation.take_changes();
        if changes.is_empty() {
            return;
        }
        let now = self.now();
        let tree = self.simulation.tree(now);
        for (service, signal) in changes.into_iter().filter_map(|change| signal_of(tree, change)) {
            let link = service.map(|service| links.of_service(service)).unwrap_or_default();
            outbox.push(link, signal);
        }
    }
}

/// Puts the reply to `call` into `outbox`, if its sender waits for one.
fn send(
    link: LinkId,
    call: &Message,
    answer: Result<crate::part::Returned, Fault>,
    outbox: &mut Outbox,
) {
    let is_silent = call.primary_header().flags().contains(Flags::NO_REPLY_EXPECTED);
    if let Some(message) = (!is_silent).then(|| reply(call, answer)).flatten() {
        outbox.push(link, message);
    }
}

impl Names {
    fn new(all: BTreeSet<String>) -> Self {
        let (since, lost) = (Instant::now(), BTreeSet::new());
        Self { all, lost, is_first: true, is_complete: false, since }
    }

    fn are_all_of(&self, taken: &BTreeSet<String>) -> bool {
        !taken.is_empty() && *taken == self.all
    }

    /// Records that other processes own `taken`, and returns the names to be requested next.
    fn requested(&mut self, mut taken: BTreeSet<String>) -> BTreeSet<String> {
        match (std::mem::take(&mut self.is_first), taken.is_empty()) {
            (true, false) => warn!(?taken, "other processes own these names; waiting for them"),
            (false, true) => info!("all bus names are owned"),
            _ => {}
        }
        taken.append(&mut self.lost);
        self.is_complete = taken.is_empty();
        taken
    }

    /// Records a lost name. Returns whether it is to be requested now; if not, it is requested together
    /// with the names of the request in progress.
    fn loses(&mut self, name: &str) -> bool {
        if !self.all.contains(name) {
            return false;
        }
        warn!(name, "lost this bus name; requesting it again");
        let is_idle = std::mem::replace(&mut self.is_complete, false);
        if !is_idle {
            self.lost.insert(name.to_owned());
        }
        is_idle
    }
}

async fn next_update(updates: &mut Receiver<Update>) -> Option<Update> {
    updates.recv().await
}
