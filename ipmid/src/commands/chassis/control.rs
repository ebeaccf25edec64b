//! Chassis Control, the power-cycle interval and the restart cause.

use std::sync::Arc;
use std::time::Duration;

use ipmi_proto::codec::{Bits, Decode, DecodeError, Reader, Zero};
use ipmi_proto::{CompletionCode, NetFn, Privilege};
use tokio::{task, time};
use tracing::{info, warn};

use super::{ChassisProvider, Platform, lock};
use crate::platform::{
    ChassisTransition, HostTransition, PlatformError, PlatformResult, PowerState, RestartCause,
};
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// How long a chassis may take to power off in a power cycle with an interval, which this daemon times.
const POWER_OFF_LIMIT: Duration = Duration::from_secs(60);
/// Polling interval of the power state meanwhile; the state is in memory, updated by signals.
const POWER_OFF_POLL: Duration = Duration::from_millis(200);

/// What Chassis Control can ask for (IPMI v2.0 §28.3, byte 1 bits 3:0).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ChassisControl {
    PowerDown,
    PowerUp,
    PowerCycle,
    HardReset,
    PulseDiagnosticInterrupt,
    SoftShutdown,
}

impl Decode for ChassisControl {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (action, _) = <(Bits<4>, Zero<4>)>::decode(reader)?;
        Ok(match action.value() {
            0 => Self::PowerDown,
            1 => Self::PowerUp,
            2 => Self::PowerCycle,
            3 => Self::HardReset,
            4 => Self::PulseDiagnosticInterrupt,
            5 => Self::SoftShutdown,
            value => {
                return Err(DecodeError::Value { field: "chassis control", value: value.into() });
            }
        })
    }
}

