//! A UDP relay between a client and the BMC: records datagrams, and may hold, change, duplicate or
//! add some. The BMC sees the relay as the client: one address and port for a whole session.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::wait;

/// The largest datagram that passes.
const MAX_DATAGRAM: usize = 65_535;

/// How often the threads check whether the relay was dropped.
const INTERVAL: Duration = Duration::from_millis(20);

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// From the client to the BMC.
    ToBmc,
    /// From the BMC to the client.
    ToClient,
}

/// A datagram that reached the relay.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Datagram {
    /// Which way it was going.
    pub way: Way,
    /// Its bytes, as received.
    pub bytes: Vec<u8>,
}

/// Returns the datagrams to forward in place of one.
pub type Tamper = dyn FnMut(Way, &[u8]) -> Vec<Vec<u8>> + Send;

/// A relay, running until it is dropped.
pub struct Relay {
    address: SocketAddr,
    back: UdpSocket,
    record: Arc<Mutex<Vec<Datagram>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What the two directions share.
#[derive(Clone)]
struct Shared {
    record: Arc<Mutex<Vec<Datagram>>>,
    stop: Arc<AtomicBool>,
    tamper: Arc<Mutex<Box<Tamper>>>,
    client: Arc<Mutex<Option<SocketAddr>>>,
}

impl Relay {
    /// A relay that forwards everything unchanged.
    #[must_use]
    pub fn open(bmc: SocketAddr) -> Self {
        Self::tampering(bmc, |_, bytes| vec![bytes.to_vec()])
    }

    /// A relay that forwards what `tamper` returns for each datagram.
    ///
    /// # Panics
    ///
    /// If no socket can be bound.
    #[must_use]
    pub fn tampering(
        bmc: SocketAddr,
        tamper: impl FnMut(Way, &[u8]) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Self {
        // A second relay to the same BMC takes any port.
        let front = UdpSocket::bind(beside(bmc)).unwrap_or_else(|_| free_socket());
        let back = free_socket();
        back.connect(bmc).expect("a destination");
        let shared = Shared {
            record: Arc::default(),
            stop: Arc::default(),
            tamper: Arc::new(Mutex::new(Box::new(tamper))),
            client: Arc::default(),
        };
        let address = front.local_addr().expect("an address");
        let clone = |socket: &UdpSocket| socket.try_clone().expect("a second handle");
        let threads = vec![
            spawn(Way::ToBmc, clone(&front), clone(&back), shared.clone()),
            spawn(Way::ToClient, clone(&back), front, shared.clone()),
        ];
        Self { address, back, record: shared.record, stop: shared.stop, threads }
    }

    /// Where clients reach the relay.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All datagrams so far.
    ///
    /// # Panics
    ///
    /// If a relay thread has panicked.
    #[must_use]
    pub fn datagrams(&self) -> Vec<Datagram> {
        self.record.lock().expect("no panic").clone()
    }

    /// The datagrams so far that went one way.
    #[must_use]
    pub fn sent(&self, way: Way) -> Vec<Vec<u8>> {
        let datagrams = self.datagrams().into_iter();
        datagrams.filter(|datagram| datagram.way == way).map(|datagram| datagram.bytes).collect()
    }

    /// Sends a datagram to the BMC, from the address that the client has there.
    ///
    /// # Panics
    ///
    /// If it cannot be sent.
    pub fn inject(&self, bytes: &[u8]) {
        self.back.send(bytes).expect("loopback takes a datagram");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// An address beside the BMC's, with its port: SOL clients insist that the port is the session's.
fn beside(bmc: SocketAddr) -> SocketAddr {
    let IpAddr::V4(address) = bmc.ip() else {
        return SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    };
    let [first, second, third, fourth] = address.octets();
    SocketAddr::from(([first, second ^ 0x80, third, fourth], bmc.port()))
}

/// A socket on a port of its own; waits while other tests use all ports.
fn free_socket() -> UdpSocket {
    wait::until("a free port", || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok())
}

/// Starts the thread that forwards one direction.
fn spawn(way: Way, from: UdpSocket, to: UdpSocket, shared: Shared) -> JoinHandle<()> {
    from.set_read_timeout(Some(INTERVAL)).expect("a time-out");
    thread::spawn(move || {
        let mut buffer = vec![0; MAX_DATAGRAM];
        while !shared.stop.load(Ordering::Relaxed) {
            let Ok((length, sender)) = from.recv_from(&mut buffer) else {
                continue;
            };
            let bytes = &buffer[..length];
            shared.record.lock().expect("no panic").push(Datagram { way, bytes: bytes.to_vec() });
            if way == Way::ToBmc {
                *shared.client.lock().expect("no panic") = Some(sender);
            }
            let passed = (shared.tamper.lock().expect("no panic"))(way, bytes);
            for bytes in passed {
                // A BMC that is away refuses; the client repeats, as over a lossy network.
                let _ = match (way, *shared.client.lock().expect("no panic")) {
                    (Way::ToBmc, _) => to.send(&bytes),
                    (Way::ToClient, Some(client)) => to.send_to(&bytes, client),
                    (Way::ToClient, None) => Ok(0),
                };
            }
        }
    })
}
