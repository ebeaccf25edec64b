//! Both ends of a direct link, with nothing but a socket between them.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use daemon::{AbortOnDrop, lock};
use ipmi_proto::{CompletionCode, Lun, NetFn, Privilege, Request, ResponseBody};
use tokio::sync::Semaphore;
use tokio::task;
use zbus::{Connection, Message};

use super::link::{self, Link, LinkSlot};
use super::message::{Call, Caller, call_message, read_reply};
use super::server::{LinkRefusal, Server};
use super::transport::{Incoming, Outgoing};
use super::{DIRECT, Execute, OPEN, OwnerChange, PATH};
use crate::bus::socket::BufferedStream;

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
        ResponseBody { completion: CompletionCode::OK, data: call.sender.into_bytes() }
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
    let (calls, answers) = BufferedStream::new(near.into()).unwrap().halves();
    let (calls, answers) = (Incoming::Direct(calls), Outgoing::Direct(answers));
    let server = Server::new(Arc::clone(executor), ROOM);
    task::spawn(async move { server.serve_link(calls, answers, CALLER.to_owned()).await });
    BufferedStream::new(far.into()).unwrap()
}

/// The bridge's end of a new link.
async fn linked(executor: &Arc<Echo>) -> (Link, AbortOnDrop) {
    let (replies, calls) = served(executor).halves();
    let slot = Arc::new(LinkSlot::default());
    let shared = Arc::clone(&slot);
    let forwarding = AbortOnDrop::spawn(async move {
        link::forward(&shared, Incoming::Direct(replies), Outgoing::Direct(calls)).await;
    });
    loop {
        if let Some(link) = lock(&slot).clone() {
            return (link, forwarding);
        }
        task::yield_now().await;
    }
}

fn call(command: u8) -> Message {
    let request = Request { netfn: NetFn::APP, lun: Lun::BMC, command, data: vec![1, 2, 3] };
    let caller = Caller::Session { user_id: 2, privilege: Privilege::Administrator, session_id: 1 };
    call_message(&request, caller).unwrap()
}

type Reply = Result<(CompletionCode, Vec<u8>), CompletionCode>;

async fn call_on(link: &Link, command: u8) -> Reply {
    link.call(call(command)).await.and_then(|reply| read_reply(&reply))
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
    let (queue, queued) = tokio::sync::mpsc::channel(1);
    let _writer = AbortOnDrop::spawn(Outgoing::Direct(calls).write_queued(queued));
    // Until the buffers of calls and replies are full.
    let mut sent = 0;
    while let Ok(()) = queue.try_send(call(1)) {
        sent += 1;
        for _ in 0..8 {
            task::yield_now().await;
        }
    }
    let (link, _forwarding) = linked(&executor).await;
    for _ in 0..100 {
        assert_eq!(call_on(&link, 1).await, reply());
    }
    // None is lost.
    for _ in 0..sent {
        let reply = replies.receive_bounded(1024).await.unwrap();
        assert!(read_reply(&reply).is_ok());
    }
}

#[tokio::test]
async fn a_link_cannot_be_opened_over_a_link() {
    let (link, _forwarding) = linked(&Echo::new()).await;
    let open = Message::method_call(PATH, OPEN).interface(DIRECT).build(&()).unwrap();
    let reply = link.call(open).await.unwrap();
    let name = reply.header().error_name().map(ToString::to_string);
    assert_eq!(name.as_deref(), Some("org.freedesktop.DBus.Error.NotSupported"));
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
