use durable::Modes;
use openbmc_dbus::interface::Method;
use serde::Serialize;
use zbus::message::Body;
use zbus::wire::{DynamicType, ObjectPath};

use super::*;
use crate::model::events::HostSide;
use crate::model::persistent::Persistent;
use crate::platform::dbus::private_bus::Bus;

fn log() -> (EventLog, tempfile::TempDir) {
    let state = tempfile::tempdir().unwrap();
    let folder = Folder::create(&state.path().join("state"), Modes::PRIVATE).unwrap();
    let sel = Arc::new(SelStore::open(folder, 10));
    let clock = Arc::new(Clock::new(Persistent::volatile()));
    let events = Events::new(Arc::clone(&sel), Arc::clone(&clock), HostSide::default());
    let log = EventLog {
        sel,
        events: Arc::new(events),
        sensors: Arc::new(SensorStore::volatile()),
        clock,
    };
    (log, state)
}

#[tokio::test]
async fn services_log_events_and_oem_records() {
    let (log, _state) = log();
    let path = OwnedObjectPath::try_from(format!("{ROOT}/temperature/X")).unwrap();
    let id = log.ipmi_sel_add("hot", path, vec![0x59, 0x66], true, 0x20).await.unwrap();
    let record = log.sel.get(id).unwrap().0.to_bytes();
    assert_eq!(record[7..], [0x20, 0, 4, 1, 0xff, 1, 0x59, 0x66, 0xff]);
    let id = log.ipmi_sel_add_oem("", vec![1, 2, 3], 0xe1).await.unwrap();
    assert_eq!(log.sel.get(id).unwrap().0.to_bytes()[2..7], [0xe1, 1, 2, 3, 0]);
    assert!(log.ipmi_sel_add_oem("", vec![0; 14], 0xe1).await.is_err());
    assert!(log.ipmi_sel_add_oem("", vec![], 0x02).await.is_err());
    log.sel_delete(1).await.unwrap();
    assert!(log.sel_delete(1).await.is_err());
    log.clear().await.unwrap();
    assert_eq!(log.sel.info().entries, 0);
}

/// The log on a bus, and a service that uses it.
struct Caller {
    log: EventLog,
    service: Connection,
    _ours: Connection,
    _bus: Bus,
    _state: tempfile::TempDir,
}

impl Caller {
    async fn start() -> Self {
        let (log, _state) = log();
        let bus = Bus::start();
        let ours = bus.builder().name(ipmi::SERVICE).build().await.unwrap();
        log.publish(&ours).await.unwrap();
        let service = bus.connect().await;
        Self { log, service, _ours: ours, _bus: bus, _state }
    }

    async fn call<T: Serialize + DynamicType>(
        &self,
        method: Method,
        arguments: &T,
    ) -> zbus::Result<Body> {
        let interface = Some(ipmi::NAME);
        let (service, path) = (Some(ipmi::SERVICE), ipmi::PATH);
        let reply = self.service.call_method(service, path, interface, method.name, arguments);
        Ok(reply.await?.body())
    }

    /// The record that a call adds, from its type on, without the timestamp.
    async fn added<T: Serialize + DynamicType>(&self, method: Method, arguments: &T) -> Vec<u8> {
        let id: u16 = self.call(method, arguments).await.unwrap().deserialize().unwrap();
        let record = self.log.sel.get(id).unwrap().0.to_bytes();
        [&record[2..3], &record[7..]].concat()
    }
}

const SENSOR: &str = "/xyz/openbmc_project/sensors/temperature/X";
const EVENT: [u8; 10] = [0x02, 0x20, 0, 4, 1, 0xff, 1, 0x59, 0x66, 0xff];
const DEASSERTED: [u8; 10] = [0x02, 0x21, 0, 4, 1, 0xff, 0x81, 0xff, 0xff, 0xff];

#[tokio::test]
async fn a_sensor_is_an_object_path_or_a_string() {
    let caller = Caller::start().await;
    let data: &[u8] = &[0x59, 0x66];
    let none: &[u8] = &[];
    let path = ObjectPath::try_from(SENSOR).unwrap();
    let method = ipmi::IPMI_SEL_ADD;
    assert_eq!(caller.added(method, &("hot", &path, data, true, 0x20_u16)).await, EVENT);
    assert_eq!(caller.added(method, &("hot", SENSOR, data, true, 0x20_u16)).await, EVENT);
    assert_eq!(caller.added(method, &("", &path, none, false, 0x21_u16)).await, DEASSERTED);
    assert_eq!(caller.added(method, &("", SENSOR, none, false, 0x21_u16)).await, DEASSERTED);
    // A string need not be an object path.
    let unknown = caller.added(method, &("", "no path", data, true, 0x20_u16)).await;
    assert_eq!(unknown[4..7], [0x0b, 0xff, 1]);

    let extended = [0x02, 0x20, 0, 4, 7, 0x33, 0xef, 0x59, 0x66, 0xff];
    let method = ipmi::ADD_EXTENDED;
    let given = (0x20_u16, 0xef_u8, 7_u8, 0x33_u8);
    let (generator, kind, sensor, number) = given;
    let arguments = ("", &path, data, generator, kind, sensor, number);
    assert_eq!(caller.added(method, &arguments).await, extended);
    let arguments = ("", SENSOR, data, generator, kind, sensor, number);
    assert_eq!(caller.added(method, &arguments).await, extended);
}

