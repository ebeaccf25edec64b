//! The bridge itself: one task that moves datagrams, requests and events between the socket, the
//! sessions, and `ipmid`.

use std::future;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use ipmi_proto::{CompletionCode, NetFn, Request, Response};
use openbmc_dbus::execute::{Caller, IpmiHost};
use rmcp_proto::server::{Event, Outside, Server, SessionId, SessionInfo, Token, Transmit};
use rmcp_proto::wire::v20::PayloadType;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use crate::audit::{self, Audit};
use crate::console::{Holder, PayloadCaller, Sol};
use crate::counters::{Counts, Question};
use crate::datagrams::Datagrams;
use crate::random::SystemBytes;
use crate::report::Report;
use crate::sessions::Change;
use crate::users::ChannelUsers;

/// Every request is answered within this time: less than what clients wait.
const DEADLINE: Duration = Duration::from_secs(4);

/// Requests outside of sessions that `ipmid` executes at a time; more are answered C0h.
const OUTSIDE: usize = 8;

/// So many turns in a row go to datagrams and answers first: then whatever else is ready has one, so
/// that a flood keeps neither the console nor the clock waiting.
const TURNS: u32 = 8;

/// What reaches the bridge from the rest of the process.
#[derive(Debug)]
pub struct Inputs {
    /// Sessions to close, from the bus.
    pub close: mpsc::UnboundedReceiver<SessionId>,
    /// The system's GUID.
    pub guid: mpsc::UnboundedReceiver<[u8; 16]>,
    /// The accounts have changed.
    pub accounts: mpsc::UnboundedReceiver<()>,
    /// Somebody wants to know what was rejected.
    pub counts: mpsc::UnboundedReceiver<Question>,
}

/// The bridge of one channel.
pub struct Bridge {
    server: Server<ChannelUsers, SystemBytes>,
    datagrams: Datagrams,
    ipmid: IpmiHost,
    sol: Sol,
    users: ChannelUsers,
    /// The port that consoles are told for payloads: our own.
    port: u16,
    sessions: mpsc::UnboundedSender<Change>,
    report: Report,
    audit: Audit,
    /// How many requests outside of sessions `ipmid` executes.
    outside: usize,
    /// Datagrams on their way out; kept for its capacity.
    outgoing: Vec<Transmit>,
}

/// What the bridge woke up for.
enum Wake {
    Readable(std::io::Result<()>),
    Answered(Answer),
    Timeout,
    Console,
    Close(SessionId),
    Guid([u8; 16]),
    AccountsChanged,
    Counts(Question),
    Nothing,
}

impl Bridge {
    /// A bridge that tells of its sessions through `sessions`.
    #[must_use]
    pub fn new(
        server: Server<ChannelUsers, SystemBytes>,
        datagrams: Datagrams,
        ipmid: IpmiHost,
        sol: Sol,
        users: ChannelUsers,
        sessions: mpsc::UnboundedSender<Change>,
    ) -> Self {
        let port = datagrams.port();
        let (report, audit) = (Report::default(), Audit::default());
        let outgoing = Vec::new();
        let outside = 0;
        Self {
            server,
            datagrams,
            ipmid,
            sol,
            users,
            port,
            sessions,
            report,
            audit,
            outside,
            outgoing,
        }
    }

    /// Serves until the socket fails.
    ///
    /// # Errors
    ///
    /// What the socket failed with.
    pub async fn run(mut self, mut inputs: Inputs) -> std::io::Result<()> {
        let ipmid = self.ipmid.clone();
        let mut running = FuturesUnordered::new();
        let mut turns = 0;
        loop {
            let datagrams_first = turns < TURNS;
            let timeouts = [self.server.poll_timeout(), self.sol.poll_timeout()];
            let timeout = timeouts.into_iter().flatten().min();
            let wake = tokio::select! {
                biased;
                readable = self.datagrams.readable(), if datagrams_first => Wake::Readable(readable),
                Some(answer) = running.next(), if datagrams_first => Wake::Answered(answer),
                Some(id) = inputs.close.recv() => Wake::Close(id),
                Some(guid) = inputs.guid.recv() => Wake::Guid(guid),
                Some(()) = inputs.accounts.recv() => Wake::AccountsChanged,
                Some(question) = inputs.counts.recv() => Wake::Counts(question),
                () = self.sol.step() => Wake::Console,
                () = at(timeout) => Wake::Timeout,
                () = future::ready(()), if !datagrams_first => Wake::Nothing,
            };
            let now = Instant::now();
            turns = if datagrams_first { turns + 1 } else { 0 };
            if !datagrams_first && timeout.is_some_and(|at| at <= now) {
                self.act(now, Wake::Timeout)?;
            }
            self.act(now, wake)?;
            // All answers that are ready leave together.
            while let Some(Some(answer)) = running.next().now_or_never() {
                self.answered(now, &answer);
            }
            while let Some(event) = self.server.poll_event() {
                if let Some((asker, request)) = self.on_event(now, event) {
                    running.push(execute(&ipmid, asker, request));
                }
            }
            self.sol.drain(now, &mut self.server);
            self.transmit();
        }
    }

