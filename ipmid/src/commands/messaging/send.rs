//! Send Message: bridging to satellite controllers, to the host and to the BMC itself (IPMI v2.0 §6.13, §22.7).

use std::sync::Arc;
use std::time::Duration;

use daemon::RateLimit;
use ipmi_proto::codec::{Bits, Remaining};
use ipmi_proto::ipmb::{IpmbAddress, IpmbHeader, IpmbRequest, IpmbResponse};
use ipmi_proto::{ChannelNumber, CompletionCode, NetFn, Privilege, Request, Response};
use tokio::{task, time};
use tracing::{debug, warn};

use super::MessagingProvider;
use crate::model::message_queue::{Message, Messages};
use crate::platform::{I2c, PlatformError, PlatformResult, SatelliteAnswer, Satellites};
use crate::request::command::{CommandError, HandlerResult, Registrar};
use crate::request::context::Context;

/// `83h`: NAK on write, no controller acknowledges the address.
const NOT_ACKNOWLEDGED: CompletionCode = CompletionCode(0x83);

/// The slave address of a broadcast, for which there is no controller (IPMB v1.0 §2.4).
const BROADCAST: u8 = 0x00;

const TRACKING_NONE: u8 = 0;
const TRACKING_REQUEST: u8 = 1;

/// Timeout of a satellite's response to the host, whose driver retries after 1 s, four times.
const RELAY: Duration = Duration::from_secs(5);

/// Its command number.
const SEND_MESSAGE: u8 = 0x34;

/// The bytes of a response frame around its data (IPMI v2.0 Table 13-8).
const RESPONSE_OVERHEAD: usize = 8;

/// A failure that lasts is logged once a minute.
static UNREACHABLE: RateLimit = RateLimit::new(1, Duration::from_secs(60));

/// Where a request goes.
enum Target {
    /// The satellites of this channel.
    Satellite(String),
    /// The BMC itself, with the caller's rights.
    Own(Box<Context>),
}

/// A frame, and the request in it.
struct Bridged {
    target: Target,
    number: ChannelNumber,
    header: IpmbHeader,
    request: Request,
}

impl<P: Satellites, I: I2c> MessagingProvider<P, I> {
    pub(super) fn register_send(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::User;
        let mut rows = table.rows(NetFn::APP, self);
        rows.add(SEND_MESSAGE, User, "Send Message", Self::send_message);
    }

    /// Send Message (IPMI v2.0 §22.7).
    ///
    /// A request to the BMC's own address on the primary IPMB is run here, on whichever LUN it is for: so clients reach sensors
    /// of other LUNs (FreeIPMI's `--bridge-sensors`). Privilege, filters and deadline are those of the caller.
    ///
    /// A broadcast, which has 00h before its frame, goes to the satellite that the frame addresses: only that
    /// one would answer (IPMI v2.0 §20.9).
    ///
    /// From the host, a satellite's response comes by way of the receive message queue, and a response
    /// of the host's goes to the satellite that asked it. From a
    /// session, the response of a tracked request is this command's data, as the whole frame that
    /// the satellite would have sent to the console; the LAN bridge makes a message of its own of
    /// it.
    ///
    /// # Errors
    ///
    /// `C3h` from a satellite that does not answer, `83h` if no controller acknowledges its address,
    /// `C0h` when too many requests are under way, `CCh` for a channel that is neither an IPMB nor
    /// the host's, for an invalid request frame and for a Send Message to the BMC itself, `D3h` if the channel's
    /// bridge does not run.
    async fn send_message(
        self: Arc<Self>,
        context: Context,
        channel: ChannelNumber,
        _authenticated: bool,
        _encrypted: bool,
        tracking: Bits<2>,
        frame: Remaining,
    ) -> HandlerResult<Remaining> {
        let number = context.resolve(channel);
        let frame = addressed(frame.into())?;
        if ![TRACKING_NONE, TRACKING_REQUEST].contains(&tracking.value()) {
            return Err(CompletionCode::INVALID_DATA_FIELD.into());
        }
        if self.deps.host_channels.contains_key(&number)
            || number == ChannelNumber::SYSTEM_INTERFACE
        {
            return Ok(self.to_host(&context, frame)?);
        }
        if context.is_from_host() && is_response(&frame) {
            return self.forward_host_response(number, &frame).await;
        }
        let bridged = self.unwrap_frame(&context, number, &frame)?;
        if context.is_from_host() {
            return Ok(self.relay_for_host(bridged)?);
        }
        let answer = self.ask(&bridged).await;
        let (completion, data) = settled(answer)?;
        match tracking.value() {
            TRACKING_NONE => Ok(Vec::new().into()),
            _ => Ok(bridged.response_frame(completion, data).into()),
        }
    }

