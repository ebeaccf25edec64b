//! The loop between the bus, `ipmid`, and the callers on D-Bus.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::{Outage, RateLimit};
use ipmi_proto::ipmb::{IpmbAddress, IpmbHeader, IpmbRequest, IpmbResponse, IpmbSequence};
use ipmi_proto::{ChannelNumber, CompletionCode, Lun, NetFn, Request, Response};
use openbmc_dbus::execute::{Caller, IpmiHost, is_bridge_refused};
use openbmc_dbus::recorder::{Channel, Origin, RequestView, Started};
use sections::IpmbSection;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::{task, time};
use tracing::{debug, info, warn};

use crate::arguments::BusPath;
use crate::config::retry_policy;
use crate::inbox::{Admission, Inbox};
use crate::object::IpmbCall;
use crate::port::{Port, Writer};
use crate::signals::Signals;
use crate::tracker::{Outcome, RequestId, Tracker};

static BAD_FRAMES: RateLimit = RateLimit::new(5, Duration::from_secs(10));
static REFUSED: RateLimit = RateLimit::new(1, Duration::from_secs(60));
static UNWRITTEN: RateLimit = RateLimit::new(5, Duration::from_secs(10));

/// The time between two attempts to open the bus.
const RETRY: Duration = Duration::from_millis(500);

/// The time that `ipmid` has for a satellite's request.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// The broadcast address.
const BROADCAST: IpmbAddress = IpmbAddress(0x00);

/// Frames that may wait to be written; more are dropped, as without a bus.
const WRITES: usize = 128;

/// One frame to be written.
#[derive(Debug)]
struct Write {
    /// The request that it belongs to; `None` for a response.
    id: Option<RequestId>,
    frame: Vec<u8>,
}

/// The result of a task that runs beside the loop.
#[derive(Debug)]
enum TaskResult {
    /// A frame was acknowledged by its receiver.
    Written(RequestId),
    Executed(IpmbHeader, Response),
    /// A message for the host's software was put into its receive message queue, or refused.
    Queued(IpmbHeader, Response),
}

/// A request to a satellite that has not ended.
#[derive(Debug)]
struct Waiting {
    done: oneshot::Sender<Outcome>,
    recorded: Started,
}

/// An IPMB, bridged.
#[derive(Debug)]
pub struct Bridge {
    own: IpmbAddress,
    config: watch::Receiver<IpmbSection>,
    host_id: u8,
    ipmid: IpmiHost,
    calls: mpsc::Receiver<IpmbCall>,
    signals: Signals,
    tracker: Tracker,
    waiting: HashMap<RequestId, Waiting>,
    /// Of the requests to satellites.
    recorder: Arc<Channel>,
    inbox: Inbox,
    sender: mpsc::UnboundedSender<TaskResult>,
    results: mpsc::UnboundedReceiver<TaskResult>,
    writes: Option<mpsc::Sender<Write>>,
}

impl Bridge {
    /// A bridge that has not yet seen its bus. A change of `config` applies to requests that come after it; `recorder`
    /// records those to satellites.
    #[must_use]
    pub fn new(
        own: IpmbAddress,
        mut config: watch::Receiver<IpmbSection>,
        (ipmid, recorder): (IpmiHost, Arc<Channel>),
        (calls, signals): (mpsc::Receiver<IpmbCall>, Signals),
    ) -> Self {
        // Bounded by the requests that run and the frames that wait to be written.
        let (sender, results) = mpsc::unbounded_channel();
        let section = config.borrow_and_update().clone();
        Self {
            own,
            config,
            host_id: section.host_id(),
            ipmid,
            calls,
            signals,
            tracker: Tracker::new(own, retry_policy(&section)),
            waiting: HashMap::new(),
            recorder,
            inbox: Inbox::new(section.running_per_satellite()),
            sender,
            results,
            writes: None,
        }
    }

