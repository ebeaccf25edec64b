//! The payload commands (IPMI v2.0 §24): App 48h to 4Bh and 55h, for SOL.

use ipmi_proto::codec::{self, Bits, Decode, DecodeError, Encode, Ignored, Reader, Writer};
use ipmi_proto::{CompletionCode, Privilege, Request, Response};
use rmcp_proto::wire::v20::Protection;

use super::{ActivateError, Holder, InstanceNumber, PayloadInstances};

const ACTIVATE_PAYLOAD: u8 = 0x48;
const DEACTIVATE_PAYLOAD: u8 = 0x49;
const GET_PAYLOAD_ACTIVATION_STATUS: u8 = 0x4a;
const GET_PAYLOAD_INSTANCE_INFO: u8 = 0x4b;
const SUSPEND_RESUME_PAYLOAD_ENCRYPTION: u8 = 0x55;

/// SOL's payload type (IPMI v2.0 §13.27.3, Table 13-16).
const SOL: u8 = 0x01;

/// Activate: the payload is active in another session.
const ALREADY_ACTIVE: CompletionCode = CompletionCode(0x80);
/// Activate and Deactivate: the payload type is disabled.
const DISABLED: CompletionCode = CompletionCode(0x81);
/// Activate: all instances are taken.
const LIMIT_REACHED: CompletionCode = CompletionCode(0x82);
/// Activate: the session does not support the encryption asked for.
const NO_ENCRYPTION: CompletionCode = CompletionCode(0x83);
/// Activate: encryption is required.
const ENCRYPTION_REQUIRED: CompletionCode = CompletionCode(0x84);
/// Deactivate: the payload is not active.
const ALREADY_DEACTIVATED: CompletionCode = CompletionCode(0x80);
/// Suspend/Resume: not for this payload type.
const OPERATION_NOT_SUPPORTED: CompletionCode = CompletionCode(0x80);
/// Suspend/Resume: not with the present configuration.
const OPERATION_NOT_ALLOWED: CompletionCode = CompletionCode(0x81);
/// Suspend/Resume: the session has no encryption.
const ENCRYPTION_NOT_AVAILABLE: CompletionCode = CompletionCode(0x82);
/// Suspend/Resume: the payload is not active in the session.
const NOT_ACTIVE: CompletionCode = CompletionCode(0x83);

/// Largest SOL payload to the BMC in the response. A client that takes it for the number of characters alone
/// still sends no more than one acknowledgement can count.
const MAX_INBOUND: u16 = 255;

/// No VLAN of its own for the payload.
const NO_VLAN: u16 = 0xffff;

/// The session that a payload command came in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PayloadCaller {
    /// Session and user.
    pub holder: Holder,
    /// The session's present privilege.
    pub privilege: Privilege,
    /// What the session can protect its packets with.
    pub protection: Protection,
    /// Whether the user may have SOL on this channel (Set User Payload Access).
    pub may_use_sol: bool,
    /// The UDP port that the session goes to.
    pub port: u16,
}

/// Executes a payload command.
pub fn answer(
    instances: &mut PayloadInstances,
    caller: &PayloadCaller,
    request: &Request,
) -> Response {
    let result = match request.command {
        ACTIVATE_PAYLOAD => run(request, |activate| activate_payload(instances, caller, &activate)),
        DEACTIVATE_PAYLOAD => run(request, |number| deactivate_payload(instances, caller, &number)),
        GET_PAYLOAD_ACTIVATION_STATUS => {
            run(request, |payload_type| get_payload_activation_status(instances, payload_type))
        }
        GET_PAYLOAD_INSTANCE_INFO => {
            run(request, |number| get_payload_instance_info(instances, number))
        }
        SUSPEND_RESUME_PAYLOAD_ENCRYPTION => {
            run(request, |change| suspend_resume_payload_encryption(instances, caller, &change))
        }
        _ => Err(CompletionCode::INVALID_COMMAND),
    };
    match result {
        Ok(data) => Response::to(request, CompletionCode::OK, data),
        Err(completion) => Response::failure(request, completion),
    }
}