    /// Puts a message into the host's queue, in the form of the medium it came by (IPMI v2.0 Table
    /// 22-10): a console's has its session before it, a satellite's no receiver's address.
    fn to_host(&self, context: &Context, frame: Vec<u8>) -> Result<Remaining, CompletionCode> {
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        IpmbRequest::parse(&frame).map_err(|_| invalid)?;
        let (privilege, data) = match (context.session, context.satellite) {
            (Some(session), _) => {
                // In the place of the session handle: the lowest byte of the session id, which the host only
                // echoes.
                let [handle, ..] = session.id.to_le_bytes();
                let privilege = context.privilege.value();
                (privilege, [&[handle], frame.as_slice()].concat())
            }
            (None, Some(_)) => (0, frame.get(1..).ok_or(invalid)?.to_vec()),
            (None, None) => return Err(invalid),
        };
        self.deps.messages.receive(Message { channel: context.channel, privilege, data })?;
        Ok(Vec::new().into())
    }

    /// Forwards the host's response to the satellite that sent the request.
    async fn forward_host_response(
        &self,
        number: ChannelNumber,
        frame: &[u8],
    ) -> HandlerResult<Remaining> {
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        let channel = self.deps.satellite_channels.get(&number).ok_or(invalid)?;
        self.platform.answer_satellite(channel, frame).await.map_err(unreachable)?;
        Ok(Vec::new().into())
    }

    fn unwrap_frame(
        &self,
        context: &Context,
        number: ChannelNumber,
        frame: &[u8],
    ) -> Result<Bridged, CompletionCode> {
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        let parsed = IpmbRequest::parse(frame).map_err(|_| invalid)?;
        if !parsed.header.netfn.is_request() {
            return Err(invalid);
        }
        let is_own = number == ChannelNumber::IPMB && parsed.header.responder == IpmbAddress::BMC;
        let target = if is_own {
            Target::Own(Box::new(own_context(context, &parsed.header)?))
        } else {
            let channel = self.deps.satellite_channels.get(&number).ok_or(invalid)?;
            Target::Satellite(channel.clone())
        };
        Ok(Bridged { target, number, header: parsed.header, request: parsed.to_request() })
    }

    async fn ask(&self, bridged: &Bridged) -> PlatformResult<SatelliteAnswer> {
        let request = &bridged.request;
        match &bridged.target {
            Target::Satellite(channel) => {
                let to = bridged.header.responder;
                self.platform.ask_satellite(channel, to, request).await
            }
            Target::Own(context) => {
                let netfn = request.netfn.value();
                let body = self.deps.own.run(**context, netfn, request.data.clone()).await;
                Ok(if body.data.len() > context.max_data() {
                    SatelliteAnswer::Answered(CompletionCode::CANNOT_RETURN_BYTES, Vec::new())
                } else {
                    SatelliteAnswer::Answered(body.completion, body.data)
                })
            }
        }
    }

    /// Responds to the host at once, and queues the satellite's response when it arrives.
    fn relay_for_host(self: Arc<Self>, bridged: Bridged) -> Result<Remaining, CompletionCode> {
        let permit = Arc::clone(&self.relays).try_acquire_owned();
        let permit = permit.map_err(|_| CompletionCode::BUSY)?;
        let messages = Arc::clone(&self.deps.messages);
        task::spawn(async move {
            let answer = time::timeout(RELAY, self.ask(&bridged)).await;
            let answer = answer.unwrap_or(Ok(SatelliteAnswer::Silent));
            let (completion, data) = settled(answer).unwrap_or_else(|error| {
                log_unreachable(&bridged, &error);
                (error.completion, Vec::new())
            });
            bridged.queue_response(&messages, completion, data);
            drop(permit);
        });
        Ok(Vec::new().into())
    }
}

