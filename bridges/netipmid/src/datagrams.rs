//! Receiving and sending datagrams in batches, with the local address of each.
//!
//! One system call receives all datagrams in the buffer, one sends all replies that leave from the same address.
//!
//! A route through a socket that is bound to an interface names neither the interface nor, in the address of
//! a link-local peer, its index: both are the socket's, and sessions outlive an interface that is deleted
//! and made again with another index.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage,
    recvmmsg, sendmmsg, sendmsg,
};
use rmcp_proto::server::{Local, Route, Transmit};
use sys::Device;
use tokio::io::Interest;

use crate::interface::{Interface, InterfaceChange};
use crate::served::Served;
use crate::socket;

/// Datagrams received at a time at most, and while no more arrive at a time: each costs a header that is prepared.
const BATCH: usize = 16;
const FEW: usize = 4;
/// So many batches are dropped at most after the socket was bound anew: more than its buffer holds.
const BATCHES_DROPPED: usize = 64;
/// Longest datagram: a longer one is truncated, and rejected for its lengths. The largest that a console sends
/// has some 300 bytes.
const DATAGRAM: usize = 1024;

/// The socket, with buffers for a batch.
pub struct Datagrams {
    /// Watched for reading alone: a socket watched for writing wakes its owner for each datagram
    /// that has left.
    socket: Device,
    local: SocketAddr,
    /// The interface that the socket is bound to, if any. While it does not exist, what arrives is dropped:
    /// it may be another interface's.
    interface: Option<Interface>,
    /// As many as were offered at a time so far.
    buffers: Vec<[u8; DATAGRAM]>,
    /// How many of the buffers are offered to the next call.
    batch: usize,
    /// Replies that could not be sent.
    unsent: u64,
}

