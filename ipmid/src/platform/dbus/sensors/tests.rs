//! The follower on a private bus, with a mapper and a sensor service of the test's own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use openbmc_dbus::{mapper, sensor};
use zbus::fdo::ObjectManager;
use zbus::wire::{OwnedObjectPath, OwnedVariant};
use zbus::{Connection, interface};

use super::{SensorFeed, follow};
use crate::model::sensors::SensorStore;
use crate::platform::dbus::private_bus::Bus;

const SERVICE: &str = "xyz.openbmc_project.HwmonTempSensor";
const INLET: &str = "/xyz/openbmc_project/sensors/temperature/Inlet";
const OUTLET: &str = "/xyz/openbmc_project/sensors/temperature/Outlet";

/// A sensor of a service.
struct Sensor(f64);

#[interface(name = "xyz.openbmc_project.Sensor.Value")]
impl Sensor {
    #[zbus(property)]
    fn value(&self) -> f64 {
        self.0
    }

    #[zbus(property)]
    fn set_value(&mut self, value: f64) {
        self.0 = value;
    }
}

/// A mapper that knows one service, and replies after a while.
struct Mapper(Duration);

#[interface(name = "xyz.openbmc_project.ObjectMapper")]
impl Mapper {
    async fn get_sub_tree(
        &self,
        _root: &str,
        _depth: i32,
        _interfaces: Vec<String>,
    ) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
        tokio::time::sleep(self.0).await;
        let owners = BTreeMap::from([(SERVICE.to_owned(), vec![sensor::value::NAME.to_owned()])]);
        BTreeMap::from([(INLET.to_owned(), owners)])
    }
}

type Objects = HashMap<OwnedObjectPath, BTreeMap<String, BTreeMap<String, OwnedVariant>>>;

/// An object manager with the inlet's sensor, which replies after a while.
struct SlowManager(Duration);

#[interface(name = "org.freedesktop.DBus.ObjectManager")]
impl SlowManager {
    async fn get_managed_objects(&self) -> Objects {
        tokio::time::sleep(self.0).await;
        let value = OwnedVariant::from(21.0);
        let properties = BTreeMap::from([(sensor::value::VALUE.name.to_owned(), value)]);
        let interfaces = BTreeMap::from([(sensor::value::NAME.to_owned(), properties)]);
        HashMap::from([(INLET.try_into().unwrap(), interfaces)])
    }
}

impl Bus {
    async fn mapper(&self) -> Connection {
        self.slow_mapper(Duration::ZERO).await
    }

    async fn slow_mapper(&self, delay: Duration) -> Connection {
        let builder = self.builder().serve_at(mapper::PATH, Mapper(delay));
        builder.name(mapper::SERVICE).build().await.unwrap()
    }

    async fn service(&self, value: f64) -> Connection {
        self.builder()
            .serve_at(sensor::ROOT, ObjectManager)
            .serve_at(INLET, Sensor(value))
            .name(SERVICE)
            .build()
            .await
            .unwrap()
    }

    /// A service `name` with the fans of `names`.
    async fn fans(&self, name: &str, names: &[&str]) -> Connection {
        let mut builder = self.builder().serve_at(sensor::ROOT, ObjectManager);
        for fan in names {
            builder = builder.serve_at(format!("{}/fan_tach/{fan}", sensor::ROOT), Sensor(100.0));
        }
        builder.name(name.to_owned()).build().await.unwrap()
    }

    /// Follows on this bus until the test ends.
    async fn follow(&self) -> Arc<SensorFeed> {
        self.follow_with(SensorStore::volatile()).await
    }

    async fn follow_with(&self, store: SensorStore) -> Arc<SensorFeed> {
        let feed = Arc::new(SensorFeed::new(Arc::new(store)));
        let connection = self.connect().await;
        let following = Arc::clone(&feed);
        tokio::spawn(async move { follow::follow(&following, &connection).await });
        feed
    }
}

/// The readings of all sensors by the last name of their paths; `None` for no reading.
fn readings(store: &SensorStore) -> BTreeMap<String, Option<f64>> {
    store.with(|table| {
        let sensors = table.iter().map(|sensor| {
            let name = sensor.path.rsplit('/').next().unwrap_or_default().to_owned();
            (name, sensor.observed.reading().filter(|_| sensor.online))
        });
        sensors.collect()
    })
}

