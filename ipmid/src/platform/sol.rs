//! Serial over LAN as it is configured: `Ipmi.SOL`, and the console's speed.

use std::future::Future;

use super::PlatformResult;

/// The SOL configuration of one channel, in the numbers of the IPMI parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SolSettings {
    /// Whether SOL may be activated.
    pub enable: bool,
    /// Whether it must be encrypted.
    pub force_encryption: bool,
    /// Whether it must be authenticated.
    pub force_authentication: bool,
    /// The least privilege that may activate it.
    pub privilege: u8,
    /// How long characters are gathered, in units of 5 ms.
    pub accumulate_interval: u8,
    /// Characters that are sent at once.
    pub threshold: u8,
    /// Retries of a packet.
    pub retry_count: u8,
    /// The time between retries, in units of 10 ms.
    pub retry_interval: u8,
}

/// One parameter's worth of change to a channel's SOL configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SolChange {
    /// Whether SOL may be activated.
    Enable(bool),
    /// Privilege and protection that activation needs.
    Authentication {
        /// It must be encrypted.
        force_encryption: bool,
        /// It must be authenticated.
        force_authentication: bool,
        /// The least privilege.
        privilege: u8,
    },
    /// When characters are sent.
    Accumulate {
        /// In units of 5 ms.
        interval: u8,
        /// In characters.
        threshold: u8,
    },
    /// Retries of packets.
    Retry {
        /// Number of retries.
        count: u8,
        /// In units of 10 ms.
        interval: u8,
    },
}

/// The configuration of SOL, and the console it serves.
pub trait Sol: Send + Sync + 'static {
    /// The configuration of the channel of this name.
    fn sol_settings(
        &self,
        channel: &str,
    ) -> impl Future<Output = PlatformResult<SolSettings>> + Send;

    /// Changes it.
    fn change_sol(
        &self,
        channel: &str,
        change: SolChange,
    ) -> impl Future<Output = PlatformResult<()>> + Send;

    /// The console's speed in bits per second.
    fn console_baud(&self) -> impl Future<Output = PlatformResult<u64>> + Send;

    /// Changes that.
    fn set_console_baud(&self, baud: u64) -> impl Future<Output = PlatformResult<()>> + Send;
}
