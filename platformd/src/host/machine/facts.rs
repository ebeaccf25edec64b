//! What the host is made of, in the inventory.

use openbmc_dbus::common::uuid;
use openbmc_dbus::inventory::decorator::asset;
use openbmc_dbus::inventory::{self, cpu, dimm, item};
use zbus::wire::Variant;

use crate::host::Facts;
use crate::part::Context;
use crate::parts::identity::SYSTEM_PATH;
use crate::tree::Instance;

/// The host's processors, as one part.
const CPU_PATH: &str = "/xyz/openbmc_project/inventory/system/vm_cpu";
/// The host's memory, as one part.
const MEMORY_PATH: &str = "/xyz/openbmc_project/inventory/system/vm_memory";

/// The name under which the UUID is saved, so that the system has it while the host is off, too.
const SAVED_KEY: &str = "vm-uuid";

/// Publishes what an earlier process knew, unless the UUID `is_given` without.
pub(super) fn recall(context: &mut Context<'_>, is_given: bool) {
    if !is_given && let Some(Variant::Str(id)) = context.tree.recall(SYSTEM_PATH, SAVED_KEY) {
        context.tree.set(SYSTEM_PATH, uuid::UUID, id.to_string());
    }
}

/// Publishes what is known; not the UUID if another `is_given`.
pub(super) fn publish(context: &mut Context<'_>, facts: &Facts, is_given: bool) {
    if let Some(id) = &facts.uuid
        && !is_given
        && context.tree.get(SYSTEM_PATH, uuid::UUID).as_ref() != Some(id)
    {
        context.tree.set(SYSTEM_PATH, uuid::UUID, id.clone());
        context.tree.save_value(SYSTEM_PATH, SAVED_KEY, Variant::from(id.clone()));
    }
    if let Some(model) = &facts.cpu_model {
        let name = match facts.cpus {
            Some(count) => format!("{count} x {model}"),
            None => model.clone(),
        };
        part(context, CPU_PATH, Instance::new(&cpu::INTERFACE), name, model.clone());
    }
    if let Some(bytes) = facts.memory_bytes {
        let size = format!("{} MiB", bytes >> 20);
        part(context, MEMORY_PATH, Instance::new(&dimm::INTERFACE), size.clone(), size);
    }
}

/// Adds a part, or changes its name and model.
fn part(context: &mut Context<'_>, path: &str, kind: Instance, name: String, model: String) {
    if context.tree.object(path).is_some() {
        context.tree.set(path, item::PRETTY_NAME, name);
        context.tree.set(path, asset::MODEL, model);
        return;
    }
    let item =
        Instance::new(&item::INTERFACE).with(item::PRETTY_NAME, name).with(item::PRESENT, true);
    let assets = Instance::new(&asset::INTERFACE).with(asset::MODEL, model);
    context.tree.add(inventory::SERVICE, path, [kind, item, assets]);
}
