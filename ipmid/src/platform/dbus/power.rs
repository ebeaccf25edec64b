//! Power of chassis and host.

use openbmc_dbus::control::host_nmi;
use openbmc_dbus::state::{chassis, host, power_on_hours};

use super::{DbusPlatform, Target};
use crate::platform::{
    ChassisTransition, HostTransition, PlatformResult, Power, PowerState, RestartCause,
};

const CHASSIS: Target = Target::At(chassis::PATH, chassis::NAME);
const HOST: Target = Target::At(host::PATH, host::NAME);
const NMI: Target = Target::At(host_nmi::PATH, host_nmi::NAME);
const POWER_ON_HOURS: Target = Target::Having(power_on_hours::NAME);

impl Power for DbusPlatform {
    async fn power_state(&self) -> PlatformResult<PowerState> {
        self.get(CHASSIS, chassis::CURRENT_POWER_STATE).await
    }

    async fn request_chassis(&self, transition: ChassisTransition) -> PlatformResult<()> {
        self.set(CHASSIS, chassis::REQUESTED_POWER_TRANSITION, transition).await
    }

    async fn request_host(&self, transition: HostTransition) -> PlatformResult<()> {
        self.set(HOST, host::REQUESTED_HOST_TRANSITION, transition).await
    }

    async fn pulse_nmi(&self) -> PlatformResult<()> {
        self.call(NMI, host_nmi::NMI).await
    }

    async fn restart_cause(&self) -> PlatformResult<RestartCause> {
        self.get(HOST, host::RESTART_CAUSE).await
    }

    async fn power_on_hours(&self) -> PlatformResult<u32> {
        self.get(POWER_ON_HOURS, power_on_hours::POH_COUNTER).await
    }
}
