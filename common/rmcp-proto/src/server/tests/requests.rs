//! Requests within a session: at most once, privilege, closing, time-outs, changed accounts.

use ipmi_proto::Privilege;

use super::*;

/// Sends `request` in the console's session: what came back at once.
fn ask(bmc: &mut Bmc, console: &mut Console<Counted>, request: &Request) -> Vec<ConsoleEvent> {
    console.send(bmc.now, request).expect("an open session");
    bmc.run(peer(1), console)
}

fn completion_of(events: &[ConsoleEvent]) -> (u8, Vec<u8>) {
    match events {
        [ConsoleEvent::Response { completion, data, .. }] => (completion.0, data.clone()),
        other => panic!("one response, not {other:?}"),
    }
}

/// The answer that the server has ready, delivered.
fn deliver(bmc: &mut Bmc, console: &mut Console<Counted>) -> Vec<ConsoleEvent> {
    for bytes in bmc.sent(peer(1)) {
        console.handle_datagram(bmc.now, &bytes);
    }
    std::iter::from_fn(|| console.poll_event()).collect()
}

#[test]
fn a_request_goes_out_and_its_answer_back_with_every_suite() {
    for suite in CipherSuite::all() {
        let mut bmc = Bmc::usual();
        let mut console = bmc.log_in(1, root(suite.id()));
        bmc.events();
        for round in 0..20u8 {
            assert!(ask(&mut bmc, &mut console, &device_id()).is_empty());
            let (token, request) = only_request(&bmc.events());
            assert_eq!(request, device_id());
            bmc.server.respond(bmc.now, token, &answer(&[round]));
            let events = deliver(&mut bmc, &mut console);
            assert_eq!(completion_of(&events), (0, vec![round]), "suite {}", suite.id());
        }
    }
}

#[test]
fn several_requests_run_at_a_time_and_may_be_answered_in_any_order() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    bmc.events();
    let mut tokens = Vec::new();
    for _ in 0..8 {
        ask(&mut bmc, &mut console, &device_id());
        tokens.push(only_request(&bmc.events()).0);
    }
    for token in tokens.into_iter().rev() {
        bmc.server.respond(bmc.now, token, &answer(&[]));
        assert_eq!(completion_of(&deliver(&mut bmc, &mut console)).0, 0);
    }
}

#[test]
fn more_requests_than_may_run_are_answered_busy() {
    let mut bmc = Bmc::new(Config { requests: 2, ..config() }, Table::usual());
    let mut console = bmc.log_in(1, root(17));
    for _ in 0..2 {
        assert!(ask(&mut bmc, &mut console, &device_id()).is_empty());
    }
    let events = ask(&mut bmc, &mut console, &device_id());
    assert_eq!(completion_of(&events).0, 0xc0);
    assert_eq!(bmc.counted(Reason::TooManyRequests), 1);
}

#[test]
fn a_retried_request_runs_once_and_gets_the_reply_again() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    bmc.events();
    ask(&mut bmc, &mut console, &device_id());
    let (token, _) = only_request(&bmc.events());

    bmc.pass(Duration::from_secs(1));
    console.handle_timeout(bmc.now);
    assert!(bmc.run(peer(1), &mut console).is_empty(), "still running: the copy is dropped");
    assert_eq!(bmc.counted(Reason::DuplicateRequest), 1);
    bmc.events();

    bmc.server.respond(bmc.now, token, &answer(&[1]));
    bmc.sent(peer(1)); // lost on the way
    bmc.pass(Duration::from_secs(1));
    console.handle_timeout(bmc.now);
    let events = bmc.run(peer(1), &mut console);
    assert_eq!(completion_of(&events), (0, vec![1]), "from the last reply");
    assert!(bmc.events().is_empty(), "not run again");
}

#[test]
fn a_late_answer_is_dropped() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    bmc.events();
    ask(&mut bmc, &mut console, &device_id());
    let (token, _) = only_request(&bmc.events());
    bmc.server.respond(bmc.now, token, &answer(&[1]));
    bmc.sent(peer(1));
    bmc.server.respond(bmc.now, token, &answer(&[2]));
    assert!(bmc.sent(peer(1)).is_empty(), "answered already");

    ask(&mut bmc, &mut console, &device_id());
    let (token, _) = only_request(&bmc.events());
    bmc.server.close(token.session);
    bmc.server.respond(bmc.now, token, &answer(&[]));
    assert!(bmc.sent(peer(1)).is_empty(), "the session is gone");
}

