//! Thermal limits (DCMI 1.5 §6.7.1, §6.7.2): the exception actions when an entity stays too hot.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ipmi_proto::codec::{Bits, Zero};
use ipmi_proto::sdr::SensorType;
use ipmi_proto::{CompletionCode, GroupBody, Privilege};
use serde::{Deserialize, Serialize};
use tokio::task;
use tokio::time::{self, Instant};
use tracing::{error, warn};

use super::{DcmiProvider, Platform};
use crate::model::persistent::lock;
use crate::model::sensors::SensorIndex;
use crate::platform::ChassisTransition;
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// Polling interval while there is a limit; the readings are in memory.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// An entity's limit and its exception actions.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ThermalLimit {
    power_off: bool,
    log: bool,
    /// As the client asked; every limit is stored.
    persistent: bool,
    /// Degrees Celsius.
    degrees: u8,
    /// Seconds above the limit until the actions are performed.
    seconds: u16,
}

impl ThermalLimit {
    const fn has_action(&self) -> bool {
        self.log || self.power_off
    }
}

/// Entities beyond their limit.
#[derive(Debug, Default)]
pub(super) struct Watch {
    is_running: bool,
    /// Since when, and whether the actions were performed.
    beyond: HashMap<String, (Instant, bool)>,
}

/// Log only and power off, bits 5 and 6 of the exception actions; bit 7, whether the limit outlives a power cycle.
type Actions = (Zero<5>, bool, bool, bool);

impl<P: Platform> DcmiProvider<P> {
    pub(super) fn register_thermal(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(GroupBody::DCMI, self);
        rows.add(0x0c, User, "Get Thermal Limit", Self::get_thermal_limit);
        let mut rows = rows.changing(Resource::THERMAL_LIMITS);
        rows.add(0x0b, Operator, "Set Thermal Limit", Self::set_thermal_limit);
        if !self.state.get().thermal_limits.is_empty() {
            self.watch_temperatures();
        }
    }

    /// Set Thermal Limit (DCMI 1.5 §6.7.1). Without an action nothing happens beyond the limit.
    ///
    /// # Errors
    ///
    /// `CCh` for an entity that DCMI does not measure, `CBh` for an instance that is not there.
    async fn set_thermal_limit(
        self: Arc<Self>,
        _: Context,
        entity: u8,
        instance: u8,
        (_, log, power_off, persistent): Actions,
        degrees: u8,
        seconds: u16,
    ) -> Result<(), CompletionCode> {
        self.check_entity(entity, instance).await?;
        let key = key(entity, instance);
        self.state
            .update(|state| {
                let limit = ThermalLimit { power_off, log, persistent, degrees, seconds };
                if limit == ThermalLimit::default() {
                    state.thermal_limits.remove(&key);
                } else {
                    state.thermal_limits.insert(key, limit);
                }
            })
            .await?;
        self.watch_temperatures();
        Ok(())
    }

    /// Get Thermal Limit (DCMI 1.5 §6.7.2): actions, degrees, seconds; all 0 where none is set.
    ///
    /// # Errors
    ///
    /// As Set Thermal Limit.
    #[allow(clippy::type_complexity)] // the reply's fields in their order
    async fn get_thermal_limit(
        self: Arc<Self>,
        _: Context,
        entity: u8,
        instance: u8,
    ) -> Result<((Bits<5>, bool, bool, bool), u8, u16), CompletionCode> {
        self.check_entity(entity, instance).await?;
        let limits = self.state.get().thermal_limits;
        let limit = limits.get(&key(entity, instance)).copied().unwrap_or_default();
        let actions = (Bits::low(0), limit.log, limit.power_off, limit.persistent);
        Ok((actions, limit.degrees, limit.seconds))
    }

    async fn check_entity(&self, entity: u8, instance: u8) -> Result<(), CompletionCode> {
        let temperatures = self.temperatures(entity).await?;
        let is_there = temperatures.iter().any(|known| known.instance == instance);
        if is_there { Ok(()) } else { Err(CompletionCode::NOT_PRESENT) }
    }