impl Datagrams {
    /// The datagrams of a bound socket.
    ///
    /// # Errors
    ///
    /// Those of registering it with the runtime, and of [`Interface::of`].
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let interface = Interface::of(&socket)?;
        let socket = Device::with_interest(socket.into(), Interest::READABLE)?;
        let buffers = vec![[0; DATAGRAM]; FEW];
        Ok(Self { socket, local, interface, buffers, batch: FEW, unsent: 0 })
    }

    /// The UDP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.local.port()
    }

    /// Where consoles reach the socket.
    #[must_use]
    pub fn served(&self) -> Served {
        let interface = self.interface.as_ref().map(|interface| interface.name().to_owned());
        Served { socket: self.local, interface }
    }

    /// Waits until a datagram can be received.
    ///
    /// # Errors
    ///
    /// When the runtime is shutting down.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Receives up to a batch of datagrams, and calls `take` for each.
    ///
    /// # Errors
    ///
    /// Those of `recvmmsg(2)` other than `EAGAIN`.
    pub fn receive(&mut self, mut take: impl FnMut(Route, &[u8])) -> io::Result<()> {
        let interface = self.interface.as_ref().map(Interface::exists);
        self.receive_batch(|route, bytes| match interface {
            None => take(route, bytes),
            Some(true) => take(without_interface(route), bytes),
            Some(false) => {}
        })?;
        Ok(())
    }

    /// Receives a batch; whether there may be more.
    fn receive_batch(&mut self, mut take: impl FnMut(Route, &[u8])) -> io::Result<bool> {
        let Self { socket, buffers, batch, .. } = self;
        if buffers.len() < *batch {
            buffers.resize(*batch, [0; DATAGRAM]);
        }
        let result = socket.try_io(Interest::READABLE, |fd| {
            let offered = *batch;
            let buffers = buffers.get_mut(..offered).unwrap_or_default();
            let count = receive_batch(fd.as_raw_fd(), buffers, &mut take)?;
            *batch = if count < FEW { FEW } else { BATCH };
            // Fewer than a batch: the socket is drained, and the runtime must wait for the next
            // datagram. Saying so spares the call that would find nothing.
            if count < offered { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            result => result.map(|()| true),
        }
    }

    /// Waits until the interface that the socket is bound to may have changed; for ever if it is bound to
    /// none. Cancel safe.
    ///
    /// # Errors
    ///
    /// What the netlink socket failed with.
    pub async fn links_changed(&self) -> io::Result<()> {
        match &self.interface {
            Some(interface) => interface.links_changed().await,
            None => std::future::pending().await,
        }
    }

    /// Binds the socket to its interface again if that was made again.
    ///
    /// # Errors
    ///
    /// Those of [`Interface::look_up`] and [`socket::rebind`], except that the interface is gone again, of which
    /// there will be notice.
    pub fn follow_interface(&mut self) -> io::Result<()> {
        let Some(interface) = &mut self.interface else {
            return Ok(());
        };
        let Some(change) = interface.look_up()? else {
            return Ok(());
        };
        if change != InterfaceChange::Created {
            interface.log_deleted();
        }
        if change == InterfaceChange::Deleted {
            return Ok(());
        }
        match socket::rebind(self.socket.as_fd(), interface.name()) {
            Ok(()) => interface.log_created(),
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => {
                interface.set_deleted();
                return Ok(());
            }
            Err(error) => {
                let text =
                    format!("cannot bind to the interface {} again: {error}", interface.name());
                return Err(io::Error::new(error.kind(), text));
            }
        }
        self.drop_waiting()
    }

    /// Drops what waits: some of it may have come over another interface while the socket was bound to none.
    fn drop_waiting(&mut self) -> io::Result<()> {
        for _ in 0..BATCHES_DROPPED {
            if !self.receive_batch(|_, _| {})? {
                break;
            }
        }
        Ok(())
    }

    /// Sends `transmits`. A datagram that cannot be sent is dropped, as the network may drop any: consoles
    /// retry.
    pub fn send(&mut self, transmits: &[Transmit]) {
        let fd = self.socket.as_fd().as_raw_fd();
        let is_v6 = self.local.is_ipv6();
        for group in transmits.chunk_by(|a, b| a.route.local == b.route.local) {
            let mut rest = group;
            while let Some((first, others)) = rest.split_first() {
                match send_group(fd, is_v6, rest) {
                    Ok(sent) => rest = rest.get(sent.max(1)..).unwrap_or_default(),
                    Err(Errno::EINTR) => {}
                    Err(error) => {
                        self.unsent += 1;
                        tracing::debug!(%error, peer = %first.route.peer, "reply not sent");
                        rest = others;
                    }
                }
            }
        }
    }

    /// How many replies could not be sent.
    #[must_use]
    pub const fn unsent(&self) -> u64 {
        self.unsent
    }
}

/// `route` without the interface's index: see the module's documentation.
fn without_interface(route: Route) -> Route {
    let peer = match route.peer {
        SocketAddr::V6(peer) => {
            SocketAddrV6::new(*peer.ip(), peer.port(), peer.flowinfo(), 0).into()
        }
        peer @ SocketAddr::V4(_) => peer,
    };
    Route { peer, local: route.local.map(|local| Local { interface: 0, ..local }) }
}

fn receive_batch(
    fd: RawFd,
    buffers: &mut [[u8; DATAGRAM]],
    take: &mut impl FnMut(Route, &[u8]),
) -> io::Result<usize> {
    let space = cmsg_space!(in6_pktinfo, in_pktinfo);
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(buffers.len(), Some(space));
    let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
    let flags = MsgFlags::MSG_DONTWAIT;
    let received = recvmmsg(fd, &mut headers, slices.iter_mut(), flags, None)?;
    let mut count = 0;
    for message in received {
        count += 1;
        let Some(peer) = message.address.as_ref().and_then(socket_address) else {
            continue;
        };
        let route = Route { peer, local: local(&message) };
        take(route, message.iovs().next().unwrap_or_default());
    }
    Ok(count)
}

/// The address that the datagram was sent to; `None` for a multicast address, which no reply can leave from.
fn local(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<Local> {
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            let address = Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr));
            let interface = u32::try_from(info.ipi_ifindex).unwrap_or_default();
            Some(Local { address: address.into(), interface })
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            let local = Local { address: address.into(), interface: info.ipi6_ifindex };
            (!address.is_multicast()).then_some(local)
        }
        _ => None,
    })
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }
    address.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into())
}

/// Sends datagrams that leave from one address; returns how many were sent.
fn send_group(fd: RawFd, is_v6: bool, group: &[Transmit]) -> nix::Result<usize> {
    let source = group.first().and_then(|first| first.route.local);
    let (v4, v6);
    let control = match source.map(|local| (local.address, local.interface)) {
        Some((IpAddr::V4(address), _)) if !is_v6 => {
            v4 = packet_info_v4(address);
            Some(ControlMessage::Ipv4PacketInfo(&v4))
        }
        Some((IpAddr::V6(address), interface)) if is_v6 => {
            v6 = packet_info_v6(address, interface);
            Some(ControlMessage::Ipv6PacketInfo(&v6))
        }
        _ => None,
    };
    let controls = control.as_slice();
    if let [one] = group {
        let address = SockaddrStorage::from(one.route.peer);
        let bytes = [IoSlice::new(&one.bytes)];
        return sendmsg(fd, &bytes, controls, MsgFlags::MSG_DONTWAIT, Some(&address)).map(|_| 1);
    }
    let space = (!controls.is_empty()).then(|| cmsg_space!(in6_pktinfo));
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(group.len(), space);
    let slices: Vec<_> = group.iter().map(|one| [IoSlice::new(&one.bytes)]).collect();
    let addresses: Vec<_> =
        group.iter().map(|one| Some(SockaddrStorage::from(one.route.peer))).collect();
    let flags = MsgFlags::MSG_DONTWAIT;
    Ok(sendmmsg(fd, &mut headers, &slices, addresses, controls, flags)?.count())
}

