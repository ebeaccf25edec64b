//! The bridge: one task that forwards datagrams, requests and events between the socket, the sessions, and
//! `ipmid`.

use std::future;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use daemon::Alarm;
use futures_util::stream::{BoxStream, FuturesUnordered, select_all};
use futures_util::{Stream, StreamExt, poll, stream};
use ipmi_proto::{CompletionCode, NetFn, Request, Response};
use openbmc_dbus::execute::{Caller, IpmiHost, is_bridge_refused};
use openbmc_dbus::recorder::RequestView;
use rmcp_proto::server::{Event, Outside, Server, SessionId, SessionInfo, Token, Transmit};
use rmcp_proto::wire::v20::PayloadType;
use tokio::sync::mpsc;

use crate::audit::{self, Audit};
use crate::config::Plan;
use crate::console::{Holder, PayloadCaller, Sol, SolRequest};
use crate::counters::{Counts, CountsRequest};
use crate::datagrams::Datagrams;
use crate::measures::Measures;
use crate::random::SystemBytes;
use crate::report::Report;
use crate::sessions::SessionChange;
use crate::users::ChannelUsers;

/// Every request is answered within this time, which is less than clients wait.
const DEADLINE: Duration = Duration::from_secs(4);

/// Requests outside of sessions that `ipmid` executes at a time; more are answered C0h.
const OUTSIDE: usize = 8;

/// So many turns in a row poll datagrams and responses first; the next one polls everything else, so that a
/// flood delays neither the console nor time-outs.
const TURNS: u32 = 8;

/// The bridge's inputs from the other tasks of the process.
#[derive(Debug)]
pub struct Inputs {
    /// Sessions to close, from the bus.
    pub close: mpsc::UnboundedReceiver<SessionId>,
    /// The system's GUID, when it becomes known or changes.
    pub guid: mpsc::UnboundedReceiver<[u8; 16]>,
    /// Notices that the accounts have changed.
    pub accounts: mpsc::UnboundedReceiver<()>,
    /// Requests for the counters of rejections.
    pub counts: mpsc::UnboundedReceiver<CountsRequest>,
    /// Configurations that were reloaded.
    pub plans: mpsc::UnboundedReceiver<Plan>,
    /// Requests about the SOL payload.
    pub sol: mpsc::UnboundedReceiver<SolRequest>,
}

impl Inputs {
    /// All inputs as one stream, which polls only those that have something.
    fn wakes(self) -> impl Stream<Item = Wake> + Unpin {
        let Self { close, guid, accounts, counts, plans, sol } = self;
        select_all([
            wakes(close, Wake::Close),
            wakes(guid, Wake::Guid),
            wakes(accounts, |()| Wake::AccountsChanged),
            wakes(counts, Wake::Counts),
            wakes(plans, |plan| Wake::Reloaded(Box::new(plan))),
            wakes(sol, Wake::Sol),
        ])
    }
}

fn wakes<T: Send + 'static>(
    mut input: mpsc::UnboundedReceiver<T>,
    wake: impl Fn(T) -> Wake + Send + 'static,
) -> BoxStream<'static, Wake> {
    stream::poll_fn(move |context| input.poll_recv(context).map(|item| item.map(&wake))).boxed()
}

/// The bridge of one channel.
pub struct Bridge {
    server: Server<ChannelUsers, SystemBytes>,
    datagrams: Datagrams,
    ipmid: IpmiHost,
    sol: Sol,
    users: ChannelUsers,
    /// The UDP port of payloads, which is that of the sessions.
    port: u16,
    sessions: mpsc::UnboundedSender<SessionChange>,
    report: Report,
    audit: Audit,
    measures: Arc<Measures>,
    /// How many requests outside of sessions `ipmid` executes.
    outside: usize,
    /// Datagrams to send; reused for its capacity.
    outgoing: Vec<Transmit>,
}

/// Why the bridge woke up.
enum Wake {
    Readable(std::io::Result<()>),
    Answered(Reply),
    Timeout,
    Console,
    Close(SessionId),
    Guid([u8; 16]),
    AccountsChanged,
    Counts(CountsRequest),
    Reloaded(Box<Plan>),
    Sol(SolRequest),
    LinksChanged(std::io::Result<()>),
    Nothing,
}

