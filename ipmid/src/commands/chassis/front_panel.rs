//! Front panel buttons and chassis capabilities.

use std::sync::Arc;

use ipmi_proto::codec::{Bits, Zero};
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{ChassisProvider, Platform};
use crate::platform::{Button, Capabilities, PlatformError};
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// Intrusion, front panel lockout, diagnostic interrupt, power interlock: bits 0 to 3.
type Flags = (bool, bool, bool, bool, Zero<4>);
/// FRU, SDR, SEL and system management device.
type Addresses = [u8; 4];

impl<P: Platform> ChassisProvider<P> {
    #[rustfmt::skip] // one line a command
    pub(super) fn register_front_panel(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, User};
        let mut rows = table.rows(NetFn::CHASSIS, self);
        rows.add(0x00, User, "Get Chassis Capabilities", Self::get_chassis_capabilities);
        let mut rows = rows.changing(Resource::CAPABILITIES);
        rows.add(0x05, Administrator, "Set Chassis Capabilities", Self::set_chassis_capabilities);
        let mut rows = rows.changing(Resource::BUTTONS);
        rows.add(0x0a, Administrator, "Set Front Panel Button Enables", Self::set_front_panel_button_enables);
    }

    /// Get Chassis Capabilities (IPMI v2.0 §28.1): flags, then the addresses of the FRU, SDR, SEL,
    /// system management and bridge device.
    async fn get_chassis_capabilities(
        self: Arc<Self>,
        _: Context,
    ) -> HandlerResult<(Flags, Addresses, u8)> {
        let has = self.platform.capabilities().await?;
        let flags = (has.intrusion, has.front_panel_lockout, has.nmi, has.power_interlock, Zero);
        let addresses = [has.fru_address, has.sdr_address, has.sel_address, has.sm_address];
        Ok((flags, addresses, has.bridge_address))
    }

    /// Set Chassis Capabilities (IPMI v2.0 §28.7): intrusion and lockout flag and the addresses;
    /// the bridge device's is unchanged if the request leaves it out.
    async fn set_chassis_capabilities(
        self: Arc<Self>,
        _: Context,
        flags: (bool, bool, Zero<6>),
        addresses: Addresses,
        bridge: Option<u8>,
    ) -> HandlerResult<()> {
        let (intrusion, front_panel_lockout, _) = flags;
        let [fru_address, sdr_address, sel_address, sm_address] = addresses;
        let has = self.platform.capabilities().await?;
        let wanted = Capabilities {
            intrusion,
            front_panel_lockout,
            fru_address,
            sdr_address,
            sel_address,
            sm_address,
            bridge_address: bridge.unwrap_or(has.bridge_address),
            ..has
        };
        Ok(self.platform.set_capabilities(wanted).await?)
    }

    /// Set Front Panel Button Enables (IPMI v2.0 §28.6): a set bit disables power off, reset,
    /// diagnostic interrupt or standby, bits 0 to 3.
    ///
    /// # Errors
    ///
    /// `CCh` when a button is to be disabled that this chassis does not have.
    async fn set_front_panel_button_enables(
        self: Arc<Self>,
        _: Context,
        disabled: (bool, bool, bool, bool),
        _: Bits<4>,
    ) -> HandlerResult<()> {
        let (power, reset, nmi, standby) = disabled;
        if standby {
            return Err(CompletionCode::INVALID_DATA_FIELD.into()); // no service has a standby button
        }
        for (button, disabled) in
            [(Button::Power, power), (Button::Reset, reset), (Button::Nmi, nmi)]
        {
            match self.platform.set_button_enabled(button, !disabled).await {
                Err(PlatformError::Absent(_)) if disabled => {
                    return Err(CompletionCode::INVALID_DATA_FIELD.into());
                }
                Err(PlatformError::Absent(_)) | Ok(()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::chassis::tests::{TestCommands, answer};

    #[tokio::test]
    async fn capabilities_are_six_bytes_and_can_be_set() {
        let commands = TestCommands::new();
        assert_eq!(commands.send(0x00, &[]).await, answer(&[0, 0, 0, 0x20, 0, 0]));
        assert_eq!(commands.send(0x05, &[3, 1, 2, 3, 4]).await, answer(&[]));
        assert_eq!(commands.send(0x00, &[]).await, answer(&[3, 1, 2, 3, 4, 0]));
        assert_eq!(commands.send(0x05, &[0, 1, 2, 3, 4, 5]).await, answer(&[]));
        assert_eq!(commands.send(0x00, &[]).await, answer(&[0, 1, 2, 3, 4, 5]));
        assert_eq!(
            commands.send(0x05, &[4, 1, 2, 3, 4]).await,
            Err(CompletionCode::INVALID_DATA_FIELD)
        );
    }

    #[tokio::test]
    async fn buttons_follow_their_bits() {
        let commands = TestCommands::new();
        assert_eq!(commands.send(0x0a, &[0b0101]).await, answer(&[]));
        assert_eq!(commands.platform.state().disabled_buttons, [Button::Power, Button::Nmi]);
        assert_eq!(commands.send(0x0a, &[0b0010]).await, answer(&[]));
        assert_eq!(commands.platform.state().disabled_buttons, [Button::Reset]);
        assert_eq!(commands.send(0x0a, &[0b1000]).await, Err(CompletionCode::INVALID_DATA_FIELD));
    }
}
