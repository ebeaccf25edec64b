//! Master Write-Read: transfers on the BMC's own I2C buses, where the configuration allows them.

use std::sync::Arc;

use daemon::Invalid;
use ipmi_proto::codec::{Bits, Remaining, Zero};
use ipmi_proto::{CompletionCode, NetFn, Privilege};
use serde::Deserialize;

use super::MessagingProvider;
use crate::platform::{I2c, I2cError, Satellites};
use crate::request::command::Registrar;
use crate::request::context::Context;

const LOST_ARBITRATION: CompletionCode = CompletionCode(0x81);
const BUS_ERROR: CompletionCode = CompletionCode(0x82);
const NOT_ACKNOWLEDGED: CompletionCode = CompletionCode(0x83);

/// Bus type: a private bus of the BMC, as opposed to a public one behind a channel.
const PRIVATE: bool = true;

/// `[i2c]`: which transfers are allowed; none by default.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct I2cConfig {
    /// The transfers that are allowed.
    pub allow: Vec<AllowedTransfer>,
}

/// The most bytes that a request writes and reads.
const MAX_WRITE: usize = 250;

impl I2cConfig {
    /// Checks each transfer, and the transfers against each other.
    ///
    /// # Errors
    ///
    /// A transfer without bytes, a duplicate, or more bytes than a request holds.
    pub fn validate(&self) -> Result<(), Invalid> {
        for (at, transfer) in self.allow.iter().enumerate() {
            let invalid = |key: &str, reason: &str| {
                Err(Invalid::at(format!("i2c.allow[{at}]{key}"), reason.to_owned()))
            };
            if transfer.mask.len() > transfer.write.len() {
                return invalid(".mask", "is longer than `write`");
            }
            if transfer.write.len() > MAX_WRITE {
                return invalid(".write", &format!("is longer than {MAX_WRITE} bytes"));
            }
            if transfer.write.is_empty() && transfer.read == 0 {
                return invalid("", "neither writes nor reads");
            }
            if self.allow.iter().take(at).any(|other| other == transfer) {
                return invalid("", "is there twice");
            }
        }
        Ok(())
    }
}

/// One `[[i2c.allow]]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AllowedTransfer {
    /// The bus, N of `/dev/i2c-N`; the request has three bits for it (IPMI v2.0 §22.11).
    #[serde(deserialize_with = "daemon::range::number::<0, 7, _, _>")]
    pub bus: u8,
    /// The 7-bit address.
    #[serde(deserialize_with = "daemon::range::number::<1, 0x7f, _, _>")]
    pub address: u8,
    /// The bytes that may be written, compared in the bits that are not in the mask; none by default.
    #[serde(default)]
    pub write: Vec<u8>,
    /// Bits of `write` that may have any value; none by default.
    #[serde(default)]
    pub mask: Vec<u8>,
    /// The most bytes that may be read.
    #[serde(default, deserialize_with = "daemon::range::number::<0, 255, _, _>")]
    pub read: u8,
}

impl AllowedTransfer {
    fn covers(&self, bus: u8, address: u8, write: &[u8], read: u8) -> bool {
        let masked = |at: usize| self.mask.get(at).copied().unwrap_or(0);
        let same = |(at, (have, want)): (usize, (&u8, &u8))| (have ^ want) & !masked(at) == 0;
        self.bus == bus
            && self.address == address
            && read <= self.read
            && write.len() == self.write.len()
            && write.iter().zip(&self.write).enumerate().all(same)
    }
}

impl<P: Satellites, I: I2c> MessagingProvider<P, I> {
    pub(super) fn register_i2c(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::Operator;
        let mut rows = table.rows(NetFn::APP, self);
        rows.add(0x52, Operator, "Master Write-Read", Self::master_write_read);
    }

    /// Master Write-Read (IPMI v2.0 §22.11), on private buses only.
    ///
    /// # Errors
    ///
    /// `CCh` for a public bus, `D4h` for a transfer that the configuration does not allow, `81h`,
    /// `82h` and `83h` from the bus.
    async fn master_write_read(
        self: Arc<Self>,
        _: Context,
        (is_private, bus, _channel): (bool, Bits<3>, Bits<4>),
        (_, address): (Zero<1>, Bits<7>),
        (read, write): (u8, Remaining),
    ) -> Result<Remaining, CompletionCode> {
        if is_private != PRIVATE {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        let (bus, address) = (bus.value(), address.value());
        let write = Vec::from(write);
        let allowed = self.deps.i2c.get().allow;
        if !allowed.iter().any(|allowed| allowed.covers(bus, address, &write, read)) {
            return Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
        }
        let data = self.i2c.transfer(bus, address, write, read).await;
        data.map(Remaining::from).map_err(|error| match error {
            I2cError::LostArbitration => LOST_ARBITRATION,
            I2cError::Bus => BUS_ERROR,
            I2cError::NotAcknowledged => NOT_ACKNOWLEDGED,
        })
    }
}
