//! Logging in: every suite, every refusal, out of turn, lost and doubled messages.

use ipmi_proto::Privilege;

use super::*;
use crate::console::ConsoleError;
use crate::testing::account;
use crate::wire::StatusCode;
use crate::wire::open_session::{OpenSessionRequest, OpenSessionResponse, Proposal, Proposals};
use crate::wire::rakp::{Rakp1, Rakp2, Rakp3, Rakp4, RakpHeader};
use crate::wire::v20::{self, PayloadType, V20Header, V20Packet};

fn refused(status: StatusCode) -> [ConsoleEvent; 1] {
    [ConsoleEvent::Failed(ConsoleError::Refused(status))]
}

fn try_log_in(bmc: &mut Bmc, credentials: Credentials) -> Vec<ConsoleEvent> {
    let mut console = console(bmc.now, credentials);
    bmc.run(peer(1), &mut console)
}

fn opened(bmc: &mut Bmc) -> SessionInfo {
    let events = bmc.events();
    match events.as_slice() {
        [Event::Opened(info)] => *info,
        other => panic!("one session opened, not {other:?}"),
    }
}

fn datagram(kind: PayloadType, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    v20::emit_plain(&V20Header::sessionless(kind), payload, &mut bytes).unwrap();
    bytes
}

fn payload_of(datagram: &[u8]) -> Vec<u8> {
    V20Packet::parse(&datagram[4..]).unwrap().payload.to_vec()
}

fn open_session(role: u8, proposals: Proposals) -> Vec<u8> {
    let mut payload = Vec::new();
    OpenSessionRequest { tag: 0x5a, role, console_id: 0xa0a2_a3a4, proposals }.emit(&mut payload);
    datagram(PayloadType::OPEN_SESSION_REQUEST, &payload)
}

fn open_response(bmc: &mut Bmc, request: &[u8]) -> OpenSessionResponse {
    let answers = bmc.handle(peer(1), request);
    OpenSessionResponse::parse(&payload_of(&answers[0])).unwrap()
}

/// The console's datagrams of a whole login, in order.
pub(super) fn recorded_login(bmc: &mut Bmc, credentials: Credentials) -> Vec<Vec<u8>> {
    let mut console = console(bmc.now, credentials);
    let mut recorded = Vec::new();
    while let Some(bytes) = console.poll_transmit() {
        recorded.push(bytes.clone());
        for answer in bmc.handle(peer(1), &bytes) {
            console.handle_datagram(bmc.now, &answer);
        }
    }
    assert!(console.is_open());
    recorded
}

#[test]
fn every_suite_logs_in_with_and_without_kg() {
    for suite in CipherSuite::all() {
        for kg in [None, UserKey::from_password(b"site key")] {
            let mut bmc = Bmc::new(config(), Table { kg: kg.clone(), ..Table::usual() });
            bmc.log_in(1, Credentials { kg, ..root(suite.id()) });
            let info = opened(&mut bmc);
            assert_eq!(info.suite, Some(suite));
            assert_eq!((info.user_id, info.handle), (2, 1));
            assert_eq!((info.privilege, info.limit), (Privilege::User, Privilege::Administrator));
        }
    }
}

#[test]
fn a_console_without_the_kg_sees_that_the_bmc_has_one() {
    let kg = UserKey::from_password(b"site key");
    let mut bmc = Bmc::new(config(), Table { kg, ..Table::usual() });
    let events = try_log_in(&mut bmc, root(17));
    assert_eq!(events, [ConsoleEvent::Failed(ConsoleError::WrongProof)]);
}

#[test]
fn a_suite_that_is_not_configured_is_refused_by_its_algorithm() {
    let suites = [17, 3, 2].into_iter().filter_map(CipherSuite::from_id).collect();
    let mut bmc = Bmc::new(Config { suites, ..config() }, Table::usual());
    let cases = [
        (8, StatusCode::INVALID_AUTHENTICATION),
        (15, StatusCode::INVALID_INTEGRITY),
        (16, StatusCode::NO_CIPHER_SUITE),
    ];
    for (suite, status) in cases {
        assert_eq!(try_log_in(&mut bmc, root(suite)), refused(status), "suite {suite}");
    }
    let suites = [17].into_iter().filter_map(CipherSuite::from_id).collect();
    let mut bmc = Bmc::new(Config { suites, ..config() }, Table::usual());
    assert_eq!(try_log_in(&mut bmc, root(16)), refused(StatusCode::INVALID_CONFIDENTIALITY));
    assert_eq!(bmc.counted(Reason::NoCipherSuite), 1);
    bmc.log_in(1, root(17));
}

