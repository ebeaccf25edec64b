//! Calls to bridges, ours and OpenBMC's: requests to satellite controllers, and the host's attention flag.

use std::collections::HashMap;

use ipmi_proto::ipmb::IpmbAddress;
use ipmi_proto::{CompletionCode, Lun, Request};
use openbmc_dbus::client::{CallError, ObjectAt};
use openbmc_dbus::interface::Method;
use openbmc_dbus::ipmi::names::{CHANNEL_PATH_PREFIX, CHANNEL_PREFIX};
use openbmc_dbus::ipmi::{host_ipmi, ipmb, sms};

use super::DbusPlatform;
use crate::model::live::Live;
use crate::platform::{Attention, PlatformError, PlatformResult, SatelliteAnswer, Satellites};

/// `(iyyyyay)`: status, network function, LUN, command, completion code, data.
type Reply = (i32, u8, u8, u8, u8, Vec<u8>);

/// Configuration for OpenBMC's bridges.
#[derive(Clone, Debug, Default)]
pub struct Bridges {
    /// The channel of btbridge, whose bus name is not that of a channel.
    pub bt_channel: Option<String>,
    /// The bytes by which ipmbbridge's configuration names satellites, which it does not reach by
    /// address.
    pub satellites: Live<HashMap<IpmbAddress, u8>>,
}

fn bridge(channel: &str) -> ObjectAt {
    ObjectAt::new(format!("{CHANNEL_PREFIX}{channel}"), format!("{CHANNEL_PATH_PREFIX}{channel}"))
}

/// The error of a bridge whose `method` returns a status that the interface does not define.
fn unknown_status(bridge: &ObjectAt, method: Method, status: i32) -> PlatformError {
    CallError::invalid(bridge, method.into(), &format_args!("status {status}")).into()
}

impl Satellites for DbusPlatform {
    async fn ask_satellite(
        &self,
        channel: &str,
        to: IpmbAddress,
        request: &Request,
    ) -> PlatformResult<SatelliteAnswer> {
        let bridge = bridge(channel);
        let asked = self.ask_bridge(&bridge, ipmb::SEND_REQUEST_TO, to.0, request);
        let byte = self.bridges.satellites.get().get(&to).copied();
        let answer = match (asked.await?, byte) {
            // OpenBMC's ipmbbridge has only the method with a byte, which is for LUN 0.
            (Err(CallError::NotFound(_)), Some(byte)) if request.lun == Lun::BMC => {
                self.ask_bridge(&bridge, ipmb::SEND_REQUEST, byte, request).await?
            }
            (answer, _) => answer,
        };
        let (status, _, _, _, completion, data) = answer?;
        match status {
            ipmb::STATUS_OK => Ok(SatelliteAnswer::Answered(CompletionCode(completion), data)),
            ipmb::STATUS_ERROR => Ok(SatelliteAnswer::Unreachable),
            ipmb::STATUS_BUSY => Ok(SatelliteAnswer::Busy),
            ipmb::STATUS_TIMEOUT => Ok(SatelliteAnswer::Silent),
            status => Err(unknown_status(&bridge, ipmb::SEND_REQUEST_TO, status)),
        }
    }

    async fn answer_satellite(&self, channel: &str, frame: &[u8]) -> PlatformResult<()> {
        let connected = self.connected()?;
        let (bridge, arguments) = (bridge(channel), (frame,));
        let call = connected.client.call(&bridge, ipmb::SEND_RESPONSE, &arguments);
        let (status,): (i32,) = call.await?;
        match status {
            ipmb::STATUS_OK => Ok(()),
            status => Err(unknown_status(&bridge, ipmb::SEND_RESPONSE, status)),
        }
    }
}

impl DbusPlatform {
    /// Sends `request` through the bridge at `bridge` with `method`, to the satellite that `to` names.
    async fn ask_bridge(
        &self,
        bridge: &ObjectAt,
        method: Method,
        to: u8,
        request: &Request,
    ) -> PlatformResult<Result<Reply, CallError>> {
        let connected = self.connected()?;
        let (netfn, lun) = (request.netfn.value(), request.lun.value());
        let arguments = (to, netfn, lun, request.command, &request.data);
        let answer = connected.client.call(bridge, method, &arguments).await;
        Ok(answer.map(|(answer,): (Reply,)| answer))
    }
}

impl Attention for DbusPlatform {
    async fn set_attention(&self, channel: &str, on: bool) -> PlatformResult<()> {
        let connected = self.connected()?;
        let method = if on { sms::SET_ATTENTION } else { sms::CLEAR_ATTENTION };
        let result = connected.client.call(&bridge(channel), method, &()).await;
        match result {
            // OpenBMC's btbridge has the method to set it only: the host clears BT's flag itself.
            Err(CallError::Gone(_))
                if on && self.bridges.bt_channel.as_deref() == Some(channel) =>
            {
                let bridge = ObjectAt::new(host_ipmi::SERVICE, host_ipmi::PATH);
                let (_,): (i64,) =
                    connected.client.call(&bridge, host_ipmi::SET_ATTENTION, &()).await?;
                Ok(())
            }
            result => Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests;
