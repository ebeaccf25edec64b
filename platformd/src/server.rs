//! The bus side: messages to calls, and changes to signals.

mod links;
mod messages;
mod senders;

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use daemon::{Failure, RateLimit};
use futures_util::StreamExt as _;
use openbmc_dbus::callers::Callers;
use tokio::sync::mpsc::{self, Receiver};
use tracing::{debug, info, warn};
use zbus::message::{Flags, Message, Type};

use self::links::{LinkId, Links, Outbox, lost_name};
use self::messages::{read_call, read_header, reply, signal_of};
use self::senders::{LookedUp, Senders, Verdict};
use crate::dispatch;
use crate::fault::Fault;
use crate::kept::Store;
use crate::mapper::{self, Foreign, Update};
use crate::part::{Effect, Now};
use crate::simulation::Simulation;

/// How long before names that another process owns are requested again.
const TAKEN: Duration = Duration::from_secs(1);
/// The same while a predecessor that was killed may still be on the bus.
const SOON: Duration = Duration::from_millis(50);
/// How long that may be.
const PREDECESSOR: Duration = Duration::from_secs(2);
/// How many news of other services may wait.
const UPDATES: usize = 256;
/// Anybody may be refused at will.
static REFUSED: RateLimit = RateLimit::new(5, Duration::from_secs(10));

/// Serves a simulation on the bus.
pub(crate) struct Server {
    simulation: Simulation,
    foreign: Foreign,
    senders: Senders,
    store: Store,
    started: Instant,
    /// Whether a name was owned yet: nothing is written to disk before.
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

/// The names as they are requested, and requested again.
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
    /// Serves `simulation`, whose clock began at `started`, and lets these callers change something.
    pub(crate) fn new(
        simulation: Simulation,
        store: Store,
        callers: Callers,
        started: Instant,
    ) -> Self {
        let (foreign, senders) = (Foreign::default(), Senders::new(callers));
        Self { simulation, foreign, senders, store, started, has_served: false }
    }

    /// Serves until the BMC is to be restarted; a bus that goes is waited for, and nothing that
    /// is simulated stands still meanwhile.
    ///
    /// `ready` is called once, when all names were requested for the first time.
    ///
    /// # Errors
    ///
    /// [`Failure::Fatal`] when other processes own all names at the start.
    pub(crate) async fn run(&mut self, ready: impl FnOnce()) -> Result<(), Failure> {
        let mut ready = Some(ready);
        loop {
            let Some(links) = self.connect().await else {
                return Ok(());
            };
            let ended = self.serve(&links, &mut ready).await;
            match ended {
                Ended::Reset => return Ok(()),
                Ended::BusLost => debug!("the bus is gone; waiting for another"),
                Ended::Taken => {
                    let text = "cannot own any bus name: other processes own them all";
                    return Err(Failure::Fatal(text.to_owned()));
                }
            }
            self.foreign.clear();
            self.senders.clear();
        }
    }

    /// Connects, with the simulation going on; `None` when the BMC is to be restarted.
    async fn connect(&mut self) -> Option<Links> {
        let connecting = Links::connect(self.names());
        tokio::pin!(connecting);
        loop {
            let due = self.due();
            tokio::select! {
                links = &mut connecting => return Some(links),
                () = sleep_until(due) => {
                    self.handle_timeout();
                    if self.reset_wanted() {
                        return None;
                    }
                }
            }
            // Nobody is there to be told; who comes later asks.
            self.simulation.take_changes();
        }
    }

    async fn serve(&mut self, links: &Links, ready: &mut Option<impl FnOnce()>) -> Ended {
        let mut stream = links.messages();
        let mut names = Names::new(self.names());
        let (sender, mut updates) = mpsc::channel(UPDATES);
        let tracking = tokio::spawn(mapper::track(names.all.clone(), sender));
        let _tracking = AbortOnDrop(tracking);
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
                        requesting.set(links.request_names([name].into(), TAKEN));
                    }
                    self.message(links, link, message, &mut outbox);
                }
                known = self.senders.looked_up() => self.answer_waiting(links, known, &mut outbox),
                taken = &mut requesting, if !names.is_complete => {
                    if names.are_all_of(&taken) && ready.is_some() {
                        if names.since.elapsed() >= PREDECESSOR {
                            return Ended::Taken;
                        }
                        requesting.set(links.request_names(taken, SOON));
                        continue;
                    }
                    self.has_served = true;
                    self.save();
                    if let Some(ready) = ready.take() {
                        ready();
                    }
                    requesting.set(links.request_names(names.requested(taken), TAKEN));
                }
                Some(update) = next_update(&mut updates) => self.foreign.apply(update),
                () = sleep_until(due) => self.handle_timeout(),
            }
            self.signals(links, &mut outbox);
            if !outbox.is_empty() && links.send(outbox).await.is_err() {
                return Ended::BusLost;
            }
            if self.reset_wanted() {
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

    fn reset_wanted(&mut self) -> bool {
        self.simulation.poll_effect() == Some(Effect::ResetBmc)
    }

    fn save(&mut self) {
        if self.has_served
            && let Some(kept) = self.simulation.take_unsaved()
        {
            self.store.save(kept);
        }
    }

    /// Takes a message: a call is answered, once it is known whether its sender may make it.
    fn message(&mut self, links: &Links, link: LinkId, message: Message, outbox: &mut Outbox) {
        if message.message_type() != Type::MethodCall {
            return;
        }
        let Some(bus) = links.main() else { return };
        let changes = !read_header(&message, links.only(link)).only_reads();
        match self.senders.take(link, message, changes, bus) {
            Verdict::Answer(call) => {
                let is_accepted = self.senders.is_accepted(&call);
                self.answer(links, link, &call, is_accepted, outbox);
            }
            Verdict::Waits => {}
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
        // On disk before the client hears that it is done.
        self.save();
        send(link, message, answer, outbox);
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

    /// Takes note that other processes own `taken`, and gives the names to be requested next.
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

    /// Takes note of a name that was lost, and says whether it is to be requested now; if not, it will be
    /// with those that are being requested.
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

/// A task that ends with its user.
struct AbortOnDrop(tokio::task::JoinHandle<zbus::Result<()>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn next_update(updates: &mut Receiver<Update>) -> Option<Update> {
    updates.recv().await
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
