//! A provider in Rust (zbus): Get Uptime, command 03h of enterprise number 32473. The response is the provider's
//! uptime in seconds, four bytes, least significant first.

use std::future;
use std::time::Instant;

use zbus::{connection, interface};

struct Provider {
    started: Instant,
}

#[interface(name = "org.causeway.Ipmi.Provider")]
impl Provider {
    /// Completion code and data of the response. An error `org.causeway.Ipmi.Provider.Error.NotMine` would hand the
    /// request on.
    #[allow(clippy::too_many_arguments)]
    fn execute(
        &self,
        _channel: u8,
        _user_id: u8,
        _privilege: u8,
        _session_id: u32,
        _netfn: u8,
        _lun: u8,
        _command: u8,
        _data: Vec<u8>,
    ) -> (u8, Vec<u8>) {
        let uptime = u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX);
        (0x00, uptime.to_le_bytes().to_vec())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> zbus::Result<()> {
    let provider = Provider { started: Instant::now() };
    let builder = connection::Builder::system();
    let bus = builder.serve_at("/org/causeway/Ipmi/Provider", provider).build().await?;
    // One command: an OEM number (2), the number, command, privilege User, name, lengths, all channels.
    let command = (2_u8, 32473_u32, 0x03_u8, 2_u8, "Get Uptime", 0_u16, 0_u16, Vec::<u8>::new());
    let name = "org.causeway.Ipmi.Providers";
    let path = "/org/causeway/Ipmi/Providers";
    bus.call_method(Some(name), path, Some(name), "Register", &(vec![command], 20_u8)).await?;
    future::pending().await
}
