//! Serial lines: a UART or a pty.

use std::io;
use std::path::Path;
use std::sync::Arc;

use mctp_proto::framing::serial::Decoder;
use mctp_proto::{Address, LinkId};
use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};
use sys::Device;

use super::{came_up, drain, end_of_stream, open};
use crate::engine::Hub;

/// As much as a line discipline holds, and more.
const READ: usize = 16 * 1024;

pub(super) async fn serve(
    hub: &Arc<Hub>,
    link: LinkId,
    path: &Path,
    baud: Option<u32>,
) -> io::Error {
    let device = match open(path).and_then(|device| make_raw(device, baud)) {
        Ok(device) => Arc::new(device),
        Err(error) => return error,
    };
    came_up(hub, link, Some(Arc::clone(&device)));
    tokio::select! {
        error = receive(hub, link, &device) => error,
        error = drain(hub, link, &device) => error,
    }
}

/// Eight bits, no parity, one stop bit, nothing interpreted, modem lines ignored.
fn make_raw(device: Device, baud: Option<u32>) -> io::Result<Device> {
    let mut mode = tcgetattr(&device)?;
    mode.make_raw();
    mode.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
    mode.control_modes -= ControlModes::CSTOPB | ControlModes::CRTSCTS;
    if let Some(baud) = baud {
        mode.set_speed(baud)?;
    }
    tcsetattr(&device, OptionalActions::Now, &mode)?;
    Ok(device)
}

async fn receive(hub: &Arc<Hub>, link: LinkId, device: &Device) -> io::Error {
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; READ];
    loop {
        let len = match device.read_stream(&mut buffer).await {
            Ok(0) => return end_of_stream(),
            Ok(len) => len,
            Err(error) => return error,
        };
        let bytes = buffer.get(..len).unwrap_or_default();
        hub.with(|engine| {
            decoder.feed(bytes, |packet| match packet {
                Ok(packet) => engine.packet_in(link, Address::None, packet),
                Err(reason) => engine.frame_dropped(link, reason),
            });
        });
        if len == buffer.len() {
            // There may be more, but clients have their turn, however fast the line is.
            tokio::task::yield_now().await;
        }
    }
}
