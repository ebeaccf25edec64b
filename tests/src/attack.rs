//! Attackers: floods of datagrams, from addresses of the loopback network that no client uses.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::wire::recorded;

/// Source address of the datagrams, other than the clients'.
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 66, 6, 6);

/// The attacker's send interval, and the most datagrams of one burst: the kernel would drop
/// bursts beyond the socket's buffer.
const INTERVAL: Duration = Duration::from_millis(1);
const BURST: usize = 16;

/// How long a guesser waits for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(200);

/// Offsets in a set-up datagram: of the payload, and in it of the BMC's session id in the answer to
/// Open Session and in what follows (IPMI v2.0 §13.18-22).
const PAYLOAD: usize = 16;
const GIVEN_ID: std::ops::Range<usize> = PAYLOAD + 8..PAYLOAD + 12;
const ASKED_ID: std::ops::Range<usize> = PAYLOAD + 4..PAYLOAD + 8;

/// An attacker that runs until it is done or dropped.
#[derive(Debug)]
pub struct Attacker {
    done: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Attacker {
    /// Sends `count` Open Session Requests, at most `rate` a second, each from a port of its own, and
    /// reads no response.
    #[must_use]
    pub fn open_sessions(bmc: SocketAddr, count: usize, rate: usize) -> Self {
        let request = recorded("open-session");
        Self::start(count, rate, move || {
            let socket = socket();
            let _ = socket.send_to(&request, bmc);
        })
    }

    /// Tries `count` passwords as the administrator, at most `rate` a second, all of them wrong.
    #[must_use]
    pub fn guess(bmc: SocketAddr, count: usize, rate: usize) -> Self {
        let socket = socket();
        socket.connect(bmc).expect("a destination");
        socket.set_read_timeout(Some(RESPONSE_TIMEOUT)).expect("a time-out");
        Self::start(count, rate, move || {
            // A lost datagram is one guess less.
            let _ = guess(&socket);
        })
    }

    fn start(count: usize, rate: usize, mut attempt: impl FnMut() + Send + 'static) -> Self {
        let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stopped) = (Arc::clone(&done), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let (begun, mut made) = (Instant::now(), 0);
            while made < count && !stopped.load(Ordering::Relaxed) {
                let due = begun.elapsed().as_micros() * rate as u128 / 1_000_000;
                let due = usize::try_from(due).map_or(count, |due| due.min(count));
                let due = due.saturating_sub(made).min(BURST);
                for _ in 0..due {
                    attempt();
                }
                made += due;
                counter.store(made, Ordering::Relaxed);
                thread::sleep(INTERVAL);
            }
        });
        Self { done, stop, thread: Some(thread) }
    }

    /// Whether it has sent everything.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// How many attempts it has made.
    #[must_use]
    pub fn count(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    ///
    /// If it has panicked.
    pub fn finish(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("an attacker that did not panic");
        }
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn socket() -> UdpSocket {
    UdpSocket::bind((SOURCE, 0)).expect("a free port")
}

/// One login with a wrong authentication code in RAKP 3; `None` if a response is missing.
fn guess(socket: &UdpSocket) -> Option<()> {
    let mut answer = [0; 256];
    socket.send(&recorded("open-session")).ok()?;
    let length = socket.recv(&mut answer).ok()?;
    let id: [u8; 4] = answer.get(GIVEN_ID)?.try_into().ok()?;
    (length > GIVEN_ID.end).then_some(())?;
    for name in ["rakp-1", "rakp-3"] {
        let mut message = recorded(name);
        message.get_mut(ASKED_ID)?.copy_from_slice(&id);
        socket.send(&message).ok()?;
        socket.recv(&mut answer).ok()?;
    }
    Some(())
}
