//! What the platform's file must not say, beyond what its types refuse: names that D-Bus cannot have,
//! what is there twice, and values that contradict each other.

mod host;

use std::collections::BTreeSet;

use daemon::{Invalid, Validate};
use ipmi_proto::fru::MfgDate;

use crate::config::{
    Address, Fru, Identity, Interface, MOST, Network, Part, Platform, Reset, Sensor, Software, Wave,
};
use crate::parts::network::is_mac;
use crate::parts::{fru, users};
use crate::services;

/// The longest name of an interface (`IFNAMSIZ`, with its NUL).
const INTERFACE_NAME: usize = 15;
/// The longest name of a host (RFC 1123 §2.1).
const HOST_NAME: usize = 253;
/// The longest field of a FRU area: six bits (Platform Management FRU Information Storage §13).
const FRU_FIELD: usize = 63;
/// How many addresses and neighbours an interface may have.
const MOST_ADDRESSES: usize = 64;

type Checked = Result<(), Invalid>;

impl Validate for Platform {
    fn validate(&self) -> Checked {
        if let Some(at) = self.bmc.reset_command.iter().position(|word| word.contains('\0')) {
            return Err(Invalid::at(format!("bmc.reset-command[{at}]"), "has a NUL"));
        }
        if self.bmc.reset_command.first().is_some_and(String::is_empty) {
            return Err(Invalid::at("bmc.reset-command[0]", "is no program"));
        }
        if self.bmc.reset != Reset::Auto && !self.bmc.reset_command.is_empty() {
            let text = "has no meaning beside `reset-command`";
            return Err(Invalid::at("bmc.reset", text));
        }
        host::validate(&self.host)?;
        identity(&self.identity)?;
        software(&self.software)?;
        sensors(&self.sensor)?;
        inventory(&self.inventory)?;
        frus(&self.fru)?;
        network(&self.network)?;
        for (at, user) in self.user.iter().enumerate() {
            let others = self.user.get(..at).unwrap_or_default();
            users::check(others, user)
                .map_err(|fault| Invalid::at(format!("user[{at}]"), fault.text))?;
        }
        services("services.without", &self.services.without)?;
        services("services.only", &self.services.only)?;
        channels(&self.sol.channels)
    }
}

