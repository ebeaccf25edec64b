//! Set and Get System Boot Options, parameters 0 to 7 (IPMI v2.0 §28.12, §28.13).
//!
//! The boot device, its mode and type live in the settings service, where the host's firmware and
//! Redfish see them too; the flags are stored here as they were written. The valid bit does not expire by
//! itself: the settings service clears a one-time override when the host has used it.

use std::sync::Arc;

use ipmi_proto::codec::{self, Bits, Remaining, Zero};
use ipmi_proto::{CompletionCode, NetFn, Privilege};
use serde::{Deserialize, Serialize};

use super::boot_flags::BootFlags;
use super::{ChassisProvider, Platform, if_present};
use crate::commands::set_in_progress::{self, SetState};
use crate::model::parameter_updates::Parameters;
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// `80h`: parameter not supported.
const PARAMETER_NOT_SUPPORTED: CompletionCode = CompletionCode(0x80);

/// Version of the parameters' layout.
const PARAMETER_VERSION: u8 = 0x01;
/// Bytes in a block of the initiator mailbox.
const MAILBOX_BLOCK: usize = 16;
/// Blocks of the mailbox: the required minimum of five.
const MAILBOX_BLOCKS: usize = 5;

const PARAM_SET_IN_PROGRESS: u8 = 0;
const PARAM_SERVICE_PARTITION: u8 = 1;
const PARAM_PARTITION_SCAN: u8 = 2;
const PARAM_VALID_CLEARING: u8 = 3;
const PARAM_ACKNOWLEDGE: u8 = 4;
const PARAM_BOOT_FLAGS: u8 = 5;
const PARAM_INITIATOR_INFO: u8 = 6;
const PARAM_MAILBOX: u8 = 7;

/// State file `boot.json`: the boot parameters without a D-Bus property, and the power-cycle interval.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BootParameters {
    /// Seconds off in a power cycle; 0 for the state manager's own pace.
    pub(super) power_cycle_interval: u8,
    /// Bit n: parameter n is marked invalid (locked).
    locked: u8,
    service_partition: u8,
    partition_scan: u8,
    valid_clearing: u8,
    acknowledge: u8,
    flags: BootFlags,
    /// Channel, session id, time stamp.
    initiator_info: [u8; 9],
    mailbox: Vec<u8>,
}

impl<P: Platform> ChassisProvider<P> {
    pub(super) fn register_boot_options(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::Operator;
        let mut rows = table.rows(NetFn::CHASSIS, self);
        rows.add(0x09, Operator, "Get System Boot Options", Self::get_system_boot_options);
        let mut rows = rows.changing(Resource::BOOT);
        rows.add(0x08, Operator, "Set System Boot Options", Self::set_system_boot_options);
    }

    /// Set System Boot Options (IPMI v2.0 §28.12). Without data, only the parameter's valid bit changes.
    ///
    /// # Errors
    ///
    /// `80h` for a parameter beyond 7, `81h` when an update is in progress already, `C7h`, `C9h`
    /// or `CCh` for data that is invalid for the parameter.
    async fn set_system_boot_options(
        self: Arc<Self>,
        context: Context,
        (parameter, locked): (Bits<7>, bool),
        data: Remaining,
    ) -> HandlerResult<()> {
        let parameter = parameter.value();
        if parameter > PARAM_MAILBOX {
            return Err(PARAMETER_NOT_SUPPORTED.into());
        }
        self.updates.extend(Parameters::Boot, (&context).into());
        if !data.as_bytes().is_empty() {
            match parameter {
                PARAM_SET_IN_PROGRESS => {
                    let (progress, of) = (SetState::decode(&data)?, Parameters::Boot);
                    let updates = &self.updates;
                    set_in_progress::set(updates, &*self.platform, of, &context, progress).await?;
                    return Ok(());
                }
                PARAM_BOOT_FLAGS => self.set_boot_flags(&data).await?,
                _ => self.boot.try_update(|parameters| parameters.set(parameter, &data)).await?,
            }
        }
        if self.boot.get().is_locked(parameter) != locked {
            self.boot.update(|parameters| parameters.mark(parameter, locked)).await?;
        }
        Ok(())
    }

    /// Get System Boot Options (IPMI v2.0 §28.13): version, parameter with its valid bit, data.
    ///
    /// # Errors
    ///
    /// `80h` for a parameter beyond 7, `C9h` for a mailbox block that does not exist.
    async fn get_system_boot_options(
        self: Arc<Self>,
        context: Context,
        (parameter, _): (Bits<7>, bool),
        set_selector: u8,
        _block_selector: u8,
    ) -> HandlerResult<(u8, (Bits<7>, bool), Vec<u8>)> {
        let number = parameter.value();
        let stored = self.boot.get();
        let data = match number {
            PARAM_SET_IN_PROGRESS => {
                let (platform, of) = (&*self.platform, Parameters::Boot);
                vec![set_in_progress::get(&self.updates, platform, of, &context).await]
            }
            PARAM_BOOT_FLAGS => codec::encode(&self.boot_flags(stored.flags).await?),
            _ => stored.read(number, set_selector)?,
        };
        Ok((PARAMETER_VERSION, (parameter, stored.is_locked(number)), data))
    }

