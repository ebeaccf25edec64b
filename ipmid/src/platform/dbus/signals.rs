//! Signals of services that have no sensors: the watchdog, buttons, the host's state, the power limit, and
//! services that start.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt;
use openbmc_dbus::bus::{self, owners_rule};
use openbmc_dbus::chassis::buttons::{power, reset};
use openbmc_dbus::control::power_cap;
use openbmc_dbus::state::host::{self, HostState};
use openbmc_dbus::state::watchdog;
use tokio::sync::Notify;
use tokio::time::{self, Instant};
use zbus::wire::Variant;
use zbus::{Connection, Message, message};

use super::{DbusPlatform, SERVICES, add_match};
use crate::model::persistent::lock;
use crate::platform::{Button, PlatformEvent, PlatformEvents};

/// Events that are queued for their reader.
const MAX_EVENTS: usize = 16;
/// A service is expected to have set its properties so long after its start.
const SETTLE: Duration = Duration::from_millis(500);

const RULES: [&str; 4] = [
    "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',\
     arg0='xyz.openbmc_project.Control.Power.Cap'",
    "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',\
     arg0='xyz.openbmc_project.State.Host'",
    "type='signal',interface='xyz.openbmc_project.State.Watchdog',member='Timeout'",
    "type='signal',member='Pressed',path_namespace='/xyz/openbmc_project/Chassis/Buttons'",
];

/// What the signals have reported.
#[derive(Debug, Default)]
pub(super) struct Signals {
    events: Mutex<VecDeque<PlatformEvent>>,
    queued: Notify,
    /// The power limit may have changed.
    pub(super) power_limit: Notify,
    /// The firmware of the BMC or the host may have changed.
    pub(super) firmware: Notify,
}

impl Signals {
    /// A service started. It may be any, so whatever depends on one is read again.
    pub(super) fn service_started(&self) {
        self.power_limit.notify_one();
        self.firmware.notify_one();
    }

    fn queue(&self, event: PlatformEvent) {
        if event == PlatformEvent::HostReset {
            self.firmware.notify_one();
        }
        let mut events = lock(&self.events);
        if events.len() >= MAX_EVENTS {
            events.pop_front();
        }
        events.push_back(event);
        self.queued.notify_one();
    }

    /// Follows until the connection ends.
    pub(super) async fn follow(&self, connection: &Connection) -> zbus::Result<()> {
        let mut messages = bus::messages(connection);
        for rule in RULES {
            add_match(connection, rule).await?;
        }
        add_match(connection, &owners_rule(SERVICES)?.to_string()).await?;
        let mut settled: Option<Instant> = None;
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => match signal(&message?) {
                        Some(Signal::Event(event)) => self.queue(event),
                        Some(Signal::PowerLimit) => self.power_limit.notify_one(),
                        Some(Signal::ServiceStarted) => settled = Some(Instant::now() + SETTLE),
                        None => {}
                    },
                    None => return Ok(()),
                },
                () = time::sleep_until(settled.unwrap_or_else(Instant::now)), if settled.is_some() => {
                    settled = None;
                    self.service_started();
                }
            }
        }
    }
}

impl PlatformEvents for DbusPlatform {
    async fn next_event(&self) -> PlatformEvent {
        loop {
            let next = lock(&self.signals.events).pop_front();
            if let Some(event) = next {
                return event;
            }
            self.signals.queued.notified().await;
        }
    }
}

/// A signal that is handled here.
#[derive(Debug, Eq, PartialEq)]
enum Signal {
    Event(PlatformEvent),
    PowerLimit,
    ServiceStarted,
}

