//! Power limit (DCMI 1.5 §6.6.2 to §6.6.4), and the exception action when the machine exceeds it.
//!
//! The platform enforces the limit. This module monitors the power while a limit is active whose exception action
//! is the BMC's.

use std::convert::Infallible;
use std::future;
use std::sync::Arc;
use std::time::Duration;

use daemon::Outage;
use ipmi_proto::codec::Zero;
use ipmi_proto::{CompletionCode, GroupBody, Privilege};
use tokio::time::{self, Instant};
use tracing::{error, warn};

use super::power::MachinePower;
use super::{DcmiProvider, Platform, absent};
use crate::platform::{ChassisTransition, ExceptionAction, PlatformError, PowerLimitSettings};
use crate::request::command::{Coded, HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// `80h` of Get Power Limit: none is active.
const NO_LIMIT: CompletionCode = CompletionCode(0x80);
/// `84h` of Set Power Limit: limit out of range.
const LIMIT_OUT_OF_RANGE: CompletionCode = CompletionCode(0x84);

/// Polling interval while a limit is active; the reading is in memory.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long until a service that did not answer is asked again.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// Reserved; action; watts; milliseconds to correct; reserved; seconds sampled.
type PowerLimit = (u16, u8, u16, u32, u16, u16);

/// Since when power has exceeded the limit, and whether the exception action was performed.
type Exceeded = Option<(Instant, bool)>;

impl<P: Platform> DcmiProvider<P> {
    pub(super) fn register_power_limit(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(GroupBody::DCMI, self);
        rows.add(0x03, User, "Get Power Limit", Self::get_power_limit);
        let mut rows = rows.changing(Resource::POWER_LIMIT);
        rows.add(0x04, Operator, "Set Power Limit", Self::set_power_limit);
        rows.add(0x05, Operator, "Activate/Deactivate Power Limit", Self::activate_power_limit);
    }

    /// Get Power Limit (DCMI 1.5 §6.6.2): reserved, action, watts, milliseconds to correct,
    /// reserved, seconds sampled.
    ///
    /// While no limit is active the completion code is `80h` and the data are there all the same, as
    /// in phosphor-host-ipmid: ipmitool changes one field of them and sets the whole.
    ///
    /// # Errors
    ///
    /// `C1h` for a machine without power limits.
    async fn get_power_limit(
        self: Arc<Self>,
        _: Context,
        _reserved: u16,
    ) -> HandlerResult<Coded<PowerLimit>> {
        let limit = self.platform.power_limit().await.map_err(absent)?;
        let code = if limit.active { CompletionCode::OK } else { NO_LIMIT };
        let watts = u16::try_from(limit.limit).unwrap_or(u16::MAX);
        let action = action_number(limit.action);
        let (correction, sampling) = (limit.correction_time, limit.sampling_period);
        Ok(Coded(code, (0, action, watts, correction, 0, sampling)))
    }

    /// Set Power Limit (DCMI 1.5 §6.6.3).
    ///
    /// # Errors
    ///
    /// `84h` for a limit out of the machine's range, `CCh` for an invalid action.
    async fn set_power_limit(
        self: Arc<Self>,
        _: Context,
        (_, action): (Zero<24>, u8),
        watts: u16,
        correction_time: u32,
        _: Zero<16>,
        sampling_period: u16,
    ) -> HandlerResult<()> {
        let action = action_from(action).ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        let old = self.platform.power_limit().await.map_err(absent)?;
        let limit = u32::from(watts);
        let (least, most) = old.range;
        if limit < least || (most > 0 && limit > most) {
            return Err(LIMIT_OUT_OF_RANGE.into());
        }
        let wanted = PowerLimitSettings { limit, action, correction_time, sampling_period, ..old };
        self.platform.set_power_limit(wanted).await.map_err(absent)
    }

    /// Activate/Deactivate Power Limit (DCMI 1.5 §6.6.4).
    ///
    /// # Errors
    ///
    /// `CCh` for an activation other than 0 and 1.
    async fn activate_power_limit(
        self: Arc<Self>,
        _: Context,
        activation: u8,
        _reserved: u16,
    ) -> HandlerResult<()> {
        let active = match activation {
            0 => false,
            1 => true,
            _ => return Err(CompletionCode::INVALID_DATA_FIELD.into()),
        };
        self.platform.activate_power_limit(active).await.map_err(absent)
    }

    /// Performs the exception action when the power limit is exceeded, as long as the daemon runs.
    pub async fn watch_power_limit(&self) -> Infallible {
        let (mut known, mut beyond) = (None, None);
        let unread = Outage::new();
        loop {
            let read = self.platform.power_limit().await;
            match &read {
                Ok(_) => drop(unread.end()),
                Err(error) if !error.is_absent() && unread.begin_for(error.clone()) => {
                    warn!(%error, "cannot read the power limit; the power is not compared with it");
                }
                Err(_) => {}
            }
            let limit = match read {
                Ok(limit) => is_watched(&limit).then_some(limit),
                Err(PlatformError::Timeout(_)) => {
                    time::sleep(RETRY_INTERVAL).await;
                    continue;
                }
                Err(PlatformError::Absent(_) | PlatformError::Refused(_)) => None,
            };
            if limit != known {
                (known, beyond) = (limit, None);
            }
            tokio::select! {
                () = self.platform.power_limit_changed() => {}
                never = self.watch_power(limit, &mut beyond) => match never {},
            }
        }
    }

    /// Monitors the power as long as `limit` is active.
    async fn watch_power(
        &self,
        limit: Option<PowerLimitSettings>,
        beyond: &mut Exceeded,
    ) -> Infallible {
        let Some(limit) = limit else {
            return future::pending().await;
        };
        loop {
            let wait = self.check_power(&limit, beyond).await;
            time::sleep(wait).await;
        }
    }

    /// Performs the action if the limit has been exceeded for its correction time; returns the time to the next check.
    async fn check_power(&self, limit: &PowerLimitSettings, beyond: &mut Exceeded) -> Duration {
        let is_beyond = |power: &MachinePower| {
            let watts = power.watts;
            watts.is_some_and(|watts| watts > f64::from(limit.limit))
        };
        let Some(power) = self.power().await.filter(is_beyond) else {
            *beyond = None;
            return POLL_INTERVAL;
        };
        let (since, done) = beyond.get_or_insert((Instant::now(), false));
        let patience = Duration::from_millis(limit.correction_time.into());
        let left = patience.saturating_sub(since.elapsed());
        if *done || !left.is_zero() {
            return if *done { POLL_INTERVAL } else { left.min(POLL_INTERVAL) };
        }
        *done = true;
        self.exceeded(limit, power).await;
        POLL_INTERVAL
    }

    /// Performs the exception action. Both actions log in the SEL.
    async fn exceeded(&self, limit: &PowerLimitSettings, power: MachinePower) {
        warn!(limit = limit.limit, watts = power.watts, "power limit exceeded");
        let sensor = (power.index, power.sensor_type);
        if let Err(error) = self.log_exceeded(sensor).await {
            error!(%error, "an exceeded power limit is not logged: the SEL cannot be written");
        }
        if limit.action == ExceptionAction::HardPowerOff
            && let Err(error) = self.platform.request_chassis(ChassisTransition::Off).await
        {
            error!(%error, "cannot switch the host off at its power limit; it stays on");
        }
    }
}

/// Whether the limit is active and its exception action is the BMC's. An OEM action is left to the OEM's service.
const fn is_watched(limit: &PowerLimitSettings) -> bool {
    limit.active
        && matches!(limit.action, ExceptionAction::HardPowerOff | ExceptionAction::LogEventOnly)
}

fn action_number(action: ExceptionAction) -> u8 {
    match action {
        ExceptionAction::NoAction => 0x00,
        ExceptionAction::HardPowerOff => 0x01,
        ExceptionAction::Oem => 0x02,
        ExceptionAction::LogEventOnly => 0x11,
    }
}

/// The action of `number`. Of the OEM actions 02h to 10h D-Bus has one.
fn action_from(number: u8) -> Option<ExceptionAction> {
    match number {
        0x00 => Some(ExceptionAction::NoAction),
        0x01 => Some(ExceptionAction::HardPowerOff),
        0x02 => Some(ExceptionAction::Oem),
        0x11 => Some(ExceptionAction::LogEventOnly),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use ipmi_proto::ResponseBody;

    use super::*;
    use crate::commands::dcmi::tests::{answer, commands, provider};
    use crate::model::events::tests::TestLog;
    use crate::model::sensors::{Update, Value};
    use crate::platform::fake::FakePlatform;

    #[tokio::test]
    async fn limit_is_set_activated_and_read() {
        let commands = commands();
        // ipmitool: set_limit limit 400.
        let set = hex!("00 00 00 11 90 01 e8 03 00 00 00 00 0a 00");
        assert_eq!(commands.send(0x04, &set).await, answer(&[]));
        let limit = hex!("00 00 11 90 01 e8 03 00 00 00 00 0a 00");
        let host = crate::request::context::Context::system_interface();
        let set_but_not_active = commands.respond(host, 0x03, &[0, 0]).await;
        assert_eq!(
            set_but_not_active,
            Ok(ResponseBody { completion: NO_LIMIT, data: limit.to_vec() })
        );
        assert_eq!(commands.send(0x05, &[1, 0, 0]).await, answer(&[]));
        let neither = commands.send(0x05, &[2, 0, 0]).await;
        assert_eq!(neither, Err(CompletionCode::INVALID_DATA_FIELD));
        assert_eq!(commands.send(0x03, &[0, 0]).await, answer(&limit));
        let beyond = hex!("00 00 00 11 ff ff e8 03 00 00 00 00 0a 00");
        assert_eq!(commands.send(0x04, &beyond).await, Err(LIMIT_OUT_OF_RANGE));
        let action = hex!("00 00 00 20 90 01 e8 03 00 00 00 00 0a 00");
        assert_eq!(commands.send(0x04, &action).await, Err(CompletionCode::INVALID_DATA_FIELD));
    }

    /// A limit of 400 W with a correction time of three seconds.
    const LIMIT: PowerLimitSettings = PowerLimitSettings {
        active: true,
        limit: 400,
        range: (0, 1000),
        action: ExceptionAction::LogEventOnly,
        correction_time: 3000,
        sampling_period: 1,
    };

    /// Sets the reading of the power sensor.
    async fn draw(platform: &FakePlatform, watts: f64) {
        let update = Update::Object {
            path: "/xyz/openbmc_project/sensors/power/total_power".to_owned(),
            interfaces: vec![(
                "xyz.openbmc_project.Sensor.Value".to_owned(),
                vec![
                    ("Value".to_owned(), Value::Number(watts)),
                    ("MinValue".to_owned(), Value::Number(0.0)),
                    ("MaxValue".to_owned(), Value::Number(2000.0)),
                ],
            )],
        };
        crate::platform::Sensors::sensors(platform).await.apply(update);
    }

    /// A platform with an active, monitored limit.
    fn watched(limit: PowerLimitSettings) -> (Arc<FakePlatform>, TestLog) {
        let (platform, log) = (Arc::new(FakePlatform::default()), TestLog::new());
        platform.state().power_limit = limit;
        let provider = provider(&platform, &log);
        tokio::spawn(async move { provider.watch_power_limit().await });
        (platform, log)
    }

    async fn seconds(seconds: f64) {
        time::sleep(Duration::from_secs_f64(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn power_above_the_limit_for_the_correction_time_is_logged_once() {
        let (platform, log) = watched(LIMIT);
        draw(&platform, 400.0).await;
        seconds(10.0).await;
        assert_eq!(log.sel.info().entries, 0, "the limit is not exceeded");
        draw(&platform, 401.0).await;
        seconds(2.9).await;
        assert_eq!(log.sel.info().entries, 0, "it has time to correct that");
        seconds(10.0).await;
        assert_eq!(log.sel.info().entries, 1);
        let record = log.sel.get(1).unwrap().0.to_bytes();
        assert_eq!(record[7..], hex!("2000 04 0b 03 05 01 ff ff"));
        assert!(platform.state().chassis_requests.is_empty());
        // An excess that ends within the correction time counts no longer.
        draw(&platform, 300.0).await;
        seconds(1.1).await;
        for _ in 0..3 {
            draw(&platform, 500.0).await;
            seconds(2.0).await;
            draw(&platform, 300.0).await;
            seconds(1.1).await;
        }
        assert_eq!(log.sel.info().entries, 1);
        draw(&platform, 500.0).await;
        seconds(5.0).await;
        assert_eq!(log.sel.info().entries, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn hard_power_off_is_logged_and_done() {
        let action = ExceptionAction::HardPowerOff;
        let (platform, log) = watched(PowerLimitSettings { action, ..LIMIT });
        draw(&platform, 500.0).await;
        seconds(20.0).await;
        assert_eq!(log.sel.info().entries, 1);
        let requests = platform.state().chassis_requests.clone();
        assert_eq!(requests, [ChassisTransition::Off]);
    }

    #[tokio::test(start_paused = true)]
    async fn limit_is_monitored_while_active_with_a_bmc_action() {
        let inactive = PowerLimitSettings { active: false, ..LIMIT };
        let (platform, log) = watched(inactive);
        draw(&platform, 500.0).await;
        seconds(20.0).await;
        for action in [ExceptionAction::NoAction, ExceptionAction::Oem] {
            platform.change_power_limit(PowerLimitSettings { action, ..LIMIT });
            seconds(20.0).await;
        }
        assert_eq!(log.sel.info().entries, 0);
        platform.change_power_limit(LIMIT);
        seconds(2.9).await;
        assert_eq!(log.sel.info().entries, 0, "its time begins when it does");
        seconds(1.2).await;
        assert_eq!(log.sel.info().entries, 1);
        // A change signal with the same values does not restart the correction time.
        platform.change_power_limit(LIMIT);
        seconds(20.0).await;
        assert_eq!(log.sel.info().entries, 1);
        platform.change_power_limit(inactive);
        seconds(20.0).await;
        platform.change_power_limit(LIMIT);
        seconds(20.0).await;
        assert_eq!(log.sel.info().entries, 2);
    }
}
