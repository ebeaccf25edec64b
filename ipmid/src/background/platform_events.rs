//! Events of the machine go to the event log: the watchdog's expiry, buttons (IPMI v2.0 §42.2). A reset of the host
//! ends parameter updates, and an expiry of the watchdog sets its flag.

use std::convert::Infallible;
use std::sync::Arc;

use tracing::warn;

use crate::model::events::{Events, Source};
use crate::model::parameter_updates::ParameterUpdates;
use crate::model::sdr::OwnSource;
use crate::model::watchdog::WatchdogExpiries;
use crate::platform::{
    Button, PlatformEvent, PlatformEvents, Watchdog, WatchdogAction, WatchdogState, WatchdogUse,
    timer_use_number,
};

/// Event data 1, bits 7:6: event data 2 is of the sensor type's own kind.
const DATA_2_SENSOR_SPECIFIC: u8 = 0xc0;
/// Unspecified event data.
const UNSPECIFIED: u8 = 0xff;

/// Offsets of a button sensor (type 14h).
const POWER_PRESSED: u8 = 0;
const RESET_PRESSED: u8 = 2;

/// Where the machine's events go.
#[derive(Debug)]
pub struct EventSinks<'a> {
    /// The event log.
    pub events: &'a Arc<Events>,
    /// Updates that end when the host is reset.
    pub updates: &'a ParameterUpdates,
    /// The watchdog's flags.
    pub expiries: &'a WatchdogExpiries,
}

impl EventSinks<'_> {
    /// Handles the events of `platform` as long as the daemon runs.
    pub async fn follow<P: PlatformEvents + Watchdog>(&self, platform: &P) -> Infallible {
        loop {
            let event = platform.next_event().await;
            self.handle(platform, event).await;
        }
    }

    async fn handle<P: Watchdog>(&self, platform: &P, event: PlatformEvent) {
        let logged = match event {
            PlatformEvent::WatchdogExpired => self.expire(platform).await,
            PlatformEvent::ButtonPressed(Button::Power) => Some(pressed(POWER_PRESSED)),
            PlatformEvent::ButtonPressed(Button::Reset) => Some(pressed(RESET_PRESSED)),
            // NMI and identify buttons have no offset in the sensor type.
            PlatformEvent::ButtonPressed(Button::Nmi | Button::Identify) => None,
            PlatformEvent::HostReset => {
                self.updates.end_all();
                None
            }
        };
        let Some((source, data)) = logged else { return };
        let (generator, message) = source.event(data);
        if let Err(error) = self.events.handle(Source::Other, generator, message).await {
            warn!(%error, ?event, "an event is not logged: the SEL cannot be written");
        }
    }

    /// Notes an expiry of the watchdog. "Don't log" is for one expiry: it ends here (IPMI v2.0 §27.6).
    async fn expire<P: Watchdog>(&self, platform: &P) -> Option<(OwnSource, [u8; 3])> {
        let state = match platform.watchdog().await {
            Ok(state) => state,
            Err(error) => {
                warn!(%error, "cannot read the watchdog that expired; its expiry is not logged");
                return None;
            }
        };
        self.expiries.expire(timer_use_number(state.expired_use)).await;
        if state.settings.log {
            return Some((OwnSource::Watchdog, expiry(state)));
        }
        if let Err(error) = platform.log_watchdog().await {
            warn!(%error, "cannot switch the watchdog's logging on again; the next expiry is not logged either");
        }
        None
    }
}

const fn pressed(offset: u8) -> (OwnSource, [u8; 3]) {
    (OwnSource::Buttons, [offset, UNSPECIFIED, UNSPECIFIED])
}

/// Type 23h: what the expiry did, and in event data 2, bits 3:0, the timer use.
fn expiry(state: WatchdogState) -> [u8; 3] {
    let offset = match state.settings.action {
        WatchdogAction::None => 0,
        WatchdogAction::HardReset => 1,
        WatchdogAction::PowerOff => 2,
        WatchdogAction::PowerCycle => 3,
    };
    let used = match state.expired_use {
        WatchdogUse::Reserved => 0x0f, // unspecified
        used => timer_use_number(used),
    };
    [DATA_2_SENSOR_SPECIFIC | offset, used, UNSPECIFIED]
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::model::events::tests::TestLog;
    use crate::platform::fake::FakePlatform;

    /// Sinks over a log in memory.
    struct TestSinks {
        platform: FakePlatform,
        log: TestLog,
        updates: ParameterUpdates,
        expiries: WatchdogExpiries,
    }

    impl TestSinks {
        /// Hands `event` over; gives the event data of what is logged, with the source.
        async fn handle(&self, event: PlatformEvent) -> Option<(u8, [u8; 3])> {
            let before = self.log.sel.info().entries;
            let sinks = EventSinks {
                events: &self.log.events,
                updates: &self.updates,
                expiries: &self.expiries,
            };
            sinks.handle(&self.platform, event).await;
            if self.log.sel.info().entries == before {
                return None;
            }
            let (record, _) = self.log.sel.get(0xffff)?;
            record.event().map(|event| (event.sensor_type, event.data))
        }
    }

    #[tokio::test]
    async fn expiry_and_buttons_match_golden_bytes() {
        let sinks = TestSinks {
            platform: FakePlatform::default(),
            log: TestLog::new(),
            updates: ParameterUpdates::default(),
            expiries: WatchdogExpiries::volatile(),
        };
        {
            let mut state = sinks.platform.state();
            state.watchdog.settings.log = true;
            state.watchdog.settings.action = WatchdogAction::PowerCycle;
            state.watchdog.expired_use = WatchdogUse::SMSOS;
        }
        let expired = PlatformEvent::WatchdogExpired;
        assert_eq!(sinks.handle(expired).await, Some((0x23, hex!("c3 04 ff"))));
        sinks.platform.state().watchdog.settings.log = false;
        assert_eq!(sinks.handle(expired).await, None, "don't log");
        sinks.platform.state().watchdog.expired_use = WatchdogUse::OSLoad;
        assert_eq!(sinks.handle(expired).await, Some((0x23, hex!("c3 03 ff"))), "for one expiry");
        assert_eq!((sinks.expiries.flags(), sinks.expiries.has_elapsed()), (0x18, true));
        for (button, data) in [
            (Button::Power, Some((0x14, hex!("00 ff ff")))),
            (Button::Reset, Some((0x14, hex!("02 ff ff")))),
            (Button::Identify, None),
        ] {
            assert_eq!(sinks.handle(PlatformEvent::ButtonPressed(button)).await, data);
        }
    }
}
