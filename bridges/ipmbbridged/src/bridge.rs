//! The loop between the bus, `ipmid`, and those who ask satellites.

use std::collections::HashMap;
use std::time::{Duration, Instant};
use std::{future, io};

use daemon::RateLimit;
use ipmi_proto::ipmb::{IpmbAddress, IpmbHeader, IpmbRequest, IpmbResponse, IpmbSequence};
use ipmi_proto::{ChannelNumber, CompletionCode, Lun, NetFn, Request, Response};
use openbmc_dbus::execute::{Caller, IpmiHost, is_bridge_refused};
use sections::IpmbSection;
use tokio::sync::{mpsc, oneshot};
use tokio::{task, time};
use tracing::{debug, info, warn};

use crate::arguments::Place;
use crate::config::patience;
use crate::inbox::{Inbox, Verdict};
use crate::object::Call;
use crate::port::{Port, Writer};
use crate::signals::Signals;
use crate::tracker::{Outcome, RequestId, Tracker};

static BAD_FRAMES: RateLimit = RateLimit::new(5, Duration::from_secs(10));
static REFUSED: RateLimit = RateLimit::new(1, Duration::from_secs(60));
static UNWRITTEN: RateLimit = RateLimit::new(5, Duration::from_secs(10));

/// How long between two attempts to open a bus that is not there.
const RETRY: Duration = Duration::from_millis(500);

/// How long `ipmid` has for a satellite's request.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// The address that all controllers take messages at.
const EVERYBODY: IpmbAddress = IpmbAddress(0x00);

/// Frames that may wait to be written; what comes on top is lost, as on a bus that is not there.
const WRITES: usize = 128;

/// One frame on its way to the bus.
#[derive(Debug)]
struct Write {
    /// The request of ours that it is; `None` for a response.
    id: Option<RequestId>,
    frame: Vec<u8>,
}

/// What runs beside the loop comes back to it as one of these.
#[derive(Debug)]
enum Done {
    /// A frame was acknowledged by its receiver.
    Written(RequestId),
    Executed(IpmbHeader, Response),
    /// A message for the host's software is where that fetches it, or is not.
    Queued(IpmbHeader, Response),
}

/// An IPMB, bridged.
#[derive(Debug)]
pub struct Bridge {
    own: IpmbAddress,
    host_id: u8,
    ipmid: IpmiHost,
    calls: mpsc::Receiver<Call>,
    signals: Signals,
    tracker: Tracker,
    waiting: HashMap<RequestId, oneshot::Sender<Outcome>>,
    inbox: Inbox,
    sender: mpsc::UnboundedSender<Done>,
    done: mpsc::UnboundedReceiver<Done>,
    writes: Option<mpsc::Sender<Write>>,
}

impl Bridge {
    /// A bridge that has not yet seen its bus.
    #[must_use]
    pub fn new(
        own: IpmbAddress,
        config: IpmbSection,
        ipmid: IpmiHost,
        (calls, signals): (mpsc::Receiver<Call>, Signals),
    ) -> Self {
        // Bounded by what it reports on: requests that run, and frames that wait to be written.
        let (sender, done) = mpsc::unbounded_channel();
        Self {
            own,
            host_id: config.host_id(),
            ipmid,
            calls,
            signals,
            tracker: Tracker::new(own, patience(&config)),
            waiting: HashMap::new(),
            inbox: Inbox::new(config.running_per_satellite()),
            sender,
            done,
            writes: None,
        }
    }

    /// Bridges for ever; a bus that goes is opened again.
    pub async fn run(mut self, place: &Place) {
        let mut missed = false;
        loop {
            let opened = Port::open(place).and_then(|port| Ok((port.writer()?, port)));
            match opened {
                Ok((writer, port)) => {
                    if std::mem::take(&mut missed) {
                        info!(device = %place.device.display(), "the bus is back");
                    }
                    let error = self.serve(&port, writer).await;
                    warn!(%error, device = %place.device.display(), "the bus went away");
                    missed = true;
                }
                Err(error) if !missed => {
                    let device = place.device.display();
                    warn!(%error, %device, "no device; trying again until there is one");
                    missed = true;
                }
                Err(_) => {}
            }
            self.writes = None;
            self.without_bus().await;
        }
    }

