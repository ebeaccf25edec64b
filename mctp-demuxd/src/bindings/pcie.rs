//! A character device that carries whole PCIe vendor defined messages, such as `/dev/aspeed-mctp`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use mctp_proto::framing::pcie_vdm::{Frame, MAX_PAYLOAD};
use mctp_proto::{Address, LinkId};
use sys::Device;

use super::{came_up, drain, end_of_stream, open};
use crate::engine::Hub;

/// PCIe and MCTP headers, the longest payload, and a digest.
const READ: usize = 16 + MAX_PAYLOAD + 4;

pub(super) async fn serve(hub: &Arc<Hub>, link: LinkId, path: &Path) -> io::Error {
    let device = match open(path) {
        Ok(device) => Arc::new(device),
        Err(error) => return error,
    };
    came_up(hub, link, Some(Arc::clone(&device)));
    tokio::select! {
        error = receive(hub, link, &device) => error,
        error = drain(hub, link, &device) => error,
    }
}

/// One read is one message. An answer goes back to the requester's id.
async fn receive(hub: &Arc<Hub>, link: LinkId, device: &Device) -> io::Error {
    let mut buffer = vec![0; READ];
    loop {
        let len = match device.read(&mut buffer).await {
            Ok(0) => return end_of_stream(),
            Ok(len) => len,
            Err(error) => return error,
        };
        let bytes = buffer.get(..len).unwrap_or_default();
        hub.with(|engine| match Frame::parse(bytes) {
            Ok(frame) => {
                let packet = [&frame.header[..], frame.payload].concat();
                engine.packet_in(link, Address::Pcie(frame.requester), &packet);
            }
            Err(reason) => engine.frame_dropped(link, reason),
        });
        tokio::task::yield_now().await;
    }
}
