//! The record of a sensor: built from D-Bus properties, returned by Get SDR.

use ipmi_proto::IdString;
use ipmi_proto::sdr::{
    Access, Accuracy, Capabilities, CompactSensor, Entity, EventControl, EventType, Factors,
    FullSensor, Hysteresis, Initialization, Masks, PerThreshold, SdrBody, SensorKey, SensorType,
    Sharing, Threshold, ThresholdSet, Unit,
};

use super::basis::Basis;
use super::directory::Listing;
use super::discrete::DiscreteKind;
use super::entity;
use super::observed::{Observed, ROOT};
use super::settings::Settings;

/// The sensor type in a path: its first part below the root.
pub(super) fn segment(path: &str) -> &str {
    let below = path.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('/'));
    below.and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

/// Limits as raw bytes; 0 for a threshold that has none.
pub(super) fn raw_limits(
    limits: &PerThreshold<Option<f64>>,
    scale: f64,
    factors: &Factors,
) -> PerThreshold<u8> {
    PerThreshold::new(Threshold::ALL.map(|threshold| {
        let limit = limits.get(threshold);
        limit.and_then(|limit| factors.raw_from_value(limit * scale)).unwrap_or(0)
    }))
}

/// What every record of a sensor begins and ends with.
struct Common {
    key: SensorKey,
    entity: Entity,
    sensor_type: SensorType,
    hysteresis: Hysteresis,
    id: IdString,
}

/// The record of the sensor at `path`, with the initial limits of the thresholds of `seen`.
pub(super) fn body(
    path: &str,
    listing: &Listing,
    observed: &Observed,
    settings: &Settings,
    seen: ThresholdSet,
) -> SdrBody {
    let (lun, number) = listing.index.lun_and_number();
    let name = path.rsplit('/').next().unwrap_or_default();
    let of_kind = observed.discrete.and_then(|of| of.kind.entity(name));
    let entity = observed.entity.or(of_kind).unwrap_or_else(|| entity::guess(segment(path), name));
    let common = Common {
        key: SensorKey::bmc(lun, number),
        entity,
        sensor_type: settings.sensor_type(SensorType::of_segment(segment(path))),
        // The initial hysteresis, not the one that is set.
        hysteresis: Settings::default().hysteresis(),
        id: IdString::new(&listing.name),
    };
    match observed.discrete {
        Some(of) if !observed.analog => SdrBody::Compact(compact(common, of.kind)),
        _ => SdrBody::Full(Box::new(full(common, observed, &listing.basis, seen))),
    }
}

fn compact(common: Common, kind: DiscreteKind) -> CompactSensor {
    let events = u16::from(kind.events());
    CompactSensor {
        key: common.key,
        entity: common.entity,
        initialization: Initialization::ENABLED,
        capabilities: capabilities(false, EventControl::PerState),
        sensor_type: kind.sensor_type(),
        event_type: EventType::SENSOR_SPECIFIC,
        masks: Masks {
            assertion: events,
            deassertion: events,
            reading: u16::from(kind.readable()),
        },
        unit: Unit::DISCRETE,
        sharing: Sharing::NONE,
        hysteresis: common.hysteresis,
        oem: 0,
        id: common.id,
    }
}

fn full(common: Common, observed: &Observed, basis: &Basis, seen: ThresholdSet) -> FullSensor {
    let (unit, scale) = observed.unit;
    let factors = basis.factors(scale);
    let limits = basis.limits(seen);
    let present = limits.present();
    let events = if present.is_empty() { EventControl::None } else { EventControl::PerState };
    let (sensor_min, sensor_max) = if factors.signed() { (0x80, 0x7f) } else { (0, 0xff) };
    FullSensor {
        key: common.key,
        entity: common.entity,
        initialization: Initialization::ENABLED,
        capabilities: capabilities(!present.is_empty(), events),
        sensor_type: common.sensor_type,
        event_type: EventType::THRESHOLD,
        masks: Masks::of_thresholds(present, present),
        unit: unit.with_sign(factors.signed()),
        linearization: 0,
        factors,
        accuracy: Accuracy::default(),
        nominal: None,
        normal_max: None,
        normal_min: None,
        sensor_max,
        sensor_min,
        thresholds: raw_limits(&limits, scale, &factors),
        hysteresis: common.hysteresis,
        oem: 0,
        id: common.id,
    }
}

const fn capabilities(thresholds: bool, events: EventControl) -> Capabilities {
    let access = if thresholds { Access::Settable } else { Access::None };
    Capabilities {
        ignored_if_absent: false,
        auto_rearm: true,
        hysteresis: access,
        thresholds: access,
        events,
    }
}
