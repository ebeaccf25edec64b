//! What a Set command accepts, the matching Get command gives back, field by field.

use proptest::prelude::*;

use super::Noise;
use super::serial::{Model, bytes, runtime, sender};

/// Bits of a reply that must have a value: the byte's number, the mask, the value.
type Field = (usize, u8, u8);

/// A Set command and the Get command that reads what it writes.
struct Pair {
    name: &'static str,
    /// Network function, command and what leads the data that is varied.
    set: &'static str,
    /// Data that is accepted.
    sample: &'static str,
    /// The bits of the sample that are varied; all where this is shorter.
    vary: &'static str,
    get: &'static str,
    /// What accepted data says about the reply.
    fields: fn(&[u8]) -> Vec<Field>,
}

/// A pair whose reply has the data from byte `$at` on, in the bits of `$mask`, all where that is shorter.
macro_rules! same {
    ($name:literal, $set:literal, $sample:literal, $get:literal, $at:literal) => {
        same!($name, $set, $sample, $get, $at, "")
    };
    ($name:literal, $set:literal, $sample:literal, $get:literal, $at:literal, $mask:literal) => {
        Pair {
            name: $name,
            set: $set,
            sample: $sample,
            vary: "",
            get: $get,
            fields: |data| same($at, $mask, data),
        }
    };
}

fn same(at: usize, mask: &str, data: &[u8]) -> Vec<Field> {
    let masks = bytes(mask).into_iter().chain(std::iter::repeat(0xff));
    data.iter().zip(masks).enumerate().map(|(n, (byte, mask))| (at + n, mask, *byte)).collect()
}

/// A text that ends at its first NUL, and zeros after it.
fn text(at: usize, data: &[u8]) -> Vec<Field> {
    let mut ended = false;
    let ends = data.iter().enumerate().map(|(n, byte)| {
        ended |= *byte == 0;
        (at + n, 0xff, if ended { 0 } else { *byte })
    });
    ends.collect()
}

/// Channel access of the setting `which`: 1 is non-volatile, 2 volatile, as in bits 7:6.
fn channel_access(which: u8, data: &[u8]) -> Vec<Field> {
    let masks = [0x3f, 0x0f];
    let written = data.iter().zip(masks).enumerate().filter(|(_, (byte, _))| *byte >> 6 == which);
    written.map(|(n, (byte, mask))| (n, mask, *byte)).collect()
}

fn user_access(data: &[u8]) -> Vec<Field> {
    let flags = (data[0] & 0x80 != 0).then_some((3, 0x70, data[0]));
    // 0, which is reserved, is what some clients send for "no access".
    let limit = if data[2] & 0x0f == 0 { 0x0f } else { data[2] };
    flags.into_iter().chain([(3, 0x0f, limit)]).collect()
}

fn payload_access(data: &[u8]) -> Vec<Field> {
    let enabled = data[0] >> 6 == 0;
    let masks = data[1..].iter().enumerate();
    masks.map(|(n, mask)| (n, *mask, if enabled { *mask } else { 0 })).collect()
}

/// 0 leaves the console at the rate that it has, and that is what is read.
fn bit_rate(data: &[u8]) -> Vec<Field> {
    data.iter().filter(|rate| **rate != 0).map(|rate| (1, 0xff, *rate)).collect()
}

fn thresholds(data: &[u8]) -> Vec<Field> {
    let values = data[1..].iter().enumerate();
    values.filter(|(n, _)| data[0] >> n & 1 == 1).map(|(n, value)| (n + 1, 0xff, *value)).collect()
}

/// Event enables: bits 7:6 are as written; "enable selected" (01b) and "disable selected" (10b) change events.
fn event_enables(data: &[u8]) -> Vec<Field> {
    let value = |mask: u8| match data[0] >> 4 & 3 {
        1 => Some((mask, mask)),
        2 => Some((mask, 0)),
        _ => None,
    };
    let selected = data[1..].iter().enumerate().filter_map(|(n, mask)| {
        let (mask, value) = value(*mask)?;
        Some((n + 1, mask, value))
    });
    std::iter::once((0, 0xc0, data[0])).chain(selected).collect()
}

