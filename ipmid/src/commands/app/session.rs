//! Session commands, for the sessions of all bridges.

use std::sync::Arc;

use ipmi_proto::codec::{Bits, Remaining};
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{AppProvider, Platform};
use crate::platform::{PlatformError, PlatformResult, SessionInfo, SessionState};
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// `87h`: invalid session id in request.
const INVALID_SESSION_ID: CompletionCode = CompletionCode(0x87);
/// `88h`: invalid session handle in request.
const INVALID_SESSION_HANDLE: CompletionCode = CompletionCode(0x88);

/// Possible active sessions, the maximum of the field of six bits: each bridge has up to 62.
const POSSIBLE_SESSIONS: u8 = 62;
/// Session types in bits 7:4 of the channel byte (IPMI v2.0 §22.20, Table 22-25).
const IPMI_15: Bits<4> = Bits::low(0);
const RMCP_PLUS: Bits<4> = Bits::low(1);

/// Session selector of Get Session Info (IPMI v2.0 §22.20, byte 1).
enum Which {
    /// The session of the request.
    Own,
    /// The nth active session, from 1.
    Nth(u8),
    Handle(u8),
    Id(u32),
}

/// Handle, possible and active sessions, and the details of an active session.
type SessionReply = (u8, u8, u8, Option<Details>);
/// User, privilege, channel with session type; then address (first octet first), MAC and port.
type Details = (u8, u8, (Bits<4>, Bits<4>), ([u8; 4], [u8; 6], u16));

impl<P: Platform> AppProvider<P> {
    pub(super) fn register_session(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Callback, User};
        let mut rows = table.rows(NetFn::APP, self);
        rows.add(0x3d, User, "Get Session Info", Self::get_session_info);
        let mut rows = rows.changing(Resource::SESSIONS);
        rows.add(0x3c, Callback, "Close Session", Self::close_session);
    }

    /// Close Session (IPMI v2.0 §22.19): the requester's own, or another as Administrator. ID 0 selects
    /// the session by the handle that follows.
    ///
    /// # Errors
    ///
    /// `87h` and `88h` when there is no such session, `D4h` for another user's session below Administrator.
    async fn close_session(
        self: Arc<Self>,
        context: Context,
        id: u32,
        handle: Option<u8>,
    ) -> HandlerResult<()> {
        let sessions = known(self.platform.sessions().await)?;
        let session = match (id, handle) {
            (0, Some(handle)) => {
                find(&sessions, |session| session.handle == handle).ok_or(INVALID_SESSION_HANDLE)?
            }
            (0, None) => return Err(INVALID_SESSION_ID.into()),
            (id, None) => find(&sessions, |session| session.id == id).ok_or(INVALID_SESSION_ID)?,
            (_, Some(_)) => return Err(CompletionCode::REQUEST_LENGTH_INVALID.into()),
        };
        let is_own = context.session.is_some_and(|own| own.id == session.id);
        if !is_own && context.privilege < Privilege::Administrator {
            return Err(CompletionCode::INSUFFICIENT_PRIVILEGE.into());
        }
        Ok(self.platform.close(&session.path).await?)
    }

    /// Get Session Info (IPMI v2.0 §22.20). Only three bytes, with handle 0, if the index
    /// exceeds the number of active sessions.
    ///
    /// # Errors
    ///
    /// `CBh` for a handle or id that no session has, `CCh` for "this session" from a session-less channel.
    async fn get_session_info(
        self: Arc<Self>,
        context: Context,
        index: u8,
        rest: Remaining,
    ) -> HandlerResult<SessionReply> {
        let which = match index {
            0x00 => Which::Own,
            0xfe => Which::Handle(rest.decode()?),
            0xff => Which::Id(rest.decode()?),
            index => Which::Nth(index),
        };
        if matches!(which, Which::Own | Which::Nth(_)) {
            rest.decode::<()>()?;
        }
        let active: Vec<_> = known(self.platform.sessions().await)?
            .into_iter()
            .filter(|session| session.state == SessionState::Active)
            .collect();
        let own_id = context.session.map(|own| own.id);
        let session = match which {
            Which::Own => {
                let id = own_id.ok_or(CompletionCode::INVALID_DATA_FIELD)?;
                Some(find(&active, |session| session.id == id).ok_or(CompletionCode::NOT_PRESENT)?)
            }
            Which::Handle(handle) => Some(
                find(&active, |session| session.handle == handle)
                    .ok_or(CompletionCode::NOT_PRESENT)?,
            ),
            Which::Id(id) => {
                Some(find(&active, |session| session.id == id).ok_or(CompletionCode::NOT_PRESENT)?)
            }
            Which::Nth(index) => active.get(usize::from(index) - 1),
        };
        let count = u8::try_from(active.len()).unwrap_or(u8::MAX).min(POSSIBLE_SESSIONS);
        let handle = session.map_or(0, |session| session.handle);
        Ok((handle, POSSIBLE_SESSIONS, count, session.map(details)))
    }
}

