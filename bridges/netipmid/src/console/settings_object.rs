//! The settings object that the bridge publishes if no settings service has one.

use ipmi_proto::Privilege;
use rmcp_proto::sol::Parameters;
use tokio::sync::watch;
use zbus::interface;

use super::Settings;

/// `xyz.openbmc_project.Ipmi.SOL` over the present settings. They are lost at a restart: persistent ones need
/// a settings service.
#[derive(Debug)]
pub(super) struct SettingsObject {
    settings: watch::Sender<Settings>,
    values: Values,
}

/// The properties that have no exact counterpart in [`Settings`].
#[derive(Clone, Copy, Debug)]
struct Values {
    progress: u8,
    accumulate_interval: u8,
    threshold: u8,
    retry_count: u8,
    retry_interval: u8,
}

impl SettingsObject {
    /// An object with the defaults, which apply from now on.
    pub(super) fn new(settings: watch::Sender<Settings>) -> Self {
        settings.send_replace(Settings::default());
        let values = Values {
            progress: 0,
            accumulate_interval: 20,
            threshold: 1,
            retry_count: 7,
            retry_interval: 100,
        };
        Self { settings, values }
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        self.settings.send_modify(change);
    }

    fn apply_values(&self) {
        let Values { accumulate_interval, threshold, retry_count, retry_interval, .. } =
            self.values;
        self.change(|settings| {
            settings.parameters =
                Parameters::from_wire(accumulate_interval, threshold, retry_count, retry_interval);
        });
    }
}

#[interface(name = "xyz.openbmc_project.Ipmi.SOL")]
impl SettingsObject {
    #[zbus(property)]
    fn progress(&self) -> u8 {
        self.values.progress
    }

    #[zbus(property)]
    fn set_progress(&mut self, value: u8) {
        self.values.progress = value;
    }

    #[zbus(property)]
    fn enable(&self) -> bool {
        self.settings.borrow().enable
    }

    #[zbus(property)]
    fn set_enable(&mut self, value: bool) {
        self.change(|settings| settings.enable = value);
    }

    #[zbus(property)]
    fn force_encryption(&self) -> bool {
        self.settings.borrow().force_encryption
    }

    #[zbus(property)]
    fn set_force_encryption(&mut self, value: bool) {
        self.change(|settings| settings.force_encryption = value);
    }

    #[zbus(property)]
    fn force_authentication(&self) -> bool {
        self.settings.borrow().force_authentication
    }

    #[zbus(property)]
    fn set_force_authentication(&mut self, value: bool) {
        self.change(|settings| settings.force_authentication = value);
    }

    #[zbus(property)]
    fn privilege(&self) -> u8 {
        self.settings.borrow().privilege.value()
    }

    #[zbus(property)]
    fn set_privilege(&mut self, value: u8) -> zbus::fdo::Result<()> {
        let privilege = Privilege::new(value)
            .ok_or_else(|| zbus::fdo::Error::InvalidArgs(format!("no privilege: {value}")))?;
        self.change(|settings| settings.privilege = privilege);
        Ok(())
    }

    #[zbus(property, name = "AccumulateIntervalMS")]
    fn accumulate_interval_ms(&self) -> u8 {
        self.values.accumulate_interval
    }

    #[zbus(property, name = "AccumulateIntervalMS")]
    fn set_accumulate_interval_ms(&mut self, value: u8) {
        self.values.accumulate_interval = value;
        self.apply_values();
    }

    #[zbus(property)]
    fn threshold(&self) -> u8 {
        self.values.threshold
    }

    #[zbus(property)]
    fn set_threshold(&mut self, value: u8) {
        self.values.threshold = value;
        self.apply_values();
    }

    #[zbus(property)]
    fn retry_count(&self) -> u8 {
        self.values.retry_count
    }

    #[zbus(property)]
    fn set_retry_count(&mut self, value: u8) {
        self.values.retry_count = value;
        self.apply_values();
    }

    #[zbus(property, name = "RetryIntervalMS")]
    fn retry_interval_ms(&self) -> u8 {
        self.values.retry_interval
    }

    #[zbus(property, name = "RetryIntervalMS")]
    fn set_retry_interval_ms(&mut self, value: u8) {
        self.values.retry_interval = value;
        self.apply_values();
    }
}
