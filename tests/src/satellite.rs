//! Satellite controllers on an IPMB, which is a Unix socket in place of the kernel's device.
//!
//! Frames are built and checked independently of our own code, from the tables of IPMI v2.0 §13.8:
//!
//! | address | what it does |
//! |---|---|
//! | 24h | answers Get Device ID with its own bytes, C1h to all else |
//! | 26h | forwards a Send Message to 72h, and returns the response in its own response |
//! | 28h | forwards a Send Message to 72h, and sends the response in a second frame |
//! | 72h | reached through 26h and 28h only; answers as 24h |
//! | any other | never answers |

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType, accept, bind, listen, recv,
    send, socket,
};

/// The manufacturer id and product id that a satellite answers Get Device ID with.
pub const IDENTITY: [u8; 5] = [0x57, 0x01, 0x00, 0x24, 0x24];

const BMC: u8 = 0x20;
const RELAYS: [u8; 2] = [0x26, 0x28];
const BEHIND: u8 = 0x72;
const SEND_MESSAGE: u8 = 0x34;

/// The bus with all controllers but the BMC.
#[derive(Debug)]
pub struct Satellites {
    device: PathBuf,
    wire: Arc<Wire>,
}

/// The connection to the bridge, and the frames that the bridge has sent.
#[derive(Debug, Default)]
struct Wire {
    bridge: Mutex<Option<Arc<OwnedFd>>>,
    frames: Mutex<Vec<Vec<u8>>>,
}

impl Satellites {
    /// Waits for a bridge at a socket in `dir`, and serves it until the test ends.
    ///
    /// # Panics
    ///
    /// If the socket cannot be created.
    #[must_use]
    pub fn start(dir: &Path) -> Self {
        let device = dir.join("ipmb");
        let listener = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).expect("a socket");
        let address = SocketAddrUnix::new(&device).expect("a path");
        bind(&listener, &address).expect("a free path");
        listen(&listener, 1).expect("a listening socket");
        let wire = Arc::<Wire>::default();
        let ours = Arc::clone(&wire);
        thread::spawn(move || {
            while let Ok(bus) = accept(&listener) {
                let bus = Arc::new(bus);
                *lock(&ours.bridge) = Some(Arc::clone(&bus));
                serve(&bus, &ours.frames);
            }
        });
        Self { device, wire }
    }

    /// Where the bridge finds the bus.
    #[must_use]
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// How many requests the bridge has sent to `address`.
    #[must_use]
    pub fn requests_for(&self, address: u8) -> usize {
        self.frames_for(address).len()
    }

    /// The frames that the bridge has sent to `address`.
    #[must_use]
    pub fn frames_for(&self, address: u8) -> Vec<Vec<u8>> {
        let frames = lock(&self.wire.frames);
        let its = |frame: &&Vec<u8>| frame.first() == Some(&address);
        frames.iter().filter(its).cloned().collect()
    }

    /// Sends the BMC a request of the controller at `from`: network function and LUN, its sequence
    /// number and LUN, and command and data in one byte each.
    ///
    /// # Panics
    ///
    /// If there is no bridge yet.
    pub fn request(&self, from: u8, netfn: u8, sequence: u8, command: &[u8]) {
        let request = Frame {
            to: BMC,
            netfn,
            from,
            sequence,
            command: command[0],
            data: command[1..].to_vec(),
        };
        let bridge = lock(&self.wire.bridge).clone().expect("a bridge");
        assert!(transmit(&bridge, &request), "a running bridge");
    }
}

/// The byte that makes a sum 0.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte))
}

/// The fields of a frame with valid checksums.
struct Frame {
    to: u8,
    netfn: u8,
    from: u8,
    sequence: u8,
    command: u8,
    data: Vec<u8>,
}

impl Frame {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let whole = bytes.len() >= 7 && checksum(&bytes[..3]) == 0 && checksum(&bytes[3..]) == 0;
        whole.then(|| Self {
            to: bytes[0],
            netfn: bytes[1],
            from: bytes[3],
            sequence: bytes[4],
            command: bytes[5],
            data: bytes[6..bytes.len() - 1].to_vec(),
        })
    }

    /// Whether its network function is odd.
    fn is_response(&self) -> bool {
        self.netfn & 0x04 != 0
    }

    fn emit(&self) -> Vec<u8> {
        let head = [self.to, self.netfn];
        let mut rest = vec![self.from, self.sequence, self.command];
        rest.extend(&self.data);
        rest.push(checksum(&rest));
        [&head[..], &[checksum(&head)], &rest].concat()
    }

    /// The addressee's response to this request; `data` begins with the completion code.
    fn response(&self, data: Vec<u8>) -> Self {
        Self { to: self.from, netfn: self.netfn | 0x04, from: self.to, data, ..*self }
    }

    /// The response of a controller that knows Get Device ID only.
    fn plain_response(&self) -> Self {
        match (self.netfn >> 2, self.command) {
            (0x06, 0x01) => {
                let fixed = [0x00, self.to, 0x81, 0x01, 0x02, 0x02, 0x29];
                self.response([&fixed[..], &IDENTITY].concat())
            }
            _ => self.response(vec![0xc1]),
        }
    }
}

/// Serves one bridge until it disconnects.
fn serve(bus: &OwnedFd, frames: &Mutex<Vec<Vec<u8>>>) {
    let mut buffer = [0; 256];
    loop {
        let count = match recv(bus, &mut buffer, RecvFlags::empty()) {
            Ok((count, _)) if count > 1 => count,
            _ => return,
        };
        assert_eq!(usize::from(buffer[0]), count - 1, "the length byte");
        let frame = &buffer[1..count];
        lock(frames).push(frame.to_vec());
        let request = Frame::parse(frame).expect("a frame with good checksums");
        if request.is_response() {
            continue;
        }
        for response in responses(&request) {
            if !transmit(bus, &response) {
                return;
            }
        }
    }
}

/// Puts a frame on the bus, for the bridge to read.
fn transmit(bus: &OwnedFd, frame: &Frame) -> bool {
    let frame = frame.emit();
    let length = u8::try_from(frame.len()).expect("a short frame");
    let message = [&[length], frame.as_slice()].concat();
    send(bus, &message, SendFlags::NOSIGNAL).is_ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The frames that follow a request, in their order.
fn responses(request: &Frame) -> Vec<Frame> {
    match request.to {
        0x24 => vec![request.plain_response()],
        to if RELAYS.contains(&to) && request.command == SEND_MESSAGE => relayed(request),
        to if RELAYS.contains(&to) => vec![request.plain_response()],
        _ => Vec::new(),
    }
}

/// The frames of a relay after a tracked Send Message.
fn relayed(request: &Frame) -> Vec<Frame> {
    let inner = request.data.get(1..).and_then(Frame::parse);
    let Some(inner) = inner.filter(|inner| inner.to == BEHIND) else {
        return vec![request.response(vec![0x83])];
    };
    let response = inner.plain_response();
    if request.to == RELAYS[0] {
        let embedded = [vec![0x00], response.emit()].concat();
        return vec![request.response(embedded)];
    }
    let forwarded = Frame { to: BMC, from: request.to, ..response };
    vec![request.response(vec![0x00]), forwarded]
}