/// The source address only: the routing table chooses the interface.
fn packet_info_v4(address: Ipv4Addr) -> in_pktinfo {
    let source = in_addr { s_addr: u32::from(address).to_be() };
    in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: in_addr { s_addr: 0 } }
}

/// The source address, and the interface of a link-local address (0 for the one that the socket is bound to).
fn packet_info_v6(address: Ipv6Addr, interface: u32) -> in6_pktinfo {
    let ipi6_ifindex = if address.is_unicast_link_local() { interface } else { 0 };
    in6_pktinfo { ipi6_addr: in6_addr { s6_addr: address.octets() }, ipi6_ifindex }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Args;

    async fn echo(listen: &str, targets: &[&str]) {
        let args = Args { listen: Some(listen.parse().unwrap()), ..Args::default() };
        let Ok(bound) = socket::open(&args) else {
            return;
        }; // no IPv6 here
        let port = bound.local_addr().unwrap().port();
        let mut datagrams = Datagrams::new(bound).unwrap();
        for target in targets {
            let ip: IpAddr = target.parse().unwrap();
            let client =
                UdpSocket::bind((if ip.is_ipv4() { "127.0.0.1" } else { "::1" }, 0)).unwrap();
            client.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
            client.connect((ip, port)).unwrap(); // takes replies from the address asked only
            for byte in 0..20u8 {
                client.send(&[byte; 40]).unwrap();
            }
            let mut transmits = Vec::new();
            while transmits.len() < 20 {
                datagrams.readable().await.unwrap();
                datagrams
                    .receive(|route, bytes| {
                        assert_eq!(route.local.unwrap().address.to_canonical(), ip);
                        transmits.push(Transmit { route, bytes: bytes.to_vec() });
                    })
                    .unwrap();
            }
            datagrams.send(&transmits);
            for byte in 0..20u8 {
                let mut buffer = [0; 64];
                assert_eq!(client.recv(&mut buffer).unwrap(), 40);
                assert_eq!(buffer[..40], [byte; 40]);
            }
        }
        assert_eq!(datagrams.unsent(), 0);
    }

    #[tokio::test]
    async fn replies_leave_from_the_address_that_the_request_was_sent_to() {
        echo("0.0.0.0:0", &["127.0.0.1", "127.0.0.2", "127.1.2.3"]).await;
        echo("127.0.0.1:0", &["127.0.0.1"]).await;
        echo("[::]:0", &["::1", "127.0.0.2"]).await;
        echo("[::1]:0", &["::1"]).await;
    }

    #[test]
    fn a_route_over_an_interface_is_the_same_when_the_interface_has_another_index() {
        let over = |index| {
            let peer = SocketAddrV6::new("fe80::2".parse().unwrap(), 4711, 0, index).into();
            let address = "fe80::1".parse().unwrap();
            without_interface(Route { peer, local: Some(Local { address, interface: index }) })
        };
        assert_eq!(over(2), over(7));
        assert_eq!(packet_info_v6("fe80::1".parse().unwrap(), 0).ipi6_ifindex, 0);
    }

    #[tokio::test]
    async fn a_reply_that_cannot_be_sent_is_counted_and_the_next_one_goes() {
        let args = Args { listen: Some("127.0.0.1:0".parse().unwrap()), ..Args::default() };
        let mut datagrams = Datagrams::new(socket::open(&args).unwrap()).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let transmit = |peer| Transmit { route: Route { peer, local: None }, bytes: vec![7] };
        let nowhere = "127.0.0.1:0".parse().unwrap();
        datagrams.send(&[transmit(nowhere), transmit(client.local_addr().unwrap())]);
        assert_eq!(client.recv(&mut [0; 8]).unwrap(), 1);
        assert_eq!(datagrams.unsent(), 1);
    }
}