    /// Runs without end; a bus that is lost is reopened.
    pub async fn run(mut self, path: &BusPath) {
        let outage = Outage::new();
        loop {
            let opened = Port::open(path).and_then(|port| Ok((port.writer()?, port)));
            match opened {
                Ok((writer, port)) => {
                    if outage.end() {
                        info!(device = %path.device.display(), "the bus is available again");
                    }
                    let error = self.serve(&port, writer).await;
                    warn!(%error, device = %path.device.display(), "the bus was lost; reopening it every 500 ms");
                    outage.begin();
                }
                Err(error) if outage.begin() => {
                    let device = path.device.display();
                    warn!(%error, %device, "the device is not available; retrying every 500 ms");
                }
                Err(_) => {}
            }
            self.writes = None;
            self.run_without_bus().await;
        }
    }

    /// Serves until the bus is lost; returns the error.
    async fn serve(&mut self, port: &Port, writer: Writer) -> io::Error {
        let (writes, queue) = mpsc::channel(WRITES);
        self.writes = Some(writes);
        let writer = task::spawn(write_all(writer, queue, self.sender.clone()));
        let error = loop {
            self.drain();
            tokio::select! {
                frame = port.read() => match frame {
                    Ok(frame) => self.on_frame(&frame),
                    Err(error) if error.kind() == io::ErrorKind::Other => log_invalid_frame(&error),
                    Err(error) => break error,
                },
                () = self.handle_event() => {}
            }
        };
        writer.abort();
        error
    }

    /// Responds to callers for one retry interval while there is no bus.
    async fn run_without_bus(&mut self) {
        let pause = time::sleep(RETRY);
        tokio::pin!(pause);
        loop {
            self.drain();
            tokio::select! {
                () = &mut pause => return,
                () = self.handle_event() => {}
            }
        }
    }

    /// Handles the next event that does not depend on the bus. Cancel safe.
    async fn handle_event(&mut self) {
        let timeout = self.tracker.poll_timeout();
        tokio::select! {
            Some(call) = self.calls.recv() => self.on_call(call),
            Some(result) = self.results.recv() => self.on_result(result),
            Ok(()) = self.config.changed() => self.configure(),
            () = daemon::sleep_until(timeout) => self.tracker.handle_timeout(Instant::now()),
        }
    }

    /// Applies the changed configuration.
    fn configure(&mut self) {
        let section = self.config.borrow_and_update().clone();
        self.host_id = section.host_id();
        self.tracker.set_retry_policy(retry_policy(&section));
        self.inbox.set_limit(section.running_per_satellite());
    }

    fn drain(&mut self) {
        while let Some(outgoing) = self.tracker.poll_transmit() {
            self.write(Write { id: Some(outgoing.id), frame: outgoing.frame });
        }
        while let Some((id, outcome)) = self.tracker.poll_event() {
            if let Some(Waiting { done, recorded }) = self.waiting.remove(&id) {
                record_end(&self.recorder, recorded, &outcome);
                // The caller may have disconnected.
                let _ = done.send(outcome);
            }
        }
    }

    /// Queues a frame; returns whether there is a bus and room in the queue. Else the frame is dropped.
    fn write(&self, write: Write) -> bool {
        let queue = self.writes.as_ref();
        queue.is_some_and(|queue| queue.try_send(write).is_ok())
    }

    fn on_call(&mut self, call: IpmbCall) {
        match call {
            IpmbCall::SendRequest { to, request, done } => {
                // Dropping `done` means that no sequence number is free.
                if let Some(id) = self.tracker.start(Instant::now(), to, &request) {
                    let origin = Origin::to_satellite(to.0);
                    let recorded = self.recorder.begin(&RequestView::of(&request, origin));
                    self.waiting.insert(id, Waiting { done, recorded });
                }
            }
            IpmbCall::SendResponse { frame, done } => {
                let parsed = IpmbResponse::parse(&frame);
                if parsed.is_ok_and(|response| {
                    let header = response.header;
                    header.responder == self.own && !header.netfn.is_request()
                }) {
                    // The caller may have disconnected.
                    let _ = done.send(self.write(Write { id: None, frame }));
                }
            }
            IpmbCall::Broadcast(request) => {
                let origin = Origin::to_satellite(BROADCAST.0);
                self.recorder.broadcast(&RequestView::of(&request, origin));
                let frame = self.broadcast_frame(&request);
                self.write(Write { id: None, frame });
            }
        }
    }

