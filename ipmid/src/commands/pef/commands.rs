//! PEF capabilities, postpone timer and last processed event (IPMI v2.0 §30.1, §30.2, §30.5, §30.6).

use std::sync::Arc;
use std::time::{Duration, Instant};

use ipmi_proto::codec::Zero;
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::configuration::FILTERS;
use super::filter::Actions;
use super::{PefProvider, Platform};
use crate::model::persistent::lock;
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// Version 1.5, least significant digit first.
const VERSION: u8 = 0x51;
/// Values of the postpone timer: disarm; PEF off until set again; read the remaining time.
const DISARM: u8 = 0x00;
const UNTIL_SET: u8 = 0xfe;
const READ: u8 = 0xff;
/// Longer than a daemon runs.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);
/// No record.
const NONE: u16 = 0xffff;

impl<P: Platform> PefProvider<P> {
    #[rustfmt::skip] // one line a command
    pub(super) fn register_commands(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, User};
        let mut rows = table.rows(NetFn::SENSOR_EVENT, self);
        rows.add(0x10, User, "Get PEF Capabilities", Self::get_pef_capabilities);
        rows.add(0x15, Administrator, "Get Last Processed Event ID", Self::get_last_processed_event_id);
        let mut rows = rows.changing(Resource::PEF);
        rows.add(0x11, Administrator, "Arm PEF Postpone Timer", Self::arm_pef_postpone_timer);
        rows.add(0x14, Administrator, "Set Last Processed Event ID", Self::set_last_processed_event_id);
    }

    /// Get PEF Capabilities (IPMI v2.0 §30.1): version, actions, filters.
    async fn get_pef_capabilities(
        self: Arc<Self>,
        _: Context,
    ) -> Result<(u8, u8, u8), CompletionCode> {
        Ok((VERSION, Actions::SUPPORTED, FILTERS))
    }

    /// Arm PEF Postpone Timer (IPMI v2.0 §30.2): events wait for so many seconds, so that software can
    /// handle them first; returns the remaining time.
    async fn arm_pef_postpone_timer(
        self: Arc<Self>,
        _: Context,
        seconds: u8,
    ) -> Result<u8, CompletionCode> {
        let mut postponed = lock(&self.postponed);
        let now = Instant::now();
        match seconds {
            READ => {}
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
            .update(|stored| {
                let place =
                    if by_bmc { &mut stored.processed } else { &mut stored.processed_by_software };
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
            self.deps.sel.info().last_add,
            last,
            parameters.processed_by_software,
            parameters.processed,
        ))
    }
}
