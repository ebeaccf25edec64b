//! The entity of a sensor whose service does not name one: guessed from its type and name.

use ipmi_proto::sdr::{Entity, entity};

/// Words in a sensor name, and the entity each stands for; the first match counts.
const WORDS: [(&str, u8); 14] = [
    ("inlet", entity::AIR_INLET),
    ("ambient", entity::AIR_INLET),
    ("dimm", entity::MEMORY_MODULE),
    ("memory", entity::MEMORY_MODULE),
    ("psu", entity::POWER_SUPPLY),
    ("pwr_supply", entity::POWER_SUPPLY),
    ("cpu", entity::PROCESSOR),
    ("processor", entity::PROCESSOR),
    ("nvme", entity::DISK),
    ("drive", entity::DISK),
    ("hdd", entity::DISK),
    ("pcie", entity::ADD_IN_CARD),
    ("bmc", entity::MANAGEMENT_MODULE),
    ("fan", entity::COOLING_DEVICE),
];

/// The entity of the sensor `name` of the type that its path calls `segment`.
#[must_use]
pub(super) fn guess(segment: &str, name: &str) -> Entity {
    let lower = name.to_ascii_lowercase();
    let found = WORDS.into_iter().find_map(|(word, id)| Some((id, lower.split_once(word)?.1)));
    let (id, after) = match found {
        Some(found) => found,
        None if segment.starts_with("fan") => (entity::COOLING_DEVICE, lower.as_str()),
        None if segment == "intrusion" => (entity::CHASSIS, ""),
        None => (entity::SYSTEM_BOARD, ""),
    };
    Entity { id, instance: instance(after) }
}

/// Names count from 0 or 1, instances from 1: the number that follows, plus one if any.
pub(super) fn instance(after: &str) -> u8 {
    let digits: String =
        after.trim_start_matches(['_', ' ']).chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<u8>().map_or(1, |number| number.saturating_add(1).min(0x5f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_is_guessed_from_the_name() {
        let cases = [
            ("temperature", "CPU1_Core", entity::PROCESSOR, 2),
            ("temperature", "Inlet_Temp", entity::AIR_INLET, 1),
            ("temperature", "DIMM_12", entity::MEMORY_MODULE, 13),
            ("fan_tach", "Rotor_3", entity::COOLING_DEVICE, 1),
            ("voltage", "P12V", entity::SYSTEM_BOARD, 1),
            ("intrusion", "Lid", entity::CHASSIS, 1),
            ("power", "PSU0_Input", entity::POWER_SUPPLY, 1),
            ("power", "PSU999", entity::POWER_SUPPLY, 1),
        ];
        for (segment, name, id, instance) in cases {
            assert_eq!(guess(segment, name), Entity { id, instance }, "{name}");
        }
    }
}
