//! Registers the commands of all families over one platform.

use std::sync::Arc;

use accounts::{ChannelTable, UserAdmin};
use durable::Folder;
use ipmi_proto::{Iana, Medium};

use super::live::LiveConfig;
use crate::commands::app::{self, AppDeps, AppProvider};
use crate::commands::chassis::{self, ChassisProvider};
use crate::commands::dcmi::{self, DcmiProvider};
use crate::commands::messaging::{MessagingDeps, MessagingProvider};
use crate::commands::pef::{PefDeps, PefProvider};
use crate::commands::sbmr::SbmrProvider;
use crate::commands::sensor::SensorProvider;
use crate::commands::storage::StorageProvider;
use crate::commands::transport::{LanProvider, SolProvider};
use crate::commands::{sensor, storage};
use crate::config::Config;
use crate::model::ModelStores;
use crate::model::parameter_updates::ParameterUpdates;
use crate::model::persistent::Persistent;
use crate::platform::{BootProgress, I2c, Network, Satellites, Sol};
use crate::request::command::Registrar;
use crate::request::filter::firewall::Firewall;

/// The platform traits that all families together use.
pub(super) trait Platform:
    app::Platform
    + chassis::Platform
    + dcmi::Platform
    + storage::Platform
    + BootProgress
    + Network
    + Satellites
    + Sol
{
}
impl<P> Platform for P where
    P: app::Platform
        + chassis::Platform
        + dcmi::Platform
        + storage::Platform
        + BootProgress
        + Network
        + Satellites
        + Sol
{
}

/// State and services that the families share.
pub(super) struct FamilyDeps<I> {
    /// For the application commands.
    pub(super) app: AppDeps,
    /// For messages to and from the host and satellites.
    pub(super) messaging: MessagingDeps,
    /// The BMC's own I2C buses.
    pub(super) i2c: I,
    /// Command discovery and the firmware firewall.
    pub(super) firewall: Arc<Firewall>,
    /// Event log, sensors, FRU devices.
    pub(super) records: ModelStores,
    /// The folder of the state files.
    pub(super) folder: Folder,
    /// What a reload changes.
    pub(super) live: LiveConfig,
}

/// The background tasks of the families.
pub(super) struct Actors<P> {
    /// Acts on events.
    pub(super) pef: Arc<PefProvider<P>>,
    /// Acts on power limits.
    pub(super) dcmi: Arc<DcmiProvider<P>>,
    /// Parameter updates in progress, which a reset of the host ends.
    pub(super) updates: Arc<ParameterUpdates>,
}

/// Adds the commands of all families.
pub(super) fn register<P: Platform, I: I2c>(
    platform: &Arc<P>,
    config: &Config,
    deps: FamilyDeps<I>,
    base: &mut Registrar<'_>,
) -> Actors<P> {
    let accounts: Arc<dyn UserAdmin> = Arc::clone(&deps.app.accounts);
    let updates = Arc::clone(&deps.app.updates);
    AppProvider::new(Arc::clone(platform), deps.app).register(base);
    app::firewall::register(&deps.firewall, base);
    MessagingProvider::new(Arc::clone(platform), deps.i2c, deps.messaging).register(base);
    SbmrProvider::new(Arc::clone(platform)).register(base);
    register_records(&deps.records, &deps.folder, platform, base);
    let folder = &deps.folder;
    let boot = Persistent::open(folder.clone(), "boot.json");
    let identify_end = Persistent::open(folder.clone(), "identify.json");
    ChassisProvider::new(Arc::clone(platform), boot, identify_end, Arc::clone(&updates))
        .register(base);
    let place = (config.sel.capacity, first_lan(&config.channels));
    let dcmi = Persistent::open(folder.clone(), "dcmi.json");
    let events = Arc::clone(&deps.records.events);
    let dcmi = DcmiProvider::new(Arc::clone(platform), deps.live.dcmi, events, place, dcmi);
    dcmi.register(base);
    let lan = Arc::new(Persistent::open(folder.clone(), "lan.json"));
    // Checked when the configuration was read.
    let manufacturer = Iana::new(config.device.manufacturer);
    let pef = PefDeps {
        accounts: Arc::clone(&accounts),
        sel: Arc::clone(&deps.records.sel),
        clock: Arc::clone(&deps.records.clock),
        lan: Arc::clone(&lan),
        manufacturer: (manufacturer.unwrap_or(Iana::OPENBMC), config.device.product),
        config: deps.live.pef,
        updates: Arc::clone(&updates),
    };
    let pef_state = Persistent::open(folder.clone(), "pef.json");
    let pef = PefProvider::new(Arc::clone(platform), pef, pef_state);
    pef.register(base);
    let of_lan = Arc::clone(&updates);
    LanProvider::new(Arc::clone(platform), accounts, deps.live.sessions, lan, of_lan)
        .register(base);
    let of_sol = Arc::clone(&updates);
    let bit_rates = Persistent::open(folder.clone(), "sol.json");
    SolProvider::new(Arc::clone(platform), &config.channels, bit_rates, of_sol).register(base);
    Actors { pef, dcmi, updates }
}