#[test]
fn suite_zero_is_refused_whatever_is_configured() {
    let mut bmc = Bmc::usual();
    let none = Proposal::Algorithm(0);
    let proposals = Proposals { authentication: none, integrity: none, confidentiality: none };
    let response = open_response(&mut bmc, &open_session(0, proposals));
    let wanted = OpenSessionResponse::Refused {
        tag: 0x5a,
        status: StatusCode::INVALID_AUTHENTICATION,
        console_id: 0xa0a2_a3a4,
    };
    assert_eq!(response, wanted);
}

#[test]
fn null_proposals_get_the_preferred_suite_and_role_zero_the_highest() {
    let suites: Vec<_> = [17, 3].into_iter().filter_map(CipherSuite::from_id).collect();
    let mut bmc = Bmc::new(Config { suites: suites.clone(), ..config() }, Table::usual());
    let any = Proposals {
        authentication: Proposal::Any,
        integrity: Proposal::Any,
        confidentiality: Proposal::Any,
    };
    for (role, granted) in [(0, 4), (2, 2), (4, 4), (5, 4)] {
        match open_response(&mut bmc, &open_session(role, any)) {
            OpenSessionResponse::Accepted { tag, role, algorithms, .. } => {
                assert_eq!((tag, role), (0x5a, granted));
                assert_eq!(algorithms, suites[0].algorithms());
            }
            other => panic!("{other:?}"),
        }
    }
    match open_response(&mut bmc, &open_session(6, any)) {
        OpenSessionResponse::Refused { status, .. } => assert_eq!(status, StatusCode::INVALID_ROLE),
        other => panic!("{other:?}"),
    }
}

/// Begins a login that trusts any proof, as an attacker's does: the BMC's session id, and RAKP 2.
fn begin(bmc: &mut Bmc, port: u16, attempt: &Credentials) -> (u32, Vec<u8>) {
    let request = open_session(0, attempt.suite.algorithms().into());
    let sent = bmc.handle(peer(port), &request);
    let OpenSessionResponse::Accepted { managed_id, .. } =
        OpenSessionResponse::parse(&payload_of(&sent[0])).unwrap()
    else {
        panic!("accepted");
    };
    let rakp_1 = Rakp1 {
        tag: 1,
        managed_id,
        console_random: [9; 16],
        role: attempt.role,
        name_length: attempt.user.length(),
        name: Some(attempt.user),
    };
    let mut payload = Vec::new();
    rakp_1.emit(&mut payload);
    let sent = bmc.handle(peer(port), &datagram(PayloadType::RAKP_1, &payload));
    (managed_id, payload_of(&sent[0]))
}

fn rakp_3(managed_id: u32, status: StatusCode, code: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    let header = RakpHeader { tag: 2, status, session_id: managed_id };
    Rakp3 { header, code }.emit(&mut payload);
    datagram(PayloadType::RAKP_3, &payload)
}

/// Users who cannot log in, each with the reason that the log has.
fn denied() -> Vec<(Credentials, Reason)> {
    let login = |user, role| Credentials { role, ..credentials(17, user, "wrong", 4) };
    let by_name = Role::name_only(4);
    vec![
        (login("root", by_name), Reason::WrongPassword),
        (login("nobody", by_name), Reason::UnknownUser),
        (login("", by_name), Reason::UnknownUser),
        (login("guest", Role::new(4)), Reason::RoleAboveLimit),
        (login("disabled", by_name), Reason::UserDisabled),
        (login("elsewhere", by_name), Reason::NoChannelAccess),
        (login("silent", by_name), Reason::MessagingDisabled),
        (login("callback", by_name), Reason::CallbackOnly),
        (login("fresh", by_name), Reason::NoPassword),
        (login("lost", by_name), Reason::AccountsUnreadable),
    ]
}

fn bmc_with_denied_users() -> Bmc {
    let name = |name: &[u8]| UserName::new(name).unwrap();
    let denied = vec![
        (name(b"disabled"), Denial::UserDisabled),
        (name(b"elsewhere"), Denial::NoChannelAccess),
        (name(b"silent"), Denial::MessagingDisabled),
        (name(b"callback"), Denial::CallbackOnly),
        (name(b"fresh"), Denial::NoPassword),
        (name(b"lost"), Denial::AccountsUnreadable),
    ];
    Bmc::new(config(), Table { denied, ..Table::usual() })
}

