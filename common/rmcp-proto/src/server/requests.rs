//! The IPMI messages of a session: each request is executed at most once, answered here if it is about the
//! session itself, and given to the daemon otherwise.

use std::time::Instant;

use ipmi_proto::ipmb::IpmbRequest;
use ipmi_proto::{CompletionCode, Privilege, Request, Response};

use super::accounts::{Accounts, Random};
use super::commands::SessionCommand;
use super::core::Core;
use super::event::{Event, Token};
use super::exchanges::Arrival;
use super::reject::Reason;
use super::session::Session;
use super::sessionless;
use super::v15_link::Trust;

/// What becomes of a session after a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum After {
    /// It goes on.
    Continue,
    /// Its console has closed it.
    Close,
}

impl<A: Accounts, R: Random> Core<A, R> {
    /// Handles an IPMI message of `session`.
    pub(super) fn on_message(
        &mut self,
        session: &mut Session,
        now: Instant,
        trust: Trust,
        message: &[u8],
    ) -> Result<After, Reason> {
        let frame = IpmbRequest::parse(message).map_err(|_| Reason::MalformedMessage)?;
        if !session.accepts(message, &frame.to_request()) {
            return Err(Reason::UnknownSession);
        }
        match session.exchanges.arrive(now, frame.header, message, self.config.requests) {
            Arrival::New(serial) => {
                Ok(self.on_request(session, now, trust, serial, frame.to_request()))
            }
            Arrival::StillRunning => Err(Reason::DuplicateRequest),
            Arrival::Answered(reply) => {
                let reply = reply.to_vec();
                for message in &reply {
                    self.send(session, message);
                }
                Ok(After::Continue)
            }
            Arrival::TooMany => {
                let request = frame.to_request();
                let busy = Response::failure(&request, CompletionCode::BUSY);
                self.reply(session, &frame.header, &busy);
                Err(Reason::TooManyRequests)
            }
        }
    }

    fn on_request(
        &mut self,
        session: &mut Session,
        now: Instant,
        trust: Trust,
        serial: u64,
        request: Request,
    ) -> After {
        let mut info = *session.info();
        let command = SessionCommand::of(&request, &info);
        let token = Token { session: info.id, serial };
        if trust == Trust::UserLevel {
            info.privilege = info.privilege.min(Privilege::User);
        }
        let response = match command {
            SessionCommand::SetPrivilege | SessionCommand::CloseOwn | SessionCommand::Payload
                if trust != Trust::Full =>
            {
                Response::failure(&request, CompletionCode::INSUFFICIENT_PRIVILEGE)
            }
            SessionCommand::SetPrivilege => self.set_privilege(session, &request),
            SessionCommand::CloseOwn => {
                let done = Response::failure(&request, CompletionCode::OK);
                self.respond(session, now, serial, &done);
                let session = Some(info);
                self.events.push_back(Event::Answered { session, request, response: done });
                return After::Close;
            }
            // There are no payloads in the format of IPMI 1.5.
            SessionCommand::Payload if info.suite.is_none() => {
                Response::failure(&request, CompletionCode::NOT_IN_PRESENT_STATE)
            }
            SessionCommand::Payload => {
                self.events.push_back(Event::PayloadCommand { token, session: info, request });
                return After::Continue;
            }
            SessionCommand::Other => {
                let answer = sessionless::answer_in_session(&request, &self.config, &self.accounts);
                let Some(response) = answer else {
                    self.events.push_back(Event::Request { token, session: info, request });
                    return After::Continue;
                };
                response
            }
        };
        self.respond(session, now, serial, &response);
        self.events.push_back(Event::Answered { session: Some(info), request, response });
        After::Continue
    }

    fn set_privilege(&mut self, session: &mut Session, request: &Request) -> Response {
        let before = session.info().privilege;
        match session.set_privilege(request) {
            Ok(level) => {
                if level != before {
                    self.events.push_back(Event::Changed(*session.info()));
                }
                Response::to(request, CompletionCode::OK, vec![level.value()])
            }
            Err(code) => Response::failure(request, code),
        }
    }
}
