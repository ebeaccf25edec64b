//! Set In Progress with rollback (IPMI v2.0 Table 23-4, parameter 0): what a client writes between
//! "set in progress" and "commit write" is held, for it alone to see.

use crate::model::parameter_updates::Write;

/// Bits of a set selector that count, and where it stands: in the first byte of these parameters.
const SELECTOR: u8 = 0x0f;
const WITH_SELECTOR: [u8; 4] = [18, 19, 25, STATIC_IPV6];
/// Static IPv6 addresses, written without their last byte, the status.
const STATIC_IPV6: u8 = 56;
const STATIC_IPV6_READ: usize = 20;
/// Status of an address that is not there yet: pending (Table 23-4, parameter 56).
const PENDING: u8 = 2;

/// Whether a write is one to what is read: the same parameter, and the same set of one that has sets.
pub(super) fn is_read((written, data): &Write, (parameter, selector): (u8, u8)) -> bool {
    let with_selector = WITH_SELECTOR.contains(&parameter);
    let same = |first: &u8| first & SELECTOR == selector & SELECTOR;
    *written == parameter && (!with_selector || data.first().is_some_and(same))
}

/// What was written to a parameter, as it is read.
pub(super) fn as_read(parameter: u8, mut data: Vec<u8>) -> Vec<u8> {
    if parameter == STATIC_IPV6 {
        data.resize(STATIC_IPV6_READ - 1, 0);
        data.push(PENDING);
    }
    data
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use ipmi_proto::{ChannelNumber, CompletionCode};

    use crate::commands::set_in_progress::SET_IN_PROGRESS;
    use crate::commands::test_support::TestCommands;
    use crate::commands::transport::lan::tests::{answer, commands, commands_and_updates};
    use crate::model::parameter_updates::{ROOM, UPDATE_TIMEOUT};
    use crate::request::context::{Context, Session};

    const SET: u8 = 0x01;
    const GET: u8 = 0x02;
    const BEGIN: &[u8] = &hex!("01 00 01");
    const COMMIT: &[u8] = &hex!("01 00 02");
    const COMPLETE: &[u8] = &hex!("01 00 00");
    const READ_STATE: &[u8] = &hex!("01 00 00 00");
    const ADDRESS: &[u8] = &hex!("01 03 c0 00 02 63");
    const READ_ADDRESS: &[u8] = &hex!("01 03 00 00");
    const OLD_ADDRESS: &[u8] = &hex!("11 c0 00 02 0a");
    const NEW_ADDRESS: &[u8] = &hex!("11 c0 00 02 63");

    /// Command, request, and the answer that is expected.
    type Turns<'a> = &'a [(u8, &'a [u8], &'a [u8])];

    fn console(id: u32) -> Context {
        Context {
            channel: ChannelNumber::new(1).unwrap(),
            session: Some(Session { user_id: 2, id }),
            ..Context::system_interface()
        }
    }

    fn open(commands: &TestCommands, id: u32) -> Context {
        commands.platform.open_session(id);
        console(id)
    }

    /// Sends requests as one client.
    async fn talk(commands: &TestCommands, who: Context, turns: Turns<'_>) {
        for (command, request, reply) in turns {
            assert_eq!(
                commands.send_as(who, *command, request).await,
                answer(reply),
                "{request:02x?}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_held_is_its_clients_alone_until_it_is_committed() {
        let commands = commands();
        let (one, host) = (open(&commands, 1), Context::system_interface());
        let held: Turns<'_> =
            &[(SET, BEGIN, &[]), (SET, ADDRESS, &[]), (GET, READ_ADDRESS, NEW_ADDRESS)];
        talk(&commands, one, held).await;
        let effective: Turns<'_> =
            &[(GET, READ_ADDRESS, OLD_ADDRESS), (GET, READ_STATE, &hex!("11 01"))];
        talk(&commands, host, effective).await;
        for state in [BEGIN, COMMIT, COMPLETE] {
            let refused = commands.send_as(host, SET, state).await;
            assert_eq!(refused, Err(SET_IN_PROGRESS));
        }
        let again = commands.send_as(one, SET, BEGIN).await;
        assert_eq!(again, Err(SET_IN_PROGRESS));
        talk(&commands, one, &[(SET, COMMIT, &[])]).await;
        let committed: Turns<'_> =
            &[(GET, READ_ADDRESS, NEW_ADDRESS), (GET, READ_STATE, &hex!("11 01"))];
        talk(&commands, host, committed).await;
        let done: Turns<'_> = &[(SET, COMPLETE, &[]), (GET, READ_STATE, &hex!("11 00"))];
        talk(&commands, one, done).await;
        talk(&commands, host, &[(GET, READ_ADDRESS, NEW_ADDRESS)]).await;
    }

    #[tokio::test]
    async fn completion_without_commit_rolls_back() {
        let commands = commands();
        let host = Context::system_interface();
        let turns: Turns<'_> = &[
            (SET, BEGIN, &[]),
            (SET, ADDRESS, &[]),
            (SET, COMPLETE, &[]),
            (GET, READ_ADDRESS, OLD_ADDRESS),
            // Nothing is left to be committed.
            (SET, COMMIT, &[]),
            (GET, READ_ADDRESS, OLD_ADDRESS),
            (GET, READ_STATE, &hex!("11 00")),
            // What is written outside of an update takes effect at once.
            (SET, ADDRESS, &[]),
        ];
        talk(&commands, host, turns).await;
        talk(&commands, open(&commands, 1), &[(GET, READ_ADDRESS, NEW_ADDRESS)]).await;
    }

    #[tokio::test]
    async fn what_is_held_is_checked_and_nothing_of_it_changed() {
        let commands = commands();
        let (one, host) = (open(&commands, 1), Context::system_interface());
        talk(&commands, one, &[(SET, BEGIN, &[])]).await;
        for (request, code) in [
            (&hex!("01 06 ff 00 ff 00")[..], 0xc9),
            (&hex!("01 03 c0 00 02"), 0xc7),
            (&hex!("01 08 00 10"), 0xc9),
            (&hex!("01 c0 00"), 0x80),
            (&hex!("01 16 01"), 0x82),
        ] {
            let refused = commands.send_as(one, SET, request).await;
            assert_eq!(refused, Err(CompletionCode(code)), "{request:02x?}");
        }
        // Accounts, the network and what is stored here; sets differ by their selector.
        let writes: Turns<'_> = &[
            (SET, &hex!("01 1a 01 05 1e 00 3c 00"), &[]),
            (SET, &hex!("01 12 03 80 05 02"), &[]),
            (SET, &hex!("01 41 20010db8000000000000000000000001"), &[]),
            (SET, &hex!("01 42 525400000009"), &[]),
            (GET, &hex!("01 1a 00 00"), &hex!("11 01 05 1e 00 3c 00")),
            (GET, &hex!("01 12 03 00"), &hex!("11 03 80 05 02")),
            (GET, &hex!("01 12 02 00"), &hex!("11 02 00 00 00")),
        ];
        talk(&commands, one, writes).await;
        let unchanged: Turns<'_> = &[
            (GET, &hex!("01 1a 00 00"), &hex!("11 00 00 00 00 00 00")),
            (GET, &hex!("01 12 03 00"), &hex!("11 03 00 00 00")),
            (GET, &hex!("01 42 00 00"), &hex!("11 000000000000")),
        ];
        talk(&commands, host, unchanged).await;
        talk(&commands, one, &[(SET, COMMIT, &[])]).await;
        let changed: Turns<'_> = &[
            (GET, &hex!("01 1a 00 00"), &hex!("11 01 05 1e 00 3c 00")),
            (GET, &hex!("01 12 03 00"), &hex!("11 03 80 05 02")),
            (GET, &hex!("01 42 00 00"), &hex!("11 525400000009")),
        ];
        talk(&commands, host, changed).await;
    }

    #[tokio::test]
    async fn a_commit_returns_the_code_of_the_failed_write() {
        let commands = commands();
        let host = Context::system_interface();
        // A router's MAC address, while there is no router.
        let turns: Turns<'_> =
            &[(SET, BEGIN, &[]), (SET, &hex!("01 42 525400000009"), &[]), (SET, ADDRESS, &[])];
        talk(&commands, host, turns).await;
        let failed = commands.send_as(host, SET, COMMIT).await;
        assert_eq!(failed, Err(CompletionCode::NOT_IN_PRESENT_STATE));
        let after: Turns<'_> =
            &[(GET, READ_ADDRESS, OLD_ADDRESS), (GET, READ_STATE, &hex!("11 01"))];
        talk(&commands, host, after).await;
    }

    #[tokio::test]
    async fn a_held_static_ipv6_address_reads_as_pending() {
        let commands = commands();
        let written = hex!("01 38 02 80 20010db8000000000000000000000077 40");
        let read = hex!("11 02 80 20010db8000000000000000000000077 40 02");
        let turns: Turns<'_> =
            &[(SET, BEGIN, &[]), (SET, &written, &[]), (GET, &hex!("01 38 02 00"), &read)];
        talk(&commands, Context::system_interface(), turns).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_update_ends_a_minute_after_its_last_write() {
        let commands = commands();
        let (one, host) = (open(&commands, 1), Context::system_interface());
        talk(&commands, one, &[(SET, BEGIN, &[])]).await;
        for _ in 0..3 {
            tokio::time::advance(UPDATE_TIMEOUT.mul_f32(0.9)).await;
            talk(&commands, one, &[(SET, ADDRESS, &[])]).await;
        }
        tokio::time::advance(UPDATE_TIMEOUT).await;
        let given_up: Turns<'_> = &[
            (SET, COMMIT, &[]),
            (GET, READ_ADDRESS, OLD_ADDRESS),
            (GET, READ_STATE, &hex!("11 00")),
        ];
        talk(&commands, one, given_up).await;
        talk(&commands, host, &[(SET, BEGIN, &[])]).await;
    }

    #[tokio::test]
    async fn an_update_ends_with_its_session() {
        let commands = commands();
        let (one, two) = (open(&commands, 1), open(&commands, 2));
        talk(&commands, one, &[(SET, BEGIN, &[]), (SET, ADDRESS, &[])]).await;
        let refused = commands.send_as(two, SET, BEGIN).await;
        assert_eq!(refused, Err(SET_IN_PROGRESS));
        commands.platform.state().sessions.retain(|session| session.id != 1);
        let turns: Turns<'_> = &[
            (GET, READ_STATE, &hex!("11 00")),
            (SET, BEGIN, &[]),
            (SET, COMMIT, &[]),
            (GET, READ_ADDRESS, OLD_ADDRESS),
        ];
        talk(&commands, two, turns).await;
    }

    #[tokio::test]
    async fn an_update_ends_when_the_host_is_reset() {
        let (commands, updates) = commands_and_updates();
        let one = open(&commands, 1);
        talk(&commands, one, &[(SET, BEGIN, &[]), (SET, ADDRESS, &[])]).await;
        updates.end_all();
        let turns: Turns<'_> = &[
            (GET, READ_STATE, &hex!("11 00")),
            (SET, COMMIT, &[]),
            (GET, READ_ADDRESS, OLD_ADDRESS),
        ];
        talk(&commands, one, turns).await;
    }

    #[tokio::test]
    async fn held_writes_are_bounded() {
        let commands = commands();
        let host = Context::system_interface();
        talk(&commands, host, &[(SET, BEGIN, &[])]).await;
        for _ in 0..ROOM {
            talk(&commands, host, &[(SET, ADDRESS, &[])]).await;
        }
        let refused = commands.send_as(host, SET, ADDRESS).await;
        assert_eq!(refused, Err(CompletionCode::OUT_OF_SPACE));
    }
}
