//! Power reading (DCMI 1.5 §6.6.1).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ipmi_proto::codec::Bits;
use ipmi_proto::sdr::SensorType;
use ipmi_proto::{CompletionCode, GroupBody, Privilege};
use tokio::task;
use tokio::time::{self, Instant};

use super::{DcmiProvider, Platform};
use crate::model::persistent::lock;
use crate::model::sensors::SensorIndex;
use crate::request::command::Registrar;
use crate::request::context::Context;

/// Mode 1: system power statistics. Mode 2, with rolling averages, is not supported.
const SYSTEM_POWER: u8 = 1;
/// How often power is sampled, and for how long after it was last asked for.
const SAMPLE: Duration = Duration::from_secs(1);
const SAMPLED_FOR: Duration = Duration::from_secs(300);

/// What the machine draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct MachinePower {
    /// The sensor that measures it, and its type.
    pub(super) index: SensorIndex,
    pub(super) sensor_type: SensorType,
    /// In watts; `None` while the sensor has no reading.
    pub(super) watts: Option<f64>,
}

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
    fn record(&mut self, watts: u16) {
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
        use Privilege::User;
        let mut rows = table.rows(GroupBody::DCMI, self);
        rows.add(0x02, User, "Get Power Reading", Self::get_power_reading);
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
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let stamp = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        let (watts, period) = {
            let mut statistics = lock(&self.statistics);
            statistics.asked = Some(Instant::now());
            if let Some(watts) = reading {
                statistics.record(watts);
            }
            let period = statistics.since.map(|since| since.elapsed()).unwrap_or_default();
            let Statistics { minimum, maximum, .. } = *statistics;
            ([reading.unwrap_or(0), minimum, maximum, statistics.average()], period)
        };
        self.start_sampling();
        let period = u32::try_from(period.as_millis()).unwrap_or(u32::MAX).max(1);
        Ok((watts, stamp, period, (Bits::low(0), reading.is_some(), false)))
    }

    /// The machine's power: `None` without such a sensor, `Some(None)` while it has no reading.
    async fn watts(&self) -> Option<Option<u16>> {
        let power = self.power().await?;
        Some(power.watts.map(whole_watts))
    }

    /// The sensor of the machine's power, as it is now.
    pub(super) async fn power(&self) -> Option<MachinePower> {
        let store = self.platform.sensors().await;
        let name = format!("/{}", self.config.get().power_sensor);
        store.with(|table| {
            let sensor = table.iter().find(|sensor| sensor.path.ends_with(&name))?;
            Some(MachinePower {
                index: sensor.listing.index,
                sensor_type: sensor.kind().0,
                watts: sensor.observed.reading().filter(|_| sensor.is_available()),
            })
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
                    statistics.record(watts);
                }
                if statistics.asked.is_none_or(|asked| asked.elapsed() > SAMPLED_FOR) {
                    *statistics = Statistics::default();
                    return;
                }
            }
        });
    }
}

/// The nearest number that the reply has room for.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn whole_watts(watts: f64) -> u16 {
    watts.round().clamp(0.0, f64::from(u16::MAX)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::dcmi::tests::commands;

    #[tokio::test]
    async fn machine_without_the_sensor_has_no_power_reading() {
        let commands = commands();
        assert_eq!(commands.send(0x02, &[1, 0, 0]).await, Err(CompletionCode::INVALID_COMMAND));
        assert_eq!(commands.send(0x02, &[2, 0, 0]).await, Err(CompletionCode::INVALID_DATA_FIELD));
    }

    #[test]
    fn statistics_are_least_most_and_mean() {
        let mut statistics = Statistics::default();
        [200, 100, 300].into_iter().for_each(|watts| statistics.record(watts));
        assert_eq!((statistics.minimum, statistics.maximum), (100, 300));
        assert_eq!(statistics.average(), 200);
    }
}
