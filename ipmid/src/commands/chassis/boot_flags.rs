//! Boot flags, boot option parameter 5 (IPMI v2.0 §28.13, Table 28-14), and how they map to the
//! `Control.Boot` settings.

use ipmi_proto::CompletionCode;
use ipmi_proto::codec::{Bits, Decode, DecodeError, Encode, Reader, Writer, Zero};
use serde::{Deserialize, Serialize};

use crate::platform::{BootDevice, BootMode, BootSettings, BootType};

/// The five bytes of the parameter, as a client wrote them last.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BootFlags {
    pub(super) valid: bool,
    pub(super) persistent: bool,
    pub(super) efi: bool,
    /// Boot device selector, byte 2 bits 5:2.
    pub(super) device: u8,
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
        let (_, efi, persistent, valid) = <(Zero<5>, bool, bool, bool)>::decode(reader)?;
        let [byte2, console] = <[u8; 2]>::decode(reader)?;
        let (overrides, _) = <(Bits<4>, Zero<4>)>::decode(reader)?;
        let (instance, _) = <(Bits<5>, Zero<3>)>::decode(reader)?;
        Ok(Self {
            valid,
            persistent,
            efi,
            device: (byte2 & !OPTIONS_MASK) >> 2,
            options: byte2 & OPTIONS_MASK,
            console,
            overrides: overrides.value(),
            instance: instance.value(),
        })
    }
}

impl Encode for BootFlags {
    fn encode(&self, writer: &mut Writer) {
        (Zero::<5>, self.efi, self.persistent, self.valid).encode(writer);
        let byte2 = self.options & OPTIONS_MASK | self.device << 2 & !OPTIONS_MASK;
        [byte2, self.console, self.overrides, self.instance].encode(writer);
    }
}

impl BootFlags {
    /// The settings these flags stand for (phosphor-host-ipmid, `chassishandler.cpp`). The diagnostic partition
    /// and remote media, which the settings have no word for, leave the boot source at its default; firmware on
    /// the host reads them from the flags.
    ///
    /// # Errors
    ///
    /// `CCh` for a boot device that is reserved.
    pub(super) fn settings(&self) -> Result<BootSettings, CompletionCode> {
        let (device, mode) = match self.device {
            0x1 => (BootDevice::Network, BootMode::Regular),
            0x2 => (BootDevice::Disk, BootMode::Regular),
            0x3 => (BootDevice::Default, BootMode::Safe),
            0x5 => (BootDevice::ExternalMedia, BootMode::Regular),
            0x6 => (BootDevice::Default, BootMode::Setup),
            0xf => (BootDevice::RemovableMedia, BootMode::Regular),
            0x0 | 0x4 | 0x7..=0x9 | 0xb => (BootDevice::Default, BootMode::Regular),
            _ => return Err(CompletionCode::INVALID_DATA_FIELD),
        };
        let kind = if self.efi { BootType::EFI } else { BootType::Legacy };
        Ok(BootSettings { enabled: self.valid, one_time: !self.persistent, device, mode, kind })
    }

    /// These flags, as far as `settings` still are what they stand for. Settings that are off leave them as they
    /// were written, no longer valid: the host has used them, or another service has ended them. Settings that
    /// another service has made replace what they have a word for.
    pub(super) fn under(self, settings: BootSettings) -> Self {
        if !settings.enabled {
            return Self { valid: false, ..self };
        }
        if self.settings() == Ok(settings) {
            return self;
        }
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
            valid: true,
            persistent: !settings.one_time,
            efi: settings.kind == BootType::EFI,
            device,
            instance: 0, // of a device that the other service did not choose
            ..self
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
        let none = BootFlags::default();
        let all =
            BootFlags { options: 0xc3, console: 0x42, overrides: 0x08, instance: 0x11, ..none };
        for (bytes, flags) in [
            // ipmitool: bootdev pxe; bootdev disk options=persistent,efiboot
            (hex!("80 04 00 00 00"), BootFlags { valid: true, device: 1, ..none }),
            (
                hex!("e0 08 00 00 00"),
                BootFlags { valid: true, persistent: true, efi: true, device: 2, ..none },
            ),
            (hex!("00 ff 42 08 11"), BootFlags { device: 15, ..all }),
        ] {
            assert_eq!(codec::decode::<BootFlags>(&bytes), Ok(flags), "{bytes:02x?}");
            assert_eq!(codec::encode(&flags), bytes, "{bytes:02x?}");
        }
        for reserved in [hex!("81 04 00 00 00"), hex!("80 04 00 10 00"), hex!("80 04 00 00 20")] {
            assert!(codec::decode::<BootFlags>(&reserved).is_err(), "{reserved:02x?}");
        }
    }

    #[test]
    fn every_device_is_read_back_as_it_was_written_or_refused() {
        for device in 0..16 {
            let flags = BootFlags {
                valid: true,
                persistent: device % 2 == 0,
                efi: device % 3 == 0,
                device,
                instance: 3,
                ..BootFlags::default()
            };
            match flags.settings() {
                Ok(settings) => assert_eq!(flags.under(settings), flags),
                Err(code) => {
                    assert!([10, 12, 13, 14].contains(&device));
                    assert_eq!(code, CompletionCode::INVALID_DATA_FIELD);
                }
            }
        }
    }

    #[test]
    fn settings_of_another_service_replace_the_device_and_settings_that_are_off_end_the_validity() {
        let flags = BootFlags {
            valid: true,
            device: 4,
            options: 0x80,
            instance: 1,
            ..BootFlags::default()
        };
        let settings = flags.settings().unwrap();
        let disk = BootSettings { device: BootDevice::Disk, one_time: false, ..settings };
        let read = flags.under(disk);
        assert_eq!(codec::encode(&read), hex!("c0 88 00 00 00"));
        let off = BootSettings { enabled: false, ..disk };
        assert_eq!(codec::encode(&flags.under(off)), hex!("00 90 00 00 01"));
    }
}
