//! A character device that carries whole PCIe vendor defined messages, such as `/dev/aspeed-mctp`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mctp_proto::framing::pcie_vdm::{Frame, MAX_PAYLOAD, Routing};
use mctp_proto::packet::Header;
use mctp_proto::{Address, Medium};
use sys::Device;

use super::{Binding, Options, Serving, drain, end_of_stream, open};
use crate::engine::{Framing, Output, Port};

/// PCIe and MCTP headers, the longest payload, and a digest.
const READ: usize = 16 + MAX_PAYLOAD + 4;

/// A character device.
#[derive(Debug)]
pub(super) struct Pcie {
    path: PathBuf,
}

#[derive(Debug)]
struct VdmFraming;

impl Framing for VdmFraming {
    const STREAM: bool = false;

    /// To a PCIe address, or to the root complex; the driver fills in the requester.
    fn emit(&self, address: Address, header: [u8; Header::LEN], payload: &[u8], out: &mut Vec<u8>) {
        let (routing, target) = match address {
            Address::Pcie(target) => (Routing::ById, target),
            _ => (Routing::ToRootComplex, 0),
        };
        // The MTU is checked at the start, so that all packets fit.
        let _ = Frame { routing, requester: 0, target, header, payload }.emit(out);
    }
}

impl Pcie {
    pub(super) fn new(options: &Options) -> Self {
        Self { path: options.path() }
    }

    async fn run(&self, port: &Port) -> io::Error {
        let device = match open(&self.path) {
            Ok(device) => Arc::new(device),
            Err(error) => return error,
        };
        port.up(Output::frames(Arc::clone(&device), VdmFraming));
        tokio::select! {
            error = receive(port, &device) => error,
            error = drain(port, &device) => error,
        }
    }
}

impl Binding for Pcie {
    fn medium(&self) -> Option<Medium> {
        Some(Medium::PcieVdm)
    }

    fn devices(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn serve<'a>(&'a mut self, port: &'a Port) -> Serving<'a> {
        Box::pin(self.run(port))
    }
}

/// One read is one message, and of a device that has no message boundaries as many as there are. An
/// answer goes back to the requester's id.
async fn receive(port: &Port, device: &Device) -> io::Error {
    let mut buffer = vec![0; READ];
    loop {
        let len = match device.read(&mut buffer).await {
            Ok(0) => return end_of_stream(),
            Ok(len) => len,
            Err(error) => return error,
        };
        let mut rest = buffer.get(..len).unwrap_or_default();
        port.with(|engine, link| {
            loop {
                match Frame::parse(rest) {
                    Ok(frame) => {
                        let packet = [&frame.header[..], frame.payload].concat();
                        engine.packet_in(link, Address::Pcie(frame.requester), &packet);
                    }
                    Err(reason) => engine.frame_dropped(link, reason),
                }
                rest = Frame::after(rest);
                if rest.is_empty() {
                    break;
                }
            }
        });
        tokio::task::yield_now().await;
    }
}
