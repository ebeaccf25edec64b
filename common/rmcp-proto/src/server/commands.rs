//! The commands within a session that the server executes itself.

use ipmi_proto::{CompletionCode, NetFn, Privilege, Request};

use super::event::SessionInfo;

/// Set Session Privilege Level (IPMI v2.0 §22.18).
const SET_SESSION_PRIVILEGE: u8 = 0x3b;
/// Close Session (IPMI v2.0 §22.19).
const CLOSE_SESSION: u8 = 0x3c;
/// Activate, Deactivate, Get Payload Activation Status, Get Payload Instance Info, and Suspend or
/// Resume Payload Encryption (IPMI v2.0 §24.1-3, §24.5, §24.7).
const PAYLOAD_COMMANDS: [u8; 5] = [0x48, 0x49, 0x4a, 0x4b, 0x55];

/// The requested level exceeds the channel's or the user's limit.
const ABOVE_LIMIT: CompletionCode = CompletionCode(0x81);

/// What a request within a session is.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum SessionCommand {
    /// Set Session Privilege Level.
    SetPrivilege,
    /// Close Session, for the session that it came in.
    CloseOwn,
    /// A command about payloads.
    Payload,
    /// Any other command.
    Other,
}

impl SessionCommand {
    pub(super) fn of(request: &Request, session: &SessionInfo) -> Self {
        match (request.netfn, request.command) {
            (NetFn::APP, SET_SESSION_PRIVILEGE) => Self::SetPrivilege,
            (NetFn::APP, CLOSE_SESSION) if closes(request, session) => Self::CloseOwn,
            (NetFn::APP, command) if PAYLOAD_COMMANDS.contains(&command) => Self::Payload,
            _ => Self::Other,
        }
    }
}

/// Whether a Close Session names `session`: by its id, or by id 0 and its handle.
fn closes(request: &Request, session: &SessionInfo) -> bool {
    match *request.data.as_slice() {
        [0, 0, 0, 0, handle] => handle == session.handle,
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]) == session.id.0,
        _ => false,
    }
}

/// Set Session Privilege Level: the level that `session` has then.
///
/// # Errors
///
/// - `C7h` for another length than one byte.
/// - `CCh` for a reserved level, which Callback is here (§22.18, byte 1), and for set reserved bits.
/// - `81h` for a level above the session's limit.
pub(super) fn new_privilege(
    request: &Request,
    session: &SessionInfo,
) -> Result<Privilege, CompletionCode> {
    let &[level] = request.data.as_slice() else {
        return Err(CompletionCode::REQUEST_LENGTH_INVALID);
    };
    // Level 0 asks for the present one.
    if level == 0 {
        return Ok(session.privilege);
    }
    let wanted = Privilege::new(level)
        .filter(|&level| level > Privilege::Callback)
        .ok_or(CompletionCode::INVALID_DATA_FIELD)?;
    if wanted <= session.limit { Ok(wanted) } else { Err(ABOVE_LIMIT) }
}