impl Bridged {
    /// The response frame that the satellite would have sent to the requester.
    fn response_frame(&self, completion: CompletionCode, data: Vec<u8>) -> Vec<u8> {
        let response = Response::to(&self.request, completion, data);
        let mut frame = Vec::new();
        IpmbResponse::answering(&self.header, &response).emit(&mut frame);
        frame
    }

    /// Queues the response for the host, without the requester's address (IPMI v2.0 Table 22-10).
    fn queue_response(&self, messages: &Messages, completion: CompletionCode, data: Vec<u8>) {
        let mut frame = self.response_frame(completion, data);
        frame.remove(0);
        let queued = messages.receive(Message { channel: self.number, privilege: 0, data: frame });
        if queued.is_err() {
            debug!(header = ?self.header, "the receive message queue is full; a satellite's response is dropped");
        }
    }
}

/// The context of a request to the BMC itself: its sender's, with the LUN and the room that the frame has.
///
/// # Errors
///
/// `CCh` for another Send Message, which would hold requests in requests without end.
fn own_context(context: &Context, header: &IpmbHeader) -> Result<Context, CompletionCode> {
    if (header.netfn, header.command) == (NetFn::APP, SEND_MESSAGE) {
        return Err(CompletionCode::INVALID_DATA_FIELD);
    }
    let room = context.max_data().saturating_sub(RESPONSE_OVERHEAD);
    Ok(Context {
        lun: header.responder_lun,
        command: header.command,
        room: Some(u8::try_from(room).unwrap_or(u8::MAX)),
        ..*context
    })
}

/// The frame without the broadcast address before it, which is removed before parsing: with it, the
/// checksums might fit another frame.
///
/// # Errors
///
/// `CCh` when what is left is addressed to 00h too.
fn addressed(mut frame: Vec<u8>) -> Result<Vec<u8>, CompletionCode> {
    if frame.first() == Some(&BROADCAST) {
        frame.remove(0);
    }
    let is_for_one = frame.first() != Some(&BROADCAST);
    is_for_one.then_some(frame).ok_or(CompletionCode::INVALID_DATA_FIELD)
}

/// Whether `frame` is a whole response.
fn is_response(frame: &[u8]) -> bool {
    IpmbResponse::parse(frame).is_ok_and(|response| !response.header.netfn.is_request())
}

/// The completion code and data for the requester, from a satellite's response or failure.
fn settled(answer: PlatformResult<SatelliteAnswer>) -> HandlerResult<(CompletionCode, Vec<u8>)> {
    match answer.map_err(unreachable)? {
        SatelliteAnswer::Answered(completion, data) => Ok((completion, data)),
        SatelliteAnswer::Silent => Err(CompletionCode::TIMEOUT.into()),
        SatelliteAnswer::Unreachable => Err(NOT_ACKNOWLEDGED.into()),
        SatelliteAnswer::Busy => Err(CompletionCode::BUSY.into()),
    }
}

/// The error where the bridge of a satellite's channel fails.
fn unreachable(error: PlatformError) -> CommandError {
    let completion = match error {
        PlatformError::Timeout(_) => CompletionCode::TIMEOUT,
        PlatformError::Absent(_) | PlatformError::Refused(_) => {
            CompletionCode::DESTINATION_UNAVAILABLE
        }
    };
    CommandError::new(completion, error)
}

/// Logs the failure of a relayed request, whose Send Message was answered before.
fn log_unreachable(bridged: &Bridged, error: &CommandError) {
    if let Some(cause) = &error.cause
        && let Some(pass) = UNREACHABLE.admit()
    {
        let (channel, swallowed) = (bridged.number.value(), pass.swallowed);
        warn!(error = %cause, channel, completion = %error.completion, swallowed, "cannot send a request of the host to a satellite; the host gets the completion code");
    }
}
