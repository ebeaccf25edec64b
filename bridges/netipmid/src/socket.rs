//! The UDP socket: bound as the command line says, and answering from the address that was asked.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use listenfd::ListenFd;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use socket2::{Domain, Protocol, Socket, Type};

use crate::arguments::Args;

/// RMCP's primary port.
const PORT: u16 = 623;

/// The socket passed in by the service manager, or else one bound as `args` say.
///
/// # Errors
///
/// What binding or an option failed with.
pub fn open(args: &Args) -> io::Result<UdpSocket> {
    let socket = match (passed_in()?, args.listen) {
        (Some(socket), _) => socket,
        (None, Some(address)) => listen(address)?,
        (None, None) => bind_to_interface(args.channel())?,
    };
    socket.set_nonblocking(true)?;
    want_packet_info(&socket)?;
    Ok(socket)
}

/// A datagram socket of socket activation.
fn passed_in() -> io::Result<Option<UdpSocket>> {
    ListenFd::from_env().take_udp_socket(0)
}

fn listen(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Port 623 of one interface, IPv6 and IPv4; only IPv4 where there is no IPv6.
fn bind_to_interface(interface: &str) -> io::Result<UdpSocket> {
    let any_v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT));
    let any_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let open = |address: SocketAddr| {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // Before it is bound: the port may be another process's on another interface.
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.bind(&address.into())?;
        Ok::<_, io::Error>(UdpSocket::from(socket))
    };
    match open(any_v6) {
        Err(error) if is_no_ipv6(&error) => open(any_v4),
        result => result,
    }
}

fn is_no_ipv6(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(nix::errno::Errno::from_raw);
    matches!(errno, Some(nix::errno::Errno::EAFNOSUPPORT | nix::errno::Errno::EADDRNOTAVAIL))
}

/// Has the kernel tell with each datagram which of our addresses it was sent to.
fn want_packet_info(socket: &UdpSocket) -> io::Result<()> {
    if socket.local_addr()?.is_ipv6() {
        setsockopt(&socket.as_fd(), Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(&socket.as_fd(), Ipv4PacketInfo, &true)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listens_on_ipv4_and_ipv6() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let args = Args { listen: Some(address.parse().unwrap()), ..Args::default() };
            match open(&args) {
                Ok(socket) => assert_ne!(socket.local_addr().unwrap().port(), 0),
                Err(error) => assert!(address != "127.0.0.1:0" && is_no_ipv6(&error), "{error}"),
            }
        }
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        let args = Args { channel: Some("nosuchif0".to_owned()), ..Args::default() };
        assert!(open(&args).is_err());
    }
}