const PAIRS: &[Pair] = &[
    Pair {
        name: "ACPI power state",
        set: "06 06",
        sample: "81 80",
        vary: "",
        get: "06 07",
        fields: |data| {
            let set = data.iter().enumerate().filter(|(_, state)| *state & 0x80 != 0);
            set.filter(|(_, state)| *state & 0x7f != 0x7f)
                .map(|(n, state)| (n, 0x7f, *state))
                .collect()
        },
    },
    same!("BMC global enables", "06 2e", "0d", "06 2f", 0),
    same!("watchdog timer", "06 24", "04 01 00 00 2c 01", "06 25", 0, "bf ff ff 00"),
    Pair {
        name: "non-volatile channel access",
        set: "06 40 01",
        sample: "62 44",
        vary: "",
        get: "06 41 01 40",
        fields: |data| channel_access(1, data),
    },
    Pair {
        name: "volatile channel access",
        set: "06 40 01",
        sample: "a2 84",
        vary: "",
        get: "06 41 01 80",
        fields: |data| channel_access(2, data),
    },
    Pair {
        name: "user access",
        set: "06 43",
        sample: "91 03 04 00",
        vary: "f0 00",
        get: "06 44 01 03",
        fields: user_access,
    },
    Pair {
        name: "user name",
        set: "06 45 03",
        sample: "626f62 00000000000000000000000000",
        vary: "",
        get: "06 46 03",
        fields: |data| text(0, data),
    },
    Pair {
        name: "user payload access",
        set: "06 4c 01",
        sample: "03 02 00 00 00",
        vary: "c0",
        get: "06 4d 01 03",
        fields: payload_access,
    },
    same!("system firmware version", "06 58 01 00", "00 03 312e3200", "06 59 00 01 00 00", 2),
    same!("system name", "06 58 02 00", "00 03 616263", "06 59 00 02 00 00", 2),
    same!("primary OS name", "06 58 03 00", "00 03 616263", "06 59 00 03 00 00", 2),
    same!("OS name", "06 58 04 00", "00 03 616263", "06 59 00 04 00 00", 2),
    same!("OS version", "06 58 05 00", "00 03 616263", "06 59 00 05 00 00", 2),
    same!("BMC URL", "06 58 06 00", "00 03 616263", "06 59 00 06 00 00", 2),
    same!("hypervisor URL", "06 58 07 00", "00 03 616263", "06 59 00 07 00 00", 2),
    same!("chassis capabilities", "00 05", "03 20 20 20 20 20", "00 00", 0, "03"),
    Pair {
        name: "power restore policy",
        set: "00 06",
        sample: "01",
        vary: "",
        get: "00 01",
        fields: |data| {
            let policy = data[0] & 0x07;
            if policy < 3 { vec![(0, 0x60, policy << 5)] } else { Vec::new() }
        },
    },
    same!("front panel enables", "00 0a", "05", "00 01", 3, "07"),
    same!("service partition selector", "00 08 01", "05", "00 09 01 00 00", 2),
    same!("service partition scan", "00 08 02", "01", "00 09 02 00 00", 2),
    same!("boot flag valid bit clearing", "00 08 03", "1f", "00 09 03 00 00", 2),
    Pair {
        name: "boot info acknowledge",
        set: "00 08 04",
        sample: "01 01",
        vary: "",
        get: "00 09 04 00 00",
        fields: |data| vec![(3, data[0], data[1])],
    },
    same!("boot flags", "00 08 05", "80 04 00 00 00", "00 09 05 00 00", 2),
    same!("boot initiator info", "00 08 06", "010203040506070809", "00 09 06 00 00", 2),
    same!("boot initiator mailbox", "00 08 07 01", "6162636465", "00 09 07 01 00", 3),
    same!("event receiver", "04 00", "20 00", "04 01", 0),
    same!("PEF control", "04 12 01", "01", "04 13 01 00 00", 1),
    same!("PEF action control", "04 12 02", "01", "04 13 02 00 00", 1),
    same!("PEF startup delay", "04 12 03", "3c", "04 13 03 00 00", 1),
    same!("alert startup delay", "04 12 04", "3c", "04 13 04 00 00", 1),
    same!(
        "event filter",
        "04 12 06 01",
        "80 01 01 00 ffff ff ff 01 ffff 000000 000000 000000",
        "04 13 06 01 00",
        2
    ),
    same!("event filter data 1", "04 12 07 01", "80", "04 13 07 01 00", 2),
    same!("alert policy", "04 12 09 01", "18 11 00", "04 13 09 01 00", 2),
    same!("system GUID", "04 12 0a", "01 000102030405060708090a0b0c0d0e0f", "04 13 0a 00 00", 1),
    same!("alert string keys", "04 12 0c 01", "01 02", "04 13 0c 01 00", 2),
    same!("alert string", "04 12 0d 01 01", "61626300", "04 13 0d 01 01", 3),
    Pair {
        name: "last processed event",
        set: "04 14",
        sample: "00 0100",
        vary: "",
        get: "04 15",
        fields: |data| {
            let at = if data[0] & 1 == 0 { 6 } else { 8 };
            vec![(at, 0xff, data[1]), (at + 1, 0xff, data[2])]
        },
    },
    same!("sensor hysteresis", "04 24 01 ff", "02 03", "04 25 01 ff", 0),
    Pair {
        name: "sensor thresholds",
        set: "04 26 01",
        sample: "18 00 00 00 46 50 00",
        vary: "",
        get: "04 27 01",
        fields: thresholds,
    },
    Pair {
        name: "sensor event enables",
        set: "04 28 01",
        sample: "d0 80 02 00 00",
        // Of events that the sensor has; `ipmi-config` writes the masks of all.
        vary: "ff 80 02 80 02",
        get: "04 29 01",
        fields: event_enables,
    },
    same!("sensor type", "04 2e 01", "02 01", "04 2f 01", 0),
    same!("UTC offset", "0a 5d", "3c 00", "0a 5c", 0),
    same!("auxiliary log status", "0a 5b 00", "01000000 02000000", "0a 5a 00", 0),
    same!("FRU data", "0a 12 00 2000", "61626364", "0a 11 00 2000 04", 1),
    same!("IP address", "0c 01 01 03", "c0000263", "0c 02 01 03 00 00", 1),
    same!("IP address source", "0c 01 01 04", "01", "0c 02 01 04 00 00", 1),
    same!("MAC address", "0c 01 01 05", "525400000001", "0c 02 01 05 00 00", 1),
    same!("subnet mask", "0c 01 01 06", "ffffff00", "0c 02 01 06 00 00", 1),
    same!("IPv4 header", "0c 01 01 07", "40 40 10", "0c 02 01 07 00 00", 1),
    same!("primary RMCP port", "0c 01 01 08", "6f02", "0c 02 01 08 00 00", 1),
    same!("BMC-generated ARP", "0c 01 01 0a", "03", "0c 02 01 0a 00 00", 1),
    same!("gratuitous ARP interval", "0c 01 01 0b", "07", "0c 02 01 0b 00 00", 1),
    same!("default gateway", "0c 01 01 0c", "c00002fe", "0c 02 01 0c 00 00", 1),
    same!("default gateway MAC", "0c 01 01 0d", "525400000009", "0c 02 01 0d 00 00", 1),
    same!("backup gateway", "0c 01 01 0e", "c0000203", "0c 02 01 0e 00 00", 1),
    same!("backup gateway MAC", "0c 01 01 0f", "525400000003", "0c 02 01 0f 00 00", 1),
    Pair {
        name: "community string",
        set: "0c 01 01 10",
        sample: "7075626c6963 000000000000000000000000",
        vary: "",
        get: "0c 02 01 10 00 00",
        fields: |data| text(1, data),
    },
    same!("destination type", "0c 01 01 12 03", "80 05 02", "0c 02 01 12 03 00", 2),
    same!(
        "destination address",
        "0c 01 01 13 03",
        "00 00 c0000209 525400000009",
        "0c 02 01 13 03 00",
        2
    ),
    same!("VLAN id", "0c 01 01 14", "0000", "0c 02 01 14 00 00", 1),
    same!("VLAN priority", "0c 01 01 15", "05", "0c 02 01 15 00 00", 1),
    same!(
        "cipher suite privileges",
        "0c 01 01 18",
        "00 00 30 00 00 00 00 00 00",
        "0c 02 01 18 00 00",
        1
    ),
    same!("bad password threshold", "0c 01 01 1a", "01 05 1e00 3c00", "0c 02 01 1a 00 00", 1),
    same!("SOL enable", "0c 21 01 01", "01", "0c 22 01 01 00 00", 1),
    same!("SOL authentication", "0c 21 01 02", "83", "0c 22 01 02 00 00", 1),
    same!("SOL accumulate", "0c 21 01 03", "0a 60", "0c 22 01 03 00 00", 1),
    same!("SOL retry", "0c 21 01 04", "05 14", "0c 22 01 04 00 00", 1),
    Pair {
        name: "SOL bit rate",
        set: "0c 21 01 05",
        sample: "06",
        vary: "",
        get: "0c 22 01 05 00 00",
        fields: bit_rate,
    },
    Pair {
        name: "SOL volatile bit rate",
        set: "0c 21 01 06",
        sample: "06",
        vary: "",
        get: "0c 22 01 06 00 00",
        fields: bit_rate,
    },
    same!("asset tag", "2c 08 dc 00 04", "61626364", "2c 06 dc 00 04", 2),
    Pair {
        name: "controller identifier",
        set: "2c 0a dc 00 05",
        sample: "61626364 00",
        vary: "ffffffff 00",
        get: "2c 09 dc 00 05",
        fields: |data| {
            text(2, data)[..data.iter().position(|byte| *byte == 0).unwrap() + 1].to_vec()
        },
    },
    Pair {
        name: "power limit",
        set: "2c 04 dc",
        sample: "000000 01 6400 e8030000 0000 0500",
        vary: "",
        get: "2c 03 dc 0000",
        fields: |data| {
            let at = [(3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 8), (9, 9), (12, 12), (13, 13)];
            at.map(|(from, to)| (to, 0xff, data[from])).to_vec()
        },
    },
    same!("thermal limit", "2c 0b dc 03 01", "60 50 0500", "2c 0c dc 03 01", 1),
    same!("discovery configuration", "2c 12 dc 02 00", "81", "2c 13 dc 02 00", 4),
    same!("initial timeout", "2c 12 dc 03 00", "04", "2c 13 dc 03 00", 4),
    same!("server contact timeout", "2c 12 dc 04 00", "6400", "2c 13 dc 04 00", 4),
    same!("server contact retry", "2c 12 dc 05 00", "6400", "2c 13 dc 05 00", 4),
];

