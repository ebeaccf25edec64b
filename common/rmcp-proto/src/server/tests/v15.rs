//! IPMI 1.5 sessions, against a console made here of nothing but the wire formats.

use ipmi_proto::Privilege;
use ipmi_proto::ipmb::{IpmbAddress, IpmbHeader, IpmbRequest, IpmbResponse, IpmbSequence};

use super::*;
use crate::crypto::v15::auth_code;
use crate::wire::v15::{AuthType, V15Packet};

const ALL: [AuthType; 4] = [AuthType::None, AuthType::Md2, AuthType::Md5, AuthType::Password];

/// A console that speaks IPMI 1.5.
struct OldConsole {
    auth: AuthType,
    key: UserKey,
    id: u32,
    sequence: u32,
    rq_seq: IpmbSequence,
}

impl OldConsole {
    fn new(auth: AuthType, password: &str) -> Self {
        let key = UserKey::from_password(password.as_bytes()).unwrap();
        Self { auth, key, id: 0, sequence: 0, rq_seq: IpmbSequence::default() }
    }

    fn message(&mut self, request: &Request) -> Vec<u8> {
        self.rq_seq = self.rq_seq.next();
        let header = IpmbHeader {
            responder: IpmbAddress::BMC,
            responder_lun: request.lun,
            requester: IpmbAddress::REMOTE_CONSOLE,
            requester_lun: Lun::BMC,
            sequence: self.rq_seq,
            netfn: request.netfn,
            command: request.command,
        };
        let mut message = Vec::new();
        IpmbRequest { header, data: &request.data }.emit(&mut message);
        message
    }

    fn datagram(&mut self, auth: AuthType, request: &Request) -> Vec<u8> {
        let message = self.message(request);
        let code = auth_code(auth, &self.key, self.id, self.sequence, &message);
        let packet = V15Packet {
            auth,
            code: code.as_bytes().try_into().ok(),
            sequence: self.sequence,
            session_id: self.id,
            message: &message,
        };
        let mut datagram = Vec::new();
        packet.emit_datagram(&mut datagram).unwrap();
        if self.sequence != 0 {
            self.sequence += 1;
        }
        datagram
    }

    /// The answer, whose auth code must be right.
    fn read(&self, datagram: &[u8]) -> (u8, Vec<u8>) {
        let packet = V15Packet::parse(&datagram[4..]).unwrap();
        assert_eq!(packet.session_id, self.id);
        if packet.auth != AuthType::None {
            let V15Packet { auth, session_id, sequence, message, .. } = packet;
            let code = auth_code(auth, &self.key, session_id, sequence, message);
            assert!(code.matches(&packet.code.unwrap()));
        }
        let response = IpmbResponse::parse(packet.message).unwrap();
        (response.completion.0, response.data.to_vec())
    }

    fn ask(&mut self, bmc: &mut Bmc, request: &Request) -> Option<(u8, Vec<u8>)> {
        let datagram = self.datagram(self.auth, request);
        bmc.handle(peer(1), &datagram).pop().map(|answer| self.read(&answer))
    }

    /// Asks for a challenge: the Activate Session to send next.
    fn challenge(&mut self, bmc: &mut Bmc, user: &str, privilege: u8) -> Vec<u8> {
        let mut data = vec![self.auth.value()];
        data.extend(user.as_bytes());
        data.resize(17, 0);
        let auth = std::mem::replace(&mut self.auth, AuthType::None);
        let (code, answer) = self.ask(bmc, &app(0x39, &data)).expect("a challenge");
        self.auth = auth;
        assert_eq!((code, answer.len()), (0, 20));
        self.id = u32::from_le_bytes(answer[..4].try_into().unwrap());
        let mut data = vec![self.auth.value(), privilege];
        data.extend(&answer[4..]);
        data.extend(0x1000u32.to_le_bytes());
        self.datagram(self.auth, &app(0x3a, &data))
    }

    /// Logs in: completion code and granted privilege, or silence.
    fn log_in(&mut self, bmc: &mut Bmc, user: &str, privilege: u8) -> Option<u8> {
        let activate = self.challenge(bmc, user, privilege);
        let (code, answer) = self.read(&bmc.handle(peer(1), &activate).pop()?);
        if code == 0 {
            assert_eq!(answer[1..5], self.id.to_le_bytes());
            assert_eq!(answer[9], privilege);
            self.auth = AuthType::new(answer[0]).unwrap();
            self.sequence = u32::from_le_bytes(answer[5..9].try_into().unwrap());
        }
        Some(code)
    }
}

fn old_bmc(v15_policy: V15Policy) -> Bmc {
    let config = Config { v15: ALL.to_vec(), ..config() };
    Bmc::new(config, Table { v15_policy, ..Table::usual() })
}

