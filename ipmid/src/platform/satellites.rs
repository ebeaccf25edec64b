//! Satellite controllers behind a bridge, and the host's attention flag: calls to the
//! bridges that reach them.

use std::future::Future;

use ipmi_proto::ipmb::IpmbAddress;
use ipmi_proto::{CompletionCode, Request};

use super::PlatformResult;

/// How a request to a satellite controller ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SatelliteAnswer {
    /// It responded.
    Answered(CompletionCode, Vec<u8>),
    /// It acknowledged its address, and did not respond.
    Silent,
    /// No controller acknowledges the address.
    Unreachable,
    /// The bridge has its maximum of requests in progress.
    Busy,
}

/// Requests to satellite controllers, and the host's responses to theirs.
pub trait Satellites: Send + Sync + 'static {
    /// Sends `request` to the controller at `to`, through the bridge of the channel called `channel`.
    fn ask_satellite(
        &self,
        channel: &str,
        to: IpmbAddress,
        request: &Request,
    ) -> impl Future<Output = PlatformResult<SatelliteAnswer>> + Send;

    /// Writes `frame`, the host's whole response to a satellite controller, to the bus of the
    /// channel called `channel`.
    fn answer_satellite(
        &self,
        channel: &str,
        frame: &[u8],
    ) -> impl Future<Output = PlatformResult<()>> + Send;
}

/// The attention flags of the host's interfaces.
pub trait Attention: Send + Sync + 'static {
    /// Sets or clears the flag of the interface whose channel is called `channel`.
    fn set_attention(
        &self,
        channel: &str,
        on: bool,
    ) -> impl Future<Output = PlatformResult<()>> + Send;
}