fn run<T: Decode, R: Encode>(
    request: &Request,
    command: impl FnOnce(T) -> Result<R, CompletionCode>,
) -> Result<Vec<u8>, CompletionCode> {
    Ok(codec::encode(&command(codec::decode(&request.data)?)?))
}

/// A payload type and an instance number, as most of these commands begin. Any type but SOL and a
/// zero instance do not decode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct SolInstance(InstanceNumber);

impl Decode for SolInstance {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (payload_type, _, number, _) =
            <(Bits<6>, Ignored<2>, Bits<4>, Ignored<4>)>::decode(reader)?;
        sol_only(payload_type.value())?;
        let number = InstanceNumber::new(number.value())
            .ok_or(DecodeError::Value { field: "payload instance", value: 0 })?;
        Ok(Self(number))
    }
}

fn sol_only(payload_type: u8) -> Result<(), DecodeError> {
    match payload_type {
        SOL => Ok(()),
        other => Err(DecodeError::Value { field: "payload type", value: other.into() }),
    }
}

/// The request of Activate Payload for SOL (IPMI v2.0 §24.1, Table 24-2). What remains of the
/// auxiliary data says how alerts on a shared serial port behave and what the modem lines are at
/// first: there is no such port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Activate {
    instance: SolInstance,
    encrypted: bool,
    authenticated: bool,
}

impl Decode for Activate {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let instance = SolInstance::decode(reader)?;
        // Startup handshake, alert behaviour and test mode are in the bits passed over.
        let (_, authenticated, encrypted, _) =
            <(Ignored<6>, bool, bool, Ignored<24>)>::decode(reader)?;
        Ok(Self { instance, encrypted, authenticated })
    }
}

/// The answer to Activate Payload (IPMI v2.0 §24.1, Table 24-2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Activated {
    outbound: u16,
    port: u16,
}

impl Encode for Activated {
    /// The auxiliary data says that there is no test mode.
    fn encode(&self, writer: &mut Writer) {
        (0_u32, MAX_INBOUND, self.outbound, self.port, NO_VLAN).encode(writer);
    }
}

/// Activate Payload (IPMI v2.0 §24.1). A session that has another instance switches to this one. Test mode is
/// not supported, as the response says.
///
/// # Errors
///
/// - `CCh` for a payload other than SOL.
/// - `81h` when SOL is disabled, by the settings or for the user.
/// - `D4h` below the privilege in the settings.
/// - `83h` for encryption in a session without it, `84h` for none where it is forced.
/// - `D5h` for authentication in a session without it, or none where it is forced.
/// - `80h` when another user has the instance, `82h` when there is no such instance.
fn activate_payload(
    instances: &mut PayloadInstances,
    caller: &PayloadCaller,
    request: &Activate,
) -> Result<Activated, CompletionCode> {
    let settings = *instances.settings();
    if !settings.enable || !caller.may_use_sol {
        return Err(DISABLED);
    }
    if !instances.permits(caller.privilege) {
        return Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
    }
    let &Activate { instance: SolInstance(number), encrypted, authenticated } = request;
    if encrypted && !caller.protection.encrypted {
        return Err(NO_ENCRYPTION);
    }
    if !encrypted && settings.force_encryption {
        return Err(ENCRYPTION_REQUIRED);
    }
    let authenticable = caller.protection.authenticated;
    if authenticated && !authenticable || !authenticated && settings.force_authentication {
        return Err(CompletionCode::NOT_IN_PRESENT_STATE);
    }
    let protection = Protection { authenticated, encrypted };
    instances.activate(number, caller.holder, protection).map_err(|occupied| match occupied {
        ActivateError::HeldByOtherUser => ALREADY_ACTIVE,
        ActivateError::NoSuchInstance => LIMIT_REACHED,
    })?;
    Ok(Activated { outbound: instances.max_payload(), port: caller.port })
}

