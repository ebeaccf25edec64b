//! An `ipmid` with a site's own commands.
//!
//! A command is one function, one line and one test. This daemon has a command of its own, replaces the handler of
//! one of the specification's, and refuses one to the host.

use std::process::ExitCode;
use std::sync::Arc;

use ipmi_proto::codec::{BitSet, Bits, Zero};
use ipmi_proto::{CompletionCode, Iana, NetFn, Privilege};
use ipmid::Extensions;
use ipmid::request::command::{Command, CommandTable, Priority};
use ipmid::request::context::Context;
use ipmid::request::filter::Filter;

/// The enterprise number that RFC 5612 reserves for examples.
const EXAMPLE: Iana = match Iana::new(32473) {
    Some(iana) => iana,
    None => Iana::OPENBMC,
};

/// The state that the commands share: the position in the data centre.
struct Site {
    rack: u16,
    unit: u8,
}

// The function: its parameters after the context are the request, its result is the reply. A
// request that is too short, too long or has reserved bits set is refused before.
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

/// Get Self Test Results of a board without a self test, in place of the daemon's own handler.
async fn no_self_test(_: Arc<Site>, _: Context) -> Result<(u8, u8), CompletionCode> {
    Ok((0x56, 0x00))
}

fn commands(table: &mut CommandTable) {
    let site = Arc::new(Site { rack: 0x0102, unit: 17 });
    // A line a command: NetFn or enterprise number, then command number, least privilege, name and handler.
    let mut oem = table.at(Priority::OEM);
    oem.rows(EXAMPLE, &site).add(0x01, Privilege::User, "Get Rack Position", get_rack_position);
    let mut custom = table.at(Priority::CUSTOM);
    custom.rows(NetFn::APP, &site).add(
        0x04,
        Privilege::User,
        "Get Self Test Results",
        no_self_test,
    );
}

/// Refuses Cold Reset to the host; an administrator on the network may send it.
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

    async fn nothing(_: Arc<()>, _: Context) -> Result<(), CompletionCode> {
        Ok(())
    }

    /// The site's commands over two of the specification's.
    fn dispatcher() -> Dispatcher {
        let mut table = CommandTable::default();
        let mut base = table.at(Priority::BASE);
        let state = Arc::new(());
        let mut rows = base.rows(NetFn::APP, &state);
        rows.add(0x02, Privilege::Administrator, "Cold Reset", nothing);
        rows.add(0x04, Privilege::User, "Get Self Test Results", nothing);
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
