use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use nix::pty::openpty;
use rmcp_proto::server::SessionId;
use rmcp_proto::wire::v20::Protection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::{Holder, InstanceNumber, Settings, SolSection};
use super::*;

const LIMIT: Duration = Duration::from_secs(30);
const SESSION: SessionId = SessionId(7);
const FULL: Protection = Protection::FULL;

/// Payload instances with a writer, and a host's console.
struct SolWriter {
    instances: PayloadInstances,
    host_console: HostConsole,
    seq: u8,
}

impl SolWriter {
    fn new(address: &str) -> Self {
        let section = SolSection { ring: 8192, ..SolSection::default() };
        let mut instances = PayloadInstances::new(&section, Settings::default());
        let holder = Holder { session: SESSION, user_id: 2 };
        instances.activate(InstanceNumber::WRITER, holder, FULL).unwrap();
        Self { instances, host_console: HostConsole::new(address.parse().unwrap()), seq: 0 }
    }

    /// Steps until `done`.
    async fn until(&mut self, mut done: impl FnMut(&mut PayloadInstances) -> bool) {
        let steps = async {
            while !done(&mut self.instances) {
                self.host_console.step(&mut self.instances).await;
            }
        };
        time::timeout(LIMIT, steps).await.expect("the expected state of the host console");
    }

    /// Steps for ever, for a peer to act meanwhile.
    async fn run(&mut self) -> ! {
        loop {
            self.host_console.step(&mut self.instances).await;
        }
    }

    fn type_chars(&mut self, control: u8, chars: &[u8]) {
        self.seq += 1;
        let packet = [&[self.seq, 0, 0, control], chars].concat();
        self.instances.handle_packet(std::time::Instant::now(), SESSION, FULL, &packet).unwrap();
    }

    /// Acknowledges everything, and returns it.
    fn shown(&mut self) -> Vec<u8> {
        let now = std::time::Instant::now();
        let mut shown = Vec::new();
        while let Some(packet) = self.instances.poll_transmit(now) {
            let [seq, _, _, _, chars @ ..] = &packet.payload[..] else { panic!("a header") };
            if *seq != 0 {
                shown.extend_from_slice(chars);
                let count = u8::try_from(chars.len()).unwrap();
                self.instances.handle_packet(now, SESSION, FULL, &[0, *seq, count, 0]).unwrap();
            }
        }
        shown
    }
}

fn available(instances: &mut PayloadInstances) -> bool {
    instances.is_available()
}

#[tokio::test]
async fn obmc_console_is_read_written_and_sent_breaks_out_of_band() {
    let name = format!("causeway-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&address).unwrap();
    let mut sol = SolWriter::new(&format!("abstract:{name}"));
    sol.until(available).await;
    let (peer, _) = listener.accept().unwrap();
    io::Write::write_all(&mut &peer, b"login: ").unwrap();
    sol.until(|instances| instances.output_len() == 7).await;
    assert_eq!(sol.shown(), b"login: ");

    sol.type_chars(0, b"ro");
    sol.type_chars(0x10, b"ot");
    sol.until(|instances| !instances.has_input()).await;
    let mut byte = [0];
    let flags = MsgFlags::MSG_OOB;
    assert_eq!(socket::recv(peer.as_raw_fd(), &mut byte, flags), Ok(1));
    assert_eq!(byte, [72]);
    let mut typed = [0; 4];
    io::Read::read_exact(&mut &peer, &mut typed).unwrap();
    assert_eq!(&typed, b"root");
}

#[tokio::test]
async fn tcp_comes_and_goes_and_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut sol = SolWriter::new(&format!("tcp:{address}"));
    sol.until(available).await;
    let (mut peer, _) = listener.accept().await.unwrap();
    peer.write_all(b"one").await.unwrap();
    sol.until(|instances| instances.output_len() == 3).await;
    assert_eq!(sol.shown(), b"one");
    drop((peer, listener));
    sol.until(|instances| !instances.is_available()).await;
    let listener = TcpListener::bind(address).await.unwrap();
    sol.host_console.connect_now();
    sol.until(available).await;
    let (mut peer, _) = listener.accept().await.unwrap();
    peer.write_all(b"two").await.unwrap();
    sol.until(|instances| instances.output_len() == 6).await;
    let now = std::time::Instant::now();
    let packets: Vec<_> = std::iter::from_fn(|| sol.instances.poll_transmit(now)).collect();
    let data = packets.iter().find(|packet| packet.payload[0] != 0).unwrap();
    assert_eq!(data.payload[3..], *b"\x08two", "something may be missing");
}

#[tokio::test]
async fn telnet_carries_breaks_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sol = SolWriter::new(&format!("telnet:{}", listener.local_addr().unwrap()));
    sol.until(available).await;
    let (mut peer, _) = listener.accept().await.unwrap();
    peer.write_all(b"\xff\xfb\x01a\xff\xff\xff\xf3").await.unwrap();
    sol.until(|instances| instances.output_len() == 2).await;
    let packets: Vec<_> =
        std::iter::from_fn(|| sol.instances.poll_transmit(std::time::Instant::now())).collect();
    assert!(packets.iter().any(|packet| packet.payload[3..] == *b"\x04a\xff"));
    sol.type_chars(0, b"x\xff");
    sol.type_chars(0x10, b"y");
    let mut typed = [0; 6];
    tokio::select! {
        read = peer.read_exact(&mut typed) => assert_eq!(read.unwrap(), 6),
        never = sol.run() => never,
    }
    assert_eq!(typed, *b"x\xff\xff\xff\xf3y");
}

