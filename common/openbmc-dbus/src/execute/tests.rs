//! Both ends of a direct link, with nothing but a socket between them.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use daemon::{AbortOnDrop, lock};
use futures_util::FutureExt;
use ipmi_proto::{CompletionCode, Lun, NetFn, Privilege, Request, ResponseBody};
use tokio::sync::Semaphore;
use tokio::task;
use zbus::{Connection, Message, Variant};

use super::direct::LONGEST;
use super::link::{self, Frames, Link, LinkSlot, Reply};
use super::message::{Call, Caller, read_reply};
use super::server::LinkRefusal;
use super::{DIRECT, Execute, METHOD, OPEN, OwnerChange, PATH, frame, link_server};
use crate::bus::socket::{self, BufferedStream};

const ROOM: usize = 4;
const CALLER: &str = ":1.7";

/// Replies the caller's name; commands from 80h on wait for `may_reply`.
#[derive(Debug)]
struct Echo {
    may_reply: Semaphore,
    waiting: AtomicUsize,
}

impl Echo {
    fn new() -> Arc<Self> {
        Arc::new(Self { may_reply: Semaphore::new(0), waiting: AtomicUsize::new(0) })
    }
}

impl Execute for Echo {
    async fn execute(self: Arc<Self>, call: Call) -> ResponseBody {
        if call.command >= 0x80 {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            self.may_reply.acquire().await.unwrap().forget();
        }
        ResponseBody { completion: CompletionCode::OK, data: call.sender.as_bytes().to_vec() }
    }

    async fn may_link(self: Arc<Self>, _: String) -> Result<(), LinkRefusal> {
        Ok(())
    }

    fn attached(&self, _: &Connection) {}

    fn detached(&self) {}

    fn owner_changed(&self, _: &OwnerChange) {}

    fn owners_listed(&self, _: Vec<(String, String)>) {}
}

/// Serves one end of a new link; returns the other.
fn served(executor: &Arc<Echo>) -> BufferedStream {
    let (near, far) = UnixStream::pair().unwrap();
    let near = BufferedStream::new(near.into()).unwrap();
    task::spawn(link_server::serve(Arc::clone(executor), near, CALLER.into(), ROOM));
    BufferedStream::new(far.into()).unwrap()
}

/// The bridge's end of a new link.
async fn linked(executor: &Arc<Echo>) -> (Link<Frames>, AbortOnDrop) {
    let stream = served(executor);
    let slot = Arc::new(LinkSlot::default());
    let forwarding = AbortOnDrop::spawn(link::forward_directly(Arc::clone(&slot), stream));
    loop {
        if let Some(link) = lock(&slot).clone() {
            return (link, forwarding);
        }
        task::yield_now().await;
    }
}

const CONSOLE: Caller =
    Caller::Session { user_id: 2, privilege: Privilege::Administrator, session_id: 1 };

fn request(command: u8) -> Request {
    Request { netfn: NetFn::APP, lun: Lun::BMC, command, data: vec![1, 2, 3] }
}

async fn call_on(link: &Link<Frames>, command: u8) -> Reply {
    link.call(&request(command), CONSOLE).await
}

/// Sends a message of the library, and reads what comes back.
async fn exchange(stream: BufferedStream, message: &Message) -> Message {
    let (mut replies, calls) = stream.halves();
    calls.write_all(message.data()).await.unwrap();
    loop {
        if let Some(reply) = replies.next_message(LONGEST).unwrap() {
            return socket::parse(reply).await.unwrap();
        }
        replies.fill().await.unwrap();
    }
}

fn reply() -> Reply {
    Ok((CompletionCode::OK, CALLER.as_bytes().to_vec()))
}

#[tokio::test]
async fn the_caller_on_a_link_is_the_one_that_opened_it() {
    let (link, _forwarding) = linked(&Echo::new()).await;
    assert_eq!(call_on(&link, 1).await, reply());
}

#[tokio::test]
async fn requests_beyond_the_limit_of_a_link_get_busy_and_the_others_any_order() {
    let executor = Echo::new();
    let (link, _forwarding) = linked(&executor).await;
    let waiting: Vec<_> = (0..ROOM)
        .map(|_| {
            let link = link.clone();
            task::spawn(async move { call_on(&link, 0x80).await })
        })
        .collect();
    while executor.waiting.load(Ordering::Relaxed) < ROOM {
        task::yield_now().await;
    }
    let busy = Ok((CompletionCode::BUSY, Vec::new()));
    assert_eq!(call_on(&link, 1).await, busy);
    executor.may_reply.add_permits(ROOM);
    for waiter in waiting {
        assert_eq!(waiter.await.unwrap(), reply());
    }
    assert_eq!(call_on(&link, 1).await, reply());
}

#[tokio::test]
async fn replies_that_are_not_read_do_not_block_other_links() {
    let executor = Echo::new();
    let (mut replies, calls) = served(&executor).halves();
    // Until the buffers of calls and replies are full.
    let mut message = Vec::new();
    frame::write_call(&mut message, &request(1), CONSOLE);
    let mut unsent = Vec::new();
    let mut sent = 0;
    loop {
        if unsent.is_empty() {
            unsent.clone_from(&message);
            sent += 1;
        }
        let Some(written) = calls.write(&unsent).now_or_never() else { break };
        drop(unsent.drain(..written.unwrap()));
        for _ in 0..8 {
            task::yield_now().await;
        }
    }
    let (link, _forwarding) = linked(&executor).await;
    for _ in 0..100 {
        assert_eq!(call_on(&link, 1).await, reply());
    }
    // None is lost.
    let rest = async { calls.write_all(&unsent).await.unwrap() };
    let read = async {
        let mut read = 0;
        while read < sent {
            replies.fill().await.unwrap();
            while let Some(message) = replies.next_message(LONGEST).unwrap() {
                assert!(frame::read_reply(message).is_some());
                read += 1;
            }
        }
    };
    tokio::join!(rest, read);
}

#[tokio::test]
async fn a_link_cannot_be_opened_over_a_link() {
    let open = Message::method_call(PATH, OPEN).interface(DIRECT).build(&()).unwrap();
    let reply = exchange(served(&Echo::new()), &open).await;
    let name = reply.header().error_name().map(ToString::to_string);
    assert_eq!(name.as_deref(), Some("org.freedesktop.DBus.Error.NotSupported"));
}

#[tokio::test]
async fn a_call_that_another_implementation_makes_is_answered() {
    let options: HashMap<&str, Variant<'_>> = HashMap::from([("other", "text".into())]);
    let arguments = (6_u8, 0_u8, 1_u8, [7_u8].as_slice(), options);
    let call = Message::method_call(PATH, METHOD).build(&arguments).unwrap();
    let reply = exchange(served(&Echo::new()), &call).await;
    assert_eq!(reply.header().reply_serial(), Some(call.primary_header().serial_num()));
    assert_eq!(read_reply(&reply), self::reply());
}

#[tokio::test]
async fn calls_fail_when_their_link_ends() {
    let executor = Echo::new();
    let (link, forwarding) = linked(&executor).await;
    let waiter = {
        let link = link.clone();
        task::spawn(async move { call_on(&link, 0x80).await })
    };
    task::yield_now().await;
    drop(forwarding);
    assert_eq!(waiter.await.unwrap(), Err(CompletionCode::TIMEOUT));
    assert_eq!(call_on(&link, 1).await, Err(CompletionCode::INITIALIZING));
}
