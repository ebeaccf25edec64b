//! The daemon on a private bus.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use openbmc_dbus::chassis::buttons;
use openbmc_dbus::client::{CallError, Client, ManagedObjects, ObjectAt, Properties};
use openbmc_dbus::control::boot::PERSISTENT_PATH;
use openbmc_dbus::control::boot::source::{self, Source};
use openbmc_dbus::interface::Property;
use openbmc_dbus::state::{bmc, chassis, host};
use openbmc_dbus::{led, mapper};
use tempfile::TempDir;
use zbus::MessageStream;
use zbus::wire::{OwnedVariant, Type};

const PLATFORM: &str = "
[chassis]
power-on-ms = 50
power-off-ms = 50
[host]
start-ms = 50
soft-off-ms = 50
[bmc]
reset-delay-ms = 50
";

/// A process that is killed at the end of its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A private bus, a state directory, and platformd on the bus.
struct TestSystem {
    folder: TempDir,
    address: String,
    bus: Process,
    daemon: Process,
    client: Client,
}

impl TestSystem {
    async fn new() -> Self {
        Self::with(PLATFORM).await
    }

    async fn with(platform: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("unix:path={}", folder.path().join("bus").display());
        std::fs::write(folder.path().join("platform.toml"), platform).unwrap();
        let bus = start_bus(folder.path(), &address);
        let daemon = start_daemon(folder.path(), &address);
        let client = connect(&address).await;
        let system = Self { folder, address, bus, daemon, client };
        system.up().await;
        system
    }

    /// Waits until the last of the names is there.
    async fn up(&self) {
        eventually("the daemon is up", async || {
            let owners = self.client.object_owners(host::PATH, &[]).await;
            let watchdog = ObjectAt::new("xyz.openbmc_project.Watchdog", "/");
            owners.is_ok() && self.client.managed_objects(&watchdog).await.is_ok()
        })
        .await;
    }

    async fn object(&self, path: &str) -> ObjectAt {
        let owners = self.client.object_owners(path, &[]).await.unwrap();
        ObjectAt::new(owners.into_keys().next().unwrap(), path)
    }

    async fn wait_for<T>(&self, path: &str, property: Property<T>, value: T)
    where
        T: openbmc_dbus::interface::PropertyValue + PartialEq + Copy,
    {
        let object = self.object(path).await;
        eventually(property.name, async || {
            self.client.get(&object, property).await.is_ok_and(|got| got == value)
        })
        .await;
    }
}

