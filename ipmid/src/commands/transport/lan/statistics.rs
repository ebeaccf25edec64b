//! Get IP/UDP/RMCP Statistics (IPMI v2.0 §23.4).

use std::sync::Arc;

use ipmi_proto::ChannelNumber;
use ipmi_proto::codec::{Bits, Ignored};

use super::LanProvider;
use crate::model::persistent::lock;
use crate::platform::{IpCounters, Network, Sessions};
use crate::request::command::HandlerResult;
use crate::request::context::Context;

impl<P: Network + Sessions> LanProvider<P> {
    /// Get IP/UDP/RMCP Statistics: nine counters of 16 bits, since they were last cleared.
    ///
    /// # Errors
    ///
    /// `CCh` for a channel that is no LAN.
    pub(super) async fn get_ip_udp_rmcp_statistics(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
        (clear, _): (bool, Bits<7>),
    ) -> HandlerResult<IpCounters> {
        self.lan(&context, channel)?;
        let mut cleared = lock(&self.cleared);
        let now = self.platform.ip_counters()?;
        let mut counters = now;
        counters.iter_mut().zip(*cleared).for_each(|(counter, base)| {
            *counter = counter.wrapping_sub(base);
        });
        if clear {
            *cleared = now;
        }
        Ok(counters)
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::transport::lan::tests::{answer, commands};

    #[tokio::test]
    async fn counters_start_anew_when_cleared() {
        let commands = commands();
        let counted = [7, 0, 0, 0, 0, 0, 0, 0, 5, 0, 3, 0, 3, 0, 0, 0, 0, 0];
        assert_eq!(commands.send(0x04, &[1, 0]).await, answer(&counted));
        assert_eq!(commands.send(0x04, &[1, 1]).await, answer(&counted));
        assert_eq!(commands.send(0x04, &[1, 0]).await, answer(&[0; 18]));
    }
}
