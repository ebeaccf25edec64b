//! Events of the machine go to the event log: the watchdog's expiry, buttons (IPMI v2.0 §42.2). A reset of the host
//! ends parameter updates.

use std::convert::Infallible;
use std::sync::Arc;

use tracing::warn;

use crate::model::events::{Events, Source};
use crate::model::parameter_updates::ParameterUpdates;
use crate::model::sdr::OwnSource;
use crate::platform::{
    Button, PlatformEvent, PlatformEvents, Watchdog, WatchdogAction, WatchdogUse,
};

/// Event data 1, bits 7:6: event data 2 is of the sensor type's own kind.
const DATA_2_SENSOR_SPECIFIC: u8 = 0xc0;
/// Unspecified event data.
const UNSPECIFIED: u8 = 0xff;

/// Offsets of a button sensor (type 14h).
const POWER_PRESSED: u8 = 0;
const RESET_PRESSED: u8 = 2;

/// Logs the events of `platform` to `events`, and ends `updates` when the host is reset, as long as the daemon runs.
pub async fn log<P: PlatformEvents + Watchdog>(
    platform: &P,
    events: &Arc<Events>,
    updates: &ParameterUpdates,
) -> Infallible {
    loop {
        let event = platform.next_event().await;
        if event == PlatformEvent::HostReset {
            updates.end_all();
        }
        let Some((source, data)) = event_data(platform, event).await else {
            continue;
        };
        let (generator, message) = source.event(data);
        if let Err(error) = events.handle(Source::Other, generator, message).await {
            warn!(%error, ?event, "an event is not logged: the SEL cannot be written");
        }
    }
}

/// The source and the data of the event message; `None` for an event that is not logged.
async fn event_data<P: Watchdog>(
    platform: &P,
    event: PlatformEvent,
) -> Option<(OwnSource, [u8; 3])> {
    match event {
        PlatformEvent::WatchdogExpired => {
            let state = platform.watchdog().await.ok()?;
            let logged = state.settings.log;
            let data = expiry(state.settings.action, state.expired_use);
            logged.then_some((OwnSource::Watchdog, data))
        }
        PlatformEvent::ButtonPressed(Button::Power) => Some(pressed(POWER_PRESSED)),
        PlatformEvent::ButtonPressed(Button::Reset) => Some(pressed(RESET_PRESSED)),
        // NMI and identify buttons have no offset in the sensor type; a reset has its own handling.
        PlatformEvent::ButtonPressed(Button::Nmi | Button::Identify) | PlatformEvent::HostReset => {
            None
        }
    }
}

const fn pressed(offset: u8) -> (OwnSource, [u8; 3]) {
    (OwnSource::Buttons, [offset, UNSPECIFIED, UNSPECIFIED])
}

/// Type 23h: what the expiry did, and in event data 2, bits 3:0, who used the timer.
const fn expiry(action: WatchdogAction, used: WatchdogUse) -> [u8; 3] {
    let offset = match action {
        WatchdogAction::None => 0,
        WatchdogAction::HardReset => 1,
        WatchdogAction::PowerOff => 2,
        WatchdogAction::PowerCycle => 3,
    };
    let used = match used {
        WatchdogUse::BIOSFRB2 => 1,
        WatchdogUse::BIOSPOST => 2,
        WatchdogUse::OSLoad => 3,
        WatchdogUse::SMSOS => 4,
        WatchdogUse::OEM => 5,
        WatchdogUse::Reserved => 0x0f,
    };
    [DATA_2_SENSOR_SPECIFIC | offset, used, UNSPECIFIED]
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::platform::fake::FakePlatform;

    #[tokio::test]
    async fn expiry_and_buttons_match_golden_bytes() {
        let platform = FakePlatform::default();
        platform.state().watchdog.settings.log = true;
        platform.state().watchdog.settings.action = WatchdogAction::PowerCycle;
        platform.state().watchdog.expired_use = WatchdogUse::SMSOS;
        let (source, data) = event_data(&platform, PlatformEvent::WatchdogExpired).await.unwrap();
        assert_eq!((source, data), (OwnSource::Watchdog, hex!("c3 04 ff")));
        platform.state().watchdog.settings.log = false;
        let unlogged = event_data(&platform, PlatformEvent::WatchdogExpired).await;
        assert_eq!(unlogged, None);
        for (button, data) in [
            (Button::Power, Some(hex!("00 ff ff"))),
            (Button::Reset, Some(hex!("02 ff ff"))),
            (Button::Identify, None),
        ] {
            let event = event_data(&platform, PlatformEvent::ButtonPressed(button)).await;
            assert_eq!(event, data.map(|data| (OwnSource::Buttons, data)));
        }
    }
}