/// The sessions; empty if no bridge has any.
fn known(sessions: PlatformResult<Vec<SessionInfo>>) -> PlatformResult<Vec<SessionInfo>> {
    match sessions {
        Err(PlatformError::Absent(_)) => Ok(Vec::new()),
        other => other,
    }
}

fn find(sessions: &[SessionInfo], is_it: impl Fn(&SessionInfo) -> bool) -> Option<&SessionInfo> {
    sessions.iter().find(|session| is_it(session))
}

fn details(session: &SessionInfo) -> Details {
    let place = (session.remote_address.octets(), session.remote_mac, session.remote_port);
    let kind = if session.is_rmcp_plus { RMCP_PLUS } else { IPMI_15 };
    (session.user_id, session.privilege, (Bits::low(session.channel), kind), place)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hex_literal::hex;

    use super::*;
    use crate::commands::app::tests::{answer, commands};
    use crate::request::context::Session;

    fn session(handle: u8, id: u32) -> SessionInfo {
        SessionInfo {
            path: format!("/session/{handle}"),
            id,
            handle,
            channel: 1,
            privilege: 4,
            user_id: 2,
            state: SessionState::Active,
            is_rmcp_plus: true,
            remote_address: Ipv4Addr::new(192, 0, 2, 7),
            remote_mac: [0; 6],
            remote_port: 0x1234,
        }
    }

    fn from(id: u32, privilege: Privilege) -> Context {
        let session = Some(Session { user_id: 2, id });
        Context { session, privilege, ..Context::system_interface() }
    }

    #[tokio::test]
    async fn sessions_are_found_by_index_handle_id_and_as_ones_own() {
        let (commands, ..) = commands();
        commands.platform.state().sessions = vec![session(1, 0x11), session(9, 0x99)];
        let first = hex!("01 3e 02 02 04 11 c0 00 02 07 00 00 00 00 00 00 34 12");
        let second = hex!("09 3e 02 02 04 11 c0 00 02 07 00 00 00 00 00 00 34 12");
        for (request, reply) in [
            (&hex!("01")[..], &first[..]),
            (&hex!("02"), &second),
            (&hex!("fe 09"), &second),
            (&hex!("ff 11 00 00 00"), &first),
            (&hex!("03"), &hex!("00 3e 02")),
        ] {
            assert_eq!(commands.send(0x3d, request).await, answer(reply), "{request:02x?}");
        }
        let own = from(0x99, Privilege::User);
        assert_eq!(commands.send_as(own, 0x3d, &[0]).await, answer(&second));
        assert_eq!(commands.send(0x3d, &[0]).await, Err(CompletionCode::INVALID_DATA_FIELD));
        assert_eq!(commands.send(0x3d, &[0xfe, 2]).await, Err(CompletionCode::NOT_PRESENT));
        for request in [&[0xfe][..], &[0xff, 1], &[1, 1]] {
            let wrong = Err(CompletionCode::REQUEST_LENGTH_INVALID);
            assert_eq!(commands.send(0x3d, request).await, wrong, "{request:02x?}");
        }
    }

    #[tokio::test]
    async fn session_type_of_ipmi_15_is_reported() {
        let (commands, ..) = commands();
        commands.platform.state().sessions =
            vec![SessionInfo { is_rmcp_plus: false, ..session(1, 0x11) }];
        let response = hex!("01 3e 01 02 04 01 c0 00 02 07 00 00 00 00 00 00 34 12");
        assert_eq!(commands.send(0x3d, &[1]).await, answer(&response));
    }

    #[tokio::test]
    async fn others_sessions_are_closed_by_administrators_alone() {
        let (commands, ..) = commands();
        commands.platform.state().sessions = vec![session(1, 0x11), session(9, 0x99)];
        let other = hex!("99 00 00 00");
        let user = from(0x11, Privilege::Operator);
        let refused = Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
        assert_eq!(commands.send_as(user, 0x3c, &other).await, refused);
        let admin = from(0x11, Privilege::Administrator);
        assert_eq!(commands.send_as(admin, 0x3c, &other).await, answer(&[]));
        assert_eq!(commands.send_as(admin, 0x3c, &other).await, Err(INVALID_SESSION_ID));
        let handle = hex!("00 00 00 00 01");
        assert_eq!(commands.send_as(user, 0x3c, &handle).await, answer(&[]));
        assert_eq!(commands.send_as(user, 0x3c, &handle).await, Err(INVALID_SESSION_HANDLE));
        assert!(commands.platform.state().sessions.is_empty());
    }
}
