//! The ACPI power states that the host reports.

use std::sync::Arc;

use ipmi_proto::codec::Bits;
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{AppProvider, Platform};
use crate::platform::AcpiState;
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// "No change" of a state (IPMI v2.0 §20.6).
const NO_CHANGE: u8 = 0x7f;
/// State before the host's first report.
const UNKNOWN: u8 = 0x2a;

/// System power states (IPMI v2.0 §20.6, Table 20-8).
const SYSTEM_STATES: [(u8, AcpiState); 14] = [
    (0x00, AcpiState::S0_G0_D0),
    (0x01, AcpiState::S1_D1),
    (0x02, AcpiState::S2_D2),
    (0x03, AcpiState::S3_D3),
    (0x04, AcpiState::S4),
    (0x05, AcpiState::S5_G2),
    (0x06, AcpiState::S4_S5),
    (0x07, AcpiState::G3),
    (0x08, AcpiState::SLEEP),
    (0x09, AcpiState::G1_SLEEP),
    (0x0a, AcpiState::OVERRIDE),
    (0x20, AcpiState::LEGACY_ON),
    (0x21, AcpiState::LEGACY_OFF),
    (UNKNOWN, AcpiState::Unknown),
];
/// Device power states: D0 to D3, and unknown.
const DEVICE_STATES: [(u8, AcpiState); 5] = [
    (0x00, AcpiState::S0_G0_D0),
    (0x01, AcpiState::S1_D1),
    (0x02, AcpiState::S2_D2),
    (0x03, AcpiState::S3_D3),
    (UNKNOWN, AcpiState::Unknown),
];

fn number(states: &[(u8, AcpiState)], state: AcpiState) -> u8 {
    states.iter().find(|(_, known)| *known == state).map_or(UNKNOWN, |(number, _)| *number)
}

/// The state a request sets; `None` for no change or a clear set bit.
fn wanted(
    states: &[(u8, AcpiState)],
    (value, set): (Bits<7>, bool),
) -> Result<Option<AcpiState>, CompletionCode> {
    if !set || value.value() == NO_CHANGE {
        return Ok(None);
    }
    let known = states.iter().find(|(number, _)| *number == value.value());
    known.map(|(_, state)| Some(*state)).ok_or(CompletionCode::INVALID_DATA_FIELD)
}

impl<P: Platform> AppProvider<P> {
    pub(super) fn register_acpi(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, User};
        let mut rows = table.rows(NetFn::APP, self);
        rows.add(0x07, User, "Get ACPI Power State", Self::get_acpi_power_state);
        let mut rows = rows.changing(Resource::ACPI);
        rows.add(0x06, Administrator, "Set ACPI Power State", Self::set_acpi_power_state);
    }

    /// Set ACPI Power State (IPMI v2.0 §20.6): system and device state, each with a bit that
    /// enables the change.
    ///
    /// # Errors
    ///
    /// `CCh` for an invalid state.
    async fn set_acpi_power_state(
        self: Arc<Self>,
        _: Context,
        system: (Bits<7>, bool),
        device: (Bits<7>, bool),
    ) -> HandlerResult<()> {
        let (system, device) = (wanted(&SYSTEM_STATES, system)?, wanted(&DEVICE_STATES, device)?);
        Ok(self.platform.set_acpi_states(system, device).await?)
    }

    /// Get ACPI Power State (IPMI v2.0 §20.7).
    async fn get_acpi_power_state(self: Arc<Self>, _: Context) -> HandlerResult<(u8, u8)> {
        let (system, device) = self.platform.acpi_states().await?;
        Ok((number(&SYSTEM_STATES, system), number(&DEVICE_STATES, device)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::app::tests::{answer, commands};

    #[tokio::test]
    async fn states_are_set_one_by_one() {
        let (commands, ..) = commands();
        assert_eq!(commands.send(0x07, &[]).await, answer(&[0x05, 0x00]));
        assert_eq!(commands.send(0x06, &[0x80, 0x7f]).await, answer(&[])); // as FreeIPMI sends it
        assert_eq!(commands.send(0x07, &[]).await, answer(&[0x00, 0x00]));
        assert_eq!(commands.send(0x06, &[0xff, 0x83]).await, answer(&[]));
        assert_eq!(commands.send(0x07, &[]).await, answer(&[0x00, 0x03]));
        for request in [[0x8b, 0x00], [0x00, 0x84]] {
            let refused = Err(CompletionCode::INVALID_DATA_FIELD);
            assert_eq!(commands.send(0x06, &request).await, refused, "{request:02x?}");
        }
    }
}
