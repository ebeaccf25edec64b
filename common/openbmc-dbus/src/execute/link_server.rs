//! `ipmid`'s end of a direct link: one task, which answers a call in the turn in which it arrives if its handler waits
//! for nothing.

use std::sync::Arc;
use std::task::Poll;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, poll};
use ipmi_proto::{CompletionCode, ResponseBody};
use tracing::debug;

use super::Execute;
use super::commands::LIST;
use super::direct::LONGEST;
use super::frame::{Answered, CallFrame, write_reply};
use super::message::Call;
use super::server::{NO_LINK, NOT_SUPPORTED, Received, refusal};
use crate::bus::socket::{self, BufferedStream};

/// Serves `caller`, a unique bus name, on its link until that ends. At most `limit` requests are in progress; more get
/// C0h at once.
///
/// Calls are read only when all replies are written, so a peer that does not read its replies has no further calls
/// executed; those that run go on.
pub(super) async fn serve<E: Execute>(
    executor: Arc<E>,
    stream: BufferedStream,
    caller: Arc<str>,
    limit: usize,
) {
    if let Err(error) = try_serve(&executor, stream, &caller, limit).await {
        debug!(%error, "a direct link ends");
    }
}

async fn try_serve<E: Execute>(
    executor: &Arc<E>,
    stream: BufferedStream,
    caller: &Arc<str>,
    limit: usize,
) -> zbus::Result<()> {
    let (mut calls, writer) = stream.halves();
    let mut running = FuturesUnordered::new();
    let mut replies = Vec::new();
    loop {
        tokio::select! {
            biased;
            written = writer.write(&replies), if !replies.is_empty() => {
                drop(replies.drain(..written?));
                replies.shrink_to(LONGEST);
            }
            Some((answered, response)) = running.next() => {
                write_reply(&mut replies, answered, &response);
                while let Poll::Ready(Some((answered, response))) = poll!(running.next()) {
                    write_reply(&mut replies, answered, &response);
                }
            }
            arrived = calls.fill(), if replies.is_empty() => {
                arrived?;
                while let Some(message) = calls.next_message(LONGEST)? {
                    let Some((answered, call)) = read(message, caller, &mut replies).await? else {
                        continue;
                    };
                    if running.len() >= limit {
                        let busy = ResponseBody::from(CompletionCode::BUSY);
                        write_reply(&mut replies, answered, &busy);
                        continue;
                    }
                    let execution = Arc::clone(executor).execute(call);
                    let mut execution = Box::pin(execution.map(move |response| (answered, response)));
                    match poll!(&mut execution) {
                        Poll::Ready((answered, response)) => {
                            write_reply(&mut replies, answered, &response);
                        }
                        Poll::Pending => running.push(execution),
                    }
                }
            }
        }
    }
}

/// Reads a call. To another message the reply, if there is one, is added to `replies`.
async fn read(
    message: &[u8],
    caller: &Arc<str>,
    replies: &mut Vec<u8>,
) -> zbus::Result<Option<(Answered, Call)>> {
    let sender = Arc::clone(caller);
    if let Some(frame) = CallFrame::read(message) {
        let CallFrame { serial, netfn, lun, command, data, options } = frame;
        let call = Call { sender, netfn, lun, command, data: data.to_vec(), options };
        return Ok(Some((Answered { serial, netfn, lun, command }, call)));
    }
    let message = socket::parse(message).await?;
    let reply = match Received::parse(&message) {
        Received::Ignored | Received::Signalled(_) | Received::OwnerChanged(_) => return Ok(None),
        Received::Execute(call) => {
            let serial = message.primary_header().serial_num().get();
            let Call { netfn, lun, command, .. } = call;
            let call = Call { sender, ..call };
            return Ok(Some((Answered { serial, netfn, lun, command }, call)));
        }
        Received::Link => refusal(&message, NOT_SUPPORTED, NO_LINK)?,
        Received::Commands => refusal(&message, NOT_SUPPORTED, LIST)?,
        Received::Other(reply) => reply?,
    };
    replies.extend_from_slice(reply.data());
    Ok(None)
}