/// Reads a signal; `None` for one of another kind, or with an invalid body.
fn signal(message: &Message) -> Option<Signal> {
    if message.message_type() != message::Type::Signal {
        return None;
    }
    let header = message.header();
    let body = message.body();
    let event = match (header.interface()?.as_str(), header.member()?.as_str()) {
        ("org.freedesktop.DBus.Properties", "PropertiesChanged") => {
            let (interface, changed, _): (&str, HashMap<&str, Variant<'_>>, Vec<&str>) =
                body.deserialize().ok()?;
            match interface {
                power_cap::NAME => return Some(Signal::PowerLimit),
                host::NAME if is_reset(&changed) => PlatformEvent::HostReset,
                _ => return None,
            }
        }
        (watchdog::NAME, "Timeout") => PlatformEvent::WatchdogExpired,
        (power::NAME, "Pressed") => PlatformEvent::ButtonPressed(Button::Power),
        (reset::NAME, "Pressed") => PlatformEvent::ButtonPressed(Button::Reset),
        ("org.freedesktop.DBus", "NameOwnerChanged") => {
            let (_, _, new): (&str, &str, &str) = body.deserialize().ok()?;
            return (!new.is_empty()).then_some(Signal::ServiceStarted);
        }
        _ => return None,
    };
    Some(Signal::Event(event))
}

/// Whether the host's new state is one that follows a reset or a power-off.
fn is_reset(changed: &HashMap<&str, Variant<'_>>) -> bool {
    let Some(Variant::Str(state)) = changed.get(host::CURRENT_HOST_STATE.name) else {
        return false;
    };
    let state = state.parse::<HostState>();
    matches!(state, Ok(HostState::Off | HostState::TransitioningToRunning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_state(state: &str) -> Option<Signal> {
        let state = format!("xyz.openbmc_project.State.Host.HostState.{state}");
        let properties = HashMap::from([("CurrentHostState", Variant::from(state))]);
        let path = "/xyz/openbmc_project/state/host0";
        let message = Message::signal(path, "org.freedesktop.DBus.Properties", "PropertiesChanged")
            .build(&(host::NAME, properties, Vec::<&str>::new()))
            .unwrap();
        signal(&message)
    }

    #[test]
    fn host_that_starts_or_is_off_was_reset() {
        let reset = Some(Signal::Event(PlatformEvent::HostReset));
        assert_eq!(host_state("Off"), reset);
        assert_eq!(host_state("TransitioningToRunning"), reset);
        assert_eq!(host_state("Running"), None);
        assert_eq!(host_state("Nonsense"), None);
    }

    #[test]
    fn watchdog_and_buttons_are_events() {
        let event = |path: &str, interface: &str, member: &str| {
            signal(&Message::signal(path, interface, member).build(&()).unwrap())
        };
        assert_eq!(
            event(watchdog::PATH, watchdog::NAME, "Timeout"),
            Some(Signal::Event(PlatformEvent::WatchdogExpired))
        );
        let pressed = |button| Some(Signal::Event(PlatformEvent::ButtonPressed(button)));
        let buttons = "/xyz/openbmc_project/Chassis/Buttons/Power0";
        assert_eq!(event(buttons, power::NAME, "Pressed"), pressed(Button::Power));
        assert_eq!(event(buttons, reset::NAME, "Pressed"), pressed(Button::Reset));
        assert_eq!(event(buttons, power::NAME, "Released"), None);
    }

    #[test]
    fn signal_with_another_body_is_ignored() {
        let message = Message::signal("/", "org.freedesktop.DBus.Properties", "PropertiesChanged");
        assert_eq!(signal(&message.build(&(1_u8,)).unwrap()), None);
    }

    #[test]
    fn oldest_event_is_dropped_when_the_queue_is_full() {
        let signals = Signals::default();
        signals.queue(PlatformEvent::WatchdogExpired);
        for _ in 0..MAX_EVENTS {
            signals.queue(PlatformEvent::HostReset);
        }
        let events = lock(&signals.events);
        assert_eq!(events.len(), MAX_EVENTS);
        assert!(events.iter().all(|event| *event == PlatformEvent::HostReset));
    }
}