#[tokio::test]
async fn arguments_of_another_type_or_size_are_refused() {
    let caller = Caller::start().await;
    let data: &[u8] = &[1];
    let method = ipmi::IPMI_SEL_ADD;
    assert!(caller.call(method, &(SENSOR, data, true, 0x20_u16)).await.is_err());
    assert!(caller.call(method, &("", 7_u8, data, true, 0x20_u16)).await.is_err());
    assert!(caller.call(method, &("", SENSOR, data, true, 0x20_u8)).await.is_err());
    assert!(caller.call(method, &()).await.is_err());
    let long: &[u8] = &[0; 4];
    let error = caller.call(method, &("", SENSOR, long, true, 0x20_u16)).await.unwrap_err();
    assert!(error.to_string().contains("Common.Error.InvalidArgument"), "{error}");
    assert!(caller.call(ipmi::CLEAR, &1_u8).await.is_err());
    assert!(caller.call(ipmi::SEL_DELETE, &"1").await.is_err());
    let error = caller.call(ipmi::SEL_DELETE, &1_u16).await.unwrap_err();
    assert!(error.to_string().contains("Common.Error.ResourceNotFound"), "{error}");
    assert_eq!(caller.log.sel.info().entries, 0);
}

#[tokio::test]
async fn records_of_every_oem_type_are_added_and_the_log_is_cleared() {
    let caller = Caller::start().await;
    let method = ipmi::IPMI_SEL_ADD_OEM;
    let nine: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 9];
    let thirteen: &[u8] = &[0xaa; 13];
    let stamped = caller.added(method, &("", nine, 0xdf_u8)).await;
    assert_eq!(stamped, [&[0xdf], nine].concat());
    let plain = caller.added(method, &("", thirteen, 0xe0_u8)).await;
    assert_eq!(plain, [0xe0, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa]);
    let event: &[u8] = &EVENT[1..];
    assert_eq!(caller.added(method, &("", event, 0x02_u8)).await, EVENT);
    for (data, kind) in [(thirteen, 0xc0_u8), (nine, 0x03), (&nine[1..], 0x02), (&[0; 14], 0xff)] {
        let error = caller.call(method, &("", data, kind)).await.unwrap_err();
        assert!(error.to_string().contains("Common.Error.InvalidArgument"), "{kind:02X}h: {error}");
    }
    let info = caller.call(ipmi::GET_SEL_INFO, &()).await.unwrap();
    let ((entries, free, added, _, support),): ((u16, u16, u32, u32, u8),) =
        info.deserialize().unwrap();
    assert_eq!((entries, free, support), (3, 7 * 16, 0x0f));
    assert_ne!(added, 0);
    caller.call(ipmi::CLEAR, &()).await.unwrap();
    assert_eq!(caller.log.sel.info().entries, 0);
}

/// What introspection shows is the interface's definition, argument by argument.
#[tokio::test]
async fn introspection_shows_the_methods_of_the_interface() {
    let caller = Caller::start().await;
    let introspectable = Some("org.freedesktop.DBus.Introspectable");
    let (service, path) = (Some(ipmi::SERVICE), ipmi::PATH);
    let reply = caller.service.call_method(service, path, introspectable, "Introspect", &()).await;
    let xml: String = reply.unwrap().body().deserialize().unwrap();
    for method in ipmi::INTERFACE.methods {
        let start = format!("<method name=\"{}\">", method.name);
        let shown = xml.split(&start).nth(1).and_then(|rest| rest.split("</method>").next());
        let shown = shown.unwrap_or_else(|| panic!("{} in {xml}", method.name));
        let signature = |direction: &str| -> String {
            let lines = shown.lines().filter(|line| line.contains(direction));
            lines.filter_map(|line| line.split("type=\"").nth(1)?.split('"').next()).collect()
        };
        assert_eq!(signature("\"in\""), method.input, "{}", method.name);
        assert_eq!(signature("\"out\""), method.output, "{}", method.name);
    }
}
