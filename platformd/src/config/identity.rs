//! `[identity]` and `[[software]]`: what the system says that it is.

use serde::Deserialize;

/// `[identity]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Identity {
    /// The system's UUID.
    pub(crate) uuid: String,
    /// The BMC's own UUID.
    pub(crate) bmc_uuid: String,
    pub(crate) manufacturer: String,
    pub(crate) model: String,
    pub(crate) part_number: String,
    pub(crate) serial_number: String,
    pub(crate) build_date: String,
    pub(crate) asset_tag: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            uuid: "8f0f3c5e-6b1d-4d0c-9c36-5a1f4e7b2d10".to_owned(),
            bmc_uuid: "5d6e7f80-91a2-4bc3-8d4e-5f60718293a4".to_owned(),
            manufacturer: "Causeway".to_owned(),
            model: "Simulated BMC".to_owned(),
            part_number: "CW-1".to_owned(),
            serial_number: "0000001".to_owned(),
            build_date: "2026-01-01 - 00:00:00".to_owned(),
            asset_tag: String::new(),
        }
    }
}

/// One of `[[software]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Software {
    /// The last name of its object's path.
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) purpose: SoftwarePurpose,
    /// 0 for the image that runs.
    #[serde(default, deserialize_with = "daemon::range::number::<0, 255, _, _>")]
    pub(crate) priority: u8,
}

/// What an image is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SoftwarePurpose {
    Bmc,
    Host,
    System,
    Psu,
    Other,
}