/// The sample with some bits changed: mostly few, so that much is accepted.
fn varied(pair: &Pair, noise: &mut Noise) -> Vec<u8> {
    let masks = bytes(pair.vary).into_iter().chain(std::iter::repeat(0xff));
    let vary = |(byte, mask): (u8, u8)| {
        let [kind, bit, random] = noise.bytes(3).try_into().unwrap();
        let changed = match kind % 8 {
            0..=4 => byte,
            5 | 6 => byte ^ 1 << (bit % 8),
            _ => random,
        };
        byte & !mask | changed & mask
    };
    bytes(pair.sample).into_iter().zip(masks).map(vary).collect()
}

/// What is wrong with what is read back, if anything.
async fn read_back(model: &Model, pair: &Pair, data: &[u8]) -> Option<String> {
    let host = sender(0);
    let request = [&bytes(pair.set)[..], data].concat();
    let (completion, _) = model.send(&(host, request)).await;
    if completion != 0 {
        return None;
    }
    let (completion, reply) = model.send(&(host, bytes(pair.get))).await;
    let is_held =
        |(at, mask, value): &Field| reply.get(*at).is_some_and(|byte| (byte ^ value) & mask == 0);
    // 80h: the limit that was read is not active (DCMI 1.5 §6.6.2).
    let is_read = completion == 0 || completion == 0x80;
    let held = is_read && (pair.fields)(data).iter().all(is_held);
    let name = pair.name;
    (!held).then(|| format!("{name}: {data:02x?} reads as {completion:02x} {reply:02x?}"))
}

#[test]
fn samples_are_accepted_and_read_back() {
    let wrong: Vec<_> = runtime().block_on(async {
        let mut wrong = Vec::new();
        for pair in PAIRS {
            let model = Model::new().await;
            let sample = bytes(pair.sample);
            let request = [&bytes(pair.set)[..], &sample].concat();
            let (completion, _) = model.send(&(sender(0), request)).await;
            if completion != 0 {
                wrong.push(format!("{}: {completion:02x}", pair.name));
            }
            wrong.extend(read_back(&model, pair, &sample).await);
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_accepted_is_read_back(seed in 1_u64..) {
        let wrong: Vec<_> = runtime().block_on(async {
            let (model, mut noise) = (Model::new().await, Noise(seed));
            let mut wrong = Vec::new();
            for pair in PAIRS {
                for _ in 0..4 {
                    let data = varied(pair, &mut noise);
                    wrong.extend(read_back(&model, pair, &data).await);
                }
            }
            wrong
        });
        prop_assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