#[test]
fn every_type_logs_in_asks_and_closes() {
    for auth in ALL {
        let mut bmc = old_bmc(V15Policy::default());
        let mut console = OldConsole::new(auth, "0penBmc");
        assert_eq!(console.log_in(&mut bmc, "root", 4), Some(0), "{auth:?}");
        assert_eq!(console.ask(&mut bmc, &app(0x3b, &[4])), Some((0, vec![4])));
        bmc.events();
        assert_eq!(console.ask(&mut bmc, &device_id()), None);
        let (token, _) = only_request(&bmc.events());
        bmc.server.respond(bmc.now, token, &answer(&[7]));
        let answers = bmc.sent(peer(1));
        assert_eq!(console.read(&answers[0]), (0, vec![7]));
        let id = console.id.to_le_bytes();
        assert_eq!(console.ask(&mut bmc, &app(0x3c, &id)), Some((0, vec![])));
        assert_eq!(bmc.server.sessions().count(), 0);
    }
}

#[test]
fn without_configured_types_there_are_no_such_sessions() {
    let mut bmc = Bmc::usual();
    let mut console = OldConsole::new(AuthType::Md5, "0penBmc");
    let mut data = vec![2];
    data.resize(17, 0);
    let datagram = console.datagram(AuthType::None, &app(0x39, &data));
    let refused = bmc.handle(peer(1), &datagram).pop().expect("a refusal");
    let refused = V15Packet::parse(&refused[4..]).unwrap();
    assert_eq!(IpmbResponse::parse(refused.message).unwrap().completion.0, 0xcc);
    console.id = 5;
    let datagram = console.datagram(AuthType::Md5, &device_id());
    assert!(bmc.handle(peer(1), &datagram).is_empty());
    assert_eq!(bmc.counted(Reason::VersionDisabled), 1);
}

#[test]
fn wrong_password_and_unknown_user_are_met_with_silence() {
    let mut bmc = old_bmc(V15Policy::default());
    for (user, password) in [("root", "wrong"), ("nobody", "0penBmc"), ("", "")] {
        for auth in [AuthType::Md2, AuthType::Md5, AuthType::Password] {
            assert_eq!(OldConsole::new(auth, password).log_in(&mut bmc, user, 4), None);
        }
    }
    assert_eq!(bmc.counted(Reason::WrongPassword), 3);
    assert_eq!(bmc.counted(Reason::UnknownUser), 6);
    assert_eq!(OldConsole::new(AuthType::None, "").log_in(&mut bmc, "nobody", 4), None);
}

#[test]
fn privilege_above_the_limit_is_refused() {
    let mut bmc = old_bmc(V15Policy::default());
    let mut console = OldConsole::new(AuthType::Md5, "guest word");
    assert_eq!(console.log_in(&mut bmc, "guest", 4), Some(0x86));
    let mut console = OldConsole::new(AuthType::Md5, "guest word");
    assert_eq!(console.log_in(&mut bmc, "guest", 2), Some(0));
    assert_eq!(console.ask(&mut bmc, &app(0x3b, &[4])), Some((0x81, vec![])));
}

#[test]
fn a_doubled_activate_session_is_answered_again_and_a_changed_one_is_not() {
    let mut bmc = old_bmc(V15Policy::default());
    let mut console = OldConsole::new(AuthType::Md5, "0penBmc");
    let activate = console.challenge(&mut bmc, "root", 4);
    let first = bmc.handle(peer(1), &activate);
    assert_eq!(bmc.handle(peer(1), &activate), first);
    for bit in 4 * 8..activate.len() * 8 {
        let mut forged = activate.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(bmc.handle(peer(1), &forged).is_empty(), "bit {bit}");
    }
    assert_eq!(bmc.server.sessions().count(), 1);
}

#[test]
fn packets_are_verified_and_never_taken_twice() {
    let mut bmc = old_bmc(V15Policy::default());
    let mut console = OldConsole::new(AuthType::Md5, "0penBmc");
    console.log_in(&mut bmc, "root", 4);
    bmc.events();
    let good = console.datagram(AuthType::Md5, &device_id());
    for bit in 4 * 8..good.len() * 8 {
        let mut forged = good.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(bmc.handle(peer(1), &forged).is_empty(), "bit {bit}");
    }
    for end in 0..good.len() {
        assert!(bmc.handle(peer(1), &good[..end]).is_empty(), "{end} bytes");
    }
    assert!(!bmc.events().iter().any(|event| matches!(event, Event::Request { .. })));
    bmc.handle(peer(1), &good);
    only_request(&bmc.events());
    let before = bmc.counted(Reason::Replayed);
    bmc.handle(peer(1), &good);
    assert_eq!(bmc.counted(Reason::Replayed), before + 1);
    let plain = console.datagram(AuthType::None, &device_id());
    bmc.handle(peer(1), &plain);
    assert_eq!(bmc.counted(Reason::Unprotected), 1);
}

