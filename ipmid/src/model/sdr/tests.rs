use ipmi_proto::sdr::ThresholdSet;

use super::*;
use crate::model::sensors::{Directory, SensorTable, Settings, Update, Value};

fn add(table: &mut SensorTable, directory: &mut Directory, name: &str) {
    let path = format!("/xyz/openbmc_project/sensors/temperature/{name}");
    let value = vec![("Value".to_owned(), Value::Number(20.0))];
    let object = vec![("xyz.openbmc_project.Sensor.Value".to_owned(), value)];
    table.add(&path, &object, directory, |_| (Settings::default(), ThresholdSet::EMPTY));
}

fn fixed() -> Arc<FixedRecords> {
    let other = SdrBody::Other { kind: 0x08, data: vec![1] };
    Arc::new(FixedRecords::from([(1, other)]))
}

/// All sensors and units are there.
const ALL: Settled = Settled { sensors: true, units: true };

#[test]
fn records_chain_from_first_to_last() {
    let (mut table, mut directory) = (SensorTable::default(), Directory::default());
    add(&mut table, &mut directory, "A");
    add(&mut table, &mut directory, "B");
    let mut repository = Repository::default();
    repository.build(&table, &fixed(), &Arc::default(), ALL, 7);
    let mut seen = Vec::new();
    let mut next = Some(0);
    while let Some(id) = next {
        let (record, after) = repository.get(id).unwrap();
        seen.push(u16::from_le_bytes([record[0], record[1]]));
        next = after;
    }
    assert_eq!(seen, [0x0001, 0x0100, 0x0101]);
    assert_eq!(seen.len(), repository.len());
    assert_eq!(repository.get(0xffff).unwrap().0[0..2], [0x01, 0x01]);
    assert!(repository.get(0x0102).is_none());
}

fn temperature(name: &str, limit: f64) -> Update {
    let value = vec![("Value".to_owned(), Value::Number(20.0))];
    let limit = vec![("WarningHigh".to_owned(), Value::Number(limit))];
    let interfaces = vec![
        ("xyz.openbmc_project.Sensor.Value".to_owned(), value),
        ("xyz.openbmc_project.Sensor.Threshold.Warning".to_owned(), limit),
    ];
    Update::Object { path: format!("/xyz/openbmc_project/sensors/temperature/{name}"), interfaces }
}

/// The times of the last addition and erasure, and the number of records.
fn times(service: &SdrService, sensors: &SensorStore, now: u32) -> (u32, u32, usize) {
    service.with(sensors, now, |repository| {
        let changes = repository.changes();
        (changes.added, changes.erased, repository.len())
    })
}

#[tokio::test]
async fn times_move_when_records_come_and_go_and_not_with_limits_or_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::create(&dir.path().join("s"), durable::Modes::PRIVATE).unwrap();
    let open = || {
        let sensors = SensorStore::open(&folder);
        (SdrService::open(&folder, DeviceSupport::default()), sensors)
    };
    let (service, sensors) = open();
    sensors.apply(temperature("A", 80.0));
    sensors.apply(temperature("B", 80.0));
    sensors.number();
    service.set_frus(&FruDevices::new(), true);
    assert_eq!(times(&service, &sensors, 100), (100, 0, 7));
    let index = sensors.with(|table| table.iter().next().unwrap().listing.index);
    sensors.configure(index, |settings| settings.positive_hysteresis = 2).await.unwrap();
    sensors.apply(Update::Changed {
        path: "/xyz/openbmc_project/sensors/temperature/A".to_owned(),
        interface: "xyz.openbmc_project.Sensor.Threshold.Warning".to_owned(),
        properties: vec![("WarningHigh".to_owned(), Value::Number(46.0))],
    });
    assert_eq!(times(&service, &sensors, 200), (100, 0, 7));
    let read = service.with(&sensors, 200, |all| all.get(0x0100).unwrap().0);
    service.save_history().await;
    let _saved = tokio::time::timeout(std::time::Duration::from_millis(50), sensors.events()).await;

    // A restart: the services have the limits that were set, and come one after the other.
    let (service, sensors) = open();
    assert_eq!(times(&service, &sensors, 300), (100, 0, 7), "no service yet");
    sensors.apply(temperature("B", 80.0));
    assert_eq!(times(&service, &sensors, 310), (100, 0, 7));
    sensors.apply(temperature("A", 46.0));
    sensors.number();
    service.set_frus(&FruDevices::new(), true);
    assert_eq!(times(&service, &sensors, 320), (100, 0, 7));
    assert_eq!(service.with(&sensors, 320, |all| all.get(0x0100).unwrap().0), read);
    sensors.apply(temperature("C", 80.0));
    assert_eq!(times(&service, &sensors, 330), (330, 0, 8));
    service.save_history().await;
    let _saved = tokio::time::timeout(std::time::Duration::from_millis(50), sensors.events()).await;

    // Another, after which B is gone.
    let (service, sensors) = open();
    sensors.apply(temperature("A", 46.0));
    sensors.apply(temperature("C", 80.0));
    assert_eq!(times(&service, &sensors, 400), (330, 0, 8), "B may still come");
    sensors.number();
    assert_eq!(times(&service, &sensors, 410), (330, 410, 7));
}