#[tokio::test]
async fn a_terminal_passes_all_bytes_as_they_are() {
    let pty = openpty(None, None).unwrap();
    let path = nix::unistd::ttyname(&pty.slave).unwrap();
    let mut sol = SolWriter::new(&format!("tty:{}", path.display()));
    sol.until(available).await;
    let master = Device::new(pty.master).unwrap();
    master.write(b"a\r\x03\x04\xff").await.unwrap();
    sol.until(|instances| instances.output_len() == 5).await;
    assert_eq!(sol.shown(), b"a\r\x03\x04\xff");
    sol.type_chars(0x10, b"\n\x00\x7f");
    sol.until(|instances| !instances.has_input()).await;
    let mut typed = [0; 16];
    assert_eq!(master.read(&mut typed).await.unwrap(), 3);
    assert_eq!(typed[..3], *b"\n\x00\x7f");
}

#[tokio::test]
async fn a_full_ring_stops_the_host_and_loses_nothing() {
    let folder = std::env::temp_dir().join(format!("causeway-sol-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("console");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let mut sol = SolWriter::new(&format!("unix:{}", path.display()));
    sol.until(available).await;
    let (peer, _) = listener.accept().await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let text: Vec<u8> = (0..1_000_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    let (mut reader, mut writer) = peer.into_split();
    let sent = text.clone();
    // Gives its end back: dropping it would end the stream.
    let writing = tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer
    });
    let stalled = time::timeout(Duration::from_millis(200), sol.run()).await;
    assert!(stalled.is_err());
    assert!(!writing.is_finished(), "the host waits");
    assert_eq!(sol.instances.room(), 0);
    let mut shown = Vec::new();
    while shown.len() < text.len() {
        shown.extend(sol.shown());
        if shown.len() < text.len() {
            time::timeout(LIMIT, sol.host_console.step(&mut sol.instances)).await.unwrap();
        }
    }
    assert_eq!(shown, text);
    sol.type_chars(0, b"x");
    sol.until(|instances| !instances.has_input()).await;
    assert_eq!(reader.read_u8().await.unwrap(), b'x');
    drop(writing.await.unwrap());
}

#[tokio::test]
async fn without_a_console_there_is_nothing_to_wait_for() {
    let mut sol = SolWriter::new("none");
    let waited = time::timeout(Duration::from_millis(20), sol.run()).await;
    assert!(waited.is_err());
    sol.host_console.connect_now();
    assert!(!sol.instances.is_available());
}

#[tokio::test]
async fn a_socket_that_appears_is_dialled_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("console");
    let mut sol = SolWriter::new(&format!("unix:{}", path.display()));
    // The next attempt is far away.
    sol.host_console.pause = Duration::from_secs(3600);
    let waits = time::timeout(Duration::from_millis(50), sol.run()).await;
    assert!(waits.is_err());
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    sol.until(available).await;
    let (mut peer, _) = listener.accept().await.unwrap();
    peer.write_all(b"boots").await.unwrap();
    sol.until(|instances| instances.output_len() == 5).await;
    assert_eq!(sol.shown(), b"boots");
}

#[tokio::test]
async fn a_host_that_dials_comes_and_goes_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("console");
    let mut sol = SolWriter::new(&format!("listen-unix:{}", path.display()));
    let waits = time::timeout(Duration::from_millis(20), sol.run()).await;
    assert!(waits.is_err());
    assert!(!sol.instances.is_available());
    for text in ["first boot", "second boot"] {
        // All that it has to say, and it is gone.
        let mut peer = std::os::unix::net::UnixStream::connect(&path).unwrap();
        io::Write::write_all(&mut peer, text.as_bytes()).unwrap();
        drop(peer);
        sol.until(available).await;
        sol.until(|instances| !instances.is_available()).await;
        let now = std::time::Instant::now();
        let packets = std::iter::from_fn(|| sol.instances.poll_transmit(now)).collect::<Vec<_>>();
        let data = packets.iter().find(|packet| packet.payload.len() > 4).unwrap();
        assert_eq!(data.payload[4..], *text.as_bytes());
        assert_eq!(data.payload[3] & 0x08, 0, "nothing is missing");
        let (seq, count) = (data.payload[0], u8::try_from(text.len()).unwrap());
        sol.instances.handle_packet(now, SESSION, FULL, &[0, seq, count, 0]).unwrap();
        sol.shown();
    }
    let mut peer = tokio::net::UnixStream::connect(&path).await.unwrap();
    sol.until(available).await;
    sol.type_chars(0, b"x");
    sol.until(|instances| !instances.has_input()).await;
    assert_eq!(peer.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn another_address_takes_effect_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    let mut sol = SolWriter::new(&format!("listen-unix:{}", old.display()));
    let waits = time::timeout(Duration::from_millis(20), sol.run()).await;
    assert!(waits.is_err());
    let _peer = tokio::net::UnixStream::connect(&old).await.unwrap();
    sol.until(available).await;
    let same = format!("listen-unix:{}", old.display()).parse().unwrap();
    sol.host_console.set_address(&same, &mut sol.instances);
    assert!(sol.instances.is_available());
    let other = format!("listen-unix:{}", new.display()).parse().unwrap();
    sol.host_console.set_address(&other, &mut sol.instances);
    assert!(!sol.instances.is_available() && !old.exists());
    let waits = time::timeout(Duration::from_millis(20), sol.run()).await;
    assert!(waits.is_err());
    let _peer = tokio::net::UnixStream::connect(&new).await.unwrap();
    sol.until(available).await;
    sol.host_console.set_address(&ConsoleAddress::None, &mut sol.instances);
    assert!(!sol.instances.is_available() && !new.exists());
}