impl<P: Platform> ChassisProvider<P> {
    pub(super) fn register_control(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, Operator, User};
        let mut rows = table.rows(NetFn::CHASSIS, self);
        rows.add(0x07, User, "Get System Restart Cause", Self::get_system_restart_cause);
        let mut rows = rows.changing(Resource::POWER);
        rows.add(0x02, Operator, "Chassis Control", Self::chassis_control);
        rows.add(0x0b, Administrator, "Set Power Cycle Interval", Self::set_power_cycle_interval);
    }

    /// Chassis Control (IPMI v2.0 §28.3), with the transitions phosphor-host-ipmid asks for
    /// (`chassishandler.cpp`).
    ///
    /// # Errors
    ///
    /// - `D5h` for a power cycle, reset or diagnostic interrupt while the host is off.
    /// - `C3h` when the state manager does not answer, `FFh` when it refuses.
    async fn chassis_control(
        self: Arc<Self>,
        context: Context,
        action: ChassisControl,
    ) -> HandlerResult<()> {
        use ChassisControl::{
            HardReset, PowerCycle, PowerDown, PowerUp, PulseDiagnosticInterrupt, SoftShutdown,
        };
        let needs_power = matches!(action, PowerCycle | HardReset | PulseDiagnosticInterrupt);
        if needs_power && !self.is_on().await? {
            return Err(CompletionCode::NOT_IN_PRESENT_STATE.into());
        }
        // A later request supersedes an earlier power cycle, whose pause would end with the host on.
        if let Some(earlier) = lock(&self.cycle).take() {
            earlier.abort();
        }
        let platform = &self.platform;
        match action {
            PowerDown => platform.request_chassis(ChassisTransition::Off).await?,
            PowerUp => platform.request_host(HostTransition::On).await?,
            PowerCycle => self.power_cycle().await?,
            HardReset => platform.request_host(HostTransition::ForceWarmReboot).await?,
            PulseDiagnosticInterrupt => platform.pulse_nmi().await?,
            SoftShutdown => platform.request_host(HostTransition::Off).await?,
        }
        info!(?action, channel = context.channel.value(), "chassis control");
        *lock(&self.control_channel) = Some(context.channel);
        Ok(())
    }

    async fn is_on(&self) -> PlatformResult<bool> {
        let state = self.platform.power_state().await?;
        Ok(matches!(state, PowerState::On | PowerState::TransitioningToOn))
    }

    /// Reboots through the state manager; with an interval set, off and on with that pause.
    async fn power_cycle(self: &Arc<Self>) -> PlatformResult<()> {
        let interval = self.boot.get().power_cycle_interval;
        if interval == 0 {
            return self.platform.request_host(HostTransition::Reboot).await;
        }
        self.platform.request_chassis(ChassisTransition::Off).await?;
        let provider = Arc::clone(self);
        let power_up = task::spawn(async move {
            if let Err(error) = provider.power_up_after(interval).await {
                warn!(%error, "cannot switch the host on again after its power cycle; it stays off");
            }
        });
        if let Some(earlier) = lock(&self.cycle).replace(power_up.abort_handle()) {
            earlier.abort();
        }
        Ok(())
    }

    async fn power_up_after(&self, interval: u8) -> PlatformResult<()> {
        let is_off = async {
            while self.is_on().await? {
                time::sleep(POWER_OFF_POLL).await;
            }
            PlatformResult::Ok(())
        };
        time::timeout(POWER_OFF_LIMIT, is_off).await.map_err(|_| {
            PlatformError::timeout(&format_args!("the host is still on after {POWER_OFF_LIMIT:?}"))
        })??;
        time::sleep(Duration::from_secs(interval.into())).await;
        self.platform.request_host(HostTransition::On).await
    }

    /// Get System Restart Cause (IPMI v2.0 §28.11): the cause, and the channel of the command that
    /// caused it (0 when there was none).
    async fn get_system_restart_cause(self: Arc<Self>, _: Context) -> HandlerResult<(u8, u8)> {
        let cause = match self.platform.restart_cause().await? {
            RestartCause::Unknown | RestartCause::HostCrash => 0x00,
            RestartCause::RemoteCommand => 0x01,
            RestartCause::ResetButton => 0x02,
            RestartCause::PowerButton => 0x03,
            RestartCause::WatchdogTimer => 0x04,
            RestartCause::PowerPolicyAlwaysOn => 0x06,
            RestartCause::PowerPolicyPreviousState => 0x07,
            RestartCause::SoftReset => 0x0a,
            RestartCause::ScheduledPowerOn => 0x0b,
        };
        let channel = match *lock(&self.control_channel) {
            Some(channel) if cause == 0x01 => channel.value(),
            _ => 0,
        };
        Ok((cause, channel))
    }

    /// Set Power Cycle Interval (IPMI v2.0 §28.9): seconds off in a power cycle, 0 for as short as
    /// the state manager makes it.
    async fn set_power_cycle_interval(
        self: Arc<Self>,
        _: Context,
        seconds: u8,
    ) -> Result<(), CompletionCode> {
        Ok(self.boot.update(|state| state.power_cycle_interval = seconds).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::chassis::tests::{TestCommands, answer};

    #[tokio::test]
    async fn each_action_asks_for_its_transition() {
        let commands = TestCommands::new();
        commands.platform.state().power = PowerState::On;
        for action in 0..=5 {
            assert_eq!(commands.send(0x02, &[action]).await, answer(&[]), "{action}");
        }
        let state = commands.platform.state();
        assert_eq!(state.chassis_requests, [ChassisTransition::Off]);
        assert_eq!(
            state.host_requests,
            [
                HostTransition::On,
                HostTransition::Reboot,
                HostTransition::ForceWarmReboot,
                HostTransition::Off
            ]
        );
        assert_eq!(state.nmi_pulses, 1);
    }

    #[tokio::test]
    async fn what_needs_power_is_refused_while_off() {
        let commands = TestCommands::new();
        for action in [2, 3, 4] {
            let refused = Err(CompletionCode::NOT_IN_PRESENT_STATE);
            assert_eq!(commands.send(0x02, &[action]).await, refused, "{action}");
        }
        assert!(commands.platform.state().host_requests.is_empty());
        let wrong = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x02, &[6]).await, wrong);
        assert_eq!(commands.send(0x02, &[0x11]).await, wrong);
    }

    #[tokio::test]
    async fn platform_that_does_not_answer_is_c3h() {
        let commands = TestCommands::new();
        commands.platform.state().error = Some(PlatformError::timeout(&"no reply"));
        assert_eq!(commands.send(0x02, &[1]).await, Err(CompletionCode::TIMEOUT));
    }

    #[tokio::test(start_paused = true)]
    async fn power_cycle_with_an_interval_is_off_a_pause_and_on() {
        let commands = TestCommands::new();
        commands.platform.state().power = PowerState::On;
        assert_eq!(commands.send(0x0b, &[5]).await, answer(&[]));
        assert_eq!(commands.send(0x02, &[2]).await, answer(&[]));
        time::sleep(Duration::from_secs(2)).await;
        commands.platform.state().power = PowerState::Off;
        time::sleep(Duration::from_secs(4)).await;
        assert!(commands.platform.state().host_requests.is_empty());
        time::sleep(Duration::from_secs(2)).await;
        assert_eq!(commands.platform.state().host_requests, [HostTransition::On]);
    }

    #[tokio::test(start_paused = true)]
    async fn power_off_during_the_pause_of_a_power_cycle_ends_it() {
        let commands = TestCommands::new();
        commands.platform.state().power = PowerState::On;
        assert_eq!(commands.send(0x0b, &[5]).await, answer(&[]));
        assert_eq!(commands.send(0x02, &[2]).await, answer(&[]));
        commands.platform.state().power = PowerState::Off;
        time::sleep(Duration::from_secs(2)).await;
        assert_eq!(commands.send(0x02, &[0]).await, answer(&[]));
        time::sleep(Duration::from_secs(60)).await;
        assert!(commands.platform.state().host_requests.is_empty());
    }

    #[tokio::test]
    async fn restart_cause_names_the_channel_of_the_command() {
        let commands = TestCommands::new();
        assert_eq!(commands.send(0x07, &[]).await, answer(&[0x01, 0x00]));
        assert_eq!(commands.send(0x02, &[1]).await, answer(&[]));
        assert_eq!(commands.send(0x07, &[]).await, answer(&[0x01, 0x0f]));
        commands.platform.state().restart_cause = RestartCause::WatchdogTimer;
        assert_eq!(commands.send(0x07, &[]).await, answer(&[0x04, 0x00]));
    }
}