#[test]
fn unit_never_has_the_name_of_a_sensor_or_of_another_unit() {
    let (mut table, mut directory) = (SensorTable::default(), Directory::default());
    add(&mut table, &mut directory, "CPU0");
    let device = |name: &str| crate::model::fru::FruDevice {
        path: String::new(),
        name: name.to_owned(),
        entity: ipmi_proto::sdr::Entity { id: 3, instance: 1 },
        image: Vec::new(),
        writable: false,
    };
    let names = ["CPU0", "PSU0", "BMC", "Memory Module DIMM 12", "Memory Module DIMM 12"];
    let frus = (0..).zip(names.map(device)).collect();
    let records = Arc::new(fixed::records(DeviceSupport::default(), &frus));
    let mut repository = Repository::default();
    repository.build(&table, &records, &Arc::default(), ALL, 7);
    let units = (0..5).map(|id| {
        let record = repository.get(0x10 + id).unwrap().0;
        String::from_utf8_lossy(&record[16..]).into_owned()
    });
    let expected = ["CPU0 FRU", "PSU0", "BMC FRU", "Mem Mod DIMM 12", "MemModDIMM12 FRU"];
    assert_eq!(units.collect::<Vec<_>>(), expected);
}

#[test]
fn reservations_end_when_an_id_gets_another_record() {
    let (mut table, mut directory) = (SensorTable::default(), Directory::default());
    add(&mut table, &mut directory, "A");
    let (fixed, none) = (fixed(), Arc::default());
    let mut repository = Repository::default();
    repository.build(&table, &fixed, &none, ALL, 7);
    let reservation = repository.reserve();
    repository.build(&table, &fixed, &none, ALL, 8);
    assert!(repository.may_clear(reservation));
    assert_eq!(repository.changes(), Changes { added: 7, erased: 0, count: 1, own: 1 });

    add(&mut table, &mut directory, "B");
    repository.build(&table, &fixed, &none, ALL, 9);
    assert!(repository.may_write(reservation), "B has an id of its own");
    assert!(!repository.may_clear(reservation), "its holder has not seen B");
    let reservation = repository.reserve();
    table.remove("/xyz/openbmc_project/sensors/temperature/A");
    repository.build(&table, &fixed, &none, ALL, 10);
    assert!(repository.may_clear(reservation), "a deletion moves no id");
    assert_eq!(repository.changes(), Changes { added: 9, erased: 10, count: 3, own: 3 });

    let own = repository.reserve_own();
    add(&mut table, &mut directory, "A");
    repository.build(&table, &fixed, &none, ALL, 11);
    assert!(!repository.holds(reservation), "A's id stands for a record that is new");
    let wanted = Part { reservation: own, record: 0, offset: 5, count: 1, room: 99 };
    assert_eq!(repository.read_own(wanted), Err(StoreError::Cancelled));
}

/// A sensor of the controller at 24h: event-only, number 9.
const SATELLITES: [u8; 20] = *b"\0\0\x51\x03\x0f\x24\0\x09\x07\x01\x04\x01\0\0\0\0\xc3SAT";

/// The same of sensor `number` of the BMC itself.
fn own_sensor(number: u8) -> [u8; 20] {
    let mut record = SATELLITES;
    record[5] = 0x20;
    record[7] = number;
    record
}

#[tokio::test]
async fn added_records_outlive_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::create(&dir.path().join("s"), durable::Modes::PRIVATE).unwrap();
    let sensors = SensorStore::volatile();
    let open = || SdrService::open(&folder, DeviceSupport::default());
    let id = open().add(&sensors, 100, &SATELLITES, None).await.unwrap();
    let again = open();
    let (record, next) = again.with(&sensors, 200, |repository| repository.get(id).unwrap());
    assert_eq!((&record[2..], next), (&SATELLITES[2..], None));
    again.delete(&sensors, 300, id).await.unwrap();
    assert!(open().with(&sensors, 400, |repository| repository.get(id).is_none()));
}

#[tokio::test]
async fn sensor_that_appears_takes_the_place_of_a_record_of_it() {
    let service = SdrService::volatile();
    let sensors = SensorStore::volatile();
    let id = service.add(&sensors, 100, &own_sensor(1), None).await.unwrap();
    let shown = |now| service.with(&sensors, now, |repository| repository.get(id).is_some());
    assert!(shown(100));
    let path = "/xyz/openbmc_project/sensors/temperature/A".to_owned();
    let value = vec![("Value".to_owned(), Value::Number(20.0))];
    let interfaces = vec![("xyz.openbmc_project.Sensor.Value".to_owned(), value)];
    sensors.apply(crate::model::sensors::Update::Object { path: path.clone(), interfaces });
    assert!(!shown(200));
    let own = service.add(&sensors, 200, &own_sensor(1), None).await;
    assert_eq!(own, Ok(0x0100));
    sensors.apply(crate::model::sensors::Update::Removed { path });
    assert!(shown(300));
}
