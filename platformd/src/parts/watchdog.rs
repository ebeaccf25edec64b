//! The host watchdog, as phosphor-watchdog has it: a countdown with an action at its end.

use std::time::Duration;

use openbmc_dbus::interface::PropertyValue;
use openbmc_dbus::state::host::RestartCause;
use openbmc_dbus::state::watchdog::{self, Action, PATH, TimerUse};
use zbus::wire::{Structure, Variant};

use crate::fault::Fault;
use crate::part::{Context, Event, Invocation, Part, PowerRequest, Returned, Setting};
use crate::tree::Instance;

/// What the timer starts from before anybody sets it.
const DEFAULT_INTERVAL_MS: u64 = 30_000;

/// The watchdog.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    /// When the time is up; `None` while the timer stands.
    expiry: Option<Duration>,
}

impl Watchdog {
    fn run(&mut self, context: &Context<'_>, milliseconds: u64) {
        self.expiry = context.now.uptime.checked_add(Duration::from_millis(milliseconds));
    }

    fn set_enabled(&mut self, context: &mut Context<'_>, enabled: bool) {
        let interval = context.tree.get(PATH, watchdog::INTERVAL).unwrap_or_default();
        match (enabled, self.expiry) {
            (true, None) => self.run(context, interval),
            (true, Some(_)) => {}
            (false, _) => self.expiry = None,
        }
        context.tree.set(PATH, watchdog::ENABLED, enabled);
    }

    fn expire(&mut self, context: &mut Context<'_>) {
        self.expiry = None;
        let action = context.tree.get(PATH, watchdog::EXPIRE_ACTION).unwrap_or(Action::None);
        if let Some(used) = context.tree.get(PATH, watchdog::CURRENT_TIMER_USE) {
            context.tree.set(PATH, watchdog::EXPIRED_TIMER_USE, used);
        }
        context.tree.set(PATH, watchdog::ENABLED, false);
        let body = Structure::from((action.as_str().to_owned(),));
        context.tree.signal(PATH, watchdog::TIMEOUT, Some(body));
        let request = match action {
            Action::None => return,
            Action::HardReset => PowerRequest::HardReset,
            Action::PowerOff => PowerRequest::HardOff,
            Action::PowerCycle => PowerRequest::Cycle,
        };
        context.raise(Event::PowerRequest(request, RestartCause::WatchdogTimer));
    }
}

impl Part for Watchdog {
    fn start(&mut self, context: &mut Context<'_>) {
        let watchdog = Instance::new(&watchdog::INTERFACE)
            .with(watchdog::LOG_TIMEOUT, true)
            .with(watchdog::EXPIRE_ACTION, Action::HardReset)
            .with(watchdog::INTERVAL, DEFAULT_INTERVAL_MS)
            .with(watchdog::CURRENT_TIMER_USE, TimerUse::Reserved)
            .with(watchdog::EXPIRED_TIMER_USE, TimerUse::Reserved);
        context.tree.add(watchdog::SERVICE, PATH, [watchdog]);
    }

    fn set(
        &mut self,
        context: &mut Context<'_>,
        setting: &Setting<'_>,
    ) -> Option<Result<(), Fault>> {
        let value = setting.value.clone();
        if setting.is(PATH, watchdog::ENABLED) {
            let enabled = bool::from_variant(value).map_err(Fault::from);
            Some(enabled.map(|enabled| self.set_enabled(context, enabled)))
        } else if setting.is(PATH, watchdog::TIME_REMAINING) {
            let remaining = u64::from_variant(value).map_err(Fault::from);
            Some(remaining.map(|remaining| {
                if self.expiry.is_some() {
                    self.run(context, remaining);
                }
            }))
        } else {
            None
        }
    }

    fn call(
        &mut self,
        context: &mut Context<'_>,
        call: &Invocation<'_>,
    ) -> Option<Result<Returned, Fault>> {
        if *call.method != watchdog::RESET_TIME_REMAINING {
            return None;
        }
        let start = matches!(call.arguments, [Variant::Bool(true)]);
        if start || self.expiry.is_some() {
            let interval = context.tree.get(PATH, watchdog::INTERVAL).unwrap_or_default();
            self.run(context, interval);
            context.tree.set(PATH, watchdog::ENABLED, true);
        }
        Some(Ok(Vec::new()))
    }

    fn refresh(&mut self, context: &mut Context<'_>) {
        let remaining =
            self.expiry.map_or(Duration::ZERO, |at| at.saturating_sub(context.now.uptime));
        let remaining = u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX);
        context.tree.set_without_signal(PATH, watchdog::TIME_REMAINING, remaining);
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        if self.expiry.is_some_and(|expiry| expiry <= context.now.uptime) {
            self.expire(context);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.expiry
    }
}