/// What the log and the counters have of the login that was just refused.
fn refusal(bmc: &mut Bmc) -> (Reason, LoginEnd) {
    let events = bmc.events();
    let [Event::LoginRefused { reason, end, .. }] = events.as_slice() else {
        panic!("one refusal, not {events:?}");
    };
    assert!(bmc.counted(*reason) > 0);
    (*reason, *end)
}

#[test]
fn the_log_has_the_reason_and_the_wire_has_not() {
    for (attempt, reason) in denied() {
        let mut bmc = bmc_with_denied_users();
        let (managed_id, payload) = begin(&mut bmc, 1, &attempt);
        let rakp_2 = Rakp2::parse(&payload).unwrap();
        assert_eq!(rakp_2.header.status, StatusCode::OK, "{reason:?}");
        assert_eq!(rakp_2.body.unwrap().code.len(), 32);
        let sent = bmc.handle(peer(1), &rakp_3(managed_id, StatusCode::OK, &[0x55; 32]));
        let status = StatusCode::INVALID_INTEGRITY_CHECK;
        let header = RakpHeader { tag: 2, status, session_id: 0xa0a2_a3a4 };
        assert_eq!(Rakp4::parse(&payload_of(&sent[0])), Ok(Rakp4 { header, check: &[] }));
        assert_eq!(refusal(&mut bmc), (reason, LoginEnd::Refused));
        bmc.log_in(1, root(17));
    }
}

#[test]
fn a_console_that_ends_the_login_after_rakp_2_is_logged_with_the_same_reason() {
    for (attempt, reason) in denied() {
        let mut bmc = bmc_with_denied_users();
        begin(&mut bmc, 1, &attempt);
        bmc.pass(Duration::from_secs(3));
        assert!(bmc.sent(peer(1)).is_empty());
        assert_eq!(refusal(&mut bmc), (reason, LoginEnd::NoRakp3));
        let (managed_id, _) = begin(&mut bmc, 1, &attempt);
        let refused = rakp_3(managed_id, StatusCode::INVALID_INTEGRITY_CHECK, &[]);
        assert!(bmc.handle(peer(1), &refused).is_empty());
        assert_eq!(refusal(&mut bmc), (reason, LoginEnd::Rakp2Refused));
        assert_eq!(bmc.server.pending(), 0);
    }
}

#[test]
fn only_a_password_that_was_tried_is_a_failure_of_its_source() {
    let rate = Rate { burst: 2, period: Duration::from_secs(3600) };
    for (attempt, reason) in denied() {
        let mut bmc = bmc_with_denied_users();
        bmc.server.core.config.failures_by_source = rate;
        for _ in 0..4 {
            begin(&mut bmc, 1, &attempt);
            bmc.pass(Duration::from_secs(3));
            assert_eq!(refusal(&mut bmc).0, reason, "not a guess");
        }
        for expected in [reason, reason, Reason::TooManyFailures] {
            let (managed_id, _) = begin(&mut bmc, 1, &attempt);
            bmc.handle(peer(1), &rakp_3(managed_id, StatusCode::OK, &[0x55; 32]));
            assert_eq!(refusal(&mut bmc).0, expected);
        }
    }
}

#[test]
fn the_log_distinguishes_a_disabled_channel_from_a_disabled_suite() {
    let closed = Table { channel_limit: None, ..Table::usual() };
    let off = Table { suite_limit: None, ..Table::usual() };
    for (table, reason) in [(closed, Reason::ChannelDisabled), (off, Reason::SuiteDisabled)] {
        let mut bmc = Bmc::new(config(), table.clone());
        assert_eq!(try_log_in(&mut bmc, root(17)), refused(StatusCode::UNAUTHORIZED_ROLE));
        assert_eq!(bmc.counted(reason), 1);
        // Changed while the login is under way.
        let mut bmc = Bmc::usual();
        let request = open_session(0, root(17).suite.algorithms().into());
        open_response(&mut bmc, &request);
        *bmc.server.accounts_mut() = table;
        let recorded = recorded_login(&mut Bmc::usual(), root(17));
        bmc.handle(peer(1), &recorded[1]);
        bmc.pass(Duration::from_secs(3));
        assert_eq!(refusal(&mut bmc), (reason, LoginEnd::NoRakp3));
    }
}

