//! What PEF can do, when it waits, and how far it is (IPMI v2.0 §30.1, §30.2, §30.5, §30.6).

use std::sync::Arc;
use std::time::{Duration, Instant};

use ipmi_proto::codec::Zero;
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::configuration::FILTERS;
use super::filter::Actions;
use super::{PefProvider, Platform};
use crate::model::persistent::lock;
use crate::request::command::{Command, Registrar, Resource};
use crate::request::context::Context;

const GET_PEF_CAPABILITIES: Command =
    Command::standard(NetFn::SENSOR_EVENT, 0x10, Privilege::User, "Get PEF Capabilities");
const ARM_PEF_POSTPONE_TIMER: Command = Command::standard(
    NetFn::SENSOR_EVENT,
    0x11,
    Privilege::Administrator,
    "Arm PEF Postpone Timer",
)
.changes(Resource::PEF);
const SET_LAST_PROCESSED_EVENT_ID: Command = Command::standard(
    NetFn::SENSOR_EVENT,
    0x14,
    Privilege::Administrator,
    "Set Last Processed Event ID",
)
.changes(Resource::PEF);
const GET_LAST_PROCESSED_EVENT_ID: Command = Command::standard(
    NetFn::SENSOR_EVENT,
    0x15,
    Privilege::Administrator,
    "Get Last Processed Event ID",
);

/// Version 1.5, least significant digit first.
const VERSION: u8 = 0x51;
/// The postpone timer: off, PEF off until it is set again, tell what is left.
const DISARM: u8 = 0x00;
const UNTIL_SET: u8 = 0xfe;
const TELL: u8 = 0xff;
/// "For ever", for a daemon.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);
/// No record.
const NONE: u16 = 0xffff;

impl<P: Platform> PefProvider<P> {
    pub(super) fn register_commands(self: &Arc<Self>, table: &mut Registrar<'_>) {
        table.add(GET_PEF_CAPABILITIES, self, Self::get_pef_capabilities);
        table.add(ARM_PEF_POSTPONE_TIMER, self, Self::arm_pef_postpone_timer);
        table.add(SET_LAST_PROCESSED_EVENT_ID, self, Self::set_last_processed_event_id);
        table.add(GET_LAST_PROCESSED_EVENT_ID, self, Self::get_last_processed_event_id);
    }

    /// Get PEF Capabilities (IPMI v2.0 §30.1): version, actions, filters.
    async fn get_pef_capabilities(
        self: Arc<Self>,
        _: Context,
    ) -> Result<(u8, u8, u8), CompletionCode> {
        Ok((VERSION, Actions::SUPPORTED, FILTERS))
    }

    /// Arm PEF Postpone Timer (IPMI v2.0 §30.2): events wait for so many seconds, so that software can
    /// handle them first; gives what the timer stands at.
    async fn arm_pef_postpone_timer(
        self: Arc<Self>,
        _: Context,
        seconds: u8,
    ) -> Result<u8, CompletionCode> {
        let mut postponed = lock(&self.postponed);
        let now = Instant::now();
        match seconds {
            TELL => {}
            DISARM => *postponed = None,
            UNTIL_SET => *postponed = Some((now + FOR_EVER, UNTIL_SET)),
            seconds => *postponed = Some((now + Duration::from_secs(seconds.into()), seconds)),
        }
        let left = postponed.map_or(0, |(until, armed)| match armed {
            UNTIL_SET => UNTIL_SET,
            _ => {
                let left = until.saturating_duration_since(now);
                u8::try_from(left.as_secs()).unwrap_or(u8::MAX)
            }
        });
        drop(postponed);
        self.changed.notify_one();
        Ok(left)
    }

    /// Set Last Processed Event ID (IPMI v2.0 §30.5): by the BMC when bit 0 is set, else by software. FFFFh
    /// is the newest record there is now.
    async fn set_last_processed_event_id(
        self: Arc<Self>,
        _: Context,
        by: (bool, Zero<7>),
        record: u16,
    ) -> Result<(), CompletionCode> {
        let (by_bmc, _) = by;
        self.follow_clears().await;
        let record = match record {
            NONE => self.newest(),
            id => id,
        };
        self.parameters
            .update(|kept| {
                let place =
                    if by_bmc { &mut kept.processed } else { &mut kept.processed_by_software };
                *place = record;
            })
            .await?;
        self.changed.notify_one();
        Ok(())
    }

    /// Get Last Processed Event ID (IPMI v2.0 §30.6): time of the last addition to the log, its last
    /// record, and the ones that software and the BMC handled last.
    async fn get_last_processed_event_id(
        self: Arc<Self>,
        _: Context,
    ) -> Result<(u32, u16, u16, u16), CompletionCode> {
        self.follow_clears().await;
        let parameters = self.parameters.get();
        let last = match self.newest() {
            0 => NONE,
            id => id,
        };
        Ok((
            self.parts.sel.info().last_add,
            last,
            parameters.processed_by_software,
            parameters.processed,
        ))
    }
}
