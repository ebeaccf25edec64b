//! `[[user]]`: accounts of the BMC.

use serde::Deserialize;

/// One of `[[user]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct User {
    pub(crate) name: String,
    #[serde(default = "privilege")]
    pub(crate) privilege: String,
    #[serde(default = "groups")]
    pub(crate) groups: Vec<String>,
    #[serde(default = "enabled")]
    pub(crate) enabled: bool,
}

fn privilege() -> String {
    "priv-admin".to_owned()
}

fn groups() -> Vec<String> {
    vec!["ipmi".to_owned(), "redfish".to_owned(), "ssh".to_owned()]
}

const fn enabled() -> bool {
    true
}
