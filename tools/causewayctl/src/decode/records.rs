//! SEL records, sensor data records and FRU images.

use ipmi_proto::Field;
use ipmi_proto::fru::{FruImage, MultiRecord};
use ipmi_proto::sdr::{
    Capabilities, CompactSensor, ControllerLocator, Entity, EventOnlySensor, EventType, FruLocator,
    FullSensor, SdrBody, SdrRecord, SensorKey, SensorType, Threshold,
};
use ipmi_proto::sel::{Direction, Event, SelBody, SelRecord};

use super::layer::Layer;
use super::names;
use crate::error::Error;
use crate::time;

pub(super) fn sel(bytes: &[u8]) -> Result<Vec<Layer>, Error> {
    let record = SelRecord::parse(bytes).map_err(Error::failed)?;
    let head =
        |reference, kind, meaning| {
            Layer::new("SEL record", reference)
                .with("Record ID", format!("{:04X}h", record.id))
                .named("Record type", kind, meaning)
        };
    Ok(match record.body {
        SelBody::System { timestamp, generator, event } => {
            let head = head("IPMI v2.0 §32.1", SelRecord::SYSTEM, "system event")
                .with("Time", time::record(timestamp))
                .with("Generator", format!("{:04X}h", generator.0));
            vec![head, self::event(&event)]
        }
        SelBody::OemTimestamped { kind, timestamp, manufacturer, data } => vec![
            head("IPMI v2.0 §32.2", kind, "OEM, with time")
                .with("Time", time::record(timestamp))
                .with("Manufacturer", manufacturer.value().to_string())
                .bytes("Data", &data),
        ],
        SelBody::Plain { kind, data } => {
            let meaning = if kind >= 0xe0 { "OEM, without time" } else { "reserved" };
            vec![head("IPMI v2.0 §32.3", kind, meaning).bytes("Data", &data)]
        }
    })
}

fn event(event: &Event) -> Layer {
    let direction = match event.direction {
        Direction::Assertion => "assertion",
        Direction::Deassertion => "deassertion",
    };
    let layer = Layer::new("Event message", "IPMI v2.0 §29.7")
        .byte("Revision", event.revision)
        .named("Sensor type", event.sensor_type, names::sensor_type(event.sensor_type))
        .byte("Sensor number", event.sensor_number)
        .with("Direction", direction)
        .named("Event type", event.event_type, names::event_type(event.event_type));
    let is_threshold = EventType::new(event.event_type) == EventType::THRESHOLD;
    let layer = match Threshold::of_event(event.offset()).filter(|_| is_threshold) {
        Some((threshold, is_high)) => {
            let going = if is_high { "going high" } else { "going low" };
            layer.with("State", format!("{} {going}", name_of(threshold)))
        }
        None => layer.with("State", event.offset().to_string()),
    };
    layer.bytes("Event data", &event.data)
}

const fn name_of(threshold: Threshold) -> &'static str {
    match threshold {
        Threshold::LowerNonCritical => "lower non-critical",
        Threshold::LowerCritical => "lower critical",
        Threshold::LowerNonRecoverable => "lower non-recoverable",
        Threshold::UpperNonCritical => "upper non-critical",
        Threshold::UpperCritical => "upper critical",
        Threshold::UpperNonRecoverable => "upper non-recoverable",
    }
}

pub(super) fn sdr(bytes: &[u8]) -> Result<Vec<Layer>, Error> {
    let record = SdrRecord::parse(bytes).map_err(Error::failed)?;
    let (name, body) = match &record.body {
        SdrBody::Full(sensor) => ("full sensor", full(sensor)),
        SdrBody::Compact(sensor) => ("compact sensor", compact(sensor)),
        SdrBody::EventOnly(sensor) => ("event-only sensor", event_only(sensor)),
        SdrBody::Fru(locator) => ("FRU device locator", fru_locator(locator)),
        SdrBody::Controller(locator) => ("management controller locator", controller(locator)),
        SdrBody::Oem { manufacturer, data } => {
            let layer = Layer::new("OEM record", "IPMI v2.0 §43.12");
            let layer = layer.with("Manufacturer", manufacturer.value().to_string());
            ("OEM", layer.bytes("Data", data))
        }
        SdrBody::Other { data, .. } => {
            ("unknown", Layer::new("Record body", "IPMI v2.0 §43").bytes("Data", data))
        }
    };
    let head = Layer::new("Sensor data record", "IPMI v2.0 §43")
        .with("Record ID", format!("{:04X}h", record.id))
        .named("Record type", record.body.kind(), name);
    Ok(vec![head, body])
}

