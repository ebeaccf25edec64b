//! The BMC's own log: entries that services add, and people resolve and delete.

use std::collections::BTreeMap;

use openbmc_dbus::interface::PropertyValue as _;
use openbmc_dbus::logging::entry::{self, Level};
use openbmc_dbus::logging::{ENTRY_PREFIX, ROOT, SERVICE, create};
use openbmc_dbus::object::{delete, delete_all};
use zbus::wire::{ObjectPath, Variant};

use crate::fault::Fault;
use crate::part::{Context, Invocation, Part, Returned, Setting};
use crate::tree::Instance;

/// How many entries there may be; the oldest goes for a new one, as in phosphor-logging.
const MOST_ENTRIES: usize = 200;
/// The name under which an entry outlives the process.
const SAVED_KEY: &str = "entry";

/// The log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The number of the newest entry.
    newest: u32,
}

/// An entry, as it is saved on disk.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    id: u32,
    timestamp: u64,
    severity: Level,
    resolved: bool,
    message: String,
    data: BTreeMap<String, String>,
}

impl Entry {
    fn path(&self) -> String {
        format!("{ENTRY_PREFIX}{}", self.id)
    }

    fn show(&self, context: &mut Context<'_>) {
        let shown = Instance::new(&entry::INTERFACE)
            .with(entry::ID, self.id)
            .with(entry::TIMESTAMP, self.timestamp)
            .with(entry::UPDATE_TIMESTAMP, self.timestamp)
            .with(entry::SEVERITY, self.severity)
            .with(entry::MESSAGE, self.message.clone())
            .with(entry::ADDITIONAL_DATA, self.data.clone())
            .with(entry::RESOLVED, self.resolved);
        let path = self.path();
        let removable = Instance::new(&delete::INTERFACE);
        context.tree.add(SERVICE, &path, [shown, removable]);
    }

    fn save(&self, context: &mut Context<'_>) {
        let mut fields = vec![
            self.id.to_string(),
            self.timestamp.to_string(),
            self.severity.to_string(),
            self.resolved.to_string(),
            self.message.clone(),
        ];
        for (key, value) in &self.data {
            fields.extend([key.clone(), value.clone()]);
        }
        let path = self.path();
        context.tree.save_value(&path, SAVED_KEY, Variant::from(fields));
    }

    /// Reads a saved entry; `None` if it is invalid.
    fn parse(saved: Variant<'static>) -> Option<Self> {
        let fields: Vec<String> = saved.downcast().ok()?;
        let [id, timestamp, severity, resolved, message, data @ ..] = fields.as_slice() else {
            return None;
        };
        let pairs = data.chunks_exact(2).filter_map(|pair| match pair {
            [key, value] => Some((key.clone(), value.clone())),
            _ => None,
        });
        Some(Self {
            id: id.parse().ok()?,
            timestamp: timestamp.parse().ok()?,
            severity: severity.parse().ok()?,
            resolved: resolved.parse().ok()?,
            message: message.clone(),
            data: pairs.collect(),
        })
    }
}

impl Log {
    fn create(
        &mut self,
        context: &mut Context<'_>,
        arguments: &[Variant<'static>],
    ) -> Result<Returned, Fault> {
        let [Variant::Str(message), Variant::Str(severity), data] = arguments else {
            return Err(Fault::arguments(create::CREATE.input));
        };
        self.newest = self.newest.wrapping_add(1).max(1);
        let entry = Entry {
            id: self.newest,
            timestamp: u64::try_from(context.now.epoch.as_millis()).unwrap_or(u64::MAX),
            severity: severity.as_str().parse()?,
            resolved: false,
            message: message.to_string(),
            data: BTreeMap::from_variant(data.clone())?,
        };
        let entries = entries(context);
        if entries.len() >= MOST_ENTRIES
            && let Some(oldest) = entries.first()
        {
            context.tree.remove(oldest);
        }
        entry.show(context);
        entry.save(context);
        let path = ObjectPath::try_from(entry.path());
        path.map(|path| vec![Variant::from(path)]).map_err(|_| Fault::not_found(&entry.path()))
    }
}

/// The paths of all entries, the oldest first.
fn entries(context: &Context<'_>) -> Vec<String> {
    let root = ENTRY_PREFIX.trim_end_matches('/');
    let number = |path: &str| {
        context.tree.get(path, entry::TIMESTAMP).zip(context.tree.get(path, entry::ID))
    };
    let mut entries: Vec<String> =
        context.tree.below(root).map(|(path, _)| path.to_owned()).collect();
    entries.sort_by_key(|path| number(path));
    entries
}

impl Part for Log {
    fn start(&mut self, context: &mut Context<'_>) {
        let methods = [&create::INTERFACE, &delete_all::INTERFACE].map(Instance::new);
        context.tree.add(SERVICE, ROOT, methods);
        let saved: Vec<Entry> = context
            .tree
            .saved()
            .values()
            .filter_map(|object| Entry::parse(object.get(SAVED_KEY)?.clone()))
            .collect();
        for entry in saved {
            self.newest = self.newest.max(entry.id);
            entry.show(context);
        }
    }

    fn set(
        &mut self,
        context: &mut Context<'_>,
        setting: &Setting<'_>,
    ) -> Option<Result<(), Fault>> {
        let resolved = match setting.value {
            Variant::Bool(resolved) if setting.is(setting.path, entry::RESOLVED) => resolved,
            _ => return None,
        };
        let now = u64::try_from(context.now.epoch.as_millis()).unwrap_or(u64::MAX);
        context.tree.set(setting.path, entry::RESOLVED, resolved);
        context.tree.set(setting.path, entry::UPDATE_TIMESTAMP, now);
        let saved = context.tree.recall(setting.path, SAVED_KEY).and_then(Entry::parse);
        if let Some(entry) = saved {
            Entry { resolved, ..entry }.save(context);
        }
        Some(Ok(()))
    }

    fn call(
        &mut self,
        context: &mut Context<'_>,
        call: &Invocation<'_>,
    ) -> Option<Result<Returned, Fault>> {
        match *call.method {
            create::CREATE => Some(self.create(context, call.arguments)),
            delete_all::DELETE_ALL if call.path == ROOT => {
                for path in entries(context) {
                    context.tree.remove(&path);
                }
                Some(Ok(Vec::new()))
            }
            delete::DELETE if call.path.starts_with(ENTRY_PREFIX) => {
                context.tree.remove(call.path);
                Some(Ok(Vec::new()))
            }
            _ => None,
        }
    }
}