#[test]
fn privilege_above_the_users_limit_is_reported_only_with_the_right_password() {
    let mut bmc = Bmc::usual();
    let right = credentials(3, "guest", "guest word", 4);
    assert_eq!(try_log_in(&mut bmc, right), refused(StatusCode::UNAUTHORIZED_ROLE));
    let events = bmc.events();
    assert!(matches!(
        events.as_slice(),
        [Event::LoginRefused { reason: Reason::PrivilegeAboveLimit, .. }]
    ));
    let wrong = credentials(3, "guest", "wrong", 4);
    let events = try_log_in(&mut bmc, wrong);
    assert_eq!(events, [ConsoleEvent::Failed(ConsoleError::WrongProof)]);
    bmc.log_in(1, credentials(3, "guest", "guest word", 2));
}

#[test]
fn channel_and_suite_limits_bound_what_is_granted() {
    let limits = [
        (Some(Privilege::User), Some(Privilege::Administrator)),
        (Some(Privilege::Administrator), Some(Privilege::User)),
    ];
    for (channel_limit, suite_limit) in limits {
        let mut bmc = Bmc::new(config(), Table { channel_limit, suite_limit, ..Table::usual() });
        assert_eq!(try_log_in(&mut bmc, root(17)), refused(StatusCode::UNAUTHORIZED_ROLE));
        bmc.log_in(1, credentials(17, "root", "0penBmc", 2));
    }
    let closed = Table { channel_limit: None, ..Table::usual() };
    let mut bmc = Bmc::new(config(), closed);
    assert_eq!(try_log_in(&mut bmc, root(17)), refused(StatusCode::UNAUTHORIZED_ROLE));
}

#[test]
fn role_lookup_finds_the_user_of_that_privilege() {
    let accounts = vec![
        account(2, "same", "user word", Privilege::User),
        account(3, "same", "admin word", Privilege::Administrator),
    ];
    let mut bmc = Bmc::new(config(), Table { accounts, ..Table::usual() });
    for (password, role, id) in [
        ("user word", Role::new(2), 2),
        ("admin word", Role::new(4), 3),
        ("admin word", Role::new(3), 3),
    ] {
        let credentials = Credentials { role, ..credentials(3, "same", password, 0) };
        bmc.log_in(1, credentials);
        assert_eq!(opened(&mut bmc).user_id, id);
    }
    bmc.log_in(1, credentials(3, "same", "user word", 2));
    assert_eq!(opened(&mut bmc).user_id, 2, "by name only: the lowest id");
}

#[test]
fn reserved_roles_and_long_names_end_the_handshake() {
    for (role, length, status) in [
        (0x10, 4, StatusCode::INVALID_ROLE),
        (0x1f, 4, StatusCode::INVALID_ROLE),
        (0x14, 17, StatusCode::INVALID_NAME_LENGTH),
    ] {
        let mut bmc = Bmc::usual();
        let request = open_session(0, root(17).suite.algorithms().into());
        let OpenSessionResponse::Accepted { managed_id, .. } = open_response(&mut bmc, &request)
        else {
            panic!("accepted");
        };
        let mut payload = vec![7, 0, 0, 0];
        payload.extend(managed_id.to_le_bytes());
        payload.extend([1; 16]);
        payload.extend([role, 0, 0, length]);
        payload.resize(28 + usize::from(length), b'x');
        let sent = bmc.handle(peer(1), &datagram(PayloadType::RAKP_1, &payload));
        let header = RakpHeader { tag: 7, status, session_id: 0xa0a2_a3a4 };
        assert_eq!(Rakp2::parse(&payload_of(&sent[0])), Ok(Rakp2 { header, body: None }));
        assert_eq!(bmc.server.pending(), 0);
    }
}

#[test]
fn only_the_right_order_opens_a_session() {
    let recorded = recorded_login(&mut Bmc::usual(), root(17));
    assert_eq!(recorded.len(), 3);
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        // The same seeds make the same ids and random numbers, so a recording fits.
        let mut bmc = Bmc::usual();
        for index in order {
            bmc.handle(peer(1), &recorded[index]);
        }
        let opened = bmc.server.sessions().count();
        assert_eq!(opened, usize::from(order == [0, 1, 2]), "{order:?}");
    }
}

