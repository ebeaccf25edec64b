use ipmi_proto::sdr::ThresholdSet;

use super::*;
use crate::model::sensors::{Directory, SensorTable, Settings, Value};

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

#[test]
fn records_chain_from_first_to_last() {
    let (mut table, mut directory) = (SensorTable::default(), Directory::default());
    add(&mut table, &mut directory, "A");
    add(&mut table, &mut directory, "B");
    let mut repository = Repository::default();
    repository.build(&table, &fixed(), &Arc::default(), 7);
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

#[tokio::test]
async fn restart_that_finds_the_same_records_is_no_change() {
    let service = SdrService::volatile();
    let sensors = SensorStore::volatile();
    let first = service.with(&sensors, 100, |repository| repository.changes());
    assert_eq!(first.added, 100);
    service.save_history().await;
    let saved = service.history.get();
    let again = SdrService::volatile();
    again.history.update(|history| *history = saved).await.unwrap();
    assert_eq!(again.with(&sensors, 200, |repository| repository.changes()), first);
}

#[test]
fn reservations_end_when_an_id_gets_another_record() {
    let (mut table, mut directory) = (SensorTable::default(), Directory::default());
    add(&mut table, &mut directory, "A");
    let (fixed, none) = (fixed(), Arc::default());
    let mut repository = Repository::default();
    repository.build(&table, &fixed, &none, 7);
    let reservation = repository.reserve();
    repository.build(&table, &fixed, &none, 8);
    assert!(repository.may_clear(reservation));
    assert_eq!(repository.changes(), Changes { added: 7, erased: 0, count: 1, own: 1 });

    add(&mut table, &mut directory, "B");
    repository.build(&table, &fixed, &none, 9);
    assert!(repository.may_write(reservation), "B has an id of its own");
    assert!(!repository.may_clear(reservation), "its holder has not seen B");
    let reservation = repository.reserve();
    table.remove("/xyz/openbmc_project/sensors/temperature/A");
    repository.build(&table, &fixed, &none, 10);
    assert!(repository.may_clear(reservation), "a deletion moves no id");
    assert_eq!(repository.changes(), Changes { added: 9, erased: 10, count: 3, own: 3 });

    let own = repository.reserve_own();
    add(&mut table, &mut directory, "A");
    repository.build(&table, &fixed, &none, 11);
    assert!(!repository.holds(reservation), "A's id stands for a record that is new");
    let wanted = Part { reservation: own, record: 0, offset: 5, count: 1, room: 99 };
    assert_eq!(repository.read_own(wanted), Err(CompletionCode::RESERVATION_CANCELLED));
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
