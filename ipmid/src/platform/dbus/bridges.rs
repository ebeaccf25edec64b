//! What other bridges do: asking satellites, and the host's attention.

use ipmi_proto::{CompletionCode, Request, ipmb::IpmbAddress};
use openbmc_dbus::{
    client::ObjectAt,
    ipmi::{
        ipmb,
        names::{CHANNEL_PATH_PREFIX, CHANNEL_PREFIX},
        sms,
    },
};

use super::{DbusPlatform, failed};
use crate::platform::{Attention, PlatformError, PlatformResult, SatelliteAnswer, Satellites};

/// `(iyyyyay)`: status, network function, LUN, command, completion code, data.
type Answer = (i32, u8, u8, u8, u8, Vec<u8>);

fn bridge(channel: &str) -> ObjectAt {
    ObjectAt::new(
        format!("{CHANNEL_PREFIX}{channel}"),
        format!("{CHANNEL_PATH_PREFIX}{channel}"),
    )
}

impl Satellites for DbusPlatform {
    async fn ask_satellite(
        &self,
        channel: &str,
        to: IpmbAddress,
        request: &Request,
    ) -> PlatformResult<SatelliteAnswer> {
        let link = self.link()?;
        let (netfn, lun) = (request.netfn.value(), request.lun.value());
        let bridge = bridge(channel);
        let arguments = (to.0, netfn, lun, request.command, &request.data);
        let call = link.client.call(&bridge, ipmb::SEND_REQUEST_TO, &arguments);
        let (answer,): (Answer,) = call.await.map_err(failed)?;
        let (status, _, _, _, completion, data) = answer;
        match status {
            ipmb::STATUS_OK => Ok(SatelliteAnswer::Answered(CompletionCode(completion), data)),
            ipmb::STATUS_ERROR => Ok(SatelliteAnswer::Unreachable),
            ipmb::STATUS_BUSY => Ok(SatelliteAnswer::Busy),
            ipmb::STATUS_TIMEOUT => Ok(SatelliteAnswer::Silent),
            _ => Err(PlatformError::Refused),
        }
    }

    async fn answer_satellite(&self, channel: &str, frame: &[u8]) -> PlatformResult<()> {
        let link = self.link()?;
        let (bridge, arguments) = (bridge(channel), (frame,));
        let call = link.client.call(&bridge, ipmb::SEND_RESPONSE, &arguments);
        let (status,): (i32,) = call.await.map_err(failed)?;
        match status {
            ipmb::STATUS_OK => Ok(()),
            _ => Err(PlatformError::Refused),
        }
    }
}

impl Attention for DbusPlatform {
    async fn set_attention(&self, channel: &str, on: bool) -> PlatformResult<()> {
        let link = self.link()?;
        let method = if on {
            sms::SET_ATTENTION
        } else {
            sms::CLEAR_ATTENTION
        };
        link.client
            .call(&bridge(channel), method, &())
            .await
            .map_err(failed)
    }
}