    /// The frame of a broadcast request, to which there are no responses.
    fn broadcast_frame(&self, request: &Request) -> Vec<u8> {
        let header = IpmbHeader {
            responder: BROADCAST,
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

    fn on_result(&mut self, result: TaskResult) {
        match result {
            TaskResult::Written(id) => self.tracker.handle_written(id),
            TaskResult::Executed(header, response) => {
                self.inbox.finish(&header);
                self.respond(&header, &response);
            }
            TaskResult::Queued(header, response) => {
                self.inbox.finish(&header);
                // The host's software responds; if it does not get the message, the BMC does.
                if response.completion != CompletionCode::OK {
                    let request = header.request(Vec::new());
                    let failure = Response::failure(&request, response.completion);
                    self.respond(&header, &failure);
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
            log_invalid_frame(&error);
        }
    }

    fn on_response(&mut self, response: &IpmbResponse<'_>) {
        if !self.tracker.handle_response(Instant::now(), response) {
            let (header, unmatched) = (&response.header, self.tracker.unmatched());
            debug!(?header, unmatched, "a response without a request; it is dropped");
        }
    }

    fn on_request(&mut self, request: &IpmbRequest<'_>) {
        let header = request.header;
        if [self.own, BROADCAST].contains(&header.responder) {
            let (netfn, command) = (header.netfn, header.command);
            self.signals.publish(netfn, command, request.data);
        }
        if header.responder == BROADCAST {
            let origin = Origin::satellite(header.requester.0 >> 1);
            self.ipmid.recorder().broadcast(&RequestView::of(&request.to_request(), origin));
            return;
        }
        if header.responder != self.own {
            debug!(?header, "a request for another controller; it is ignored");
            return;
        }
        match self.inbox.start(header) {
            Admission::Duplicate => {
                debug!(?header, "a repetition of a request that runs; it is dropped")
            }
            Admission::Busy => {
                let busy = Response::failure(&request.to_request(), CompletionCode::BUSY);
                self.respond(&header, &busy);
            }
            Admission::Run => self.execute(request),
        }
    }

    /// Has `ipmid` execute a request, or put it into the host's receive message queue.
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
                true => TaskResult::Queued(header, response),
                false => TaskResult::Executed(header, response),
            });
        });
    }

    fn respond(&self, header: &IpmbHeader, response: &Response) {
        let mut frame = Vec::new();
        IpmbResponse::answering(header, response).emit(&mut frame);
        if frame.len() >= crate::port::MAX_MESSAGE {
            frame.clear();
            let request = header.request(Vec::new());
            let short = Response::failure(&request, CompletionCode::CANNOT_RETURN_BYTES);
            IpmbResponse::answering(header, &short).emit(&mut frame);
        }
        self.write(Write { id: None, frame });
    }
}

/// Records how a request to a satellite has ended.
fn record_end(recorder: &Channel, recorded: Started, outcome: &Outcome) {
    match outcome {
        Outcome::Answered(Response { completion, data, .. }) => {
            recorder.end(recorded, completion.0, data, false);
        }
        Outcome::TimedOut => recorder.end(recorded, CompletionCode::TIMEOUT.0, &[], true),
        Outcome::Unreachable => {
            recorder.end(recorded, CompletionCode::DESTINATION_UNAVAILABLE.0, &[], true);
        }
    }
}

/// The Send Message that puts the satellite's frame into the host's receive message queue (IPMI v2.0
/// §22.7): to the system interface's channel, untracked.
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
    results: mpsc::UnboundedSender<TaskResult>,
) {
    while let Some(Write { id, frame }) = queue.recv().await {
        let writer = writer.clone();
        let result = task::spawn_blocking(move || writer.write(&frame)).await;
        match (result, id) {
            (Ok(Ok(())), Some(id)) => drop(results.send(TaskResult::Written(id))),
            (Ok(Err(error)), _) => {
                if let Some(pass) = UNWRITTEN.admit() {
                    info!(%error, swallowed = pass.swallowed, "a frame was not acknowledged by its receiver");
                }
            }
            _ => {}
        }
    }
}

fn log_invalid_frame(error: &dyn std::error::Error) {
    if let Some(pass) = BAD_FRAMES.admit() {
        warn!(%error, swallowed = pass.swallowed, "invalid IPMB frame; it is dropped");
    }
}
