//! Events that the sensor services report go to the event log and the host's event message buffer.

use std::convert::Infallible;

use ipmi_proto::sel::GeneratorId;
use tracing::warn;

use crate::model::events::{Events, Source};
use crate::model::sensors::{SensorEvent, SensorStore};

/// Logs what `sensors` report to `events`, each event once, and saves the sensors' states after it.
pub async fn log_sensor_events(sensors: &SensorStore, events: &Events) -> Infallible {
    loop {
        for event in sensors.events().await {
            let (generator, event) = (generator_of(&event), event.event);
            if let Err(error) = events.handle(Source::Other, generator, event).await {
                warn!(%error, "a sensor event is not logged: the SEL cannot be written");
            }
        }
        sensors.save_states().await;
    }
}

fn generator_of(sent: &SensorEvent) -> GeneratorId {
    let (lun, _) = sent.index.lun_and_number();
    GeneratorId::bmc_sensor(lun)
}
