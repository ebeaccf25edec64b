//! `[identity]` and `[[software]]`: what the system says that it is.

use serde::Deserialize;

/// `[identity]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Identity {
    /// The BMC's name, from which follows what is not given; see [`Derived`](crate::derived::Known).
    pub(crate) name: Option<String>,
    /// The system's UUID.
    pub(crate) uuid: Option<String>,
    /// The BMC's own UUID.
    pub(crate) bmc_uuid: Option<String>,
    pub(crate) manufacturer: String,
    pub(crate) model: String,
    pub(crate) part_number: String,
    pub(crate) serial_number: Option<String>,
    pub(crate) build_date: String,
    pub(crate) asset_tag: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            name: None,
            uuid: None,
            bmc_uuid: None,
            manufacturer: "Causeway".to_owned(),
            model: "Simulated BMC".to_owned(),
            part_number: "CW-1".to_owned(),
            serial_number: None,
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