/// Adds the commands over sensors, event log, SDR repository and FRU inventory.
fn register_records<P: storage::Platform>(
    records: &ModelStores,
    folder: &Folder,
    platform: &Arc<P>,
    table: &mut Registrar<'_>,
) {
    let sensor = sensor::Stores {
        events: Arc::clone(&records.events),
        sdr: Arc::clone(&records.sdr),
        clock: Arc::clone(&records.clock),
    };
    SensorProvider::new(Arc::clone(platform), sensor).register(table);
    let auxiliary = Persistent::open(folder.clone(), "auxiliary-logs.json");
    let storage = storage::Stores {
        sel: Arc::clone(&records.sel),
        events: Arc::clone(&records.events),
        sdr: Arc::clone(&records.sdr),
        fru: Arc::clone(&records.fru),
        clock: Arc::clone(&records.clock),
        auxiliary: Arc::new(auxiliary),
    };
    StorageProvider::new(Arc::clone(platform), storage).register(table);
}

/// The number of the first channel that is a LAN.
fn first_lan(channels: &ChannelTable) -> Option<u8> {
    let lan = channels.iter().find(|channel| channel.medium == Medium::Lan)?;
    Some(lan.number().value())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::path::Path;
    use std::{env, fs};

    use accounts::{AccessConfig, Writer};
    use durable::Modes;
    use ipmi_proto::{CompletionCode, GroupBody, Privilege};
    use tempfile::TempDir;

    use super::*;
    use crate::commands::app::{DeviceConfig, PreTimeout};
    use crate::model::events::HostSide;
    use crate::model::watchdog::WatchdogExpiries;
    use crate::platform::I2cError;
    use crate::platform::fake::FakePlatform;
    use crate::request::command::{Access, Command, CommandTable, Family, Priority, Registry};
    use crate::request::context::{Context, Session};
    use crate::request::dispatch::Dispatcher;

    mod read_back;
    mod serial;

    struct NoI2c;
    impl I2c for NoI2c {
        async fn transfer(&self, _: u8, _: u8, _: Vec<u8>, _: u8) -> Result<Vec<u8>, I2cError> {
            Err(I2cError::NotAcknowledged)
        }
    }

    /// The commands of the daemon over a fake platform.
    struct Machine {
        registry: Registry,
        platform: Arc<FakePlatform>,
        firewall: Arc<Firewall>,
        state: TempDir,
    }

    /// A folder in memory if this machine has one, because these tests do not depend on the medium.
    fn folder() -> TempDir {
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
    }

    /// The command table of the daemon, over a fake platform.
    fn registry() -> (Registry, TempDir) {
        let machine = machine();
        (machine.registry, machine.state)
    }

    fn machine() -> Machine {
        let state = folder();
        let config = Config::default();
        let folder = Folder::create(&state.path().join("ipmid"), Modes::PRIVATE).unwrap();
        let accounts =
            Writer::open(state.path(), &AccessConfig::default(), config.channels.clone()).unwrap();
        let host = HostSide::default();
        let live = LiveConfig::new(&config);
        let app = AppDeps {
            accounts: Arc::new(accounts),
            sessions: live.sessions.clone(),
            device: DeviceConfig::default(),
            health: Arc::default(),
            global_enables: Arc::clone(&host.enables),
            pre_timeout: PreTimeout::default(),
            restart: Arc::default(),
            system_info: Persistent::open(folder.clone(), "system-info.json"),
            updates: Arc::default(),
            expiries: Arc::new(WatchdogExpiries::volatile()),
        };
        let deps = FamilyDeps {
            app,
            messaging: MessagingDeps::new(
                Arc::clone(&host.messages),
                &config.channels,
                live.i2c.clone(),
            ),
            i2c: NoI2c,
            firewall: Arc::new(Firewall::new(Persistent::volatile())),
            records: ModelStores::open(&folder, config.sel, host),
            folder,
            live,
        };
        deps.records.sensors.number();
        let firewall = Arc::clone(&deps.firewall);
        let mut table = CommandTable::default();
        let platform = Arc::new(FakePlatform::default());
        register(&platform, &config, deps, &mut table.at(Priority::BASE));
        let registry = table.finish().unwrap();
        firewall.learn(registry.iter());
        Machine { registry, platform, firewall, state }
    }

    /// Bytes that look random and are the same each time.
    struct Noise(u64);
    impl Noise {
        fn bytes(&mut self, count: usize) -> Vec<u8> {
            let mut next = || {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                self.0.to_le_bytes()[0]
            };
            (0..count).map(|_| next()).collect()
        }
    }

    /// A command's network function, and the first bytes of its data.
    fn address(command: &Command) -> (u8, Vec<u8>) {
        match command.family {
            Family::NetFn(netfn) => (netfn.value(), Vec::new()),
            Family::Group(body) => (0x2c, vec![body.0]),
            Family::Oem(iana) => (0x2e, iana.to_bytes().to_vec()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_command_answers_noise_of_every_length() {
        let (registry, _state) = registry();
        let rows: Vec<Command> = registry.iter().copied().collect();
        assert!(rows.len() > 100, "{} commands", rows.len());
        let dispatcher = Dispatcher::new(registry, Vec::new());
        let session = Some(Session { user_id: 2, id: 1 });
        let host = Context::system_interface();
        let privilege = Privilege::Oem;
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        for command in rows {
            let (netfn, prefix) = address(&command);
            for length in 0..=64 {
                let data = [&prefix[..], &noise.bytes(length)].concat();
                for context in [host, Context { session, privilege, ..host }] {
                    let context = Context { command: command.code, ..context };
                    let reply = dispatcher.dispatch(context, netfn, &data).await;
                    assert!(reply.data.starts_with(&prefix), "{}", command.name);
                    // Registered, so C1h can only come from an absent component.
                    let long = reply.data.len() <= 255;
                    assert!(long, "{}: {} bytes", command.name, reply.data.len());
                }
            }
        }
    }

    /// The lengths of requests that get another completion code than `C7h`, found with pseudo-random data, as
    /// ranges.
    async fn lengths_taken(command: &Command) -> String {
        let (registry, _state) = registry();
        let dispatcher = Dispatcher::new(registry, Vec::new());
        let (netfn, prefix) = address(command);
        let context = Context {
            command: command.code,
            privilege: Privilege::Oem,
            ..Context::system_interface()
        };
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        let mut taken = Vec::new();
        'lengths: for length in 0..=64_usize {
            for _ in 0..64 {
                let data = [&prefix[..], &noise.bytes(length)].concat();
                let reply = dispatcher.dispatch(context, netfn, &data).await;
                if reply.completion != CompletionCode::REQUEST_LENGTH_INVALID {
                    taken.push(length);
                    continue 'lengths;
                }
            }
        }
        let ranges = taken.chunk_by(|a, b| a + 1 == *b);
        let range = |range: &[usize]| match range {
            [only] => only.to_string(),
            [first, .., last] => format!("{first}-{last}"),
            [] => String::new(),
        };
        ranges.map(range).collect::<Vec<_>>().join(", ")
    }

    /// The lengths are those of the requests' tables in the specifications. Where a value decides, as a
    /// parameter's number does, or is refused before the length is looked at, more lengths are listed.
    #[tokio::test(start_paused = true)]
    async fn requests_of_another_length_are_refused() {
        // The second byte of these says how many follow.
        const LENGTH_PREFIXED: [u8; 2] = [0x08, 0x0a];
        let (all, _state) = registry();
        let has_length_prefix = |row: &Command| {
            row.family == Family::Group(GroupBody::DCMI) && LENGTH_PREFIXED.contains(&row.code)
        };
        let mut rows: Vec<Command> =
            all.iter().filter(|row| !has_length_prefix(row)).copied().collect();
        rows.sort_by_key(|command| (command.family, command.code));
        let mut listed = String::new();
        for row in rows {
            let (netfn, prefix) = address(&row);
            let body: String = prefix.iter().map(|byte| format!(" {byte:02x}")).collect();
            let lengths = lengths_taken(&row).await;
            writeln!(listed, "{netfn:02x}{body} {:02x} {}: {lengths}", row.code, row.name).unwrap();
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands/request_lengths.txt");
        if env::var_os("UPDATE_LENGTHS").is_some() {
            fs::write(&path, &listed).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap();
        assert_eq!(listed, expected, "UPDATE_LENGTHS=1 cargo test -p ipmid requests_of");
    }

    /// Reads that say how many bytes they want: the specification's word for it, and what a count of 0 gives.
    /// Where it is from 0, a client may ask for nothing but what leads the bytes, as `ipmitool dcmi asset_tag`
    /// does for the length.
    #[tokio::test]
    async fn counts_of_zero_are_refused_where_counts_are_from_one() {
        let (registry, _state) = registry();
        let dispatcher = Dispatcher::new(registry, Vec::new());
        let context = Context { privilege: Privilege::Oem, ..Context::system_interface() };
        let add = [0, 0, 2, 0, 0, 0, 0, 0x20, 0, 4, 1, 0x30, 1, 0, 0xff, 0xff];
        let added = Context { command: 0x44, ..context };
        assert_eq!(dispatcher.dispatch(added, 0x0a, &add).await.completion.0, 0);
        for (netfn, command, data, section, completion) in [
            // "Count to read --- count is '1' based".
            (0x0a, 0x11, &[0, 0, 0, 0][..], "IPMI v2.0 §34.2", 0xc9),
            // "Bytes to read. FFh means read entire record".
            (0x0a, 0x23, &[0, 0, 0, 0, 0, 0], "IPMI v2.0 §33.12", 0x00),
            (0x0a, 0x43, &[0, 0, 0, 0, 0, 0], "IPMI v2.0 §31.5", 0x00),
            (0x04, 0x21, &[0, 0, 0, 0, 0, 0], "IPMI v2.0 §35.3", 0x00),
            // "Number of bytes to read (16 bytes maximum)".
            (0x2c, 0x06, &[0xdc, 0, 0], "DCMI v1.5 §6.4.2", 0x00),
            (0x2c, 0x09, &[0xdc, 0, 0], "DCMI v1.5 §6.4.6.1", 0x00),
        ] {
            let context = Context { command, ..context };
            let reply = dispatcher.dispatch(context, netfn, data).await;
            assert_eq!(reply.completion.0, completion, "{section}");
        }
    }

    /// The table of the crate's README.
    fn markdown(registry: &Registry) -> String {
        let mut rows: Vec<&Command> = registry.iter().collect();
        rows.sort_by_key(|command| (command.family, command.code));
        let mut text =
            String::from("| NetFn | command | name | least privilege |\n|---|---|---|---|\n");
        for command in rows {
            let family = match command.family {
                Family::NetFn(netfn) => netfn.to_string(),
                Family::Group(body) => format!("2Ch, {:02X}h", body.0),
                Family::Oem(iana) => format!("2Eh, {}", iana.value()),
            };
            let access = match command.access {
                Access::AtLeast(privilege) => format!("{privilege:?}"),
                Access::SystemInterface => "system interface".to_owned(),
                Access::Anyone => "none, and no session".to_owned(),
            };
            writeln!(text, "| {family} | {:02X}h | {} | {access} |", command.code, command.name)
                .unwrap();
        }
        text
    }

    #[test]
    fn readme_lists_the_registered_commands() {
        const BEGIN: &str = "<!-- commands: begin -->\n";
        const END: &str = "<!-- commands: end -->";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = fs::read_to_string(&path).unwrap();
        let (before, rest) = readme.split_once(BEGIN).expect("where the table begins");
        let (listed, after) = rest.split_once(END).expect("where it ends");
        let table = markdown(&registry().0);
        if env::var_os("UPDATE_README").is_some() {
            fs::write(&path, [before, BEGIN, &table, END, after].concat()).unwrap();
        } else {
            assert_eq!(listed, table, "UPDATE_README=1 cargo test -p ipmid readme");
        }
    }
}
