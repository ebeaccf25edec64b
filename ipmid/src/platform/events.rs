//! Events of the machine that are no state: a watchdog expires, a button is pressed, the host is reset.

use std::future::Future;

use super::Button;

/// An event of the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PlatformEvent {
    /// The host watchdog expired (`State.Watchdog.Timeout`).
    WatchdogExpired,
    /// A button was pressed (`Chassis.Buttons.*.Pressed`).
    ButtonPressed(Button),
    /// The host was reset or switched off (`State.Host.CurrentHostState`).
    HostReset,
}

/// The events of the machine.
pub trait PlatformEvents: Send + Sync + 'static {
    /// Waits for the next event. Events between two calls are queued; when the queue is full the oldest is dropped.
    fn next_event(&self) -> impl Future<Output = PlatformEvent> + Send;
}
