//! Power reading and power limit (DCMI 1.5 §6.6).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use ipmi_proto::{
    CompletionCode, Privilege,
    codec::{Bits, Ignored},
};
use tokio::{
    task,
    time::{self, Instant},
};

use super::{DcmiProvider, Platform, absent, row};
use crate::{
    command::{Coded, Command, Registrar},
    context::Context,
    platform::{ExceptionAction, PowerLimitSettings},
    state::lock,
};

const GET_POWER_READING: Command = row(0x02, Privilege::User, "Get Power Reading");
const GET_POWER_LIMIT: Command = row(0x03, Privilege::User, "Get Power Limit");
const SET_POWER_LIMIT: Command = row(0x04, Privilege::Operator, "Set Power Limit");
const ACTIVATE_POWER_LIMIT: Command =
    row(0x05, Privilege::Operator, "Activate/Deactivate Power Limit");

/// `80h` of Get Power Limit: none is active.
const NO_LIMIT: CompletionCode = CompletionCode(0x80);
/// `84h` of Set Power Limit: limit out of range.
const LIMIT_OUT_OF_RANGE: CompletionCode = CompletionCode(0x84);

/// Reserved; action; watts; milliseconds to correct; reserved; seconds sampled.
type PowerLimit = (u16, u8, u16, u32, u16, u16);

/// Mode 1: system power statistics; 2 is with rolling averages, of which there are none.
const SYSTEM_POWER: u8 = 1;
/// How often power is sampled, and for how long after it was last asked for.
const SAMPLE: Duration = Duration::from_secs(1);
const SAMPLED_FOR: Duration = Duration::from_secs(300);

/// Power since it is being sampled, in watts.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    minimum: u16,
    maximum: u16,
    sum: u64,
    samples: u64,
    since: Option<Instant>,
    asked: Option<Instant>,
    is_sampled: bool,
}

impl Statistics {
    fn take(&mut self, watts: u16) {
        if self.samples == 0 {
            (self.minimum, self.maximum) = (watts, watts);
            self.since = Some(Instant::now());
        }
        self.minimum = self.minimum.min(watts);
        self.maximum = self.maximum.max(watts);
        self.sum += u64::from(watts);
        self.samples += 1;
    }

    fn average(&self) -> u16 {
        u16::try_from(self.sum / self.samples.max(1)).unwrap_or(u16::MAX)
    }
}

impl<P: Platform> DcmiProvider<P> {
    pub(super) fn register_power(self: &Arc<Self>, table: &mut Registrar<'_>) {
        table.add(GET_POWER_READING, self, Self::get_power_reading);
        table.add(GET_POWER_LIMIT, self, Self::get_power_limit);
        table.add(SET_POWER_LIMIT, self, Self::set_power_limit);
        table.add(ACTIVATE_POWER_LIMIT, self, Self::activate_power_limit);
    }

