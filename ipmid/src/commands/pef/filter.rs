//! Event filters: which events they match, and their actions (IPMI v2.0 §17.7, Table 17-2).

use ipmi_proto::sel::{Direction, Event, GeneratorId};
use serde::{Deserialize, Serialize};

/// A field of a filter that matches anything.
const ANY: u8 = 0xff;
/// Configuration bit 7: the filter is on.
const ENABLED: u8 = 0x80;
/// Filters that software may change: bits 6:5 are 0.
const KINDS: u8 = 0x60;

/// Actions on a match; the bits are those of the event filter action (Table 17-2, byte 2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Actions(pub(super) u8);

impl Actions {
    pub(super) const ALERT: u8 = 0x01;
    pub(super) const POWER_OFF: u8 = 0x02;
    pub(super) const RESET: u8 = 0x04;
    pub(super) const POWER_CYCLE: u8 = 0x08;
    pub(super) const DIAGNOSTIC_INTERRUPT: u8 = 0x20;
    /// The actions that this BMC supports.
    pub(super) const SUPPORTED: u8 = Self::ALERT
        | Self::POWER_OFF
        | Self::RESET
        | Self::POWER_CYCLE
        | Self::DIAGNOSTIC_INTERRUPT;
}

/// One filter as it is set, without its number: twenty bytes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Filter(pub(super) [u8; Filter::LENGTH]);

impl Filter {
    pub(super) const LENGTH: usize = 20;

    /// Whether it is on.
    pub(super) const fn is_enabled(&self) -> bool {
        self.0[0] & ENABLED != 0
    }

    /// Whether its configuration is one that software may set.
    pub(super) const fn is_settable(configuration: u8) -> bool {
        configuration & KINDS != KINDS
    }

    /// The actions on a match.
    pub(super) const fn actions(&self) -> u8 {
        self.0[1]
    }

    /// The alert policies that are followed.
    pub(super) const fn policy(&self) -> u8 {
        self.0[2] & 0x0f
    }

    /// The severity that alerts have.
    pub(super) const fn severity(&self) -> u8 {
        self.0[3]
    }

    /// Whether it is on and the event matches.
    pub(super) fn matches(&self, generator: GeneratorId, event: &Event) -> bool {
        let [_, _, _, _, slave, channel, kind, number, trigger, low, high, data @ ..] = self.0;
        let [from, over] = generator.0.to_le_bytes();
        let fields = [
            (slave, from),
            (channel, over),
            (kind, event.sensor_type),
            (number, event.sensor_number),
            (trigger, event.event_type),
        ];
        let offsets = u16::from_le_bytes([low, high]);
        self.is_enabled()
            && fields.iter().all(|(wanted, is)| *wanted == ANY || wanted == is)
            && offsets >> event.offset() & 1 == 1
            && data.chunks(3).zip(event.data).all(|(masks, data)| data_matches(masks, data))
    }
}

/// Whether one byte of event data fits its AND mask and two compare masks (§17.8): after the AND, the bits
/// that are set in the first are exactly those of the second, and of the others at least one is.
fn data_matches(masks: &[u8], data: u8) -> bool {
    let &[and, exact, value] = masks else {
        return false;
    };
    let same = !(data & and ^ value);
    let others = !exact;
    same & exact == exact && (others == 0 || same & others != 0)
}

/// The action of the highest priority among `actions`, alerts aside (§17.6: power down, power cycle, reset,
/// diagnostic interrupt). Power is for states that began, not for those that ended.
pub(super) fn foremost(actions: u8, direction: Direction) -> Option<u8> {
    let order =
        [Actions::POWER_OFF, Actions::POWER_CYCLE, Actions::RESET, Actions::DIAGNOSTIC_INTERRUPT];
    let found = order.into_iter().find(|action| actions & action != 0);
    found.filter(|_| direction == Direction::Assertion)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    const EVENT: Event = Event {
        revision: Event::REVISION,
        sensor_type: 0x01,
        sensor_number: 0x30,
        direction: Direction::Assertion,
        event_type: 0x01,
        data: [0x59, 0x66, 0x64],
    };

    /// Any temperature that goes beyond its upper critical limit, as ipmitool and FreeIPMI set it.
    const HOT: Filter = Filter(hex!("80 01 01 10 ff ff 01 ff 01 0002 000000 000000 000000"));

    #[test]
    fn fields_match_their_value_or_anything() {
        assert!(HOT.matches(GeneratorId::BMC, &EVENT));
        let other = Event { sensor_type: 0x02, ..EVENT };
        assert!(!HOT.matches(GeneratorId::BMC, &other));
        let other = Event { data: [0x57, 0, 0], ..EVENT };
        assert!(!HOT.matches(GeneratorId::BMC, &other), "another offset");
        let mut off = HOT;
        off.0[0] = 0;
        assert!(!off.matches(GeneratorId::BMC, &EVENT));
        let mut satellite = HOT;
        satellite.0[4] = 0x24;
        assert!(!satellite.matches(GeneratorId::BMC, &EVENT));
    }

    #[test]
    fn event_data_is_compared_exactly_and_loosely() {
        assert!(data_matches(&[0xff, 0xff, 0x66], 0x66));
        assert!(!data_matches(&[0xff, 0xff, 0x66], 0x67));
        assert!(data_matches(&[0x0f, 0xff, 0x06], 0x66));
        assert!(data_matches(&[0, 0, 0], 0xa5));
    }

    #[test]
    fn power_down_comes_first_and_only_for_what_began() {
        let all = Actions::SUPPORTED;
        assert_eq!(foremost(all, Direction::Assertion), Some(Actions::POWER_OFF));
        assert_eq!(foremost(Actions::ALERT, Direction::Assertion), None);
        assert_eq!(foremost(all, Direction::Deassertion), None);
    }
}
