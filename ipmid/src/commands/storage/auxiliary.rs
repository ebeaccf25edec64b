//! Auxiliary log status (IPMI v2.0 §31.12, §31.13): logs that others maintain beside the SEL, such as the host's
//! firmware. The BMC stores the status that Set Auxiliary Log Status reports, also over restarts.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipmi_proto::codec::{Bits, Ignored, Remaining};
use ipmi_proto::{CompletionCode, NetFn, Privilege};
use serde::{Deserialize, Serialize};

use super::{Platform, StorageProvider};
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// The machine check log, and two OEM-defined logs.
const MCA: u8 = 0;
const OEM: [u8; 2] = [1, 2];
/// The time of an entry that was never reported.
const UNSPECIFIED_TIME: u32 = 0xffff_ffff;
/// OEM data bytes in the status of an OEM log.
const OEM_DATA: usize = 8;

/// State file `auxiliary-logs.json`: the reported statuses.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct AuxiliaryLogs {
    /// When an entry came last, and how many there are.
    machine_checks: Option<(u32, u32)>,
    /// By log type.
    oem: BTreeMap<u8, OemLog>,
}

/// Status of an OEM log: time of the last entry, enterprise number, up to eight OEM data bytes.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct OemLog(u32, [u8; 3], Vec<u8>);

/// Log type, bits 3:0.
type LogType = (Bits<4>, Ignored<4>);

impl AuxiliaryLogs {
    fn status(&self, log: u8) -> Result<Vec<u8>, CompletionCode> {
        if log == MCA {
            let (time, entries) = self.machine_checks.unwrap_or((UNSPECIFIED_TIME, 0));
            return Ok([time.to_le_bytes(), entries.to_le_bytes()].concat());
        }
        let OemLog(time, manufacturer, data) =
            self.oem.get(&log).ok_or(CompletionCode::NOT_PRESENT)?;
        Ok([&time.to_le_bytes()[..], manufacturer, data].concat())
    }

    fn set(&mut self, log: u8, status: &Remaining) -> Result<(), CompletionCode> {
        if log == MCA {
            self.machine_checks = Some(status.decode()?);
            return Ok(());
        }
        let (time, manufacturer, data): (u32, [u8; 3], Vec<u8>) = status.decode()?;
        if data.len() > OEM_DATA {
            return Err(CompletionCode::REQUEST_LENGTH_INVALID);
        }
        self.oem.insert(log, OemLog(time, manufacturer, data));
        Ok(())
    }
}

/// The log that is meant.
///
/// # Errors
///
/// `CCh` for a type that is reserved.
fn known((log, _): LogType) -> Result<u8, CompletionCode> {
    let log = log.value();
    let is_known = log == MCA || OEM.contains(&log);
    is_known.then_some(log).ok_or(CompletionCode::INVALID_DATA_FIELD)
}

impl<P: Platform> StorageProvider<P> {
    pub(super) fn register_auxiliary(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, User};
        let mut rows = table.rows(NetFn::STORAGE, self);
        rows.add(0x5a, User, "Get Auxiliary Log Status", Self::get_auxiliary_log_status);
        let mut rows = rows.changing(Resource::AUXILIARY_LOGS);
        rows.add(0x5b, Administrator, "Set Auxiliary Log Status", Self::set_auxiliary_log_status);
    }

    /// Get Auxiliary Log Status (IPMI v2.0 §31.12): for the machine check log, the time of its last entry
    /// and the number of entries ("unspecified" and 0 if never reported); for an OEM log the time, the enterprise
    /// number and the OEM data.
    ///
    /// # Errors
    ///
    /// `CCh` for a type that is reserved, `CBh` for an OEM log whose status was never reported.
    async fn get_auxiliary_log_status(
        self: Arc<Self>,
        _: Context,
        log: LogType,
    ) -> Result<Vec<u8>, CompletionCode> {
        let log = known(log)?;
        self.stores.auxiliary.look(|logs| logs.status(log))
    }

    /// Set Auxiliary Log Status (IPMI v2.0 §31.13): sets what Get Auxiliary Log Status returns.
    ///
    /// # Errors
    ///
    /// `CCh` for a type that is reserved, `C7h` for a status that is not as long as its type's.
    async fn set_auxiliary_log_status(
        self: Arc<Self>,
        _: Context,
        log: LogType,
        status: Remaining,
    ) -> Result<(), CompletionCode> {
        let log = known(log)?;
        self.stores.auxiliary.try_update(|logs| logs.set(log, &status)).await
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::storage::tests::{TestStorage, answer};

    #[tokio::test]
    async fn machine_check_status_reads_back() {
        let commands = TestStorage::new();
        let none = hex!("ffffffff 00000000");
        assert_eq!(commands.send(0x5a, &[0]).await, answer(&none));
        let set = hex!("00 00000060 2a000000");
        assert_eq!(commands.send(0x5b, &set).await, answer(&[]));
        assert_eq!(commands.send(0x5a, &[0]).await, answer(&set[1..]));
    }

    #[tokio::test]
    async fn oem_logs_have_a_status_each() {
        let commands = TestStorage::new();
        let absent = Err(CompletionCode::NOT_PRESENT);
        assert_eq!(commands.send(0x5a, &[1]).await, absent);
        let one = hex!("01 00000060 cfc200 0102030405060708");
        let two = hex!("02 01000060 cfc200");
        for status in [&one[..], &two] {
            assert_eq!(commands.send(0x5b, status).await, answer(&[]));
        }
        for status in [&one[..], &two] {
            let response = commands.send(0x5a, &status[..1]).await;
            assert_eq!(response, answer(&status[1..]));
        }
    }

    #[tokio::test]
    async fn invalid_log_types_and_statuses_are_refused() {
        let commands = TestStorage::new();
        for (code, request, expected) in [
            (0x5a, &hex!("03")[..], 0xcc),
            (0x5a, &hex!(""), 0xc7),
            (0x5a, &hex!("00 00"), 0xc7),
            (0x5b, &hex!("0f 00000060 2a000000"), 0xcc),
            (0x5b, &hex!("00"), 0xc7),
            (0x5b, &hex!("00 00000060 2a0000"), 0xc7),
            (0x5b, &hex!("00 00000060 2a000000 00"), 0xc7),
            (0x5b, &hex!("01 00000060 cfc2"), 0xc7),
            (0x5b, &hex!("01 00000060 cfc200 010203040506070809"), 0xc7),
        ] {
            let expected = Err(CompletionCode(expected));
            assert_eq!(commands.send(code, request).await, expected, "{request:02x?}");
        }
        let none = hex!("ffffffff 00000000");
        assert_eq!(commands.send(0x5a, &[0]).await, answer(&none));
    }
}