    /// Get Power Reading (DCMI 1.5 §6.6.1): present, least, most and average watts; time stamp;
    /// milliseconds of the statistics; whether there is a measurement.
    ///
    /// # Errors
    ///
    /// `C1h` for a machine without the power sensor, `CCh` for enhanced statistics.
    #[allow(clippy::type_complexity)] // the reply's fields in their order
    async fn get_power_reading(
        self: Arc<Self>,
        _: Context,
        mode: u8,
        _attribute: u8,
        _reserved: u8,
    ) -> Result<([u16; 4], u32, u32, (Bits<6>, bool, bool)), CompletionCode> {
        if mode != SYSTEM_POWER {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        let Some(reading) = self.watts().await else {
            return Err(CompletionCode::INVALID_COMMAND);
        };
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let stamp = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        let (watts, period) = {
            let mut statistics = lock(&self.statistics);
            statistics.asked = Some(Instant::now());
            if let Some(watts) = reading {
                statistics.take(watts);
            }
            let period = statistics
                .since
                .map(|since| since.elapsed())
                .unwrap_or_default();
            let Statistics {
                minimum, maximum, ..
            } = *statistics;
            (
                [reading.unwrap_or(0), minimum, maximum, statistics.average()],
                period,
            )
        };
        self.start_sampling();
        let period = u32::try_from(period.as_millis()).unwrap_or(u32::MAX).max(1);
        Ok((
            watts,
            stamp,
            period,
            (Bits::low(0), reading.is_some(), false),
        ))
    }

    /// The machine's power: `None` without such a sensor, `Some(None)` while it has no reading.
    async fn watts(&self) -> Option<Option<u16>> {
        let store = self.platform.sensors().await;
        let name = format!("/{}", self.config.power_sensor);
        store.with(|table| {
            let sensor = table.iter().find(|sensor| sensor.path.ends_with(&name))?;
            let reading = sensor.observed.reading().filter(|_| sensor.is_available());
            Some(reading.map(whole_watts))
        })
    }

    /// Samples as long as somebody asks from time to time, so that an idle daemon sleeps.
    fn start_sampling(self: &Arc<Self>) {
        if std::mem::replace(&mut lock(&self.statistics).is_sampled, true) {
            return;
        }
        let provider = Arc::clone(self);
        task::spawn(async move {
            loop {
                time::sleep(SAMPLE).await;
                let reading = provider.watts().await.flatten();
                let mut statistics = lock(&provider.statistics);
                if let Some(watts) = reading {
                    statistics.take(watts);
                }
                if statistics
                    .asked
                    .is_none_or(|asked| asked.elapsed() > SAMPLED_FOR)
                {
                    *statistics = Statistics::default();
                    return;
                }
            }
        });
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
    ) -> Result<Coded<PowerLimit>, CompletionCode> {
        let limit = self.platform.power_limit().await.map_err(absent)?;
        let code = if limit.active {
            CompletionCode::OK
        } else {
            NO_LIMIT
        };
        let watts = u16::try_from(limit.limit).unwrap_or(u16::MAX);
        let action = action_number(limit.action);
        let (correction, sampling) = (limit.correction_time, limit.sampling_period);
        Ok(Coded(code, (0, action, watts, correction, 0, sampling)))
    }

    /// Set Power Limit (DCMI 1.5 §6.6.3).
    ///
    /// # Errors
    ///
    /// `84h` for a limit the machine cannot keep, `CCh` for an action that is none.
    async fn set_power_limit(
        self: Arc<Self>,
        _: Context,
        (_reserved, action): ([u8; 3], u8),
        watts: u16,
        correction_time: u32,
        _reserved2: u16,
        sampling_period: u16,
    ) -> Result<(), CompletionCode> {
        let action = action_from(action).ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        let old = self.platform.power_limit().await.map_err(absent)?;
        let limit = u32::from(watts);
        let (least, most) = old.range;
        if limit < least || (most > 0 && limit > most) {
            return Err(LIMIT_OUT_OF_RANGE);
        }
        let wanted = PowerLimitSettings {
            limit,
            action,
            correction_time,
            sampling_period,
            ..old
        };
        self.platform.set_power_limit(wanted).await.map_err(absent)
    }

    /// Activate/Deactivate Power Limit (DCMI 1.5 §6.6.4).
    async fn activate_power_limit(
        self: Arc<Self>,
        _: Context,
        (active, _): (bool, Ignored<7>),
        _reserved: u16,
    ) -> Result<(), CompletionCode> {
        self.platform
            .activate_power_limit(active)
            .await
            .map_err(absent)
    }
}

/// The nearest number that the reply has room for.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped"
)]
fn whole_watts(watts: f64) -> u16 {
    watts.round().clamp(0.0, f64::from(u16::MAX)) as u16
}

fn action_number(action: ExceptionAction) -> u8 {
    match action {
        ExceptionAction::NoAction => 0x00,
        ExceptionAction::HardPowerOff => 0x01,
        ExceptionAction::Oem => 0x02,
        ExceptionAction::LogEventOnly => 0x11,
    }
}

fn action_from(number: u8) -> Option<ExceptionAction> {
    match number {
        0x00 => Some(ExceptionAction::NoAction),
        0x01 => Some(ExceptionAction::HardPowerOff),
        0x02..=0x10 => Some(ExceptionAction::Oem),
        0x11 => Some(ExceptionAction::LogEventOnly),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::providers::dcmi::tests::{answer, bench};

    #[tokio::test]
    async fn limit_is_set_activated_and_read() {
        let bench = bench();
        // ipmitool: set_limit limit 400.
        let set = hex!("00 00 00 11 90 01 e8 03 00 00 00 00 0a 00");
        assert_eq!(bench.send(0x04, &set).await, answer(&[]));
        let limit = hex!("00 00 11 90 01 e8 03 00 00 00 00 0a 00");
        let host = crate::context::Context::system_interface();
        let set_but_not_active = bench.respond(host, 0x03, &[0, 0]).await;
        assert_eq!(set_but_not_active, Ok((NO_LIMIT, limit.to_vec())));
        assert_eq!(bench.send(0x05, &[1, 0, 0]).await, answer(&[]));
        assert_eq!(bench.send(0x03, &[0, 0]).await, answer(&limit));
        let beyond = hex!("00 00 00 11 ff ff e8 03 00 00 00 00 0a 00");
        assert_eq!(bench.send(0x04, &beyond).await, Err(LIMIT_OUT_OF_RANGE));
        let action = hex!("00 00 00 20 90 01 e8 03 00 00 00 00 0a 00");
        assert_eq!(
            bench.send(0x04, &action).await,
            Err(CompletionCode::INVALID_DATA_FIELD)
        );
    }

    #[tokio::test]
    async fn machine_without_the_sensor_has_no_power_reading() {
        let bench = bench();
        assert_eq!(
            bench.send(0x02, &[1, 0, 0]).await,
            Err(CompletionCode::INVALID_COMMAND)
        );
        assert_eq!(
            bench.send(0x02, &[2, 0, 0]).await,
            Err(CompletionCode::INVALID_DATA_FIELD)
        );
    }

    #[test]
    fn statistics_are_least_most_and_mean() {
        let mut statistics = Statistics::default();
        [200, 100, 300]
            .into_iter()
            .for_each(|watts| statistics.take(watts));
        assert_eq!((statistics.minimum, statistics.maximum), (100, 300));
        assert_eq!(statistics.average(), 200);
    }
}
