//! Events from the host, satellite controllers and remote consoles (IPMI v2.0 §29.3).

use std::sync::Arc;

use ipmi_proto::codec::Remaining;
use ipmi_proto::sel::{Event, GeneratorId};
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::SensorProvider;
use crate::model::events::Source;
use crate::platform::Sensors;
use crate::request::command::Registrar;
use crate::request::context::Context;

/// Value of event data bytes that the request leaves out.
const UNSPECIFIED: u8 = 0xff;
/// The software id of a remote console (§5.5).
const REMOTE_CONSOLE: u8 = 0x81;

/// Generator ID, with the channel in bits 15:12.
fn generator(context: &Context, address: u8) -> GeneratorId {
    let channel = if context.is_from_host() { 0 } else { context.channel.value() };
    GeneratorId(u16::from(address) | u16::from(channel) << 12)
}

/// The message, whose second and third data byte may be missing.
fn event(bytes: &[u8]) -> Result<Event, CompletionCode> {
    let mut whole = [UNSPECIFIED; Event::LENGTH];
    if !(Event::LENGTH - 2..=Event::LENGTH).contains(&bytes.len()) {
        return Err(CompletionCode::REQUEST_LENGTH_INVALID);
    }
    for (place, byte) in whole.iter_mut().zip(bytes) {
        *place = *byte;
    }
    Ok(Event::from_bytes(whole))
}

impl<P: Sensors> SensorProvider<P> {
    pub(super) fn register_platform_event(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::Operator;
        let mut rows = table.rows(NetFn::SENSOR_EVENT, self);
        rows.add(0x02, Operator, "Platform Event Message", Self::platform_event_message);
    }

    /// Platform Event Message (IPMI v2.0 §29.3): goes to the SEL, and to
    /// the host's event message buffer. A message over the system interface contains its generator
    /// ID; on other channels the sender is the generator.
    ///
    /// # Errors
    ///
    /// `C7h` when the message is not 5 to 7 bytes.
    async fn platform_event_message(
        self: Arc<Self>,
        context: Context,
        message: Remaining,
    ) -> Result<(), CompletionCode> {
        let bytes = message.as_bytes();
        let (generator, bytes) = match context.satellite {
            _ if context.is_from_host() => {
                let (address, rest) =
                    bytes.split_first().ok_or(CompletionCode::REQUEST_LENGTH_INVALID)?;
                (generator(&context, *address), rest)
            }
            Some(satellite) => (generator(&context, satellite.address << 1), bytes),
            None => (generator(&context, REMOTE_CONSOLE), bytes),
        };
        let source = match context.is_from_host() {
            true => Source::Host,
            false => Source::Other,
        };
        let event = event(bytes)?;
        self.stores.events.handle(source, generator, event).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::sensor::tests::{TestSensors, answer};
    use crate::request::context::{Satellite, Session};

    #[tokio::test]
    async fn host_names_the_generator() {
        let commands = TestSensors::new();
        // As Linux sends it when it panics.
        let panic = hex!("41 03 20 73 6f a1 79 73");
        assert_eq!(commands.send(0x02, &panic).await, answer(&[]));
        let (record, _) = commands.sel.get(0xffff).unwrap();
        assert_eq!(record.to_bytes()[7..], hex!("4100 03 20 73 6f a1 79 73"));
    }

    #[tokio::test]
    async fn console_and_satellite_are_the_generator() {
        let commands = TestSensors::new();
        let console = Context {
            channel: ipmi_proto::ChannelNumber::new(1).unwrap(),
            session: Some(Session { user_id: 1, id: 7 }),
            ..Context::system_interface()
        };
        // As `ipmitool event 1` sends it, and without its last two bytes.
        let event = hex!("04 01 30 01 09 ff ff");
        assert_eq!(commands.send_as(console, 0x02, &event).await, answer(&[]));
        assert_eq!(commands.send_as(console, 0x02, &event[..5]).await, answer(&[]));
        for id in [1, 2] {
            let (record, _) = commands.sel.get(id).unwrap();
            assert_eq!(record.to_bytes()[7..], hex!("8110 04 01 30 01 09 ff ff"));
        }
        let satellite = Context {
            satellite: Some(Satellite { address: 0x24, host_id: 0 }),
            channel: ipmi_proto::ChannelNumber::IPMB,
            ..Context::system_interface()
        };
        assert_eq!(commands.send_as(satellite, 0x02, &event).await, answer(&[]));
        assert_eq!(commands.sel.get(3).unwrap().0.to_bytes()[7..9], hex!("4800"));
    }

    #[tokio::test]
    async fn message_of_another_length_is_refused() {
        let commands = TestSensors::new();
        let refused = Err(CompletionCode::REQUEST_LENGTH_INVALID);
        for length in [0, 1, 5, 9, 10] {
            assert_eq!(commands.send(0x02, &vec![4; length]).await, refused, "{length}");
        }
    }
}
