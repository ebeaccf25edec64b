//! What makes one BMC different from another, where the platform's file does not say it.
//!
//! Everything follows from one UUID, by RFC 9562's version 5: that of the BMC's name, or else the system's UUID of the
//! file, or the one on the command line of QEMU, or one that is made at the first start and saved.

use std::hash::{BuildHasher, Hasher, RandomState};

use sha1::{Digest, Sha1};
use uuid::{Builder, Uuid};
use zbus::wire::Variant;

use crate::config::Platform;
use crate::host;
use crate::parts::identity::SYSTEM_PATH;
use crate::tree::Tree;

/// The name space of BMC names: made once, by chance.
const NAMES: Uuid = Uuid::from_u128(0x5ac1_06c4_1f0b_4d6e_9a1d_2f8c_7be3_9d40);

/// The name under which a UUID that was made here is saved.
const SAVED_KEY: &str = "made-uuid";

/// What is known of a BMC's identity before it starts.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    name: Option<String>,
    /// The system's UUID, if the file or QEMU's command line says it.
    uuid: Option<Uuid>,
}

/// The identity of a BMC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Derived {
    base: Uuid,
    uuid: Option<Uuid>,
}

impl Known {
    /// What a platform's file says.
    pub(crate) fn of(config: &Platform) -> Self {
        let of_file = config.identity.uuid.as_deref().and_then(parse);
        let of_host = || parse(&host::uuid_before_start(config)?);
        Self { name: config.identity.name.clone(), uuid: of_file.or_else(of_host) }
    }

    /// All of the identity. Without a name or a UUID, it is what `tree` has saved, or is made and saved there.
    pub(crate) fn derive(&self, tree: &mut Tree) -> Derived {
        let base = match &self.name {
            Some(name) => version_5(NAMES, name),
            None => self.uuid.unwrap_or_else(|| saved(tree)),
        };
        Derived { base, uuid: self.uuid }
    }
}

impl Derived {
    /// The system's UUID.
    pub(crate) fn uuid(&self) -> String {
        self.uuid.unwrap_or(self.base).to_string()
    }

    /// The BMC's own UUID.
    pub(crate) fn bmc_uuid(&self) -> String {
        version_5(self.base, "bmc").to_string()
    }

    /// The system's serial number.
    pub(crate) fn serial_number(&self) -> String {
        let [a, b, c, d, e, ..] = *version_5(self.base, "serial number").as_bytes();
        format!("CW{a:02X}{b:02X}{c:02X}{d:02X}{e:02X}")
    }

    /// The MAC address of an interface: locally administered, of one station (IEEE 802 §8.2).
    pub(crate) fn mac(&self, interface: &str) -> String {
        let id = version_5(self.base, &format!("mac {interface}"));
        let [a, b, c, d, e, f, ..] = *id.as_bytes();
        let first = a & 0xfc | 0x02;
        format!("{first:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

fn parse(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}

/// The name-based UUID of `name` in `space` (RFC 9562 §5.5).
fn version_5(space: Uuid, name: &str) -> Uuid {
    let hash = Sha1::new().chain_update(space.as_bytes()).chain_update(name).finalize();
    let hash: [u8; 20] = hash.into();
    let (bytes, _) = hash.split_first_chunk().unwrap_or((&[0; 16], &[]));
    Builder::from_sha1_bytes(*bytes).into_uuid()
}

/// The UUID that was made at the first start.
fn saved(tree: &mut Tree) -> Uuid {
    if let Some(Variant::Str(text)) = tree.recall(SYSTEM_PATH, SAVED_KEY)
        && let Some(saved) = parse(text.as_str())
    {
        return saved;
    }
    // Seeded by the system; nothing secret depends on it.
    let random = || RandomState::new().build_hasher().finish();
    let made = Builder::from_random_bytes(*Uuid::from_u64_pair(random(), random()).as_bytes());
    let made = made.into_uuid();
    tree.save_value(SYSTEM_PATH, SAVED_KEY, Variant::from(made.to_string()));
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Services;
    use crate::parts::network::is_mac;
    use crate::tree::SavedValues;

    fn derived(text: &str, tree: &mut Tree) -> Derived {
        Known::of(&Platform::parse("test.toml", text).unwrap()).derive(tree)
    }

    fn tree() -> Tree {
        Tree::new(SavedValues::new(), Services::default())
    }

    #[test]
    fn name_based_uuids_are_those_of_the_rfc() {
        // RFC 9562 appendix A.4; 6ba7b810-9dad-11d1-80b4-00c04fd430c8 is the name space of domain names.
        let dns = Uuid::from_u128(0x6ba7_b810_9dad_11d1_80b4_00c0_4fd4_30c8);
        let id = version_5(dns, "www.example.com").to_string();
        assert_eq!(id, "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    }

    #[test]
    fn each_name_has_an_identity_of_its_own_and_the_same_at_each_start() {
        let of = |name: &str| {
            let derived = derived(&format!("[identity]\nname = \"{name}\""), &mut tree());
            let (one, two) = (derived.mac("lan0"), derived.mac("eth1"));
            [derived.uuid(), derived.bmc_uuid(), derived.serial_number(), one, two]
        };
        let all = [of("vm1"), of("vm2")].concat();
        for (at, value) in all.iter().enumerate() {
            assert_eq!(all.iter().position(|other| other == value), Some(at), "{all:?}");
        }
        assert_eq!(of("vm1").as_slice(), all.get(..5).unwrap());
        let mac = all.get(3).unwrap();
        assert!(is_mac(mac));
        let first = u8::from_str_radix(mac.get(..2).unwrap(), 16).unwrap();
        assert_eq!(first & 0x03, 0x02, "{mac} is no group's, and of no vendor");
    }

    #[test]
    fn the_virtual_machines_uuid_is_the_systems_and_the_files_comes_first() {
        let machine = "11111111-2222-4333-8444-555555555555";
        let host = format!(
            "[host]\nbackend = \"qemu\"\nqmp = \"/run/qmp\"\ncommand = [\"qemu\", \"-uuid\", \"{machine}\"]\n"
        );
        let of = |identity: &str| derived(&format!("{host}{identity}"), &mut tree());
        assert_eq!(of("").uuid(), machine);
        let named = of("[identity]\nname = \"vm1\"");
        assert_eq!(named.uuid(), machine);
        assert_ne!(named.mac("lan0"), of("").mac("lan0"));
        let other = "99999999-2222-4333-8444-555555555555";
        assert_eq!(of(&format!("[identity]\nuuid = \"{other}\"")).uuid(), other);
    }

    #[test]
    fn without_a_name_an_identity_is_made_once() {
        let (mut one, mut two) = (tree(), tree());
        let id = derived("", &mut one).uuid();
        assert_eq!(derived("", &mut one).uuid(), id);
        assert_ne!(derived("", &mut two).uuid(), id);
        assert_eq!(parse(&id).unwrap().get_version_num(), 4);
    }
}