#[test]
fn set_session_privilege_level_raises_up_to_the_limit() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, credentials(17, "root", "0penBmc", 3));
    bmc.events();
    let cases: [(&[u8], u8, &[u8]); 10] = [
        (&[0], 0, &[2]),
        (&[3], 0, &[3]),
        (&[4], 0x81, &[]),
        (&[6], 0xcc, &[]),
        (&[1], 0xcc, &[]),
        (&[0x10], 0xcc, &[]),
        (&[0x82], 0xcc, &[]),
        (&[2], 0, &[2]),
        (&[], 0xc7, &[]),
        (&[3, 0], 0xc7, &[]),
    ];
    for (data, code, level) in cases {
        let events = ask(&mut bmc, &mut console, &app(0x3b, data));
        assert_eq!(completion_of(&events), (code, level.to_vec()), "{data:?}");
    }
    let changes = bmc.events().into_iter().filter(|event| matches!(event, Event::Changed(_)));
    assert_eq!(changes.count(), 2);
}

#[test]
fn close_session_ends_its_own_session_by_id_or_handle() {
    for by_handle in [false, true] {
        let mut bmc = Bmc::usual();
        let mut console = bmc.log_in(1, root(17));
        bmc.events();
        let data = match by_handle {
            true => vec![0, 0, 0, 0, 1],
            false => console.managed_id().unwrap().to_le_bytes().to_vec(),
        };
        let events = ask(&mut bmc, &mut console, &app(0x3c, &data));
        assert_eq!(completion_of(&events), (0, vec![]), "answered before it ends");
        assert!(matches!(bmc.events().as_slice(), [Event::Closed(_, CloseReason::Requested)]));
        assert_eq!(bmc.server.sessions().count(), 0);
        console.send(bmc.now, &device_id());
        bmc.run(peer(1), &mut console);
        assert_eq!(bmc.counted(Reason::UnknownSession), 1);
    }
}

#[test]
fn requests_that_the_server_answers_are_reported_with_their_session() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    let user = bmc.server.sessions().next().map(|session| session.user_id).unwrap();
    // The login's own, which no session has.
    assert!(bmc.answered().iter().all(|(user, ..)| user.is_none()));
    ask(&mut bmc, &mut console, &app(0x3b, &[4]));
    ask(&mut bmc, &mut console, &app(0x3b, &[9]));
    ask(&mut bmc, &mut console, &app(0x38, &[0x0e, 4]));
    ask(&mut bmc, &mut console, &device_id());
    let id = console.managed_id().unwrap().to_le_bytes();
    ask(&mut bmc, &mut console, &app(0x3c, &id));
    let user = Some(user);
    let expected = [(user, 0x3b, 0), (user, 0x3b, 0xcc), (user, 0x38, 0), (user, 0x3c, 0)];
    assert_eq!(bmc.answered(), expected);
}

#[test]
fn closing_another_session_is_the_bmcs_affair() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    bmc.events();
    assert!(ask(&mut bmc, &mut console, &app(0x3c, &[1, 2, 3, 4])).is_empty());
    assert_eq!(only_request(&bmc.events()).1.command, 0x3c);
}

#[test]
fn payload_commands_and_payloads_go_to_their_owner() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    bmc.events();
    ask(&mut bmc, &mut console, &app(0x48, &[1, 1, 0xc6, 0, 0, 0]));
    let events = bmc.events();
    let [Event::PayloadCommand { token, session, .. }] = events.as_slice() else {
        panic!("{events:?}");
    };
    bmc.server.respond(bmc.now, *token, &answer(&[]));
    deliver(&mut bmc, &mut console);

    console.send_payload(PayloadType::SOL, Protection::FULL, b"early");
    bmc.run(peer(1), &mut console);
    assert_eq!(bmc.counted(Reason::UnsupportedPayload), 1);
    bmc.events();

    bmc.server.set_payload_active(session.id, true);
    for protection in [Protection::FULL, Protection { encrypted: false, authenticated: true }] {
        console.send_payload(PayloadType::SOL, protection, b"typed");
        bmc.run(peer(1), &mut console);
        let (kind, data) = (PayloadType::SOL, b"typed".to_vec());
        let wanted = Event::Payload { session: session.id, kind, protection, data };
        assert_eq!(bmc.events(), [wanted]);
        assert!(bmc.server.send_payload(session.id, kind, protection, b"shown"));
        let data = b"shown".to_vec();
        assert_eq!(deliver(&mut bmc, &mut console), [ConsoleEvent::Payload { kind, data }]);
    }
}