#[test]
fn messages_from_another_address_do_not_touch_a_handshake() {
    let recorded = recorded_login(&mut Bmc::usual(), root(17));
    let mut bmc = Bmc::usual();
    bmc.handle(peer(1), &recorded[0]);
    bmc.handle(peer(2), &recorded[1]);
    bmc.handle(peer(1), &recorded[1]);
    bmc.handle(peer(2), &recorded[2]);
    assert_eq!(bmc.server.sessions().count(), 0);
    bmc.handle(peer(1), &recorded[2]);
    assert_eq!(bmc.server.sessions().count(), 1);
}

#[test]
fn doubled_messages_are_answered_again_and_change_nothing() {
    let recorded = recorded_login(&mut Bmc::usual(), root(17));
    let mut bmc = Bmc::usual();
    bmc.handle(peer(1), &recorded[0]);
    let first = bmc.handle(peer(1), &recorded[1]);
    assert_eq!(bmc.handle(peer(1), &recorded[1]), first, "the same RAKP 2");
    let first = bmc.handle(peer(1), &recorded[2]);
    assert_eq!(bmc.handle(peer(1), &recorded[2]), first, "the same RAKP 4");
    let mut other = recorded[1].clone();
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(bmc.server.sessions().count(), 1);
    assert_eq!(bmc.server.pending(), 0);
}

#[test]
fn another_rakp_1_does_not_replace_the_first() {
    let recorded = recorded_login(&mut Bmc::usual(), root(17));
    let mut bmc = Bmc::usual();
    bmc.handle(peer(1), &recorded[0]);
    bmc.handle(peer(1), &recorded[1]);
    let mut other = recorded[1].clone();
    *other.last_mut().unwrap() ^= 1;
    assert!(bmc.handle(peer(1), &other).is_empty());
    bmc.handle(peer(1), &recorded[2]);
    assert_eq!(bmc.server.sessions().count(), 1);
}

#[test]
fn a_lost_message_is_made_good_by_the_consoles_retry() {
    for lost in 0..6 {
        let mut bmc = Bmc::usual();
        let mut console = console(bmc.now, root(3));
        let mut count = 0;
        for _ in 0..40 {
            while let Some(bytes) = console.poll_transmit() {
                count += 1;
                if count - 1 == lost {
                    continue;
                }
                for answer in bmc.handle(peer(1), &bytes) {
                    count += 1;
                    if count - 1 != lost {
                        console.handle_datagram(bmc.now, &answer);
                    }
                }
            }
            bmc.pass(Duration::from_millis(250));
            console.handle_timeout(bmc.now);
        }
        assert!(console.is_open(), "message {lost} lost");
        assert_eq!(bmc.server.sessions().count(), 1);
    }
}

#[test]
fn a_handshake_not_through_in_time_is_given_up() {
    let recorded = recorded_login(&mut Bmc::usual(), root(17));
    let mut bmc = Bmc::usual();
    bmc.handle(peer(1), &recorded[0]);
    bmc.handle(peer(1), &recorded[1]);
    assert_eq!(bmc.server.pending(), 1);
    bmc.pass(Duration::from_millis(2999));
    assert_eq!(bmc.server.pending(), 1);
    bmc.pass(Duration::from_millis(1));
    assert_eq!(bmc.server.pending(), 0);
    assert_eq!(bmc.server.poll_timeout(), None, "nothing left to wake for");
    assert_eq!(refusal(&mut bmc), (Reason::WrongPassword, LoginEnd::NoRakp3));
    bmc.handle(peer(1), &recorded[2]);
    assert_eq!(bmc.server.sessions().count(), 0);
}

#[test]
fn a_handshake_without_a_user_is_rejected_for_its_time_alone() {
    let mut bmc = Bmc::usual();
    bmc.handle(peer(1), &recorded_login(&mut Bmc::usual(), root(17))[0]);
    bmc.pass(Duration::from_secs(3));
    assert_eq!((bmc.server.pending(), bmc.counted(Reason::HandshakeTimeout)), (0, 1));
}

#[test]
fn a_console_that_refuses_rakp_2_ends_the_handshake() {
    let recorded = recorded_login(&mut Bmc::usual(), root(17));
    let mut bmc = Bmc::usual();
    bmc.handle(peer(1), &recorded[0]);
    bmc.handle(peer(1), &recorded[1]);
    let mut payload = payload_of(&recorded[2])[..8].to_vec();
    payload[1] = 0x01;
    assert!(bmc.handle(peer(1), &datagram(PayloadType::RAKP_3, &payload)).is_empty());
    assert_eq!((bmc.server.pending(), bmc.counted(Reason::ConsoleGaveUp)), (0, 1));
}