fn start_bus(folder: &Path, address: &str) -> Process {
    let config = folder.join("bus.conf");
    let text = format!(
        "<busconfig><listen>{address}</listen><auth>EXTERNAL</auth>\
         <policy context=\"default\"><allow send_destination=\"*\"/>\
         <allow receive_sender=\"*\"/><allow own=\"*\"/><allow user=\"*\"/></policy>\
         </busconfig>"
    );
    std::fs::write(&config, text).unwrap();
    let mut bus = Command::new("dbus-daemon")
        .arg(format!("--config-file={}", config.display()))
        .args(["--nofork", "--print-address"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(bus.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Process(bus)
}

fn start_daemon(folder: &Path, address: &str) -> Process {
    let daemon = Command::new(env!("CARGO_BIN_EXE_platformd"))
        .arg("--platform")
        .arg(folder.join("platform.toml"))
        .arg("--state-dir")
        .arg(folder.join("state"))
        .env("DBUS_SYSTEM_BUS_ADDRESS", address)
        // As started by hand, also where a service manager started the tests.
        .env_remove("NOTIFY_SOCKET")
        .spawn()
        .unwrap();
    Process(daemon)
}

async fn connect(address: &str) -> Client {
    let connection = zbus::connection::Builder::address(address).build().await.unwrap();
    Client::new(connection, Duration::from_secs(2))
}

async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !check().await {
        assert!(Instant::now() < end, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_power_on_is_seen_by_its_signals() {
    let system = TestSystem::new().await;
    let mut signals = MessageStream::from(system.client.connection());
    let rule = "type='signal',interface='org.freedesktop.DBus.Properties'";
    let connection = system.client.connection();
    let bus = "org.freedesktop.DBus";
    connection
        .call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "AddMatch", &(rule,))
        .await
        .unwrap();
    let host = system.object(host::PATH).await;
    assert_eq!(host.service, host::SERVICE);
    let on = host::Transition::On;
    system.client.set(&host, host::REQUESTED_HOST_TRANSITION, on).await.unwrap();
    let mut seen = Vec::new();
    while seen.last() != Some(&host::HostState::Running) {
        let message = tokio::time::timeout(Duration::from_secs(10), signals.next()).await;
        let message = message.unwrap().unwrap().unwrap();
        let body = message.body();
        type Changed = (String, std::collections::BTreeMap<String, OwnedVariant>, Vec<String>);
        if body.signature() != Changed::SIGNATURE {
            continue;
        }
        let (interface, values, _): Changed = body.deserialize().unwrap();
        if interface == host::NAME {
            seen.extend(Properties::from(values).get(host::CURRENT_HOST_STATE));
        }
    }
    assert_eq!(seen, [host::HostState::TransitioningToRunning, host::HostState::Running]);
    system.wait_for(chassis::PATH, chassis::CURRENT_POWER_STATE, chassis::PowerState::On).await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let system = TestSystem::new().await;
    let led_group = system.object(led::group::ENCLOSURE_IDENTIFY).await;
    let wrong = Property::<u32>::new(
        led::group::NAME,
        led::group::ASSERTED.name,
        openbmc_dbus::interface::Access::ReadWrite,
    );
    let error = system.client.set(&led_group, wrong, 1).await.unwrap_err();
    assert!(matches!(error, CallError::Refused { .. }), "{error}");
    let error = system.client.object_owners("/nowhere", &[]).await.unwrap_err();
    assert!(matches!(error, CallError::NotFound { .. }), "{error}");
    // A name has its own objects only.
    let other = ObjectAt::new(host::SERVICE, led_group.path.as_str());
    let error = system.client.get(&other, led::group::ASSERTED).await.unwrap_err();
    assert!(matches!(error, CallError::NotFound { .. }), "{error}");
    let absent = ObjectAt::new("xyz.openbmc_project.Absent", "/");
    let error = system.client.get(&absent, led::group::ASSERTED).await.unwrap_err();
    assert!(matches!(error, CallError::Gone { .. }), "{error}");
}

#[tokio::test]
async fn objects_of_other_services_are_found_through_the_mapper() {
    struct Session;
    #[zbus::interface(name = "xyz.openbmc_project.Ipmi.SessionInfo")]
    impl Session {
        #[zbus(property)]
        fn state(&self) -> u8 {
            2
        }
    }

    let system = TestSystem::new().await;
    let root = "/xyz/openbmc_project/ipmi/session";
    let first = format!("{root}/eth0/0");
    let service = zbus::connection::Builder::address(system.address.as_str())
        .serve_at(root, zbus::fdo::ObjectManager)
        .serve_at(first.as_str(), Session)
        .name("xyz.openbmc_project.Ipmi.Channel.eth0")
        .build()
        .await
        .unwrap();
    let find = async |count: usize| {
        eventually("sessions", async || {
            let found = system.client.sub_tree(root, 0, &["xyz.openbmc_project.Ipmi.SessionInfo"]);
            found.await.map_or(0, |found| found.len()) == count
        })
        .await;
    };
    find(1).await;
    let second = format!("{root}/eth0/1_2");
    service.object_server().at(second.as_str(), Session).await.unwrap();
    find(2).await;
    service.object_server().remove::<Session, _>(second.as_str()).await.unwrap();
    find(1).await;
    service.close().await.unwrap();
    find(0).await;
}

#[tokio::test]
async fn object_managers_list_the_objects_of_their_service() {
    let system = TestSystem::new().await;
    let manager = ObjectAt::new("xyz.openbmc_project.Settings", "/");
    let objects: ManagedObjects = system.client.managed_objects(&manager).await.unwrap();
    assert!(objects.contains_key(PERSISTENT_PATH));
    assert!(!objects.contains_key(host::PATH));
    let all = system.client.sub_tree("/", 0, &[host::NAME]).await.unwrap();
    assert_eq!(all.keys().collect::<Vec<_>>(), [host::PATH]);
    assert!(all[host::PATH].contains_key(host::SERVICE));
    let mapper = ObjectAt::new(mapper::SERVICE, mapper::PATH);
    let paths: Vec<String> = system
        .client
        .call(&mapper, mapper::GET_SUB_TREE_PATHS, &("/", 0, &[host::NAME][..]))
        .await
        .unwrap();
    assert_eq!(paths, [host::PATH]);
}

#[tokio::test]
async fn settings_and_host_outlive_a_kill() {
    let mut system = TestSystem::new().await;
    let boot = system.object(PERSISTENT_PATH).await;
    system.client.set(&boot, source::BOOT_SOURCE, Source::Network).await.unwrap();
    let host = system.object(host::PATH).await;
    let on = host::Transition::On;
    system.client.set(&host, host::REQUESTED_HOST_TRANSITION, on).await.unwrap();
    system.wait_for(host::PATH, host::CURRENT_HOST_STATE, host::HostState::Running).await;
    system.daemon.0.kill().unwrap();
    system.daemon.0.wait().unwrap();
    system.daemon = start_daemon(system.folder.path(), &system.address);
    system.up().await;
    assert_eq!(system.client.get(&boot, source::BOOT_SOURCE).await.unwrap(), Source::Network);
    system.wait_for(host::PATH, host::CURRENT_HOST_STATE, host::HostState::Running).await;
}

#[tokio::test]
async fn another_bus_is_served_when_the_first_is_gone() {
    let mut system = TestSystem::new().await;
    let led_group = system.object(led::group::ENCLOSURE_IDENTIFY).await;
    system.client.set(&led_group, led::group::ASSERTED, true).await.unwrap();
    system.bus.0.kill().unwrap();
    system.bus.0.wait().unwrap();
    std::fs::remove_file(system.folder.path().join("bus")).unwrap();
    system.bus = start_bus(system.folder.path(), &system.address);
    system.client = connect(&system.address).await;
    system.up().await;
    assert!(system.client.get(&led_group, led::group::ASSERTED).await.unwrap());
}

#[tokio::test]
async fn a_restart_of_the_bmc_is_answered_first_and_then_ends_the_daemon() {
    let mut system = TestSystem::with(&format!("{PLATFORM}reset = \"end\"\n")).await;
    let object = system.object(bmc::PATH).await;
    let reboot = bmc::Transition::Reboot;
    system.client.set(&object, bmc::REQUESTED_BMC_TRANSITION, reboot).await.unwrap();
    let mut status = None;
    eventually("the daemon ends", async || {
        status = system.daemon.0.try_wait().unwrap();
        status.is_some()
    })
    .await;
    assert!(status.unwrap().success());
}

#[tokio::test]
async fn a_restart_of_the_bmc_without_a_service_manager_starts_the_services_anew() {
    let mut system = TestSystem::new().await;
    let object = system.object(bmc::PATH).await;
    let before: u64 = system.client.get(&object, bmc::LAST_REBOOT_TIME).await.unwrap();
    let led_group = system.object(led::group::ENCLOSURE_IDENTIFY).await;
    system.client.set(&led_group, led::group::ASSERTED, true).await.unwrap();
    let reboot = bmc::Transition::Reboot;
    system.client.set(&object, bmc::REQUESTED_BMC_TRANSITION, reboot).await.unwrap();
    eventually("the services are new", async || {
        let time = system.client.get(&object, bmc::LAST_REBOOT_TIME).await;
        time.is_ok_and(|time| time > before)
    })
    .await;
    system.up().await;
    assert!(!system.client.get(&led_group, led::group::ASSERTED).await.unwrap());
    let cause = system.client.get(&object, bmc::LAST_REBOOT_CAUSE).await.unwrap();
    assert_eq!(cause, bmc::RebootCause::Software);
    assert!(system.daemon.0.try_wait().unwrap().is_none(), "it is the same process");
}

#[tokio::test]
async fn a_name_that_another_process_has_is_taken_later() {
    let mut system = TestSystem::new().await;
    system.daemon.0.kill().unwrap();
    system.daemon.0.wait().unwrap();
    let name = "xyz.openbmc_project.Chassis.Buttons";
    let builder = zbus::connection::Builder::address(system.address.as_str());
    let other = builder.name(name).build().await.unwrap();
    system.daemon = start_daemon(system.folder.path(), &system.address);
    system.up().await;
    other.close().await.unwrap();
    let button = ObjectAt::new(name, buttons::power::PATH);
    eventually("the name is taken", async || {
        system.client.get(&button, buttons::power::ENABLED).await.is_ok()
    })
    .await;
}

#[test]
fn a_bad_platform_file_is_one_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    std::fs::write(&path, "[host]\nstart = 1\n").unwrap();
    for file in [path.as_path(), Path::new("/nowhere.toml")] {
        let output = Command::new(env!("CARGO_BIN_EXE_platformd"))
            .arg("--platform")
            .arg(file)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(file.to_str().unwrap()), "{text}");
    }
}
