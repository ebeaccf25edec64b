//! The background task of PEF: takes events from the SEL in order, and acts on them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::RateLimit;
use ipmi_proto::sel::{SelBody, SelRecord};
use tokio::time;
use tracing::{info, warn};

use super::configuration::{ALERT_START_UP_DELAY, PEF_ON, PefParameters, START_UP_DELAY};
use super::filter::{Actions, foremost};
use super::{PefProvider, Platform};
use crate::model::persistent::lock;
use crate::platform::{ChassisTransition, HostTransition, PlatformResult};

static TOO_MANY_ALERTS: RateLimit = RateLimit::new(5, Duration::from_secs(10));

impl<P: Platform> PefProvider<P> {
    /// Acts on events as long as the daemon runs.
    pub async fn run(self: &Arc<Self>) -> Infallible {
        loop {
            tokio::select! {
                () = self.deps.sel.added() => {}
                () = self.changed.notified() => {}
            }
            self.follow_clears().await;
            while self.parameters.get().control & PEF_ON == PEF_ON {
                if let Some(wait) = self.delay() {
                    tokio::select! {
                        () = time::sleep(wait) => {}
                        () = self.changed.notified() => {}
                    }
                    continue;
                }
                let Some((before, record)) = self.next_record() else {
                    break;
                };
                self.act_on(&record).await;
                let go_on = |stored: &mut PefParameters| {
                    // Only if no client has set it meanwhile.
                    if stored.processed == before {
                        stored.processed = record.id;
                    }
                };
                let stored = self.parameters.update(go_on).await;
                if stored.is_err() {
                    // Continues: an event that is acted on twice after a restart does less harm than PEF that stops.
                    warn!(
                        record = record.id,
                        "cannot save the last processed event; after a restart it is acted on again"
                    );
                    break;
                }
                self.follow_clears().await;
            }
        }
    }

    /// Begins with the first record again when the log was erased.
    pub(super) async fn follow_clears(&self) {
        let clears = self.deps.sel.clears();
        if std::mem::replace(&mut *lock(&self.clears), clears) != clears {
            // The store logs a failure.
            let _logged = self.parameters.update(|stored| stored.processed = 0).await;
        }
    }

    /// How long events still wait: after a start, or because a timer was armed.
    fn delay(&self) -> Option<Duration> {
        let parameters = self.parameters.get();
        let start_up = (parameters.control & START_UP_DELAY != 0)
            .then(|| self.started + Duration::from_secs(parameters.start_up_delay.into()));
        let postponed = lock(&self.postponed).map(|(until, _)| until);
        let until = start_up.into_iter().chain(postponed).max()?;
        until.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero())
    }

    /// How long alerts still wait, after a start (Table 30-6, parameter 4).
    fn alert_delay(&self) -> Duration {
        let parameters = self.parameters.get();
        if parameters.control & ALERT_START_UP_DELAY == 0 {
            return Duration::ZERO;
        }
        let until = self.started + Duration::from_secs(parameters.alert_start_up_delay.into());
        until.saturating_duration_since(Instant::now())
    }

    /// The record that was handled last, and the oldest that was not. That the former is gone changes nothing.
    fn next_record(&self) -> Option<(u16, SelRecord)> {
        let processed = self.parameters.look(|parameters| parameters.processed);
        Some((processed, self.deps.sel.after(processed)?))
    }

    async fn act_on(self: &Arc<Self>, record: &SelRecord) {
        let SelBody::System { timestamp, generator, event } = record.body else {
            return;
        };
        let parameters = self.parameters.get();
        let matching: Vec<_> =
            parameters.filters().filter(|(_, filter)| filter.matches(generator, &event)).collect();
        let allowed = matching.iter().fold(0, |all, (_, filter)| all | filter.actions());
        let allowed = allowed & parameters.actions;
        if allowed & Actions::ALERT != 0 {
            let alerting =
                matching.iter().filter(|(_, filter)| filter.actions() & Actions::ALERT != 0);
            for &(number, filter) in alerting {
                let Ok(turn) = Arc::clone(&self.alerts).try_acquire_owned() else {
                    if let Some(pass) = TOO_MANY_ALERTS.admit() {
                        warn!(
                            record = record.id,
                            swallowed = pass.swallowed,
                            "too many alerts in progress; no alert is sent for this event"
                        );
                    }
                    break;
                };
                let trap = self.trap(timestamp, generator, event, filter.severity());
                let (this, policies) =
                    (Arc::clone(self), parameters.policies(filter.policy()).collect());
                let wait = self.alert_delay();
                // Retries take their time; power does not wait for them.
                tokio::spawn(async move {
                    time::sleep(wait).await;
                    this.alert_by(policies, number, trap).await;
                    drop(turn);
                });
            }
        }
        if let Some(action) = foremost(allowed, event.direction) {
            info!(record = record.id, action, "an event switches power");
            if let Err(error) = self.switch(action).await {
                warn!(%error, record = record.id, "cannot switch power as an event filter demands; the event counts as processed");
            }
        }
    }

    async fn switch(&self, action: u8) -> PlatformResult<()> {
        match action {
            Actions::POWER_OFF => self.platform.request_chassis(ChassisTransition::Off).await,
            Actions::POWER_CYCLE => self.platform.request_host(HostTransition::Reboot).await,
            Actions::RESET => self.platform.request_host(HostTransition::ForceWarmReboot).await,
            _ => self.platform.pulse_nmi().await,
        }
    }
}