impl Bridge {
    /// A bridge that reports its sessions through `sessions`.
    #[must_use]
    pub fn new(
        server: Server<ChannelUsers, SystemBytes>,
        datagrams: Datagrams,
        ipmid: IpmiHost,
        sol: Sol,
        users: ChannelUsers,
        sessions: mpsc::UnboundedSender<SessionChange>,
        measures: Arc<Measures>,
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
            measures,
            outside,
            outgoing,
        }
    }

    /// Serves until the socket fails.
    ///
    /// # Errors
    ///
    /// What the socket failed with.
    pub async fn run(mut self, inputs: Inputs) -> std::io::Result<()> {
        let ipmid = self.ipmid.clone();
        let mut inputs = inputs.wakes();
        let mut running = FuturesUnordered::new();
        let mut turns = 0;
        let mut alarm = Alarm::default();
        loop {
            let datagrams_first = turns < TURNS;
            let timeouts = [self.server.poll_timeout(), self.sol.poll_timeout()];
            let timeout = timeouts.into_iter().flatten().min();
            let wake = tokio::select! {
                biased;
                readable = self.datagrams.readable(), if datagrams_first => Wake::Readable(readable),
                Some(answer) = running.next(), if datagrams_first => Wake::Answered(answer),
                Some(wake) = inputs.next() => wake,
                changed = self.datagrams.links_changed() => Wake::LinksChanged(changed),
                () = self.sol.step() => Wake::Console,
                () = alarm.wait_until(timeout) => Wake::Timeout,
                () = future::ready(()), if !datagrams_first => Wake::Nothing,
            };
            let now = Instant::now();
            turns = if datagrams_first { turns + 1 } else { 0 };
            if !datagrams_first && timeout.is_some_and(|at| at <= now) {
                self.act(now, Wake::Timeout)?;
            }
            self.act(now, wake)?;
            // One system call sends all responses that are ready.
            while let Poll::Ready(Some(answer)) = poll!(running.next()) {
                self.answered(now, &answer);
            }
            while let Some(event) = self.server.poll_event() {
                if let Some((asker, request)) = self.on_event(now, event) {
                    running.push(execute(&ipmid, asker, request));
                }
            }
            self.sol.drain(now, &mut self.server);
            self.measures.count_sol(self.sol.take_counts());
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
            Wake::Counts(request) => {
                // The D-Bus caller may have disconnected.
                let _ = request.send(self.counts());
            }
            Wake::Sol(request) => self.sol.handle_request(request),
            Wake::Timeout => {
                self.server.handle_timeout(now);
                self.sol.handle_timeout(now);
            }
            Wake::Console | Wake::Nothing => {}
            Wake::Close(id) => {
                self.server.close(id);
            }
            Wake::LinksChanged(changed) => {
                changed?;
                self.datagrams.follow_interface()?;
            }
            Wake::Guid(guid) => self.server.set_guid(guid),
            Wake::Reloaded(plan) => {
                self.server.reconfigure(now, plan.server);
                self.sol.reconfigure(&plan.config.sol);
            }
            Wake::AccountsChanged => {
                self.server.accounts_changed(now);
                let users = &self.users;
                self.sol.retain(|holder| users.may_use_sol(holder.user_id));
            }
        }
        Ok(())
    }

    /// Sends a response, and logs the command if it changes something.
    fn answered(&mut self, now: Instant, answer: &Reply) {
        let Reply { asker, netfn, response } = answer;
        if is_bridge_refused(response) {
            self.report.unserved();
        }
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

    /// The counters of rejections, by reason.
    fn counts(&self) -> Counts {
        let rejected = self.server.counters().iter();
        let mut counts: Counts =
            rejected.map(|(reason, count)| (reason.as_str().to_owned(), count)).collect();
        counts.insert("reply-not-sent".to_owned(), self.datagrams.unsent());
        counts
    }

    /// Handles `event`; returns a request for `ipmid`.
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
                self.record(None, &request, &busy);
                self.server.respond_outside(&asked, &busy);
            }
            Event::Answered { session, request, response } => {
                self.record(session.as_ref(), &request, &response);
            }
            Event::PayloadCommand { token, session, request } => {
                let response = self.sol.answer(&self.caller(&session), &request);
                self.record(Some(&session), &request, &response);
                let (asker, netfn) = (Asker::Session(token, session), request.netfn);
                self.answered(now, &Reply { asker, netfn, response });
            }
            Event::Payload { session, kind: PayloadType::SOL, protection, data } => {
                let taken = self.sol.handle_packet(now, session, protection, &data);
                if let Err(reason) = taken {
                    self.server.reject_payload(session, reason);
                }
            }
            // SOL is the only payload.
            Event::Payload { .. } => {}
            Event::Opened(info) => {
                self.report.opened(&info);
                self.count_sessions();
                self.publish(SessionChange::Updated(info));
            }
            Event::Changed(info) => self.publish(SessionChange::Updated(info)),
            Event::Closed(info, reason) => {
                self.report.closed(&info, reason);
                self.count_sessions();
                self.sol.session_closed(info.id);
                self.publish(SessionChange::Closed(info.id));
            }
            Event::LoginRefused { peer, user_name, reason, end } => {
                self.measures.count_refusal(reason);
                self.report.refused(peer, user_name, reason, end);
            }
            Event::Rejected { peer, reason } => self.report.rejected(peer, reason),
        }
        None
    }

    fn count_sessions(&self) {
        let count = self.server.sessions().count();
        self.measures.set_sessions(count);
        self.users.set_sessions(count > 0);
    }

    /// Records a request that the bridge has answered itself.
    fn record(&self, session: Option<&SessionInfo>, request: &Request, response: &Response) {
        let view = RequestView::of(request, caller(session).into());
        self.ipmid.recorder().record(&view, response.completion.0, &response.data);
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

    fn publish(&self, change: SessionChange) {
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

/// A response to a request, and who sent the request.
struct Reply {
    asker: Asker,
    /// The request's network function.
    netfn: NetFn,
    response: Response,
}

/// Sends a request to `ipmid`; returns the response.
async fn execute(ipmid: &IpmiHost, asker: Asker, request: Request) -> Reply {
    let session = match &asker {
        Asker::Session(_, session) => Some(session),
        Asker::Outside(_) => None,
    };
    let response = ipmid.execute(&request, caller(session), DEADLINE).await;
    Reply { asker, netfn: request.netfn, response }
}

/// The sender of a request, of a session or outside of any, as `ipmid` gets it.
fn caller(session: Option<&SessionInfo>) -> Caller {
    session.map_or(Caller::Outside, |session| Caller::Session {
        user_id: session.user_id,
        privilege: session.privilege,
        session_id: session.id.0,
    })
}
