//! What goes out on the links: frames are put together as a device takes them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use mctp_proto::framing::{pcie_vdm, serial, smbus};
use mctp_proto::packet::Header;
use mctp_proto::{Address, LinkId, Medium};
use sys::Device;
use tokio::sync::Notify;

use super::Engine;
use crate::bindings::{KernelLine, KernelSent};
use crate::capture::Direction;
use crate::demux::{KernelSend, LinkKind};

/// Bytes of frames written at once, when so many wait.
const CHUNK: usize = 8 * 1024;

/// What a link's device needs beside the demultiplexer.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) device: Option<Arc<Device>>,
    pub(super) kernel: Option<KernelLine>,
    /// Messages for which the kernel had no tag or no room, at most one of each sender.
    pub(super) refused: Vec<KernelSend>,
    /// This endpoint's own address, where the medium has one that the driver does not fill in.
    pub(super) own_address: u8,
    pub(super) staging: Vec<u8>,
    pub(super) written: usize,
    /// The device takes nothing at present; the task that drains it is told.
    pub(super) is_stalled: bool,
    pub(super) stalled: Arc<Notify>,
}

impl Line {
    fn has_staged(&self) -> bool {
        self.written < self.staging.len()
    }
}

impl Engine {
    /// Writes what waits for a stream or packet device; `WouldBlock` when it takes no more.
    pub(crate) fn write_line(&mut self, link: LinkId, fd: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            if !self.fill(link) {
                if let Some(line) = self.line(link) {
                    line.is_stalled = false;
                }
                return Ok(());
            }
            let Some(line) = self.line(link) else {
                return Ok(());
            };
            let rest = line.staging.get(line.written..).unwrap_or_default();
            match rustix::io::write(fd, rest) {
                Ok(len) => line.written += len,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next transfer for a bus: target and bytes.
    pub(crate) fn next_transfer(&mut self, link: LinkId) -> Option<(u8, Vec<u8>)> {
        let own = self.line(link)?.own_address;
        let mut next = None;
        let Self { demux, sockets, capture, now, .. } = self;
        demux.next_packet(*now, link, sockets, &mut |address, header, payload| {
            if let Some(capture) = capture {
                capture.write(Direction::Out, link, address, &[&header, payload]);
            }
            let Address::Smbus(target) = address else {
                return;
            };
            let mut frame = Vec::with_capacity(smbus::MAX_FRAME);
            if smbus::emit(target, own, header, payload, &mut frame).is_ok() {
                // The controller sends the address byte itself.
                next = frame.split_first().map(|(_, rest)| (target, rest.to_vec()));
            }
        });
        next
    }

    pub(super) fn wants_flush(&self) -> bool {
        self.lines.iter().enumerate().any(|(index, line)| {
            let link = LinkId(u8::try_from(index).unwrap_or_default());
            !line.is_stalled
                && (!line.refused.is_empty() || line.has_staged() || self.demux.wants_to_send(link))
        })
    }

    pub(super) fn flush(&mut self) {
        for index in 0..self.lines.len() {
            let link = LinkId(u8::try_from(index).unwrap_or_default());
            let Some(line) = self.line(link) else {
                continue;
            };
            if line.is_stalled {
                continue;
            }
            let device = line.device.clone();
            let done = match (&line.kernel, &device) {
                (Some(_), _) => self.flush_kernel(link),
                // Whatever the error is, the task that drains the device meets it.
                (None, Some(device)) => self.write_line(link, device.as_fd()).is_ok(),
                // Transfers block, and are made by a task of their own.
                (None, None) => false,
            };
            if let Some(line) = self.line(link).filter(|_| !done) {
                line.is_stalled = device.is_some() || line.kernel.is_some();
                line.stalled.notify_one();
            }
        }
    }

    /// Gives whether the kernel took everything. A sender whose message it refused has to wait, and
    /// no other.
    fn flush_kernel(&mut self, link: LinkId) -> bool {
        let Self { demux, sockets, lines, now, .. } = self;
        let Some(line) = lines.get_mut(usize::from(link.0)) else {
            return true;
        };
        let Some(kernel) = &mut line.kernel else {
            return true;
        };
        let mut refused: Vec<KernelSend> = Vec::new();
        let mut again = std::mem::take(&mut line.refused).into_iter();
        loop {
            let waits = |sender| refused.iter().any(|other| other.sender == sender);
            let next =
                again.next().or_else(|| demux.next_kernel_message(*now, link, waits, sockets));
            let Some(next) = next else { break };
            let client = next.sender.filter(|id| demux.has_client(*id));
            if kernel.send(client, &next) == KernelSent::Busy {
                refused.push(next);
            }
        }
        line.refused = refused;
        line.refused.is_empty()
    }

    /// Fills a line's staging buffer once all in it is written; gives whether there is anything.
    fn fill(&mut self, link: LinkId) -> bool {
        let kind = self.demux.links().get(usize::from(link.0)).map(|link| link.kind);
        let Self { demux, sockets, lines, capture, now, .. } = self;
        let Some(line) = lines.get_mut(usize::from(link.0)) else {
            return false;
        };
        if line.has_staged() {
            return true;
        }
        line.staging.clear();
        line.written = 0;
        let staging = &mut line.staging;
        let stream = matches!(kind, Some(LinkKind::Packets(Medium::Serial, _)));
        let mut encode = |address, header: [u8; Header::LEN], payload: &[u8]| {
            if let Some(capture) = capture {
                capture.write(Direction::Out, link, address, &[&header, payload]);
            }
            // The MTU of a link is checked against its medium at the start, so all packets fit.
            let _ = if stream {
                serial::emit(header, payload, staging)
            } else {
                vdm(address, header, payload).emit(staging)
            };
            staging.len() >= CHUNK
        };
        let mut full = false;
        while !full
            && demux.next_packet(*now, link, sockets, &mut |address, header, payload| {
                full = encode(address, header, payload) || !stream;
            })
        {}
        line.has_staged()
    }
}

/// A packet for a PCIe address, or for all; the driver fills in the requester.
fn vdm(address: Address, header: [u8; 4], payload: &[u8]) -> pcie_vdm::Frame<'_> {
    let (routing, target) = match address {
        Address::Pcie(target) => (pcie_vdm::Routing::ById, target),
        _ => (pcie_vdm::Routing::ToRootComplex, 0),
    };
    pcie_vdm::Frame { routing, requester: 0, target, header, payload }
}