    /// Serves until the bus goes, and says why.
    async fn serve(&mut self, port: &Port, writer: Writer) -> io::Error {
        let (writes, queue) = mpsc::channel(WRITES);
        self.writes = Some(writes);
        let writer = task::spawn(write_all(writer, queue, self.sender.clone()));
        let error = loop {
            self.drain();
            tokio::select! {
                frame = port.read() => match frame {
                    Ok(frame) => self.on_frame(&frame),
                    Err(error) if error.kind() == io::ErrorKind::Other => refused(&error),
                    Err(error) => break error,
                },
                () = self.other_things() => {}
            }
        };
        writer.abort();
        error
    }

    /// Answers whom it can while there is no bus, for a while.
    async fn without_bus(&mut self) {
        let pause = time::sleep(RETRY);
        tokio::pin!(pause);
        loop {
            self.drain();
            tokio::select! {
                () = &mut pause => return,
                () = self.other_things() => {}
            }
        }
    }

    /// The next of the things that happen with and without a bus. Cancel safe.
    async fn other_things(&mut self) {
        let timeout = self.tracker.poll_timeout();
        tokio::select! {
            Some(call) = self.calls.recv() => self.on_call(call),
            Some(done) = self.done.recv() => self.on_done(done),
            () = until(timeout) => self.tracker.handle_timeout(Instant::now()),
        }
    }

    fn drain(&mut self) {
        while let Some(outgoing) = self.tracker.poll_transmit() {
            self.write(Write { id: Some(outgoing.id), frame: outgoing.frame });
        }
        while let Some((id, outcome)) = self.tracker.poll_event() {
            if let Some(done) = self.waiting.remove(&id) {
                // Who asked may have given up.
                let _ = done.send(outcome);
            }
        }
    }

    /// Queues a frame; without a bus, or behind too many others, it is lost. Gives whether it is not.
    fn write(&self, write: Write) -> bool {
        let queue = self.writes.as_ref();
        queue.is_some_and(|queue| queue.try_send(write).is_ok())
    }

    fn on_call(&mut self, call: Call) {
        match call {
            Call::Ask { to, request, done } => {
                // Dropping `done` tells that no number is free.
                if let Some(id) = self.tracker.start(Instant::now(), to, &request) {
                    self.waiting.insert(id, done);
                }
            }
            Call::Respond { frame, done } => {
                let parsed = IpmbResponse::parse(&frame);
                if parsed.is_ok_and(|response| {
                    let header = response.header;
                    header.responder == self.own && !header.netfn.is_request()
                }) {
                    // Who answers may have given up.
                    let _ = done.send(self.write(Write { id: None, frame }));
                }
            }
            Call::Broadcast(request) => {
                let frame = self.broadcast(&request);
                self.write(Write { id: None, frame });
            }
        }
    }

