//! Command discovery and the firmware firewall (IPMI v2.0 §21): the supported commands, read from
//! the command table, and disabling them for a channel.

use std::sync::Arc;

use ipmi_proto::codec::{Bits, Ignored, Remaining};
use ipmi_proto::{ChannelNumber, CompletionCode, GroupBody, Iana, NetFn, Privilege};

use crate::request::command::{Command, Family, Registrar, Resource};
use crate::request::context::Context;
use crate::request::filter::firewall::Firewall;

/// LUN support: the commands of the base specification.
const BASE_SUPPORT: u8 = 0x01;
/// Commands in one response.
const HALF: u8 = 128;
/// Specification type 0 (IPMI), errata unspecified; version 2.0, revision 1.1.
const SPECIFICATION: [u8; 3] = [0x00, 0x20, 0x11];

/// One bit for each of 128 commands.
type Mask = [u8; 16];
/// Channel, NetFn and half of its commands, LUN.
type Which = ((ChannelNumber, Ignored<4>), (Bits<6>, Bits<2>), (Bits<2>, Ignored<6>));

/// Adds the commands over `firewall`.
#[rustfmt::skip] // one line a command
pub fn register(firewall: &Arc<Firewall>, table: &mut Registrar<'_>) {
    use Privilege::{Administrator, User};
    let mut rows = table.rows(NetFn::APP, firewall);
    rows.add(0x09, User, "Get NetFn Support", get_netfn_support);
    rows.add(0x0a, User, "Get Command Support", get_command_support);
    rows.add(0x0b, User, "Get Command Sub-function Support", get_command_sub_function_support);
    rows.add(0x0c, User, "Get Configurable Commands", get_configurable_commands);
    rows.add(0x0d, User, "Get Configurable Command Sub-functions", get_configurable_command_sub_functions);
    rows.add(0x61, User, "Get Command Enables", get_command_enables);
    rows.add(0x63, User, "Get Command Sub-function Enables", get_command_sub_function_enables);
    rows.add(0x64, User, "Get OEM NetFn IANA Support", get_oem_netfn_iana_support);
    let mut rows = rows.changing(Resource::FIREWALL);
    rows.add(0x60, Administrator, "Set Command Enables", set_command_enables);
    rows.add(0x62, Administrator, "Set Command Sub-function Enables", set_command_sub_function_enables);
}

/// The command family that a request selects: that of its network function, or that of the
/// defining body or enterprise number that follows.
struct Scope {
    netfn: u8,
    body: Option<Family>,
}

impl Scope {
    fn new(netfn: Bits<6>, body: &Remaining) -> Result<Self, CompletionCode> {
        let netfn = netfn.value() & !1; // request and response are one pair
        let is_there = !body.as_bytes().is_empty();
        let body = match NetFn::new(netfn) {
            Some(NetFn::GROUP) if is_there => Some(Family::Group(GroupBody(body.decode()?))),
            Some(NetFn::OEM) if is_there => Some(Family::Oem(body.decode::<Iana>()?)),
            _ if is_there => return Err(CompletionCode::REQUEST_LENGTH_INVALID),
            _ => None,
        };
        Ok(Self { netfn, body })
    }

    fn holds(&self, command: &Command) -> bool {
        command.family.netfn().value() == self.netfn
            && self.body.is_none_or(|body| body == command.family)
    }
}

/// Get NetFn Support (IPMI v2.0 §21.2): the LUNs with commands, then 32 bits for each LUN, one
/// for each pair of network functions.
async fn get_netfn_support(
    firewall: Arc<Firewall>,
    _: Context,
    _: (ChannelNumber, Ignored<4>),
) -> Result<(u8, [u32; 4]), CompletionCode> {
    let pairs = firewall
        .commands()
        .iter()
        .fold(0, |pairs, command| pairs | 1_u32 << (command.family.netfn().value() / 2));
    Ok((BASE_SUPPORT, [pairs, 0, 0, 0]))
}

