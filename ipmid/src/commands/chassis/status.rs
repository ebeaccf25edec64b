//! Chassis status, power restore policy, power-on hours counter.

use std::sync::Arc;

use ipmi_proto::codec::{Bits, Zero};
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{ChassisProvider, Platform, if_present, lock};
use crate::platform::{Button, PlatformError, PowerState, RestartCause, RestorePolicy};
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// All three policies can be chosen (IPMI v2.0 §28.8).
const POLICY_SUPPORT: u8 = 0x07;
/// Minutes for each count of the power-on hours counter (IPMI v2.0 §28.14). Clients disagree on what to do with
/// another number of minutes; of one they all make the same time.
const MINUTES_PER_COUNT: u8 = 1;
const MINUTES_PER_HOUR: u32 = 60;

/// Byte 1 of the reply: on, faults (none has a D-Bus property), restore policy.
type PowerBits = (bool, Bits<4>, Bits<2>, bool);
/// Byte 3: intrusion, lockout, drive and cooling fault, identify state and that it is known.
type MiscBits = (bool, bool, bool, bool, Bits<2>, bool, bool);
/// Byte 4: which buttons are disabled, and which can be.
type ButtonBits = (bool, bool, bool, bool, bool, bool, bool, bool);

impl<P: Platform> ChassisProvider<P> {
    pub(super) fn register_status(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(NetFn::CHASSIS, self);
        rows.add(0x01, User, "Get Chassis Status", Self::get_chassis_status);
        rows.add(0x0f, User, "Get POH Counter", Self::get_poh_counter);
        let mut rows = rows.changing(Resource::RESTORE_POLICY);
        rows.add(0x06, Operator, "Set Power Restore Policy", Self::set_power_restore_policy);
    }

    /// Get Chassis Status (IPMI v2.0 §28.2). A field without a D-Bus service reads as inactive or unknown.
    async fn get_chassis_status(
        self: Arc<Self>,
        _: Context,
    ) -> HandlerResult<(PowerBits, u8, MiscBits, ButtonBits)> {
        let (power, policy, cause, intruded, identify, buttons) = tokio::join!(
            self.platform.power_state(),
            self.platform.restore_policy(),
            self.platform.restart_cause(),
            self.platform.intruded(),
            self.platform.identify(),
            self.buttons(),
        );
        let is_on = matches!(power?, PowerState::On | PowerState::TransitioningToOff);
        let policy = match if_present(policy)? {
            Some(RestorePolicy::AlwaysOff) => 0,
            Some(RestorePolicy::Restore) => 1,
            Some(RestorePolicy::AlwaysOn) => 2,
            Some(RestorePolicy::None) | None => 3,
        };
        let by_command = if_present(cause)? == Some(RestartCause::RemoteCommand);
        let last_event = if is_on && by_command { 0x10 } else { 0x00 };
        let identify = if_present(identify)?;
        let identify_state = match identify {
            Some(true) if lock(&self.identify).is_timed() => 1,
            Some(true) => 2,
            Some(false) | None => 0,
        };
        let buttons = buttons?;
        let (power_disabled, reset_disabled, ..) = buttons;
        let lockout = power_disabled && reset_disabled;
        let intruded = if_present(intruded)?.unwrap_or_default();
        let misc =
            (intruded, lockout, false, false, Bits::low(identify_state), identify.is_some(), false);
        Ok(((is_on, Bits::low(0), Bits::low(policy), false), last_event, misc, buttons))
    }

    async fn buttons(&self) -> HandlerResult<ButtonBits> {
        let (power, reset, nmi) = tokio::join!(
            self.platform.button_enabled(Button::Power),
            self.platform.button_enabled(Button::Reset),
            self.platform.button_enabled(Button::Nmi),
        );
        let (power, reset, nmi) = (if_present(power)?, if_present(reset)?, if_present(nmi)?);
        let disabled = |enabled: Option<bool>| enabled == Some(false);
        Ok((
            disabled(power),
            disabled(reset),
            disabled(nmi),
            false,
            power.is_some(),
            reset.is_some(),
            nmi.is_some(),
            false,
        ))
    }

    /// Set Power Restore Policy (IPMI v2.0 §28.8); value 3 only reads the supported policies.
    async fn set_power_restore_policy(
        self: Arc<Self>,
        _: Context,
        policy: Bits<3>,
        _: Zero<5>,
    ) -> HandlerResult<u8> {
        let policy = match policy.value() {
            0 => RestorePolicy::AlwaysOff,
            1 => RestorePolicy::Restore,
            2 => RestorePolicy::AlwaysOn,
            3 => return Ok(POLICY_SUPPORT),
            _ => return Err(CompletionCode::INVALID_DATA_FIELD.into()),
        };
        self.platform.set_restore_policy(policy).await?;
        Ok(POLICY_SUPPORT)
    }

    /// Get POH Counter (IPMI v2.0 §28.14): minutes for each count, and the count.
    async fn get_poh_counter(self: Arc<Self>, _: Context) -> HandlerResult<(u8, u32)> {
        match self.platform.power_on_hours().await {
            Ok(hours) => Ok((MINUTES_PER_COUNT, hours.saturating_mul(MINUTES_PER_HOUR))),
            Err(PlatformError::Absent(_)) => Err(CompletionCode::INVALID_COMMAND.into()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::chassis::tests::{TestCommands, answer};

    #[tokio::test]
    async fn status_matches_golden_bytes() {
        let commands = TestCommands::new();
        assert_eq!(commands.send(0x01, &[]).await, answer(&[0x00, 0x00, 0x40, 0x70]));
        {
            let mut state = commands.platform.state();
            state.power = PowerState::On;
            state.restore_policy = RestorePolicy::AlwaysOn;
            state.intruded = true;
            state.identify = true;
            state.disabled_buttons = vec![Button::Power];
        }
        assert_eq!(commands.send(0x01, &[]).await, answer(&[0x41, 0x10, 0x61, 0x71]));
        assert_eq!(commands.send(0x04, &[5]).await, answer(&[]));
        assert_eq!(commands.send(0x01, &[]).await, answer(&[0x41, 0x10, 0x51, 0x71]));
    }

    #[tokio::test]
    async fn policy_is_set_and_support_is_reported() {
        let commands = TestCommands::new();
        assert_eq!(commands.send(0x06, &[2]).await, answer(&[7]));
        assert_eq!(commands.platform.state().restore_policy, RestorePolicy::AlwaysOn);
        assert_eq!(commands.send(0x06, &[3]).await, answer(&[7]));
        assert_eq!(commands.platform.state().restore_policy, RestorePolicy::AlwaysOn);
        assert_eq!(commands.send(0x06, &[4]).await, Err(CompletionCode::INVALID_DATA_FIELD));
    }

    #[tokio::test]
    async fn power_on_hours_are_counted_in_minutes() {
        let commands = TestCommands::new();
        // 1,234 hours
        assert_eq!(commands.send(0x0f, &[]).await, answer(&[1, 0x38, 0x21, 0x01, 0]));
    }
}