/// Deactivate Payload (IPMI v2.0 §24.2): an instance of the same user, or any as administrator.
///
/// # Errors
///
/// - `CCh` for a payload other than SOL.
/// - `80h` when it is not active.
/// - `D4h` for another user's.
fn deactivate_payload(
    instances: &mut PayloadInstances,
    caller: &PayloadCaller,
    &(SolInstance(number), _): &(SolInstance, Ignored<32>),
) -> Result<(), CompletionCode> {
    let holder = instances.holder(number).ok_or(ALREADY_DEACTIVATED)?;
    let own = holder.user_id == caller.holder.user_id;
    if !own && caller.privilege < Privilege::Administrator {
        return Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
    }
    instances.deactivate(number, caller.holder.session);
    Ok(())
}

/// Get Payload Activation Status (IPMI v2.0 §24.4): how many instances there are, and which are
/// active.
///
/// # Errors
///
/// `CCh` for a payload other than SOL.
fn get_payload_activation_status(
    instances: &PayloadInstances,
    payload_type: u8,
) -> Result<(u8, u16), CompletionCode> {
    sol_only(payload_type)?;
    let numbers = (1..=15_u8).filter_map(|number| Some((number, InstanceNumber::new(number)?)));
    let active = numbers
        .filter(|(_, instance)| instances.holder(*instance).is_some())
        .fold(0, |active, (number, _)| active | 1 << (number - 1));
    Ok((u8::try_from(instances.capacity()).unwrap_or(u8::MAX), active))
}

/// Get Payload Instance Info (IPMI v2.0 §24.5): the id of the session that has the instance, or 0, and the
/// number of the serial port, 1.
///
/// # Errors
///
/// `CCh` for a payload other than SOL, and for a number beyond the capacity.
fn get_payload_instance_info(
    instances: &PayloadInstances,
    SolInstance(number): SolInstance,
) -> Result<(u32, u8, [u8; 7]), CompletionCode> {
    if !instances.has(number) {
        return Err(CompletionCode::INVALID_DATA_FIELD);
    }
    let session = instances.holder(number).map_or(0, |holder| holder.session.0);
    Ok((session, 1, [0; 7]))
}

/// What Suspend/Resume Payload Encryption asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum EncryptionChange {
    Suspend,
    Resume,
    RegenerateVector,
}

impl Decode for EncryptionChange {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (operation, _) = <(Bits<5>, Ignored<3>)>::decode(reader)?;
        match operation.value() {
            0 => Ok(Self::Suspend),
            1 => Ok(Self::Resume),
            2 => Ok(Self::RegenerateVector),
            other => Err(DecodeError::Value { field: "encryption operation", value: other.into() }),
        }
    }
}

/// Suspend/Resume Payload Encryption (IPMI v2.0 §24.3), for an instance of the own session.
///
/// # Errors
///
/// - `CCh` for a payload other than SOL.
/// - `83h` when the instance is not active in this session.
/// - `82h` in a session without encryption.
/// - `80h` for a new initialization vector: AES takes one with each packet anyway.
/// - `81h` for suspending where encryption is forced.
fn suspend_resume_payload_encryption(
    instances: &mut PayloadInstances,
    caller: &PayloadCaller,
    &(SolInstance(number), change): &(SolInstance, EncryptionChange),
) -> Result<(), CompletionCode> {
    instances.protection(number, caller.holder.session).ok_or(NOT_ACTIVE)?;
    if !caller.protection.encrypted {
        return Err(ENCRYPTION_NOT_AVAILABLE);
    }
    match change {
        EncryptionChange::RegenerateVector => return Err(OPERATION_NOT_SUPPORTED),
        EncryptionChange::Suspend if instances.settings().force_encryption => {
            return Err(OPERATION_NOT_ALLOWED);
        }
        EncryptionChange::Suspend => instances.set_encrypted(number, false),
        EncryptionChange::Resume => instances.set_encrypted(number, true),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
