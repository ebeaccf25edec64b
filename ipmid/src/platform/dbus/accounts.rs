//! OpenBMC's accounts at the services that own them: User.Manager, the network's channel access,
//! and PAM.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accounts::{
    AccountError, OpenbmcConfig, OpenbmcWriter, SystemAccounts, SystemError, SystemUser,
};
use daemon::{Outage, RateLimit};
use futures_util::StreamExt;
use openbmc_dbus::bus::{self, OwnerChange, add_match, owner_rule};
use openbmc_dbus::client::{CallError, Client, ObjectAt, Properties};
use openbmc_dbus::network::{self, channel_access};
use openbmc_dbus::object::delete;
use openbmc_dbus::user::{ROOT, SERVICE, attributes, manager};
use sys::{PamError, PamService};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::{task, time};
use tracing::warn;
use zbus::fdo::{self, DBusProxy};
use zbus::{Connection, MatchRule, Message, message};

use super::DbusPlatform;
use crate::model::persistent::lock;

/// Time between two attempts to follow the services.
const RETRY: Duration = Duration::from_secs(1);
/// Time between the last attempts to update the files; the first is [`RETRY`].
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// A failure that lasts is logged once a minute.
static NOT_FOLLOWED: RateLimit = RateLimit::new(1, Duration::from_secs(60));
/// Renames that are queued while the files are written. Further ones are dropped, which bounds the queue.
const MOST_RENAMED: usize = 64;

/// Signals of changed accounts and limits.
const SIGNALS: [&str; 3] = [
    "type='signal',sender='xyz.openbmc_project.User.Manager',path='/xyz/openbmc_project/user'",
    "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',\
     path_namespace='/xyz/openbmc_project/user',arg0='xyz.openbmc_project.User.Attributes'",
    "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',\
     path_namespace='/xyz/openbmc_project/network',\
     arg0='xyz.openbmc_project.Channel.ChannelAccess'",
];

/// The account services, over the platform's connection. Its methods block, so they are called on blocking threads.
pub struct DbusAccounts {
    platform: Arc<DbusPlatform>,
    runtime: Handle,
    pam_service: String,
    pam_folder: Option<PathBuf>,
}

impl DbusAccounts {
    /// Uses the platform's connection, on the runtime of the caller.
    #[must_use]
    pub fn new(platform: &Arc<DbusPlatform>, config: &OpenbmcConfig) -> Self {
        Self {
            platform: Arc::clone(platform),
            runtime: Handle::current(),
            pam_service: config.pam_service.clone(),
            pam_folder: config.pam_folder.clone(),
        }
    }

    /// Blocks until `act` has completed.
    fn wait<T, F>(&self, act: impl FnOnce(Client) -> F) -> Result<T, SystemError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        // Not "absent": whether there is such a service is not known.
        let connected =
            self.platform.connected().map_err(|error| SystemError::Timeout(error.to_string()))?;
        let client = connected.client.clone();
        self.runtime.block_on(async { act(client).await }).map_err(failed)
    }
}

fn failed(error: CallError) -> SystemError {
    let reason = error.to_string();
    match error {
        CallError::Deadline(_) | CallError::Bus(_) => SystemError::Timeout(reason),
        CallError::Gone(_) | CallError::NotFound(_) => SystemError::Absent(reason),
        CallError::Refused(_) | CallError::InvalidReply(_) => SystemError::Refused(reason),
    }
}

fn root() -> ObjectAt {
    ObjectAt::new(SERVICE, ROOT)
}

fn account(name: &str) -> ObjectAt {
    ObjectAt::new(SERVICE, format!("{ROOT}/{name}"))
}

fn interface(name: &str) -> ObjectAt {
    ObjectAt::new(network::SERVICE, format!("{}/{name}", network::ROOT))
}

impl SystemAccounts for DbusAccounts {
    fn users(&self) -> Result<Vec<SystemUser>, SystemError> {
        let objects = self.wait(|client| async move { client.managed_objects(&root()).await })?;
        let user = |(path, mut interfaces): (String, BTreeMap<_, _>)| {
            let name = path.strip_prefix(ROOT)?.strip_prefix('/')?.to_owned();
            let attributes = Properties::from(interfaces.remove(attributes::NAME)?);
            Some(SystemUser {
                name,
                groups: attributes.get(attributes::USER_GROUPS).ok()?,
                privilege: attributes.get(attributes::USER_PRIVILEGE).ok()?,
                enabled: attributes.get(attributes::USER_ENABLED).ok()?,
            })
        };
        Ok(objects.into_iter().filter_map(user).collect())
    }

    fn create(&self, name: &str, privilege: &str) -> Result<(), SystemError> {
        self.wait(|client| async move {
            let groups = client.get(&root(), manager::ALL_GROUPS).await?;
            let arguments = (name, groups, privilege, false);
            client.call(&root(), manager::CREATE_USER, &arguments).await
        })
    }

    fn rename(&self, old: &str, new: &str) -> Result<(), SystemError> {
        self.wait(
            |client| async move { client.call(&root(), manager::RENAME_USER, &(old, new)).await },
        )
    }

    fn delete(&self, name: &str) -> Result<(), SystemError> {
        self.wait(|client| async move { client.call(&account(name), delete::DELETE, &()).await })
    }

    fn set_privilege(&self, name: &str, privilege: &str) -> Result<(), SystemError> {
        let value = privilege.to_owned();
        self.wait(|client| async move {
            client.set(&account(name), attributes::USER_PRIVILEGE, value).await
        })
    }