    /// Monitors temperatures as long as there is a limit.
    fn watch_temperatures(self: &Arc<Self>) {
        if std::mem::replace(&mut lock(&self.thermal).is_running, true) {
            return;
        }
        let provider = Arc::clone(self);
        task::spawn(async move {
            loop {
                let limits = {
                    // Under the lock: a limit that is set afterwards starts a new task, an earlier one is seen here.
                    let mut watch = lock(&provider.thermal);
                    let mut limits = provider.state.get().thermal_limits;
                    limits.retain(|_, limit| limit.has_action());
                    if limits.is_empty() {
                        *watch = Watch::default();
                        return;
                    }
                    limits
                };
                for (key, limit) in limits {
                    provider.check_temperatures(&key, limit).await;
                }
                time::sleep(POLL_INTERVAL).await;
            }
        });
    }

    async fn check_temperatures(&self, key: &str, limit: ThermalLimit) {
        let temperature = match entity_of(key) {
            Some((entity, instance)) => self
                .temperatures(entity)
                .await
                .unwrap_or_default()
                .into_iter()
                .find(|known| known.instance == instance),
            None => None,
        };
        let hot = temperature.filter(|known| {
            let degrees = known.degrees;
            degrees.is_some_and(|degrees| degrees > f64::from(limit.degrees))
        });
        let due = {
            let mut watch = lock(&self.thermal);
            let Some(hot) = hot else {
                watch.beyond.remove(key);
                return;
            };
            let (since, done) =
                watch.beyond.entry(key.to_owned()).or_insert((Instant::now(), false));
            let patience = Duration::from_secs(limit.seconds.into());
            let is_due = !*done && since.elapsed() >= patience;
            *done |= is_due;
            is_due.then_some(hot.index)
        };
        if let Some(sensor) = due {
            self.act(key, limit, sensor).await;
        }
    }

    /// Performs the exception actions. Both log in the SEL.
    async fn act(&self, key: &str, limit: ThermalLimit, sensor: SensorIndex) {
        warn!(entity = key, limit = limit.degrees, "thermal limit exceeded");
        let sensor = (sensor, SensorType::TEMPERATURE);
        if let Err(error) = self.log_exceeded(sensor).await {
            error!(%error, entity = key, "an exceeded thermal limit is not logged: the SEL cannot be written");
        }
        if limit.power_off
            && let Err(error) = self.platform.request_chassis(ChassisTransition::Off).await
        {
            error!(%error, entity = key, "cannot switch the host off at a thermal limit; it stays on");
        }
    }
}

fn key(entity: u8, instance: u8) -> String {
    format!("{entity:#04x} {instance}")
}

fn entity_of(key: &str) -> Option<(u8, u8)> {
    let (entity, instance) = key.split_once(' ')?;
    let entity = u8::from_str_radix(entity.strip_prefix("0x")?, 16).ok()?;
    Some((entity, instance.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::dcmi::tests::{commands, provider};
    use crate::model::events::tests::TestLog;
    use crate::platform::fake::FakePlatform;

    #[test]
    fn entities_survive_the_file() {
        for (entity, instance) in [(0x40, 1), (0x03, 255)] {
            assert_eq!(entity_of(&key(entity, instance)), Some((entity, instance)));
        }
        assert_eq!(entity_of("elsewhere"), None);
    }

    #[tokio::test]
    async fn limits_are_for_entities_that_are_there() {
        let commands = commands();
        let absent = Err(CompletionCode::NOT_PRESENT);
        assert_eq!(commands.send(0x0b, &hex!("40 01 40 50 0a 00")).await, absent);
        assert_eq!(commands.send(0x0c, &hex!("40 01")).await, absent);
        let refused = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x0c, &hex!("99 01")).await, refused);
    }

    #[tokio::test]
    async fn each_time_above_the_limit_is_logged_once() {
        let (platform, log) = (Arc::new(FakePlatform::default()), TestLog::new());
        let provider = provider(&platform, &log);
        let limit = |degrees| ThermalLimit { log: true, degrees, ..ThermalLimit::default() };
        let processor = key(0x41, 1);
        for (degrees, logged) in [(40, 0), (39, 1), (39, 1), (40, 1), (39, 2)] {
            provider.check_temperatures(&processor, limit(degrees)).await;
            assert_eq!(log.sel.info().entries, logged, "beyond {degrees}");
        }
        let record = log.sel.get(1).unwrap().0.to_bytes();
        assert_eq!(record[7..], hex!("2000 04 01 01 05 01 ff ff"));
        assert!(platform.state().chassis_requests.is_empty());
    }
}