    async fn set_boot_flags(&self, data: &Remaining) -> HandlerResult<()> {
        let flags: BootFlags = data.decode()?;
        let settings = flags.settings()?;
        self.platform.set_boot_override(settings).await?;
        if self.boot.get().flags != flags {
            self.boot.update(|parameters| parameters.flags = flags).await?;
        }
        Ok(())
    }

    async fn boot_flags(&self, written: BootFlags) -> HandlerResult<BootFlags> {
        let settings = if_present(self.platform.boot_override().await)?;
        Ok(settings.map_or(written, |settings| written.under(settings)))
    }
}

impl BootParameters {
    fn is_locked(&self, parameter: u8) -> bool {
        parameter < 8 && self.locked >> parameter & 1 == 1
    }

    fn mark(&mut self, parameter: u8, locked: bool) {
        let bit = 1 << parameter;
        self.locked = if locked { self.locked | bit } else { self.locked & !bit };
    }

    fn set(&mut self, parameter: u8, data: &Remaining) -> Result<(), CompletionCode> {
        match parameter {
            PARAM_SERVICE_PARTITION => self.service_partition = data.decode()?,
            PARAM_PARTITION_SCAN => {
                let (scan, _): (Bits<2>, Zero<6>) = data.decode()?;
                self.partition_scan = scan.value();
            }
            PARAM_VALID_CLEARING => {
                let (clearing, _): (Bits<5>, Zero<3>) = data.decode()?;
                self.valid_clearing = clearing.value();
            }
            PARAM_ACKNOWLEDGE => {
                let (mask, acknowledge): (u8, u8) = data.decode()?;
                self.acknowledge = self.acknowledge & !mask | acknowledge & mask;
            }
            PARAM_INITIATOR_INFO => self.initiator_info = data.decode()?,
            PARAM_MAILBOX => self.set_mailbox(data)?,
            _ => return Err(PARAMETER_NOT_SUPPORTED),
        }
        Ok(())
    }

    fn read(&self, parameter: u8, set_selector: u8) -> Result<Vec<u8>, CompletionCode> {
        Ok(match parameter {
            PARAM_SERVICE_PARTITION => vec![self.service_partition],
            PARAM_PARTITION_SCAN => vec![self.partition_scan],
            PARAM_VALID_CLEARING => vec![self.valid_clearing],
            // The write mask reads as 00h.
            PARAM_ACKNOWLEDGE => vec![0, self.acknowledge],
            PARAM_INITIATOR_INFO => self.initiator_info.to_vec(),
            PARAM_MAILBOX => {
                let mut block = self.mailbox_block(set_selector)?.to_vec();
                block.insert(0, set_selector);
                block
            }
            _ => return Err(PARAMETER_NOT_SUPPORTED),
        })
    }

    fn set_mailbox(&mut self, data: &Remaining) -> Result<(), CompletionCode> {
        let (selector, bytes): (u8, Vec<u8>) = data.decode()?;
        if bytes.is_empty() || bytes.len() > MAILBOX_BLOCK {
            return Err(CompletionCode::REQUEST_LENGTH_INVALID);
        }
        let mut block = self.mailbox_block(selector)?;
        block.iter_mut().zip(bytes).for_each(|(stored, byte)| *stored = byte);
        self.mailbox.resize(MAILBOX_BLOCKS * MAILBOX_BLOCK, 0);
        let start = usize::from(selector) * MAILBOX_BLOCK;
        self.mailbox[start..start + MAILBOX_BLOCK].copy_from_slice(&block);
        Ok(())
    }

