//! The UDP socket, bound as the command line says.
//!
//! A socket of one interface is bound to the interface's index (`SO_BINDTODEVICE`, `socket(7)`), so that
//! each interface may have its own netipmid on port 623. When the interface is deleted, the socket stays
//! bound to an index that no interface has any more, and [`rebind`] must bind it to the new one, after the
//! daemon has given up its capabilities: a second socket could not have port 623, and the kernel refuses to
//! bind a socket anew that is bound to an interface (it wants `CAP_NET_RAW`). But it lets anybody bind one
//! that is not (since Linux 5.7), and `connect(2)` to `AF_UNSPEC`, which dissolves an association, takes the
//! interface from a UDP socket and leaves its address and port. So one socket serves for as long as the
//! daemon runs, and no privileged process or descriptor has to be at hand. Between the two calls the socket
//! receives what nobody else on the port does; that is dropped.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use listenfd::ListenFd;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::arguments::Args;

/// RMCP's primary port.
const PORT: u16 = 623;

/// The socket passed in by the service manager, or else one bound as `args` say.
///
/// # Errors
///
/// Those of `bind(2)` and of the options.
pub fn open(args: &Args) -> io::Result<UdpSocket> {
    let socket = match (passed_in()?, args.listen) {
        (Some(socket), _) => socket,
        (None, Some(address)) => listen(address)?,
        (None, None) => {
            let name = args.channel();
            bind_to_interface(name).map_err(|error| {
                let text = format!("cannot bind UDP port {PORT} of the interface {name}: {error}");
                io::Error::new(error.kind(), text)
            })?
        }
    };
    socket.set_nonblocking(true)?;
    request_packet_info(&socket)?;
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

/// Port 623 of one interface, IPv6 and IPv4; only IPv4 if the system has no IPv6.
fn bind_to_interface(interface: &str) -> io::Result<UdpSocket> {
    let any_v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT));
    let any_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let open = |address: SocketAddr| {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // Before the port: on other interfaces it may be another process's.
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.bind(&address.into())?;
        Ok::<_, io::Error>(UdpSocket::from(socket))
    };
    match open(any_v6) {
        Err(error) if is_no_ipv6(&error) => open(any_v4),
        result => result,
    }
}

/// The name of the interface that `socket` is bound to, if it is bound to one.
///
/// # Errors
///
/// `ENODEV` when there is no such interface any more.
pub fn interface(socket: &UdpSocket) -> io::Result<Option<String>> {
    let name = SockRef::from(socket).device()?;
    // The kernel gives the name with its NUL.
    let name = name.map(|name| String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned());
    Ok(name.filter(|name| !name.is_empty()))
}

/// Binds `socket`, which is bound to an interface that was deleted, to the interface `name`. It needs no
/// capability; see the module's documentation.
///
/// # Errors
///
/// `ENODEV` when there is no such interface; then the socket is bound to none, and this can be called
/// again. `EPERM` on a kernel before Linux 5.7.
pub fn rebind(socket: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    rustix::net::connect_unspec(socket)?;
    SockRef::from(&socket).bind_device(Some(name.as_bytes()))
}

fn is_no_ipv6(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(nix::errno::Errno::from_raw);
    matches!(errno, Some(nix::errno::Errno::EAFNOSUPPORT | nix::errno::Errno::EADDRNOTAVAIL))
}

/// Requests the local address of each datagram from the kernel.
fn request_packet_info(socket: &UdpSocket) -> io::Result<()> {
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
    fn a_missing_interface_is_an_error() {
        let args = Args { channel: Some("nosuchif0".to_owned()), ..Args::default() };
        assert!(open(&args).is_err());
    }
}
