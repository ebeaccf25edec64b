//! Boot flags, boot option parameter 5 (IPMI v2.0 §28.13, Table 28-14), and how they map to the
//! `Control.Boot` settings.

use ipmi_proto::CompletionCode;
use ipmi_proto::codec::{Bits, Decode, DecodeError, Encode, Reader, Writer};

use crate::platform::{BootDevice, BootMode, BootSettings, BootType};

/// The five bytes of the parameter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct BootFlags {
    pub(super) valid: bool,
    pub(super) persistent: bool,
    pub(super) efi: bool,
    pub(super) device: Bits<4>,
    pub(super) rest: FlagsRest,
}

/// Fields without a D-Bus property: stored as written, for the host's firmware to read back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FlagsRest {
    /// Byte 2 without the device: clear CMOS, lock keyboard, screen blank, lock reset button.
    pub(super) options: u8,
    /// Byte 3: lock-outs, verbosity, traps, password bypass, console redirection.
    pub(super) console: u8,
    /// Byte 4: shared mode override, mux control override.
    pub(super) overrides: u8,
    /// Byte 5: device instance.
    pub(super) instance: u8,
}

/// Bits of byte 2 that are not the device selector.
const OPTIONS_MASK: u8 = 0b1100_0011;

impl Decode for BootFlags {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (_, efi, persistent, valid) = <(Bits<5>, bool, bool, bool)>::decode(reader)?;
        let [byte2, console, overrides, instance] = <[u8; 4]>::decode(reader)?;
        let rest = FlagsRest { options: byte2 & OPTIONS_MASK, console, overrides, instance };
        Ok(Self { valid, persistent, efi, device: Bits::low(byte2 >> 2), rest })
    }
}

impl Encode for BootFlags {
    fn encode(&self, writer: &mut Writer) {
        let rest = self.rest;
        let byte2 = rest.options | self.device.value() << 2;
        (Bits::<5>::low(0), self.efi, self.persistent, self.valid).encode(writer);
        [byte2, rest.console, rest.overrides, rest.instance].encode(writer);
    }
}

impl BootFlags {
    /// The `Control.Boot` settings that these flags map to (phosphor-host-ipmid, `chassishandler.cpp`).
    ///
    /// # Errors
    ///
    /// `CCh` for a boot device that `Control.Boot.Source` has no value for.
    pub(super) fn settings(&self) -> Result<BootSettings, CompletionCode> {
        let (device, mode) = match self.device.value() {
            0x0 => (BootDevice::Default, BootMode::Regular),
            0x1 => (BootDevice::Network, BootMode::Regular),
            0x2 => (BootDevice::Disk, BootMode::Regular),
            0x3 => (BootDevice::Default, BootMode::Safe),
            0x5 => (BootDevice::ExternalMedia, BootMode::Regular),
            0x6 => (BootDevice::Default, BootMode::Setup),
            0xf => (BootDevice::RemovableMedia, BootMode::Regular),
            _ => return Err(CompletionCode::INVALID_DATA_FIELD),
        };
        let kind = if self.efi { BootType::EFI } else { BootType::Legacy };
        Ok(BootSettings { enabled: self.valid, one_time: !self.persistent, device, mode, kind })
    }

    /// The flags that `settings` map to, with `rest` as it was written.
    pub(super) fn from_settings(settings: BootSettings, rest: FlagsRest) -> Self {
        let device = match (settings.mode, settings.device) {
            (BootMode::Safe, _) => 0x3,
            (BootMode::Setup, _) => 0x6,
            (BootMode::Regular, BootDevice::Network | BootDevice::HTTP) => 0x1,
            (BootMode::Regular, BootDevice::Disk) => 0x2,
            (BootMode::Regular, BootDevice::ExternalMedia) => 0x5,
            (BootMode::Regular, BootDevice::RemovableMedia) => 0xf,
            (BootMode::Regular, BootDevice::Default) => 0x0,
        };
        Self {
            valid: settings.enabled,
            persistent: !settings.one_time,
            efi: settings.kind == BootType::EFI,
            device: Bits::low(device),
            rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use ipmi_proto::codec;

    use super::*;

    #[test]
    fn flags_match_golden_bytes() {
        let all = FlagsRest { options: 0xc3, console: 0x42, overrides: 0x08, instance: 0x11 };
        for (bytes, flags) in [
            // ipmitool: bootdev pxe; bootdev disk options=persistent,efiboot
            (hex!("80 04 00 00 00"), (true, false, false, 1, FlagsRest::default())),
            (hex!("e0 08 00 00 00"), (true, true, true, 2, FlagsRest::default())),
            (hex!("00 ff 42 08 11"), (false, false, false, 15, all)),
        ] {
            let (valid, persistent, efi, device, rest) = flags;
            let flags = BootFlags { valid, persistent, efi, device: Bits::low(device), rest };
            assert_eq!(codec::decode::<BootFlags>(&bytes), Ok(flags), "{bytes:02x?}");
            assert_eq!(codec::encode(&flags), bytes, "{bytes:02x?}");
        }
    }

    #[test]
    fn every_device_with_a_setting_survives_the_bus() {
        for device in 0..16 {
            let flags = BootFlags {
                valid: true,
                persistent: device % 2 == 0,
                efi: device % 3 == 0,
                device: Bits::low(device),
                rest: FlagsRest::default(),
            };
            match flags.settings() {
                Ok(settings) => {
                    assert_eq!(BootFlags::from_settings(settings, flags.rest), flags);
                }
                Err(code) => {
                    assert!([4, 7, 8, 9, 10, 11, 12, 13, 14].contains(&device));
                    assert_eq!(code, CompletionCode::INVALID_DATA_FIELD);
                }
            }
        }
    }
}