/// A part of a path on D-Bus (D-Bus specification, "Valid Object Paths").
fn is_element(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn element(key: String, name: &str) -> Checked {
    if is_element(name) {
        Ok(())
    } else {
        Err(Invalid::at(key, format!("{name:?} is no part of a path on D-Bus")))
    }
}

/// Refuses what is there already.
fn once<T: Ord>(seen: &mut BTreeSet<T>, value: T, key: String, what: &str) -> Checked {
    if seen.insert(value) {
        Ok(())
    } else {
        Err(Invalid::at(key, format!("{what} is there twice")))
    }
}

/// The names of a row of `count`, of which the one `number` is named by `numbered`.
fn row(
    seen: &mut BTreeSet<String>,
    key: &str,
    count: u32,
    numbered: impl Fn(u32) -> String,
) -> Checked {
    if count > 1 && numbered(0) == numbered(1) {
        return Err(Invalid::at(key, "a row needs `{n}`, or all have one name"));
    }
    for number in 0..count {
        if i64::try_from(seen.len()).is_ok_and(|count| count >= MOST) {
            return Err(Invalid::at(key, format!("more than {MOST} in all")));
        }
        let name = numbered(number);
        let what = name.clone();
        once(seen, name, key.to_owned(), &what)?;
    }
    Ok(())
}

fn identity(identity: &Identity) -> Checked {
    for (key, text) in [("uuid", &identity.uuid), ("bmc-uuid", &identity.bmc_uuid)] {
        if let Some(text) = text
            && uuid::Uuid::try_parse(text).is_err()
        {
            return Err(Invalid::at(format!("identity.{key}"), format!("{text:?} is no UUID")));
        }
    }
    if identity.name.as_ref().is_some_and(String::is_empty) {
        return Err(Invalid::at("identity.name", "is empty"));
    }
    Ok(())
}

fn software(images: &[Software]) -> Checked {
    let mut seen = BTreeSet::new();
    for (at, image) in images.iter().enumerate() {
        let key = format!("software[{at}].id");
        element(key.clone(), &image.id)?;
        once(&mut seen, &image.id, key, &image.id)?;
    }
    Ok(())
}

fn sensors(sensors: &[Sensor]) -> Checked {
    let mut seen = BTreeSet::new();
    for (at, sensor) in sensors.iter().enumerate() {
        let key = |key: &str| format!("sensor[{at}].{key}");
        element(key("name"), &sensor.name.replace("{n}", "0"))?;
        let kind = format!("{:?}", sensor.kind);
        let named = |number| format!("{kind} {}", sensor.numbered(number));
        row(&mut seen, &key("name"), sensor.count, named)?;
        if let Some(board) = &sensor.board {
            path(key("board"), board)?;
        }
        if let (Some(min), Some(max)) = (sensor.min, sensor.max)
            && min >= max
        {
            return Err(Invalid::at(key("max"), "is not more than `min`"));
        }
        limits(at, sensor)?;
        wave(key("wave"), &sensor.wave)?;
    }
    Ok(())
}

/// From the lowest limit to the highest, each is beyond the one before.
fn limits(at: usize, sensor: &Sensor) -> Checked {
    let limits = sensor.limits();
    let given = [
        ("hard-shutdown-low", limits.hard_shutdown_low),
        ("critical-low", limits.critical_low),
        ("warning-low", limits.warning_low),
        ("warning-high", limits.warning_high),
        ("critical-high", limits.critical_high),
        ("hard-shutdown-high", limits.hard_shutdown_high),
    ];
    let given = given.into_iter().filter_map(|(key, limit)| Some((key, limit?)));
    let mut before: Option<(&str, f64)> = None;
    for (key, limit) in given {
        if let Some((lower, least)) = before.filter(|(_, least)| *least > limit) {
            let text = format!("{limit} is less than `{lower}`, {least}");
            return Err(Invalid::at(format!("sensor[{at}].{key}"), text));
        }
        before = Some((key, limit));
    }
    Ok(())
}

fn wave(key: String, wave: &Wave) -> Checked {
    let Wave::Script { points, repeat_ms } = wave else {
        return Ok(());
    };
    if points.is_empty() {
        return Err(Invalid::at(key, "a script needs points"));
    }
    if points.iter().any(|(_, value)| !value.is_finite()) {
        return Err(Invalid::at(key, "a point is not a number"));
    }
    if points.is_sorted_by(|(one, _), (two, _)| one < two) {
        let last = points.last().map_or(0, |(at, _)| *at);
        if repeat_ms.is_some_and(|repeat| repeat <= last) {
            return Err(Invalid::at(key, "the script repeats before its last point"));
        }
        return Ok(());
    }
    Err(Invalid::at(key, "the points of a script are not in the order of time"))
}

/// A path below the inventory.
fn path(key: String, path: &str) -> Checked {
    if path.split('/').all(is_element) {
        Ok(())
    } else {
        Err(Invalid::at(key, format!("{path:?} is no path below the inventory")))
    }
}

fn inventory(parts: &[Part]) -> Checked {
    let mut seen = BTreeSet::new();
    for (at, part) in parts.iter().enumerate() {
        let key = format!("inventory[{at}].path");
        path(key.clone(), &part.path.replace("{n}", "0"))?;
        let named = |number: u32| part.path.replace("{n}", &number.to_string());
        row(&mut seen, &key, part.count, named)?;
        if part.i2c.is_some_and(|(_, address)| !(1..0x80).contains(&address)) {
            let text = "the address is no number from 1 to 127: it has 7 bits";
            return Err(Invalid::at(format!("inventory[{at}].i2c"), text));
        }
    }
    Ok(())
}

fn frus(frus: &[Fru]) -> Checked {
    let (mut names, mut slots) = (BTreeSet::new(), BTreeSet::new());
    for (at, fru) in frus.iter().enumerate() {
        let key = |key: &str| format!("fru[{at}].{key}");
        element(key("name"), &fru.name)?;
        once(&mut names, &fru.name, key("name"), &fru.name)?;
        let slot = format!("{:#04x} of bus {}", fru.address, fru.bus);
        once(&mut slots, (fru.bus, fru.address), key("address"), &slot)?;
        for (field, text) in fields(fru) {
            if text.len() > FRU_FIELD {
                return Err(Invalid::at(key(field), format!("is longer than {FRU_FIELD} bytes")));
            }
        }
        let made = fru.board.as_ref().map_or(0, |board| board.manufactured);
        if made != 0 && MfgDate::from_unix(made).is_none() {
            let text = "is neither 0 nor from 1996 to 2027, which is what an image has room for";
            return Err(Invalid::at(key("board.manufactured"), text));
        }
        let needed = fru::image(fru).len();
        if fru.size < needed {
            let text = format!("the areas take {needed} bytes");
            return Err(Invalid::at(key("size"), text).or_at(format!("fru[{at}]")));
        }
    }
    Ok(())
}

/// The fields of a FRU's areas.
fn fields(fru: &Fru) -> Vec<(&'static str, &str)> {
    let mut fields: Vec<(&str, &str)> = Vec::new();
    if let Some(chassis) = &fru.chassis {
        fields.push(("chassis.part-number", &chassis.part_number));
        fields.push(("chassis.serial-number", &chassis.serial_number));
    }
    if let Some(board) = &fru.board {
        fields.push(("board.manufacturer", &board.manufacturer));
        fields.push(("board.product", &board.product));
        fields.push(("board.serial-number", &board.serial_number));
        fields.push(("board.part-number", &board.part_number));
    }
    if let Some(product) = &fru.product {
        fields.push(("product.manufacturer", &product.manufacturer));
        fields.push(("product.name", &product.name));
        fields.push(("product.part-number", &product.part_number));
        fields.push(("product.version", &product.version));
        fields.push(("product.serial-number", &product.serial_number));
        fields.push(("product.asset-tag", &product.asset_tag));
    }
    fields
}

fn network(network: &Network) -> Checked {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let name = &network.host_name;
    if name.is_empty() || name.len() > HOST_NAME || !name.bytes().all(letters) {
        return Err(Invalid::at("network.host-name", format!("{name:?} is no name of a host")));
    }
    let mut seen = BTreeSet::new();
    for (at, each) in network.interface.iter().enumerate() {
        let key = |key: &str| format!("network.interface[{at}].{key}");
        element(key("name"), &each.name)?;
        if each.name.len() > INTERFACE_NAME {
            let text = format!("is longer than {INTERFACE_NAME} bytes");
            return Err(Invalid::at(key("name"), text));
        }
        once(&mut seen, &each.name, key("name"), &each.name)?;
        interface(&key, each)?;
    }
    Ok(())
}

fn interface(key: &dyn Fn(&str) -> String, interface: &Interface) -> Checked {
    let mac = |key: String, mac: &str| {
        if is_mac(mac) {
            Ok(())
        } else {
            Err(Invalid::at(key, format!("{mac:?} is no MAC address")))
        }
    };
    if let Some(given) = &interface.mac {
        mac(key("mac"), given)?;
    }
    users::check_privilege(&interface.max_privilege)
        .map_err(|fault| Invalid::at(key("max-privilege"), fault.text))?;
    for (name, text, is_v4) in
        [("gateway", &interface.gateway, true), ("gateway6", &interface.gateway6, false)]
    {
        let fits = |address: std::net::IpAddr| address.is_ipv4() == is_v4;
        if !text.is_empty() && !text.parse().is_ok_and(fits) {
            let family = if is_v4 { "IPv4" } else { "IPv6" };
            return Err(Invalid::at(key(name), format!("{text:?} is no {family} address")));
        }
    }
    addresses(key, &interface.address)?;
    let mut seen = BTreeSet::new();
    for (at, neighbor) in interface.neighbor.iter().enumerate() {
        let place = key(&format!("neighbor[{at}]"));
        mac(format!("{place}.mac"), &neighbor.mac)?;
        once(&mut seen, neighbor.address, place, &neighbor.address.to_string())?;
    }
    if interface.address.len() + interface.neighbor.len() > MOST_ADDRESSES {
        let text = format!("more than {MOST_ADDRESSES} addresses and neighbors");
        return Err(Invalid::at(key("address"), text).or_at(key("neighbor")));
    }
    Ok(())
}

fn addresses(key: &dyn Fn(&str) -> String, addresses: &[Address]) -> Checked {
    let mut seen = BTreeSet::new();
    for (at, address) in addresses.iter().enumerate() {
        let place = key(&format!("address[{at}]"));
        let ip = address.address;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        if address.prefix > longest {
            let text = format!("is more than the {longest} bits of {ip}");
            return Err(Invalid::at(format!("{place}.prefix"), text));
        }
        if ip.is_multicast() || ip.is_unspecified() {
            let text = format!("{ip} is no interface's address");
            return Err(Invalid::at(format!("{place}.address"), text));
        }
        once(&mut seen, ip, format!("{place}.address"), &ip.to_string())?;
    }
    Ok(())
}

fn services(key: &str, names: &[String]) -> Checked {
    let mut seen = BTreeSet::new();
    for (at, name) in names.iter().enumerate() {
        let key = format!("{key}[{at}]");
        if !services::NAMES.contains(&name.as_str()) {
            return Err(Invalid::at(key, format!("{name:?} is no service of this daemon")));
        }
        once(&mut seen, name, key, name)?;
    }
    Ok(())
}

fn channels(names: &[String]) -> Checked {
    let mut seen = BTreeSet::new();
    for (at, name) in names.iter().enumerate() {
        element(format!("sol.channels[{at}]"), name)?;
        once(&mut seen, name, format!("sol.channels[{at}]"), name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