    fn set_enabled(&self, name: &str, enabled: bool) -> Result<(), SystemError> {
        self.wait(|client| async move {
            client.set(&account(name), attributes::USER_ENABLED, enabled).await
        })
    }

    fn set_password(&self, name: &str, password: &[u8]) -> Result<(), SystemError> {
        let service = PamService { name: &self.pam_service, folder: self.pam_folder.as_deref() };
        sys::change_password(service, name, password).map_err(|error| match error {
            PamError::Absent(reason) => SystemError::Unavailable(reason),
            error => SystemError::Refused(error.to_string()),
        })
    }

    fn channel_limit(&self, name: &str) -> Result<String, SystemError> {
        self.wait(|client| async move {
            client.get(&interface(name), channel_access::MAX_PRIVILEGE).await
        })
    }

    fn set_channel_limit(&self, name: &str, limit: &str) -> Result<(), SystemError> {
        let value = limit.to_owned();
        self.wait(|client| async move {
            client.set(&interface(name), channel_access::MAX_PRIVILEGE, value).await
        })
    }
}

/// Copies account changes that other processes make at the services into the files, across restarts of the bus.
pub async fn follow_accounts(accounts: Arc<OpenbmcWriter>) -> Infallible {
    let pending = Arc::<PendingChanges>::default();
    let listen = async {
        loop {
            let connection = bus::connect().await;
            if let Err(error) = listen(&connection, &pending).await
                && let Some(pass) = NOT_FOLLOWED.admit()
            {
                let swallowed = pass.swallowed;
                warn!(%error, swallowed, "cannot follow changes of accounts on D-Bus; retrying");
            }
            time::sleep(RETRY).await;
        }
    };
    tokio::select! {
        never = listen => never,
        never = update_files(accounts, &pending) => never,
    }
}

/// Changes that the signals reported and that are not in the files yet.
#[derive(Default)]
struct PendingChanges {
    renamed: Mutex<VecDeque<(String, String)>>,
    changed: Notify,
}

/// Listens until the connection ends. It waits for nothing but the next message, so that the connection is drained.
async fn listen(connection: &Connection, pending: &PendingChanges) -> zbus::Result<()> {
    let mut messages = bus::messages(connection);
    let bus = DBusProxy::new(connection).await?;
    for rule in SIGNALS {
        add_match(connection, &MatchRule::try_from(rule)?).await?;
    }
    // A service that starts may have other accounts, or other limits.
    for service in [SERVICE, network::SERVICE] {
        add_match(connection, &owner_rule(service)?).await?;
    }
    let mut owner = match bus.get_name_owner(SERVICE.try_into()?).await {
        Ok(owner) => Some(owner.to_string()),
        // NameOwnerChanged reports it when it starts.
        Err(fdo::Error::NameHasNoOwner(_)) => None,
        Err(error) => return Err(error.into()),
    };
    pending.changed.notify_one();
    while let Some(message) = messages.next().await {
        let message = message?;
        if message.message_type() != message::Type::Signal {
            continue;
        }
        if let Some(change) = OwnerChange::parse(&message).filter(|it| it.name == SERVICE) {
            owner = change.new;
        }
        if let Some(names) = renamed(&message, owner.as_deref()) {
            let mut renamed = lock(&pending.renamed);
            if renamed.len() < MOST_RENAMED {
                renamed.push_back(names);
            }
        }
        pending.changed.notify_one();
    }
    Ok(())
}

/// The old and the new name in a `UserRenamed`, which is sent before the objects are removed and added. Any process can
/// send one: it is accepted from User.Manager's `owner` only.
fn renamed(message: &Message, owner: Option<&str>) -> Option<(String, String)> {
    let header = message.header();
    let is_rename = header.interface()? == manager::NAME
        && header.member()? == manager::USER_RENAMED.name
        && header.sender().map(|sender| sender.as_str()) == owner;
    is_rename.then(|| message.body().deserialize().ok()).flatten()
}

/// Updates the files after every change. What failed is tried again, at the next change or after a while.
async fn update_files(accounts: Arc<OpenbmcWriter>, pending: &Arc<PendingChanges>) -> Infallible {
    let failing = Outage::new();
    let mut pause = None;
    loop {
        match pause {
            None => pending.changed.notified().await,
            // Elapsed or changed: either is a reason to try.
            Some(pause) => {
                time::timeout(pause, pending.changed.notified()).await.unwrap_or_default()
            }
        }
        let (accounts, changes) = (Arc::clone(&accounts), Arc::clone(pending));
        let files = task::spawn_blocking(move || update(&accounts, &changes.renamed));
        let failure = match files.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        let Some(error) = failure else {
            failing.end();
            pause = None;
            continue;
        };
        if failing.begin() {
            warn!(error, "cannot write changed accounts to the files; retrying");
        }
        pause = Some(pause.map_or(RETRY, |pause| (pause * 2).min(LONGEST_RETRY)));
    }
}

/// Updates the files, the renames first; one that is in the files is taken off the queue.
fn update(
    accounts: &OpenbmcWriter,
    renamed: &Mutex<VecDeque<(String, String)>>,
) -> Result<(), AccountError> {
    loop {
        let next = lock(renamed).front().cloned();
        let Some((old, new)) = next else {
            return accounts.synchronise();
        };
        accounts.renamed(&old, &new)?;
        lock(renamed).pop_front();
    }
}
