//! What happens on the machine once, and is no state: a watchdog expires, a button is pressed.

use std::future::Future;

use super::Button;

/// Something that happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Happening {
    /// The host watchdog's time was up (`State.Watchdog.Timeout`).
    WatchdogExpired,
    /// A button was pressed (`Chassis.Buttons.*.Pressed`).
    Pressed(Button),
    /// The host was reset or went off (`State.Host.CurrentHostState`).
    HostReset,
}

/// What happens on the machine.
pub trait Happenings: Send + Sync + 'static {
    /// Waits until something happens. What happens while nobody waits is told later, the latest of it if
    /// there is much.
    fn happened(&self) -> impl Future<Output = Happening> + Send;
}