fn full(sensor: &FullSensor) -> Layer {
    let layer =
        Layer::new("Full sensor record", "IPMI v2.0 §43.1").with("Name", sensor.id.to_text());
    let layer =
        with_sensor(layer, sensor.key, sensor.entity, sensor.sensor_type, sensor.event_type);
    let unit = names::unit(sensor.unit.base);
    let percent = if sensor.unit.percent { "% of " } else { "" };
    let value = |raw: u8| format!("{:.3} ({raw:02X}h)", sensor.factors.value_from_raw(raw));
    let mut layer = with_capabilities(layer, sensor.capabilities)
        .byte("Initialization", sensor.initialization.0)
        .with("Assertion mask", format!("{:04X}h", sensor.masks.assertion))
        .with("Deassertion mask", format!("{:04X}h", sensor.masks.deassertion))
        .with("Reading mask", format!("{:04X}h", sensor.masks.reading))
        .with("Unit", format!("{percent}{unit} ({:02X}h)", sensor.unit.base))
        .byte("Linearization", sensor.linearization)
        .with("One count", format!("{:.6}", sensor.factors.step()))
        .with("Sensor minimum", value(sensor.sensor_min))
        .with("Sensor maximum", value(sensor.sensor_max));
    for (name, raw) in [
        ("Nominal reading", sensor.nominal),
        ("Normal minimum", sensor.normal_min),
        ("Normal maximum", sensor.normal_max),
    ] {
        if let Some(raw) = raw {
            layer = layer.with(name, value(raw));
        }
    }
    for threshold in Threshold::ALL {
        layer =
            layer.with(capitalized(name_of(threshold)), value(sensor.thresholds.get(threshold)));
    }
    layer
        .byte("Positive hysteresis", sensor.hysteresis.positive)
        .byte("Negative hysteresis", sensor.hysteresis.negative)
        .byte("OEM", sensor.oem)
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

fn compact(sensor: &CompactSensor) -> Layer {
    let layer =
        Layer::new("Compact sensor record", "IPMI v2.0 §43.2").with("Name", sensor.id.to_text());
    let layer =
        with_sensor(layer, sensor.key, sensor.entity, sensor.sensor_type, sensor.event_type);
    with_capabilities(layer, sensor.capabilities)
        .byte("Initialization", sensor.initialization.0)
        .with("Assertion mask", format!("{:04X}h", sensor.masks.assertion))
        .with("Deassertion mask", format!("{:04X}h", sensor.masks.deassertion))
        .with("Reading mask", format!("{:04X}h", sensor.masks.reading))
        .with("Unit", names::unit(sensor.unit.base))
        .with("Sensors that share the record", sensor.sharing.count.to_string())
        .byte("OEM", sensor.oem)
}

fn event_only(sensor: &EventOnlySensor) -> Layer {
    let layer =
        Layer::new("Event-only sensor record", "IPMI v2.0 §43.3").with("Name", sensor.id.to_text());
    with_sensor(layer, sensor.key, sensor.entity, sensor.sensor_type, sensor.event_type)
        .with("Sensors that share the record", sensor.sharing.count.to_string())
        .byte("OEM", sensor.oem)
}

fn with_sensor(
    layer: Layer,
    key: SensorKey,
    entity: Entity,
    sensor_type: SensorType,
    event_type: EventType,
) -> Layer {
    let layer = layer
        .byte("Owner", key.owner)
        .with("Channel", key.channel.value().to_string())
        .with("LUN", key.lun.value().to_string())
        .byte("Sensor number", key.number);
    with_entity(layer, entity)
        .named("Sensor type", sensor_type.0, names::sensor_type(sensor_type.0))
        .named("Event type", event_type.value(), names::event_type(event_type.value()))
}

fn with_entity(layer: Layer, entity: Entity) -> Layer {
    layer.byte("Entity ID", entity.id).with("Entity instance", entity.instance.to_string())
}

fn with_capabilities(layer: Layer, capabilities: Capabilities) -> Layer {
    layer
        .flag("Ignored if absent", capabilities.ignored_if_absent)
        .flag("Re-arms by itself", capabilities.auto_rearm)
        .with("Hysteresis", format!("{:?}", capabilities.hysteresis).to_lowercase())
        .with("Thresholds", format!("{:?}", capabilities.thresholds).to_lowercase())
        .with("Event control", format!("{:?}", capabilities.events).to_lowercase())
}

fn fru_locator(locator: &FruLocator) -> Layer {
    let layer = Layer::new("FRU device locator", "IPMI v2.0 §43.8")
        .with("Name", locator.id.to_text())
        .byte("Access address", locator.access_address)
        .with("FRU device ID", locator.device.to_string())
        .flag("Logical", locator.logical)
        .with("LUN", locator.lun.value().to_string())
        .with("Bus", locator.bus.to_string())
        .with("Channel", locator.channel.value().to_string())
        .byte("Device type", locator.device_type)
        .byte("Device type modifier", locator.modifier);
    with_entity(layer, locator.entity).byte("OEM", locator.oem)
}

fn controller(locator: &ControllerLocator) -> Layer {
    let layer = Layer::new("Management controller locator", "IPMI v2.0 §43.9")
        .with("Name", locator.id.to_text())
        .byte("Address", locator.address)
        .with("Channel", locator.channel.value().to_string())
        .byte("Initialization", locator.initialization)
        .byte("Capabilities", locator.capabilities);
    with_entity(layer, locator.entity).byte("OEM", locator.oem)
}

pub(super) fn fru(bytes: &[u8]) -> Result<Vec<Layer>, Error> {
    let image = FruImage::parse(bytes).map_err(Error::failed)?;
    let mut layers = Vec::new();
    if let Some(internal) = &image.internal {
        let layer = Layer::new("Internal use area", "FRU v1.3 §9");
        layers.push(layer.with("Length", internal.len().to_string()).bytes("Data", internal));
    }
    if let Some(chassis) = &image.chassis {
        let layer = Layer::new("Chassis area", "FRU v1.3 §10").byte("Chassis type", chassis.kind);
        let texts = [("Part number", &chassis.part_number), ("Serial number", &chassis.serial)];
        layers.push(with_texts(layer, 0, &texts, &chassis.custom));
    }
    if let Some(board) = &image.board {
        let made = board.manufactured.to_unix().map_or_else(|| "unspecified".to_owned(), time::utc);
        let layer = Layer::new("Board area", "FRU v1.3 §11")
            .byte("Language", board.language)
            .with("Manufactured", made);
        let texts = [
            ("Manufacturer", &board.manufacturer),
            ("Product", &board.product),
            ("Serial number", &board.serial),
            ("Part number", &board.part_number),
            ("FRU file ID", &board.file_id),
        ];
        layers.push(with_texts(layer, board.language, &texts, &board.custom));
    }
    if let Some(product) = &image.product {
        let layer = Layer::new("Product area", "FRU v1.3 §12").byte("Language", product.language);
        let texts = [
            ("Manufacturer", &product.manufacturer),
            ("Name", &product.name),
            ("Part number", &product.part_number),
            ("Version", &product.version),
            ("Serial number", &product.serial),
            ("Asset tag", &product.asset_tag),
            ("FRU file ID", &product.file_id),
        ];
        layers.push(with_texts(layer, product.language, &texts, &product.custom));
    }
    layers.extend(image.multirecords.iter().map(multirecord));
    Ok(layers)
}

fn with_texts(layer: Layer, language: u8, texts: &[(&str, &Field)], custom: &[Field]) -> Layer {
    let layer =
        texts.iter().fold(layer, |layer, (name, field)| layer.with(*name, field.to_text(language)));
    custom.iter().fold(layer, |layer, field| layer.with("Custom", field.to_text(language)))
}

fn multirecord(record: &MultiRecord) -> Layer {
    let meaning = match record.kind {
        0x00 => "power supply information",
        0x01 => "DC output",
        0x02 => "DC load",
        0x03 => "management access",
        0x04 => "base compatibility",
        0x05 => "extended compatibility",
        0xc0..=0xff => "OEM",
        _ => "",
    };
    Layer::new("Multirecord", "FRU v1.3 §16")
        .named("Record type", record.kind, meaning)
        .bytes("Data", &record.data)
}
