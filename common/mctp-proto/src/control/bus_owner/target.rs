//! One position that is asked, or one id behind a bridge.

use core::time::Duration;

use super::{Assign, Endpoint, FIRST_RETRY};
use crate::control::requester::Request;
use crate::{BusPath, Eid};

/// What a target is being asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Nothing until it is due.
    Rest,
    /// Get Endpoint ID of one that is not known.
    GetId,
    /// Nothing until the other positions have been asked: an id has to be chosen.
    AwaitOthers,
    SetId(Eid),
    /// Allocate Endpoint IDs, to learn which pool is held.
    GetPool,
    Allocate(Eid, u8),
    GetUuid,
    GetTypes,
    GetVendor(u8),
    /// Get Endpoint ID of one that is known.
    Poll,
    /// The same at the null id: it may have lost its id.
    Probe,
}

#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) path: BusPath,
    /// For one behind the bridge at `path`: its id.
    pub(super) behind: Option<Eid>,
    /// The configured id.
    pub(super) wanted: Option<Eid>,
    pub(super) assign: Assign,
    /// It is forgotten when no endpoint is found.
    pub(super) transient: bool,
    /// The id and the pool that it had before.
    pub(super) restored: Option<Eid>,
    pub(super) restored_pool: Option<(Eid, u8)>,
    /// What is known, from the first answer on.
    pub(super) found: Option<Endpoint>,
    /// Whether `found` was given out as an event.
    pub(super) published: bool,
    /// Whether its id was assigned since it was last looked for.
    pub(super) is_new: bool,
    /// Whether it has ever answered.
    pub(super) heard: bool,
    /// When its first answer is late.
    pub(super) first_due: Option<Duration>,
    /// When its message types are asked again.
    pub(super) types_due: Option<Duration>,
    pub(super) types_retry: Duration,
    pub(super) step: Step,
    pub(super) tries: u8,
    /// `None` while its request waits to be sent.
    pub(super) due: Option<Duration>,
    pub(super) instance: u8,
}

impl Target {
    pub(super) const fn new(path: BusPath) -> Self {
        Self {
            path,
            behind: None,
            wanted: None,
            assign: Assign::IfNeeded,
            transient: true,
            restored: None,
            restored_pool: None,
            found: None,
            published: false,
            is_new: false,
            heard: false,
            first_due: None,
            types_due: None,
            types_retry: FIRST_RETRY,
            step: Step::Rest,
            tries: 0,
            due: None,
            instance: 0,
        }
    }

    /// What the current step asks.
    pub(super) const fn request(&self) -> Option<Request> {
        Some(match self.step {
            Step::Rest | Step::AwaitOthers => return None,
            Step::GetId | Step::Poll | Step::Probe => Request::GetEndpointId,
            Step::SetId(eid) => Request::SetEndpointId(eid, false),
            Step::GetPool => Request::GetAllocation,
            Step::Allocate(first, size) => Request::AllocateEndpointIds(first, size, false),
            Step::GetUuid => Request::GetEndpointUuid,
            Step::GetTypes => Request::GetMessageTypeSupport,
            Step::GetVendor(selector) => Request::GetVendorMessageSupport(selector),
        })
    }

    /// The id that the current request goes to.
    pub(super) fn destination(&self) -> Eid {
        match (self.step, self.behind) {
            (_, Some(eid)) => eid,
            (Step::GetId | Step::SetId(_) | Step::Probe, None) => Eid::NULL,
            _ => self.found.as_ref().map_or(Eid::NULL, |found| found.eid),
        }
    }

    /// Whether an id is this target's, is being assigned to it, or is in its pool.
    pub(super) fn holds(&self, eid: Eid) -> bool {
        let allocating =
            matches!(self.step, Step::Allocate(first, size) if within(eid, first, size));
        let found = self.found.as_ref().is_some_and(|found| {
            let pool = found.pool.is_some_and(|(first, size)| within(eid, first, size));
            found.eid == eid || pool
        });
        self.step == Step::SetId(eid) || allocating || found
    }

    /// Whether an id was this target's, or in its pool.
    pub(super) fn had(&self, eid: Eid) -> bool {
        let pool = self.restored_pool.is_some_and(|(first, size)| within(eid, first, size));
        self.restored == Some(eid) || pool
    }
}

fn within(eid: Eid, first: Eid, size: u8) -> bool {
    first <= eid && eid.0 - first.0 < size
}
