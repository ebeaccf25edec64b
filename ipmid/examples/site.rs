//! An `ipmid` with a site's own commands: what it takes to add one.
//!
//! A command is one function, one row and one test. This daemon has a command of its own, answers
//! one of the specification's in its own way, and keeps the host from one.

use std::process::ExitCode;
use std::sync::Arc;

use ipmi_proto::codec::{BitSet, Bits, Zero};
use ipmi_proto::{CompletionCode, Iana, NetFn, Privilege};
use ipmid::Extensions;
use ipmid::request::command::{Command, CommandTable, Priority};
use ipmid::request::context::Context;
use ipmid::request::filter::Filter;

/// The enterprise number that RFC 5612 keeps for examples.
const EXAMPLE: Iana = match Iana::new(32473) {
    Some(iana) => iana,
    None => Iana::OPENBMC,
};

// The row: whose number, which number, who may send it, its name.
const GET_RACK_POSITION: Command =
    Command::oem(EXAMPLE, 0x01, Privilege::User, "Get Rack Position");

/// What the commands share: the place in the data centre.
struct Site {
    rack: u16,
    unit: u8,
}

// The function: its parameters after the context are the request, its result is the reply. A
// request that is too short, too long or has the reserved bits set never gets here.
/// Get Rack Position: the rack, lowest unit, and which of the units above it are taken too.
async fn get_rack_position(
    site: Arc<Site>,
    _: Context,
    (chassis, _): (Bits<4>, Zero<4>),
) -> Result<(u16, u8, BitSet<8>), CompletionCode> {
    if chassis.value() != 0 {
        return Err(CompletionCode::NOT_PRESENT);
    }
    Ok((site.rack, site.unit, BitSet::from_iter([0, 1])))
}

const GET_SELF_TEST_RESULTS: Command =
    Command::standard(NetFn::APP, 0x04, Privilege::User, "Get Self Test Results");

/// Answers for a board that has no self test, in place of the daemon's own handler.
async fn no_self_test(_: Arc<Site>, _: Context) -> Result<(u8, u8), CompletionCode> {
    Ok((0x56, 0x00))
}

fn commands(table: &mut CommandTable) {
    let site = Arc::new(Site { rack: 0x0102, unit: 17 });
    table.at(Priority::OEM).add(GET_RACK_POSITION, &site, get_rack_position);
    table.at(Priority::CUSTOM).add(GET_SELF_TEST_RESULTS, &site, no_self_test);
}

/// Keeps the host from resetting the BMC; an administrator on the network may.
struct NoResetByHost;

impl Filter for NoResetByHost {
    fn check(&self, context: &Context, command: &Command, _: &[u8]) -> Result<(), CompletionCode> {
        if context.is_from_host() && command.name == "Cold Reset" {
            return Err(CompletionCode::SUBFUNCTION_DISABLED);
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    daemon::run("ipmid", ipmid::prepare, |setup, config| {
        let filters: Vec<Box<dyn Filter>> = vec![Box::new(NoResetByHost)];
        ipmid::run_with(setup, config, Extensions { commands: Some(Box::new(commands)), filters })
    })
}

#[cfg(test)]
mod tests {
    use ipmid::request::dispatch::Dispatcher;

    use super::*;

    const COLD_RESET: Command =
        Command::standard(NetFn::APP, 0x02, Privilege::Administrator, "Cold Reset");

    async fn nothing(_: Arc<()>, _: Context) -> Result<(), CompletionCode> {
        Ok(())
    }

    /// The site's commands over two of the specification's.
    fn dispatcher() -> Dispatcher {
        let mut table = CommandTable::default();
        let mut base = table.at(Priority::BASE);
        base.add(COLD_RESET, &Arc::new(()), nothing);
        base.add(GET_SELF_TEST_RESULTS, &Arc::new(()), nothing);
        commands(&mut table);
        Dispatcher::new(table.finish().unwrap(), vec![Box::new(NoResetByHost)])
    }

    async fn send(netfn: u8, command: u8, data: &[u8]) -> (u8, Vec<u8>) {
        let context = Context { command, ..Context::system_interface() };
        let reply = dispatcher().dispatch(context, netfn, data).await;
        (reply.completion.0, reply.data)
    }

    #[tokio::test]
    async fn rack_position_matches_golden_bytes() {
        let iana = [0xd9, 0x7e, 0x00];
        let reply = [&iana[..], &[0x02, 0x01, 17, 0x03]].concat();
        assert_eq!(send(0x2e, 1, &[0xd9, 0x7e, 0x00, 0]).await, (0x00, reply));
        assert_eq!(send(0x2e, 1, &[0xd9, 0x7e, 0x00, 1]).await.0, 0xcb);
        assert_eq!(send(0x2e, 1, &[0xd9, 0x7e, 0x00, 0x10]).await.0, 0xcc);
        assert_eq!(send(0x2e, 1, &[0xd9, 0x7e, 0x00]).await.0, 0xc7);
    }

    #[tokio::test]
    async fn higher_priority_answers_in_place_of_the_base() {
        assert_eq!(send(0x06, 0x04, &[]).await, (0x00, vec![0x56, 0x00]));
    }

    #[tokio::test]
    async fn filter_refuses_the_host_and_not_a_session() {
        assert_eq!(send(0x06, 0x02, &[]).await.0, 0xd6);
        let session = Some(ipmid::request::context::Session { user_id: 2, id: 1 });
        let context = Context { command: 0x02, session, ..Context::system_interface() };
        let reply = dispatcher().dispatch(context, 0x06, &[]).await;
        assert_eq!(reply.completion, CompletionCode::OK);
    }
}