/// The mask of the commands that `wanted` selects in the request's half and scope.
fn mask(
    firewall: &Firewall,
    (_, (netfn, half), (lun, _)): Which,
    body: &Remaining,
    wanted: impl Fn(&Command) -> bool,
) -> Result<Mask, CompletionCode> {
    let scope = Scope::new(netfn, body)?;
    let first = match half.value() {
        0 => 0,
        1 => HALF,
        _ => return Err(CompletionCode::INVALID_DATA_FIELD),
    };
    let mut mask = Mask::default();
    let mut commands = firewall.commands();
    commands.retain(|command| lun.value() == 0 && scope.holds(command) && wanted(command));
    for command in commands {
        if let Some(bit) = command.code.checked_sub(first).filter(|bit| *bit < HALF) {
            mask[usize::from(bit / 8)] |= 1 << (bit % 8);
        }
    }
    Ok(mask)
}

fn channel(context: &Context, ((channel, _), ..): Which) -> ChannelNumber {
    context.resolve(channel)
}

/// Get Command Support (IPMI v2.0 §21.3): a clear bit is a supported command.
async fn get_command_support(
    firewall: Arc<Firewall>,
    _: Context,
    which: Which,
    body: Remaining,
) -> Result<Mask, CompletionCode> {
    let supported = mask(&firewall, which, &body, |_| true)?;
    Ok(supported.map(|byte| !byte))
}

/// Get Configurable Commands (IPMI v2.0 §21.5): the commands that can be disabled.
async fn get_configurable_commands(
    firewall: Arc<Firewall>,
    _: Context,
    which: Which,
    body: Remaining,
) -> Result<Mask, CompletionCode> {
    mask(&firewall, which, &body, Firewall::is_configurable)
}

/// Get Command Enables (IPMI v2.0 §21.8): the enabled commands.
async fn get_command_enables(
    firewall: Arc<Firewall>,
    context: Context,
    which: Which,
    body: Remaining,
) -> Result<Mask, CompletionCode> {
    let channel = channel(&context, which);
    mask(&firewall, which, &body, |command| firewall.is_enabled(channel, command))
}

/// Set Command Enables (IPMI v2.0 §21.7): enables or disables each configurable command of the half.
/// The bits of other commands are ignored.
async fn set_command_enables(
    firewall: Arc<Firewall>,
    context: Context,
    which: Which,
    enables: Mask,
    body: Remaining,
) -> Result<(), CompletionCode> {
    let configurable = mask(&firewall, which, &body, Firewall::is_configurable)?;
    let (_, (netfn, half), _) = which;
    let scope = Scope::new(netfn, &body)?;
    let is_set = |mask: &Mask, command: &Command| {
        command.code / HALF == half.value() && {
            let bit = command.code % HALF;
            mask[usize::from(bit / 8)] >> (bit % 8) & 1 == 1
        }
    };
    let changes: Vec<_> = firewall
        .commands()
        .into_iter()
        .filter(|command| scope.holds(command) && is_set(&configurable, command))
        .filter(Firewall::is_configurable)
        .map(|command| (command, is_set(&enables, &command)))
        .collect();
    Ok(firewall.set_enabled(channel(&context, which), &changes).await?)
}

/// The command that a sub-function request selects.
///
/// # Errors
///
/// `CCh` for an unsupported command, and for all LUNs except 0.
fn command(
    firewall: &Firewall,
    (_, (netfn, _), (lun, _)): Which,
    code: u8,
    body: &Remaining,
) -> Result<Command, CompletionCode> {
    let scope = Scope::new(netfn, body)?;
    firewall
        .commands()
        .iter()
        .find(|command| lun.value() == 0 && scope.holds(command) && command.code == code)
        .copied()
        .ok_or(CompletionCode::INVALID_DATA_FIELD)
}

/// Get Command Sub-function Support (IPMI v2.0 §21.4): the specification, and a clear bit for each
/// supported sub-function.
async fn get_command_sub_function_support(
    firewall: Arc<Firewall>,
    context: Context,
    which: Which,
    code: u8,
    body: Remaining,
) -> Result<([u8; 3], u32), CompletionCode> {
    let command = command(&firewall, which, code, &body)?;
    let (there, _) = firewall.sub_functions(channel(&context, which), &command);
    Ok((SPECIFICATION, !there))
}

