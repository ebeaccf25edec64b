//! Who the system is, who the BMC is, and what software they run.

use openbmc_dbus::common::uuid;
use openbmc_dbus::inventory::decorator::{asset, asset_tag};
use openbmc_dbus::inventory::{self, bmc, item, system};
use openbmc_dbus::mapper::definitions;
use openbmc_dbus::software::activation::{self, Activation, RequestedActivation};
use openbmc_dbus::software::version::{self, Purpose};
use openbmc_dbus::software::{
    redundancy_priority as redundancy, {self as images},
};

use crate::config::{self, Platform, Software, SoftwarePurpose};
use crate::derived::Known;
use crate::part::{Context, Part};
use crate::tree::Instance;

/// The whole system.
pub(crate) const SYSTEM_PATH: &str = "/xyz/openbmc_project/inventory/system";
const BMC_PATH: &str = "/xyz/openbmc_project/inventory/system/bmc";

/// The identity of system and BMC.
#[derive(Debug)]
pub(crate) struct Identity {
    identity: config::Identity,
    known: Known,
    software: Vec<Software>,
}

impl Identity {
    pub(crate) fn new(config: &Platform) -> Self {
        let mut software = config.software.clone();
        if !software.iter().any(|image| image.purpose == SoftwarePurpose::Bmc) {
            software.push(Software {
                id: "bmc".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                purpose: SoftwarePurpose::Bmc,
                priority: 0,
            });
        }
        Self { identity: config.identity.clone(), known: Known::of(config), software }
    }
}

impl Part for Identity {
    fn start(&mut self, context: &mut Context<'_>) {
        let derived = self.known.derive(context.tree);
        let identity = &self.identity;
        let serial_number = identity.serial_number.clone();
        let serial_number = serial_number.unwrap_or_else(|| derived.serial_number());
        let bmc_uuid = identity.bmc_uuid.clone();
        let bmc_uuid = bmc_uuid.unwrap_or_else(|| derived.bmc_uuid());
        let assets = Instance::new(&asset::INTERFACE)
            .with(asset::MANUFACTURER, identity.manufacturer.clone())
            .with(asset::MODEL, identity.model.clone())
            .with(asset::PART_NUMBER, identity.part_number.clone())
            .with(asset::SERIAL_NUMBER, serial_number)
            .with(asset::BUILD_DATE, identity.build_date.clone());
        let tag = Instance::new(&asset_tag::INTERFACE)
            .with(asset_tag::ASSET_TAG, identity.asset_tag.clone())
            .persistent();
        let name = Instance::new(&item::INTERFACE)
            .with(item::PRETTY_NAME, identity.model.clone())
            .with(item::PRESENT, true);
        let id = Instance::new(&uuid::INTERFACE).with(uuid::UUID, derived.uuid());
        let kind = Instance::new(&system::INTERFACE);
        context.tree.add(inventory::SERVICE, SYSTEM_PATH, [assets, tag, name, id, kind]);
        let name = Instance::new(&item::INTERFACE)
            .with(item::PRETTY_NAME, "BMC".to_owned())
            .with(item::PRESENT, true);
        let id = Instance::new(&uuid::INTERFACE).with(uuid::UUID, bmc_uuid);
        let kind = Instance::new(&bmc::INTERFACE);
        context.tree.add(inventory::SERVICE, BMC_PATH, [name, id, kind]);
        for image in &self.software {
            add_image(context, image);
        }
        add_functional(context, &self.software);
    }
}

fn add_image(context: &mut Context<'_>, image: &Software) {
    let version = Instance::new(&version::INTERFACE)
        .with(version::VERSION, image.version.clone())
        .with(version::PURPOSE, purpose(image.purpose));
    let activation = Instance::new(&activation::INTERFACE)
        .with(activation::ACTIVATION, Activation::Active)
        .with(activation::REQUESTED_ACTIVATION, RequestedActivation::None);
    let priority = Instance::new(&redundancy::INTERFACE).with(redundancy::PRIORITY, image.priority);
    let path = image_path(image);
    context.tree.add(images::SERVICE, &path, [version, activation, priority]);
}

/// The association by which clients find the images that run.
fn add_functional(context: &mut Context<'_>, software: &[Software]) {
    let functional = software.iter().filter(|image| image.priority == 0);
    let associations = functional
        .map(|image| ("functional".to_owned(), "software_version".to_owned(), image_path(image)))
        .collect();
    let root = Instance::new(&definitions::INTERFACE).with(definitions::ASSOCIATIONS, associations);
    context.tree.add(images::SERVICE, images::ROOT, [root]);
}

fn image_path(image: &Software) -> String {
    format!("{}/{}", images::ROOT, image.id)
}

const fn purpose(purpose: SoftwarePurpose) -> Purpose {
    match purpose {
        SoftwarePurpose::Bmc => Purpose::BMC,
        SoftwarePurpose::Host => Purpose::Host,
        SoftwarePurpose::System => Purpose::System,
        SoftwarePurpose::Psu => Purpose::PSU,
        SoftwarePurpose::Other => Purpose::Other,
    }
}