async fn until(store: &SensorStore, expected: &[(&str, Option<f64>)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let end = Instant::now() + Duration::from_secs(10);
    while readings(store) != expected {
        assert!(Instant::now() < end, "{:?} is not {expected:?}", readings(store));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn first_reader_waits_for_the_sensors_that_are_there() {
    let bus = Bus::start();
    let (_mapper, _service) = (bus.mapper().await, bus.service(21.0).await);
    let store = bus.follow().await.read().await;
    assert_eq!(readings(&store), BTreeMap::from([("Inlet".to_owned(), Some(21.0))]));
}

#[tokio::test]
async fn a_reply_that_no_reader_waits_for_any_more_counts() {
    let bus = Bus::start();
    let delay = Duration::from_millis(1300); // more than a reader waits
    let _mapper = bus.slow_mapper(delay).await;
    let builder = bus.builder().serve_at(sensor::ROOT, SlowManager(delay));
    let _service = builder.name(SERVICE).build().await.unwrap();
    let feed = bus.follow().await;
    until(&feed.store, &[("Inlet", Some(21.0))]).await;
}

#[tokio::test]
async fn signals_keep_the_readings_current() {
    let bus = Bus::start();
    let (_mapper, service) = (bus.mapper().await, bus.service(21.0).await);
    let feed = bus.follow().await;
    let store = feed.read().await;
    until(&store, &[("Inlet", Some(21.0))]).await;
    let server = service.object_server();
    let inlet = server.interface::<_, Sensor>(INLET).await.unwrap();
    inlet.get_mut().await.0 = 22.5;
    inlet.get().await.value_changed(inlet.signal_emitter()).await.unwrap();
    until(&store, &[("Inlet", Some(22.5))]).await;
    server.at(OUTLET, Sensor(30.0)).await.unwrap();
    until(&store, &[("Inlet", Some(22.5)), ("Outlet", Some(30.0))]).await;
    server.remove::<Sensor, _>(OUTLET).await.unwrap();
    until(&store, &[("Inlet", Some(22.5))]).await;
}

#[tokio::test]
async fn a_service_that_leaves_and_returns_has_its_sensors_again() {
    let bus = Bus::start();
    let _mapper = bus.mapper().await;
    let feed = bus.follow().await;
    let store = feed.read().await;
    until(&store, &[]).await;
    let service = bus.service(21.0).await;
    until(&store, &[("Inlet", Some(21.0))]).await;
    service.close().await.unwrap();
    until(&store, &[("Inlet", None)]).await;
    let _service = bus.service(23.0).await;
    until(&store, &[("Inlet", Some(23.0))]).await;
}

/// Names and numbers of the sensors.
fn numbers(store: &SensorStore) -> Vec<(String, u8)> {
    store.with(|table| {
        let of = |listing: &crate::model::sensors::Listing| {
            (listing.name.clone(), listing.index.lun_and_number().1)
        };
        table.iter().map(|sensor| of(&sensor.listing)).collect()
    })
}

#[tokio::test]
async fn first_sensors_are_numbered_in_path_order_whatever_service_comes_first() {
    let services = [
        ("xyz.openbmc_project.A", &["A", "D"]),
        ("xyz.openbmc_project.B", &["B", "E"]),
        ("xyz.openbmc_project.C", &["C", "F"]),
    ];
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let bus = Bus::start();
        let feed = bus.follow_with(SensorStore::volatile_collecting()).await;
        let mut running = Vec::new();
        for at in order {
            let (name, fans) = services[at];
            let service = bus.fans(name, &[]).await;
            for fan in fans {
                let path = format!("{}/fan_tach/{fan}", sensor::ROOT);
                service.object_server().at(path, Sensor(100.0)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            running.push(service);
        }
        let mut settled = feed.store.settled();
        let end = Duration::from_secs(20);
        tokio::time::timeout(end, settled.wait_for(|settled| *settled)).await.unwrap().unwrap();
        let expected = ["A", "B", "C", "D", "E", "F"].map(str::to_owned);
        let expected: Vec<_> = expected.into_iter().zip(1..).collect();
        assert_eq!(numbers(&feed.store), expected, "{order:?}");
        // One that comes later, before the others in path order.
        running.push(bus.fans("xyz.openbmc_project.Late", &[]).await);
        let late = running.last().unwrap().object_server();
        late.at(format!("{}/fan_tach/0", sensor::ROOT), Sensor(1.0)).await.unwrap();
        let end = Instant::now() + end;
        while numbers(&feed.store).len() < 7 {
            assert!(Instant::now() < end, "{:?}", numbers(&feed.store));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(numbers(&feed.store)[..6], expected);
        assert_eq!(numbers(&feed.store)[6], ("0".to_owned(), 7));
    }
}
