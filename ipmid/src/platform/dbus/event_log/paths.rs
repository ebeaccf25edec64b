//! Methods that take a sensor's path as an object path or as a string.
//!
//! The interface's YAML has an object path (`soaybq`); phosphor-sel-logger registers the same methods
//! with a string (`ssaybq`), and that is what services and scripts send. The `interface` macro knows one
//! signature per method, so the arguments are read here by the signature of the message.

use std::collections::HashMap;
use std::fmt::Write;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use zbus::message::{Header, Message};
use zbus::names::{InterfaceName, MemberName};
use zbus::object_server::{DispatchResult, Interface, SignalEmitter};
use zbus::wire::{OwnedVariant, Type, Variant};
use zbus::{BoxDBusError, Connection, ObjectServer, fdo};

use super::EventLog;

/// `IpmiSelAdd` as `ssaybq`: message, path, data, asserted, generator.
type StringPath = (String, String, Vec<u8>, bool, u16);

/// `AddExtended` as `ssayqyyy`: message, path, data, generator, direction and type, sensor type, number.
type ExtendedStringPath = (String, String, Vec<u8>, u16, u8, u8, u8);

/// The interface of [`EventLog`], whose methods with a path also take a string there.
pub(super) struct AnyPath(pub(super) EventLog);

/// The arguments of a call, if they have the signature of `T`.
fn arguments<T: Type + DeserializeOwned>(message: &Message) -> Option<T> {
    let body = message.body();
    // The signature decides; a body that does not match it is left to the macro's code to refuse.
    (body.signature() == T::SIGNATURE).then(|| body.deserialize().ok()).flatten()
}

#[async_trait]
impl Interface for AnyPath {
    fn name() -> InterfaceName<'static> {
        EventLog::name()
    }

    async fn get(
        &self,
        property: &str,
        server: &ObjectServer,
        connection: &Connection,
        header: Option<&Header<'_>>,
        emitter: &SignalEmitter<'_>,
    ) -> Option<Result<OwnedVariant, BoxDBusError>> {
        self.0.get(property, server, connection, header, emitter).await
    }

    async fn get_all(
        &self,
        server: &ObjectServer,
        connection: &Connection,
        header: Option<&Header<'_>>,
        emitter: &SignalEmitter<'_>,
    ) -> fdo::Result<HashMap<String, OwnedVariant>> {
        self.0.get_all(server, connection, header, emitter).await
    }

    async fn set_mut(
        &mut self,
        property: &str,
        value: &Variant<'_>,
        server: &ObjectServer,
        connection: &Connection,
        header: Option<&Header<'_>>,
        emitter: &SignalEmitter<'_>,
    ) -> Option<Result<(), BoxDBusError>> {
        self.0.set_mut(property, value, server, connection, header, emitter).await
    }

    fn call<'call>(
        &'call self,
        server: &'call ObjectServer,
        connection: &'call Connection,
        message: &'call Message,
        name: MemberName<'call>,
    ) -> DispatchResult<'call> {
        let log = &self.0;
        match name.as_str() {
            "IpmiSelAdd" => {
                if let Some((_, path, data, assert, generator)) = arguments::<StringPath>(message) {
                    return DispatchResult::new_async(connection, message, async move {
                        log.add_event_at(&path, &data, assert, generator).await
                    });
                }
            }
            "AddExtended" => {
                if let Some((_, _, data, generator, direction_and_type, sensor_type, number)) =
                    arguments::<ExtendedStringPath>(message)
                {
                    let sensor = (sensor_type, number);
                    return DispatchResult::new_async(connection, message, async move {
                        log.add_extended_event(&data, generator, direction_and_type, sensor).await
                    });
                }
            }
            // The macro's code looks at no signature where a method takes nothing.
            "Clear" | "GetSELInfo" if !message.body().is_empty() => {
                return DispatchResult::new_async(connection, message, async {
                    let text = "the method takes no arguments".to_owned();
                    Err::<(), _>(fdo::Error::InvalidArgs(text))
                });
            }
            _ => {}
        }
        log.call(server, connection, message, name)
    }

    fn call_mut<'call>(
        &'call mut self,
        server: &'call ObjectServer,
        connection: &'call Connection,
        message: &'call Message,
        name: MemberName<'call>,
    ) -> DispatchResult<'call> {
        self.0.call_mut(server, connection, message, name)
    }

    fn introspect_to_writer(&self, writer: &mut dyn Write, level: usize) {
        self.0.introspect_to_writer(writer, level);
    }
}