    /// A request for everybody, which nobody answers.
    fn broadcast(&self, request: &Request) -> Vec<u8> {
        let header = IpmbHeader {
            responder: EVERYBODY,
            responder_lun: Lun::BMC,
            requester: self.own,
            requester_lun: request.lun,
            sequence: IpmbSequence::default(),
            netfn: request.netfn,
            command: request.command,
        };
        let mut frame = Vec::new();
        let data = &request.data;
        IpmbRequest { header, data }.emit(&mut frame);
        frame
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Written(id) => self.tracker.handle_written(id),
            Done::Executed(header, response) => {
                self.inbox.finish(&header);
                self.respond(&header, &response);
            }
            Done::Queued(header, response) => {
                self.inbox.finish(&header);
                // The host's software answers; if it never hears of it, the BMC does.
                if response.completion != CompletionCode::OK {
                    let head = head_of(&header);
                    self.respond(&header, &Response::failure(&head, response.completion));
                }
            }
        }
    }

    fn on_frame(&mut self, frame: &[u8]) {
        let is_response = frame.get(1).is_some_and(|byte| !NetFn::split(*byte).0.is_request());
        let result = match is_response {
            true => IpmbResponse::parse(frame).map(|response| self.on_response(&response)),
            false => IpmbRequest::parse(frame).map(|request| self.on_request(&request)),
        };
        if let Err(error) = result {
            refused(&error);
        }
    }

    fn on_response(&mut self, response: &IpmbResponse<'_>) {
        if !self.tracker.handle_response(Instant::now(), response) {
            let (header, stray) = (&response.header, self.tracker.stray());
            debug!(?header, stray, "a response that nothing waits for");
        }
    }

    fn on_request(&mut self, request: &IpmbRequest<'_>) {
        let header = request.header;
        if [self.own, EVERYBODY].contains(&header.responder) {
            let (netfn, command) = (header.netfn, header.command);
            self.signals.received(netfn, command, request.data);
        }
        if header.responder != self.own {
            debug!(?header, "a request for somebody else");
            return;
        }
        match self.inbox.start(header) {
            Verdict::Copy => debug!(?header, "a copy of a request that runs"),
            Verdict::Busy => {
                let busy = Response::failure(&request.to_request(), CompletionCode::BUSY);
                self.respond(&header, &busy);
            }
            Verdict::Run => self.execute(request),
        }
    }

    /// Has `ipmid` carry a request out, or put it where the host's software fetches it.
    fn execute(&self, request: &IpmbRequest<'_>) {
        let (ipmid, sender) = (self.ipmid.clone(), self.sender.clone());
        let header = request.header;
        let caller = Caller::Ipmb { rq_sa: header.requester.0 >> 1, host_id: self.host_id };
        let for_host = header.responder_lun == Lun::SMS;
        let request = match for_host {
            true => send_to_host(request),
            false => request.to_request(),
        };
        task::spawn(async move {
            let response = ipmid.execute(&request, caller, ANSWER_WITHIN).await;
            if is_bridge_refused(&response)
                && let Some(pass) = REFUSED.admit()
            {
                let swallowed = pass.swallowed;
                warn!(swallowed, "ipmid refuses this bridge's requests (D3h); see its log");
            }
            let _ = sender.send(match for_host {
                true => Done::Queued(header, response),
                false => Done::Executed(header, response),
            });
        });
    }

    fn respond(&self, header: &IpmbHeader, response: &Response) {
        let mut frame = Vec::new();
        IpmbResponse::answering(header, response).emit(&mut frame);
        if frame.len() >= crate::port::MAX_MESSAGE {
            frame.clear();
            let short = Response::failure(&head_of(header), CompletionCode::CANNOT_RETURN_BYTES);
            IpmbResponse::answering(header, &short).emit(&mut frame);
        }
        self.write(Write { id: None, frame });
    }
}

/// A request's header in the form that answers are made of.
fn head_of(header: &IpmbHeader) -> Request {
    Request {
        netfn: header.netfn,
        lun: header.responder_lun,
        command: header.command,
        data: Vec::new(),
    }
}

/// The Send Message with which a satellite would have its frame put into the host's queue itself
/// (IPMI v2.0 §22.7): on the system interface's channel, untracked.
fn send_to_host(request: &IpmbRequest<'_>) -> Request {
    const SEND_MESSAGE: u8 = 0x34;
    let mut data = vec![ChannelNumber::SYSTEM_INTERFACE.value()];
    request.emit(&mut data);
    Request { netfn: NetFn::APP, lun: Lun::BMC, command: SEND_MESSAGE, data }
}

/// Writes frames one after the other, each on a thread that may wait for the bus.
async fn write_all(
    writer: Writer,
    mut queue: mpsc::Receiver<Write>,
    done: mpsc::UnboundedSender<Done>,
) {
    while let Some(Write { id, frame }) = queue.recv().await {
        let writer = writer.clone();
        let result = task::spawn_blocking(move || writer.write(&frame)).await;
        match (result, id) {
            (Ok(Ok(())), Some(id)) => drop(done.send(Done::Written(id))),
            (Ok(Err(error)), _) => {
                if let Some(pass) = UNWRITTEN.admit() {
                    info!(%error, swallowed = pass.swallowed, "a frame was not acknowledged");
                }
            }
            _ => {}
        }
    }
}

fn refused(error: &dyn std::error::Error) {
    if let Some(pass) = BAD_FRAMES.admit() {
        warn!(%error, swallowed = pass.swallowed, "not an IPMB frame");
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => time::sleep_until(deadline.into()).await,
        None => future::pending().await,
    }
}