    fn act(&mut self, now: Instant, wake: Wake) -> std::io::Result<()> {
        match wake {
            Wake::Readable(readable) => {
                readable?;
                let server = &mut self.server;
                self.datagrams.receive(|route, bytes| server.handle_datagram(now, route, bytes))?;
            }
            Wake::Answered(answer) => self.answered(now, &answer),
            Wake::Counts(question) => {
                // Whoever asked may have gone meanwhile.
                let _ = question.send(self.counts());
            }
            Wake::Timeout => {
                self.server.handle_timeout(now);
                self.sol.handle_timeout(now);
            }
            Wake::Console | Wake::Nothing => {}
            Wake::Close(id) => {
                self.server.close(id);
            }
            Wake::Guid(guid) => self.server.set_guid(guid),
            Wake::AccountsChanged => {
                self.server.accounts_changed(now);
                let users = &self.users;
                self.sol.retain(|holder| users.may_use_sol(holder.user_id));
            }
        }
        Ok(())
    }

    /// Sends an answer, and notes what it changed.
    fn answered(&mut self, now: Instant, answer: &Answer) {
        let Answer { asker, netfn, response } = answer;
        match asker {
            Asker::Outside(asked) => {
                self.outside = self.outside.saturating_sub(1);
                self.server.respond_outside(asked, response);
            }
            Asker::Session(token, session) => {
                self.server.respond(now, *token, response);
                if audit::changes(*netfn, response.command) {
                    self.audit.answered(session, *netfn, response);
                }
            }
        }
    }

    /// How often each reason for a refusal came up.
    fn counts(&self) -> Counts {
        let rejected = self.server.counters().iter();
        let mut counts: Counts =
            rejected.map(|(reason, count)| (reason.as_str().to_owned(), count)).collect();
        counts.insert("reply-not-sent".to_owned(), self.datagrams.unsent());
        counts
    }

    /// Acts on `event`; a request for `ipmid` is given back.
    fn on_event(&mut self, now: Instant, event: Event) -> Option<(Asker, Request)> {
        match event {
            Event::Request { token, session, request } => {
                return Some((Asker::Session(token, session), request));
            }
            Event::Outside { asked, request } if self.outside < OUTSIDE => {
                self.outside += 1;
                return Some((Asker::Outside(asked), request));
            }
            Event::Outside { asked, request } => {
                let busy = Response::failure(&request, CompletionCode::BUSY);
                self.server.respond_outside(&asked, &busy);
            }
            Event::PayloadCommand { token, session, request } => {
                let response = self.sol.answer(&self.caller(&session), &request);
                let (asker, netfn) = (Asker::Session(token, session), request.netfn);
                self.answered(now, &Answer { asker, netfn, response });
            }
            Event::Payload { session, kind: PayloadType::SOL, protection, data } => {
                let taken = self.sol.handle_packet(now, session, protection, &data);
                if let Err(reason) = taken {
                    self.server.reject_payload(session, reason);
                }
            }
            // No other payload is ever active.
            Event::Payload { .. } => {}
            Event::Opened(info) => {
                self.report.opened(&info);
                self.tell(Change::Present(info));
            }
            Event::Changed(info) => self.tell(Change::Present(info)),
            Event::Closed(info, reason) => {
                self.report.closed(&info, reason);
                self.sol.session_closed(info.id);
                self.tell(Change::Gone(info.id));
            }
            Event::LoginRefused { peer, user_name, reason } => {
                self.report.refused(peer, user_name, reason);
            }
            Event::Rejected { peer, reason } => self.report.rejected(peer, reason),
        }
        None
    }

    fn caller(&self, session: &SessionInfo) -> PayloadCaller {
        PayloadCaller {
            holder: Holder { session: session.id, user_id: session.user_id },
            privilege: session.privilege,
            protection: session.protection,
            may_use_sol: self.users.may_use_sol(session.user_id),
            port: self.port,
        }
    }

    fn tell(&self, change: Change) {
        // The publisher lives as long as the process.
        let _ = self.sessions.send(change);
    }

    fn transmit(&mut self) {
        self.outgoing.extend(std::iter::from_fn(|| self.server.poll_transmit()));
        if !self.outgoing.is_empty() {
            self.datagrams.send(&self.outgoing);
            self.outgoing.clear();
        }
    }
}

/// Who sent a request.
#[derive(Clone, Copy)]
enum Asker {
    /// A session.
    Session(Token, SessionInfo),
    /// A console without one.
    Outside(Outside),
}

/// An answer to a request, and whose it was.
struct Answer {
    asker: Asker,
    /// The request's network function.
    netfn: NetFn,
    response: Response,
}

/// Has `ipmid` execute a request.
async fn execute(ipmid: &IpmiHost, asker: Asker, request: Request) -> Answer {
    let caller = match &asker {
        Asker::Session(_, session) => Caller::Session {
            user_id: session.user_id,
            privilege: session.privilege,
            session_id: session.id.0,
        },
        Asker::Outside(_) => Caller::Outside,
    };
    let response = ipmid.execute(&request, caller, DEADLINE).await;
    Answer { asker, netfn: request.netfn, response }
}

/// Ends at `instant`, or never.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant.into()).await,
        None => future::pending().await,
    }
}