#[test]
fn an_idle_session_is_closed_and_each_valid_packet_keeps_it() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    for _ in 0..3 {
        bmc.pass(Duration::from_secs(59));
        console.send(bmc.now, &app(0x3b, &[0]));
        assert_eq!(bmc.run(peer(1), &mut console).len(), 1);
    }
    bmc.events();
    bmc.pass(Duration::from_secs(59));
    assert_eq!(bmc.server.sessions().count(), 1);
    bmc.pass(Duration::from_secs(1));
    assert!(matches!(bmc.events().as_slice(), [Event::Closed(_, CloseReason::Idle)]));
    assert_eq!(bmc.server.poll_timeout(), None, "nothing left to wake for");
}

#[test]
fn changed_accounts_take_effect_on_live_sessions() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    ask(&mut bmc, &mut console, &app(0x3b, &[4]));
    bmc.events();
    bmc.server.accounts_changed(bmc.now);
    assert!(bmc.events().is_empty(), "nothing changed");

    bmc.server.accounts_mut().accounts[0].limit = Privilege::Operator;
    bmc.server.accounts_changed(bmc.now);
    let events = bmc.events();
    assert!(
        matches!(events.as_slice(), [Event::Changed(info)] if info.privilege == Privilege::Operator)
    );

    let changes: [fn(&mut Table); 4] = [
        |table| table.accounts[0].key = UserKey::from_password(b"another").unwrap(),
        |table| table.accounts[0].name = UserName::new(b"renamed").unwrap(),
        |table| table.accounts.clear(),
        |table| table.channel_limit = None,
    ];
    for change in changes {
        let mut bmc = Bmc::usual();
        bmc.log_in(1, root(17));
        bmc.events();
        change(bmc.server.accounts_mut());
        bmc.server.accounts_changed(bmc.now);
        let events = bmc.events();
        assert!(matches!(events.as_slice(), [Event::Closed(_, CloseReason::AccountChanged)]));
    }
}

#[test]
fn a_user_who_changes_the_own_account_gets_the_response_and_closes_as_always() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    ask(&mut bmc, &mut console, &device_id());
    let (token, _) = only_request(&bmc.events());
    bmc.server.accounts_mut().accounts[0].key = UserKey::from_password(b"another").unwrap();
    bmc.server.accounts_changed(bmc.now);
    bmc.server.accounts_changed(bmc.now);
    let [Event::Closed(info, CloseReason::AccountChanged)] = bmc.events()[..] else {
        panic!("one event that the session was closed");
    };
    assert_eq!(bmc.server.sessions().count(), 0);

    bmc.server.respond(bmc.now, token, &answer(&[]));
    assert_eq!(completion_of(&deliver(&mut bmc, &mut console)).0, 0);
    assert!(ask(&mut bmc, &mut console, &device_id()).is_empty());
    assert!(!bmc.server.send_payload(info.id, PayloadType::SOL, Protection::FULL, b"shown"));
    let unknown = [Event::Rejected { peer: peer(1), reason: Reason::UnknownSession }];
    assert_eq!(bmc.events(), unknown, "nothing more is executed");

    let close = app(0x3c, &info.id.0.to_le_bytes());
    assert_eq!(completion_of(&ask(&mut bmc, &mut console, &close)).0, 0);
    assert!(bmc.events().is_empty(), "its end was reported already");
    assert!(ask(&mut bmc, &mut console, &close).is_empty());
}

#[test]
fn a_session_that_parts_gives_its_slot_up_to_a_login_or_in_time() {
    let mut bmc = Bmc::new(Config { sessions: 1, ..config() }, Table::usual());
    let part = |bmc: &mut Bmc| {
        bmc.log_in(1, root(17));
        bmc.server.accounts_mut().channel_limit = None;
        bmc.server.accounts_changed(bmc.now);
        bmc.server.accounts_mut().channel_limit = Some(Privilege::Administrator);
    };
    part(&mut bmc);
    part(&mut bmc);
    bmc.events();
    assert!(bmc.server.poll_timeout().is_some());
    bmc.pass(CLOSING_TIME);
    assert_eq!(bmc.server.poll_timeout(), None, "nothing left to wake for");
    assert!(bmc.events().is_empty());
}

#[test]
fn in_session_questions_about_this_channel_are_answered_and_others_forwarded() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    bmc.events();
    let events = ask(&mut bmc, &mut console, &app(0x38, &[0x8e, 4]));
    assert_eq!(completion_of(&events), (0, vec![1, 0x80, 0x04, 0x02, 0, 0, 0, 0]));
    for request in [app(0x38, &[0x88, 4]), app(0x37, &[]), app(0x54, &[2, 0, 0])] {
        assert!(ask(&mut bmc, &mut console, &request).is_empty());
        assert_eq!(only_request(&bmc.events()).1, request);
    }
}
