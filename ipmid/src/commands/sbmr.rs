//! Server Base Manageability Requirements, group AEh: the boot progress codes of the host's firmware,
//! as in OpenBMC's `sbmrhandler.cpp`.

use std::sync::Arc;

use ipmi_proto::{CompletionCode, GroupBody, Privilege};

use crate::platform::{BootProgress, BootStage};
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// A status code: type, two reserved bytes, severity; operation (LSByte first), subclass, class;
/// instance. The first eight are UEFI's `EFI_STATUS_CODE_TYPE` and `EFI_STATUS_CODE_VALUE` (PI
/// Specification, volume 3, §6).
type StatusCode = [u8; 9];

/// `EFI_PROGRESS_CODE`, of no severity.
const PROGRESS: u8 = 0x01;

/// The SBMR commands.
#[derive(Debug)]
pub struct SbmrProvider<P> {
    platform: Arc<P>,
}

impl<P: BootProgress> SbmrProvider<P> {
    /// Over `platform`.
    #[must_use]
    pub fn new(platform: Arc<P>) -> Arc<Self> {
        Arc::new(Self { platform })
    }

    /// Adds its commands.
    pub fn register(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, User};
        let mut rows = table.rows(GroupBody::SBMR, self);
        rows.add(0x03, User, "Get Boot Progress Code", Self::get_boot_progress_code);
        let mut rows = rows.changing(Resource::BOOT_PROGRESS);
        rows.add(0x02, Administrator, "Send Boot Progress Code", Self::send_boot_progress_code);
    }

    /// Send Boot Progress Code: accepted from the host only.
    ///
    /// # Errors
    ///
    /// `D5h` from a LAN session or an IPMB.
    async fn send_boot_progress_code(
        self: Arc<Self>,
        context: Context,
        code: StatusCode,
    ) -> HandlerResult<()> {
        if !context.is_from_host() {
            return Err(CompletionCode::NOT_IN_PRESENT_STATE.into());
        }
        let stored = self.platform.set_boot_progress(code.to_vec(), stage(code));
        Ok(stored.await?)
    }

    /// Get Boot Progress Code: the last code of the host.
    ///
    /// # Errors
    ///
    /// `FFh` before the first code.
    async fn get_boot_progress_code(self: Arc<Self>, _: Context) -> HandlerResult<StatusCode> {
        let code = self.platform.boot_progress_code().await?;
        code.try_into().map_err(|_| CompletionCode::UNSPECIFIED.into())
    }
}

/// The boot stage of a status code; all other codes map to the OEM stage.
const fn stage(code: StatusCode) -> BootStage {
    let [kind, _, _, severity, low, high, subclass, class, _] = code;
    if kind != PROGRESS || severity != 0 {
        return BootStage::OEM;
    }
    match (class, subclass, u16::from_le_bytes([low, high])) {
        // I/O bus, PCI: resources are allocated.
        (0x02, 0x01, 0x1001) => BootStage::PCIInit,
        // Software, DXE core: hands off to the next phase.
        (0x03, 0x04, 0x1001) => BootStage::SystemInitComplete,
        // Software, DXE boot service driver: the user's set-up; the loader starts.
        (0x03, 0x05, 0x0007) => BootStage::SystemSetup,
        (0x03, 0x05, 0x8001) => BootStage::OSStart,
        // Software, EFI boot service: ExitBootServices().
        (0x03, 0x10, 0x1019) => BootStage::OSRunning,
        _ => BootStage::OEM,
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::test_support::{TestCommands, answer};
    use crate::request::command::Family;
    use crate::request::context::Session;

    const EXIT_BOOT_SERVICES: StatusCode = hex!("01 00 00 00 19 10 10 03 00");

    fn commands() -> TestCommands {
        TestCommands::with(Family::Group(GroupBody::SBMR), |platform, table| {
            SbmrProvider::new(Arc::clone(platform)).register(table);
        })
    }

    #[tokio::test]
    async fn code_is_stored_and_its_stage_published() {
        let commands = commands();
        assert_eq!(commands.send(0x03, &[]).await, Err(CompletionCode::UNSPECIFIED));
        assert_eq!(commands.send(0x02, &EXIT_BOOT_SERVICES).await, answer(&[]));
        assert_eq!(commands.send(0x03, &[]).await, answer(&EXIT_BOOT_SERVICES));
        let (_, stage) = commands.platform.state().boot_progress.clone();
        assert_eq!(stage, BootStage::OSRunning);
    }

    #[tokio::test]
    async fn codes_from_others_than_the_host_are_refused() {
        let commands = commands();
        let context =
            Context { session: Some(Session { id: 1, user_id: 2 }), ..Context::system_interface() };
        assert_eq!(
            commands.send_as(context, 0x02, &EXIT_BOOT_SERVICES).await,
            Err(CompletionCode::NOT_IN_PRESENT_STATE)
        );
        let short = &EXIT_BOOT_SERVICES[..8];
        let refused = Err(CompletionCode::REQUEST_LENGTH_INVALID);
        assert_eq!(commands.send(0x02, short).await, refused);
    }

    #[test]
    fn stages_are_distinguished_as_in_openbmc() {
        for (code, expected) in [
            (hex!("01 000000 01 10 01 02 00"), BootStage::PCIInit),
            (hex!("01 000000 01 10 04 03 00"), BootStage::SystemInitComplete),
            (hex!("01 000000 07 00 05 03 00"), BootStage::SystemSetup),
            (hex!("01 000000 01 80 05 03 00"), BootStage::OSStart),
            (EXIT_BOOT_SERVICES, BootStage::OSRunning),
            (hex!("02 000000 19 10 10 03 00"), BootStage::OEM),
            (hex!("01 000040 19 10 10 03 00"), BootStage::OEM),
            (hex!("01 000000 02 10 01 02 00"), BootStage::OEM),
        ] {
            assert_eq!(stage(code), expected, "{code:02x?}");
        }
    }
}
