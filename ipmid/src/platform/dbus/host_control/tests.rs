//! Commands of a service to the host, on a private bus.

use futures_util::StreamExt;
use zbus::MessageStream;

use super::*;
use crate::platform::dbus::private_bus::Bus;

const SOFT_OFF: &str = "xyz.openbmc_project.Control.Host.Command.SoftOff";
const INTERFACE: &str = "xyz.openbmc_project.Control.Host";

/// The object on a bus, a service's connection, and what the host reads.
async fn host_control(bus: &Bus) -> (Connection, Connection, Arc<Messages>) {
    let messages = Arc::new(Messages::default());
    let control = HostControl {
        messages: Arc::clone(&messages),
        manufacturer: Iana::new(0x01_23_45).unwrap(),
    };
    let ours = bus.builder().name(SERVICE).build().await.unwrap();
    control.publish(&ours).await.unwrap();
    assert_eq!(messages.flags(), 0, "no command waits yet");
    (ours, bus.connect().await, messages)
}

async fn execute(service: &Connection, command: &str) -> zbus::Result<()> {
    let call = service.call_method(Some(SERVICE), PATH, Some(INTERFACE), "Execute", &command);
    call.await.map(drop)
}

/// The command and its result of the next signal.
async fn completed(signals: &mut MessageStream) -> (String, String) {
    let signal = signals.next().await.unwrap().unwrap();
    signal.body().deserialize().unwrap()
}

async fn signals(service: &Connection) -> MessageStream {
    let rule =
        zbus::MatchRule::builder().msg_type(zbus::message::Type::Signal).interface(INTERFACE);
    MessageStream::for_match_rule(rule.build().unwrap(), service, None).await.unwrap()
}

fn result(result: &str) -> (String, String) {
    let result = format!("xyz.openbmc_project.Control.Host.Result.{result}");
    (SOFT_OFF.to_owned(), result)
}

#[tokio::test]
async fn host_reads_a_soft_off_and_the_service_gets_the_result() {
    let bus = Bus::start();
    let (_ours, service, messages) = host_control(&bus).await;
    let mut signals = signals(&service).await;
    execute(&service, SOFT_OFF).await.unwrap();
    let record = hex_literal::hex!("5555 c0 452301 00000000 3a 04 00 ff ff ff");
    assert_eq!(messages.take_event(), Some(record));
    assert_eq!(completed(&mut signals).await, result("Success"));
    assert_eq!(messages.flags(), 0);
}

#[tokio::test]
async fn command_that_the_host_does_not_read_fails_and_is_removed() {
    let bus = Bus::start();
    let (_ours, service, messages) = host_control(&bus).await;
    let mut signals = signals(&service).await;
    execute(&service, SOFT_OFF).await.unwrap();
    assert_ne!(messages.flags(), 0);
    assert_eq!(completed(&mut signals).await, result("Failure"));
    assert_eq!(messages.flags(), 0);
    // An unknown command, and a command when the queue is full.
    assert!(execute(&service, "Reboot").await.is_err());
    let _waiting: Vec<_> =
        std::iter::from_fn(|| messages.queue_host_command([0; 16]).ok()).collect();
    assert!(execute(&service, SOFT_OFF).await.is_err());
}

#[tokio::test]
async fn firmware_runs_if_it_reads_a_heartbeat() {
    let bus = Bus::start();
    let (_ours, service, messages) = host_control(&bus).await;
    let mut flags = messages.watch();
    let reader = tokio::spawn({
        let messages = Arc::clone(&messages);
        async move {
            flags.changed().await.unwrap();
            messages.take_event()
        }
    });
    let condition = async || {
        let proxy =
            zbus::Proxy::new(&service, SERVICE, PATH, "xyz.openbmc_project.Condition.HostFirmware");
        let proxy = proxy.await.unwrap();
        let value = proxy.get_property::<String>("CurrentFirmwareCondition");
        value.await.unwrap()
    };
    let running = condition().await;
    assert!(running.ends_with("FirmwareCondition.Running"), "{running}");
    let record = reader.await.unwrap().unwrap();
    assert_eq!(record[10..], hex_literal::hex!("3a ff 00 ff ff ff"));
    assert!(condition().await.ends_with("FirmwareCondition.Off"));
}