/// Get Configurable Command Sub-functions (IPMI v2.0 §21.6): all supported ones.
async fn get_configurable_command_sub_functions(
    firewall: Arc<Firewall>,
    context: Context,
    which: Which,
    code: u8,
    body: Remaining,
) -> Result<u32, CompletionCode> {
    let command = command(&firewall, which, code, &body)?;
    Ok(firewall.sub_functions(channel(&context, which), &command).0)
}

/// Get Command Sub-function Enables (IPMI v2.0 §21.10).
async fn get_command_sub_function_enables(
    firewall: Arc<Firewall>,
    context: Context,
    which: Which,
    code: u8,
    body: Remaining,
) -> Result<u32, CompletionCode> {
    let command = command(&firewall, which, code, &body)?;
    Ok(firewall.sub_functions(channel(&context, which), &command).1)
}

/// Set Command Sub-function Enables (IPMI v2.0 §21.9): the defining body or enterprise number comes
/// before the enables, of which the second half is unused: no command has so many sub-functions.
async fn set_command_sub_function_enables(
    firewall: Arc<Firewall>,
    context: Context,
    which: Which,
    code: u8,
    rest: Remaining,
) -> Result<(), CompletionCode> {
    let (_, (netfn, _), _) = which;
    let (body, enables) = match netfn.value() & !1 {
        0x2c => {
            let (body, enables): (u8, Remaining) = rest.decode()?;
            (vec![body], enables)
        }
        0x2e => {
            let (iana, enables): ([u8; 3], Remaining) = rest.decode()?;
            (iana.to_vec(), enables)
        }
        _ => (Vec::new(), rest),
    };
    let (enabled, _): (u32, Option<u32>) = enables.decode()?;
    let command = command(&firewall, which, code, &body.into())?;
    Ok(firewall.set_sub_functions(channel(&context, which), &command, enabled).await?)
}