    fn mailbox_block(&self, selector: u8) -> Result<[u8; MAILBOX_BLOCK], CompletionCode> {
        let selector = usize::from(selector);
        if selector >= MAILBOX_BLOCKS {
            return Err(CompletionCode::PARAMETER_OUT_OF_RANGE);
        }
        // The state file has no mailbox until it is written.
        let block = self.mailbox.chunks_exact(MAILBOX_BLOCK).nth(selector);
        Ok(block.and_then(|block| block.try_into().ok()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::chassis::tests::{TestCommands, answer};
    use crate::commands::set_in_progress::SET_IN_PROGRESS;
    use crate::platform::{BootDevice, BootMode, BootType};

    #[tokio::test]
    async fn ipmitools_boot_device_sequence_sets_the_override() {
        let commands = TestCommands::new();
        for request in
            [&hex!("00 01")[..], &hex!("04 01 01"), &hex!("05 80 04 00 00 00"), &hex!("00 00")]
        {
            assert_eq!(commands.send(0x08, request).await, answer(&[]), "{request:02x?}");
        }
        let boot = commands.platform.state().boot;
        assert!(boot.enabled && boot.one_time);
        assert_eq!((boot.device, boot.mode), (BootDevice::Network, BootMode::Regular));
        assert_eq!(boot.kind, BootType::Legacy);
        let flags = answer(&hex!("01 05 80 04 00 00 00"));
        assert_eq!(commands.send(0x09, &hex!("05 00 00")).await, flags);
        assert_eq!(commands.send(0x09, &hex!("04 00 00")).await, answer(&hex!("01 04 00 01")));
    }

    #[tokio::test]
    async fn flags_without_a_service_read_back_as_written() {
        let commands = TestCommands::new();
        assert_eq!(commands.send(0x08, &hex!("05 e0 8a 42 01 03")).await, answer(&[]));
        let flags = answer(&hex!("01 05 e0 8a 42 01 03"));
        assert_eq!(commands.send(0x09, &hex!("05 00 00")).await, flags);
    }

    #[tokio::test]
    async fn flags_are_read_back_as_they_were_written() {
        let commands = TestCommands::new();
        // Cleared (pyghmi's default device); the diagnostic partition; FreeIPMI's remote devices.
        for flags in [
            hex!("00 00 00 00 00"),
            hex!("40 08 00 00 00"),
            hex!("80 10 00 00 00"),
            hex!("c0 1c 00 00 00"),
            hex!("a0 20 00 00 02"),
            hex!("e0 24 00 00 00"),
            hex!("80 2c 00 00 00"),
            hex!("00 00 00 00 00"),
        ] {
            let request = [&[5_u8][..], &flags].concat();
            assert_eq!(commands.send(0x08, &request).await, answer(&[]), "{flags:02x?}");
            let read = answer(&[&[1_u8, 5][..], &flags].concat());
            assert_eq!(commands.send(0x09, &hex!("05 00 00")).await, read);
        }
    }

    #[tokio::test]
    async fn update_in_progress_is_refused_until_complete() {
        let commands = TestCommands::new();
        assert_eq!(commands.send(0x08, &[0, 1]).await, answer(&[]));
        assert_eq!(commands.send(0x08, &[0, 1]).await, Err(SET_IN_PROGRESS));
        assert_eq!(commands.send(0x09, &[0, 0, 0]).await, answer(&[1, 0, 1]));
        assert_eq!(commands.send(0x08, &[0, 0]).await, answer(&[]));
        assert_eq!(commands.send(0x09, &[0, 0, 0]).await, answer(&[1, 0, 0]));
    }

    #[tokio::test]
    async fn mailbox_is_written_and_read_in_blocks() {
        let commands = TestCommands::new();
        assert_eq!(commands.send(0x08, &hex!("07 01 aa bb")).await, answer(&[]));
        let block = answer(&hex!("01 07 01 aa bb 00 00 00 00 00 00 00 00 00 00 00 00 00 00"));
        assert_eq!(commands.send(0x09, &hex!("07 01 00")).await, block);
        let beyond = Err(CompletionCode::PARAMETER_OUT_OF_RANGE);
        assert_eq!(commands.send(0x09, &hex!("07 05 00")).await, beyond);
        assert_eq!(commands.send(0x08, &hex!("07 05 aa")).await, beyond);
        let long = [&[7_u8, 0][..], &[0x55; 17]].concat();
        assert_eq!(commands.send(0x08, &long).await, Err(CompletionCode::REQUEST_LENGTH_INVALID));
    }

    #[tokio::test]
    async fn parameter_without_data_is_only_marked() {
        let commands = TestCommands::new();
        assert_eq!(commands.send(0x08, &[0x03, 0x1f]).await, answer(&[]));
        assert_eq!(commands.send(0x08, &[0x83]).await, answer(&[]));
        assert_eq!(commands.send(0x09, &[3, 0, 0]).await, answer(&[1, 0x83, 0x1f]));
        assert_eq!(commands.send(0x08, &[0x03]).await, answer(&[]));
        assert_eq!(commands.send(0x09, &[3, 0, 0]).await, answer(&[1, 0x03, 0x1f]));
    }

    #[tokio::test]
    async fn invalid_parameters_and_values_are_refused() {
        let commands = TestCommands::new();
        for (code, request, expected) in [
            (0x08, &hex!("08 00")[..], 0x80),
            (0x09, &hex!("60 00 00"), 0x80),
            (0x08, &hex!("05 80 04 00 00"), 0xc7),
            (0x08, &hex!("05 80 04 00 00 00 00"), 0xc7),
            (0x08, &hex!("05 80 28 00 00 00"), 0xcc), // a boot device that is reserved
            (0x08, &hex!("00 03"), 0xcc),
            (0x09, &hex!("05 00"), 0xc7),
        ] {
            let expected = Err(CompletionCode(expected));
            assert_eq!(commands.send(code, request).await, expected, "{request:02x?}");
        }
    }
}