#[test]
fn disabled_authentication_lets_plain_packets_through_as_far_as_it_says() {
    let per_message = V15Policy { per_message_auth_disabled: true, ..V15Policy::default() };
    let user_level = V15Policy { user_level_auth_disabled: true, ..V15Policy::default() };
    for (policy, privilege) in [(per_message, 4), (user_level, 2)] {
        let mut bmc = old_bmc(policy);
        let mut console = OldConsole::new(AuthType::Md5, "0penBmc");
        console.log_in(&mut bmc, "root", 4);
        assert_eq!(console.auth == AuthType::None, policy == per_message);
        assert_eq!(console.ask(&mut bmc, &app(0x3b, &[4])), Some((0, vec![4])));
        bmc.events();
        let plain = console.datagram(AuthType::None, &device_id());
        bmc.handle(peer(1), &plain);
        match bmc.events().as_slice() {
            [Event::Request { session, .. }] => assert_eq!(session.privilege.value(), privilege),
            other => panic!("{other:?}"),
        }
    }
    let mut bmc = old_bmc(user_level);
    let mut console = OldConsole::new(AuthType::Md5, "0penBmc");
    console.log_in(&mut bmc, "root", 4);
    let plain = console.datagram(AuthType::None, &app(0x3b, &[4]));
    let answers = bmc.handle(peer(1), &plain);
    assert_eq!(console.read(&answers[0]).0, 0xd4, "raising the privilege needs the auth code");
}

#[test]
fn payloads_and_long_answers_do_not_fit_the_format() {
    let mut bmc = old_bmc(V15Policy::default());
    let mut console = OldConsole::new(AuthType::Md5, "0penBmc");
    console.log_in(&mut bmc, "root", 4);
    bmc.events();
    let activate = app(0x48, &[1, 1, 0, 0, 0, 0]);
    assert_eq!(console.ask(&mut bmc, &activate), Some((0xd5, vec![])));
    let id = SessionId(console.id);
    assert!(!bmc.server.send_payload(id, PayloadType::SOL, Protection::NONE, b"x"));
    console.ask(&mut bmc, &device_id());
    let (token, _) = only_request(&bmc.events());
    bmc.server.respond(bmc.now, token, &answer(&[0; 300]));
    let answers = bmc.sent(peer(1));
    assert_eq!(console.read(&answers[0]), (0xca, vec![]));
}

#[test]
fn capabilities_name_the_types() {
    let policy = V15Policy { per_message_auth_disabled: true, user_level_auth_disabled: true };
    let mut bmc = old_bmc(policy);
    let mut console = OldConsole::new(AuthType::None, "");
    let (_, data) = console.ask(&mut bmc, &app(0x38, &[0x0e, 4])).unwrap();
    assert_eq!(data, [1, 0x17, 0x1c, 0, 0, 0, 0, 0]);
    let (_, data) = console.ask(&mut bmc, &app(0x38, &[0x8e, 4])).unwrap();
    assert_eq!(data, [1, 0x97, 0x1c, 3, 0, 0, 0, 0]);
}

#[test]
fn passwords_beyond_16_bytes_are_not_for_this_format() {
    let accounts =
        vec![crate::testing::account(2, "root", "seventeen letters", Privilege::Administrator)];
    let config = Config { v15: ALL.to_vec(), ..config() };
    let mut bmc = Bmc::new(config, Table { accounts, ..Table::usual() });
    let mut console = OldConsole::new(AuthType::Md5, "seventeen letter");
    assert_eq!(console.log_in(&mut bmc, "root", 4), None);
    assert_eq!(bmc.counted(Reason::PasswordTooLong), 1);
}

#[test]
fn a_session_lives_on_where_new_ones_are_no_longer_accepted() {
    let mut bmc = old_bmc(V15Policy::default());
    let mut console = OldConsole::new(AuthType::Md5, "0penBmc");
    console.log_in(&mut bmc, "root", 4);
    bmc.events();
    bmc.server.reconfigure(bmc.now, Config { v15: Vec::new(), ..config() });
    console.ask(&mut bmc, &device_id());
    assert_eq!(bmc.requests(), 1);
    let challenge = [&[AuthType::Md5.value()][..], b"root", &[0; 12]].concat();
    let mut other = OldConsole::new(AuthType::None, "");
    assert_eq!(other.ask(&mut bmc, &app(0x39, &challenge)), Some((0xcc, vec![])));
}