/// Get OEM NetFn IANA Support (IPMI v2.0 §21.11): the defining bodies of NetFn 2Ch or enterprise
/// numbers of NetFn 2Eh, one at a time.
///
/// # Errors
///
/// `C9h` beyond the last, `CCh` for other network functions.
async fn get_oem_netfn_iana_support(
    firewall: Arc<Firewall>,
    _: Context,
    _: (ChannelNumber, Ignored<4>),
    (netfn, _): (Bits<6>, Ignored<2>),
    (index, _): (Bits<6>, Ignored<2>),
) -> Result<((bool, Bits<7>), u8, Remaining), CompletionCode> {
    let wanted = netfn.value() & !1;
    if ![NetFn::GROUP.value(), NetFn::OEM.value()].contains(&wanted) {
        return Err(CompletionCode::INVALID_DATA_FIELD);
    }
    let mut bodies: Vec<Vec<u8>> = firewall
        .commands()
        .iter()
        .filter_map(|command| match command.family {
            Family::Group(body) if wanted == NetFn::GROUP.value() => Some(vec![body.0]),
            Family::Oem(iana) if wanted == NetFn::OEM.value() => Some(iana.to_bytes().to_vec()),
            _ => None,
        })
        .collect();
    bodies.sort();
    bodies.dedup();
    let index = usize::from(index.value());
    let body = bodies.get(index).ok_or(CompletionCode::PARAMETER_OUT_OF_RANGE)?;
    let is_last = index + 1 == bodies.len();
    Ok(((is_last, Bits::low(0)), BASE_SUPPORT, body.clone().into()))
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::test_support::{TestCommands, answer};
    use crate::model::persistent::Persistent;

    const GET_NETFN_SUPPORT: Command =
        Command::standard(NetFn::APP, 0x09, Privilege::User, "Get NetFn Support");
    const SET_COMMAND_ENABLES: Command =
        Command::standard(NetFn::APP, 0x60, Privilege::Administrator, "Set Command Enables");
    const CONTROL: Command =
        Command::standard(NetFn::CHASSIS, 0x02, Privilege::Operator, "Chassis Control");
    const LATE: Command = Command::standard(NetFn::STORAGE, 0x82, Privilege::User, "Late");
    const DCMI: Command =
        Command::group(GroupBody::DCMI, 0x01, Privilege::User, "Get DCMI Capabilities Info");

    fn commands() -> TestCommands {
        let firewall = Arc::new(Firewall::new(Persistent::volatile()));
        let rows = [CONTROL, LATE, DCMI, GET_NETFN_SUPPORT, SET_COMMAND_ENABLES];
        firewall.learn(rows.iter());
        TestCommands::with(Family::NetFn(NetFn::APP), |_, table| register(&firewall, table))
    }

    #[tokio::test]
    async fn registered_commands_are_the_reported_ones() {
        let commands = commands();
        // NetFn 00h, 06h, 0Ah, 2Ch: pairs 0, 3, 5 and 22.
        let pairs = hex!("01 29 00 40 00 00 00 00 00 00 00 00 00 00 00 00 00");
        assert_eq!(commands.send(0x09, &[0x0e]).await, answer(&pairs));
        let chassis = hex!("fb ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff");
        assert_eq!(commands.send(0x0a, &hex!("01 00 00")).await, answer(&chassis));
        let late = hex!("04 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
        assert_eq!(commands.send(0x61, &hex!("01 4a 00")).await, answer(&late));
        let dcmi = hex!("02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
        assert_eq!(commands.send(0x0c, &hex!("01 2c 00 dc")).await, answer(&dcmi));
        assert_eq!(commands.send(0x0c, &hex!("01 2c 00 00")).await, answer(&[0; 16]));
        assert_eq!(commands.send(0x0c, &hex!("01 06 00")).await, answer(&[0; 16]));
        assert_eq!(commands.send(0x64, &hex!("01 2c 00")).await, answer(&hex!("01 01 dc")));
    }

    #[tokio::test]
    async fn commands_are_switched_off_and_on() {
        let commands = commands();
        let none = [&hex!("01 00 00")[..], &[0; 16]].concat();
        assert_eq!(commands.send(0x60, &none).await, answer(&[]));
        assert_eq!(commands.send(0x61, &hex!("01 00 00")).await, answer(&[0; 16]));
        let mut all = none.clone();
        all[3] = 0x04;
        assert_eq!(commands.send(0x60, &all).await, answer(&[]));
        assert_eq!(commands.send(0x61, &hex!("01 00 00")).await, answer(&all[3..]));
        // The firewall's own commands are not configurable.
        let app = [&hex!("01 06 00")[..], &[0; 16]].concat();
        assert_eq!(commands.send(0x60, &app).await, answer(&[]));
        assert_eq!(commands.send(0x61, &hex!("01 06 00")).await.unwrap()[1], 0x02);
    }

    #[tokio::test]
    async fn sub_functions_are_reported_and_switched() {
        let commands = commands();
        let support = hex!("00 20 11 c0 ff ff ff");
        assert_eq!(commands.send(0x0b, &hex!("01 00 00 02")).await, answer(&support));
        assert_eq!(commands.send(0x0d, &hex!("01 00 00 02")).await, answer(&hex!("3f 00 00 00")));
        assert_eq!(commands.send(0x62, &hex!("01 00 00 02 03 00 00 00")).await, answer(&[]));
        assert_eq!(commands.send(0x63, &hex!("01 00 00 02")).await, answer(&hex!("03 00 00 00")));
        let unknown = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x0d, &hex!("01 00 00 77")).await, unknown);
        // Other LUNs have no commands to disable.
        let elsewhere = hex!("01 00 01 02 00 00 00 00");
        assert_eq!(commands.send(0x62, &elsewhere).await, unknown);
        let enabled = answer(&hex!("03 00 00 00"));
        assert_eq!(commands.send(0x63, &hex!("01 00 00 02")).await, enabled);
    }
}
