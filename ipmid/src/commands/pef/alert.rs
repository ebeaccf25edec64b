//! Alerts: traps to LAN destinations, retried until they are acknowledged (IPMI v2.0 §17.11,
//! §30.7, §30.8).

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use accounts::Setting;
use ipmi_proto::codec::{Bits, Zero};
use ipmi_proto::pet::Trap;
use ipmi_proto::sel::{Event, GeneratorId};
use ipmi_proto::{ChannelNumber, CompletionCode, NetFn, Privilege};
use tokio::net::UdpSocket;
use tokio::time;
use tracing::debug;

use super::configuration::{Policy, string as alert_string};
use super::{PefProvider, Platform};
use crate::model::lan::{Destination, DestinationKind};
use crate::model::persistent::lock;
use crate::request::command::Registrar;
use crate::request::context::Context;

/// `81h`: an alert is in progress already.
const ALERT_IN_PROGRESS: CompletionCode = CompletionCode(0x81);
/// What Alert Immediate does (byte 2, bits 7:6).
const INITIATE: u8 = 0;
const GET_STATUS: u8 = 1;
const CLEAR_STATUS: u8 = 2;
/// Alert status: none, ended normally, failed, in progress.
const NO_STATUS: u8 = 0x00;
const ENDED: u8 = 0x01;
const FAILED: u8 = 0x02;
const UNDER_WAY: u8 = 0xff;
/// Policy rules after a successful alert (Table 17-4): always send; skip this entry; stop the set; skip to the next
/// entry of another channel; skip to the next entry of another destination type.
const ALWAYS: u8 = 0;
const STOP: u8 = 2;
const ANOTHER_CHANNEL: u8 = 3;
const ANOTHER_TYPE: u8 = 4;

/// The event that Alert Immediate may be of: generator, then the event's seven bytes.
type GivenEvent = (u8, [u8; Event::LENGTH]);

impl<P: Platform> PefProvider<P> {
    pub(super) fn register_alert(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, Callback};
        let mut rows = table.rows(NetFn::SENSOR_EVENT, self);
        rows.add(0x16, Administrator, "Alert Immediate", Self::alert_immediate);
        rows.add(0x17, Callback, "PET Acknowledge", Self::pet_acknowledge);
    }

    /// Alert Immediate (IPMI v2.0 §30.7): sends a trap to one destination, with the given event and
    /// alert string if any; or reads or clears the status of the last alert.
    ///
    /// # Errors
    ///
    /// - `81h` while an alert is in progress.
    /// - `CCh` for a reserved operation, or a destination that is not a trap's; `C9h` for a string that does
    ///   not exist.
    async fn alert_immediate(
        self: Arc<Self>,
        context: Context,
        channel: (ChannelNumber, Bits<4>),
        what: (Bits<4>, Zero<2>, Bits<2>),
        (string, with_string): (Bits<7>, bool),
        given: Option<GivenEvent>,
    ) -> Result<Option<u8>, CompletionCode> {
        let (destination, _, operation) = what;
        match operation.value() {
            GET_STATUS => return Ok(Some(*lock(&self.immediate))),
            CLEAR_STATUS => {
                *lock(&self.immediate) = NO_STATUS;
                return Ok(None);
            }
            INITIATE => {}
            _ => return Err(CompletionCode::INVALID_DATA_FIELD),
        }
        let channel = context.resolve(channel.0);
        let (to, community) = self.destination(channel, destination.value());
        if to.kind != DestinationKind::Pet || to.address.is_unspecified() {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        let text = if with_string {
            self.parameters.get().string(alert_string(string.value())?)
        } else {
            Vec::new()
        };
        if std::mem::replace(&mut *lock(&self.immediate), UNDER_WAY) == UNDER_WAY {
            return Err(ALERT_IN_PROGRESS);
        }
        let (generator, event) = given.unwrap_or((0x20, [Event::REVISION, 0, 0, 0, 0, 0, 0]));
        let generator = GeneratorId(generator.into());
        let (now, event) = (self.deps.clock.now(), Event::from_bytes(event));
        let trap = self.trap(now, generator, event, 0);
        let trap = Trap { text, ..trap };
        tokio::spawn(async move {
            let sent = self.send(&to, &community, trap).await;
            *lock(&self.immediate) = if sent { ENDED } else { FAILED };
        });
        Ok(None)
    }

    /// PET Acknowledge (IPMI v2.0 §30.8): the trap's sequence, time, source, sensor and data; the sequence
    /// says which it is.
    async fn pet_acknowledge(
        self: Arc<Self>,
        _: Context,
        sequence: [u8; 2],
        _time: u32,
        _source: [u8; 3],
        _data: [u8; 3],
    ) -> Result<(), CompletionCode> {
        self.acknowledged.send_replace(u16::from_be_bytes(sequence));
        Ok(())
    }

    /// Sends a trap to the destinations of a policy set (§17.11, Table 17-4), with the alert string that each
    /// policy has for the filter.
    pub(super) async fn alert_by(&self, policies: Vec<Policy>, filter: u8, trap: Trap) {
        let mut succeeded = false;
        // The channel or destination type that a rule skips.
        let (mut passed_channel, mut passed_kind) = (None, None);
        for policy in policies {
            let Some(channel) = ChannelNumber::new(policy.channel()) else {
                continue;
            };
            let (to, community) = self.destination(channel, policy.destination());
            if passed_channel == Some(channel) || passed_kind == Some(to.kind) {
                continue;
            }
            (passed_channel, passed_kind) = (None, None);
            match policy.rule() {
                STOP if succeeded => return,
                rule if succeeded && rule != ALWAYS => {
                    passed_channel = (rule == ANOTHER_CHANNEL).then_some(channel);
                    passed_kind = (rule == ANOTHER_TYPE).then_some(to.kind);
                }
                _ => {
                    let text = self.parameters.get().string_of(policy, filter);
                    let trap = Trap { text, ..trap.clone() };
                    succeeded = to.kind == DestinationKind::Pet
                        && self.may_alert(channel)
                        && self.send(&to, &community, trap).await;
                }
            }
        }
    }

    /// Whether PEF may send alerts over a channel: Set Channel Access (IPMI v2.0 §22.22) says so.
    fn may_alert(&self, channel: ChannelNumber) -> bool {
        let accounts = self.deps.accounts.snapshot();
        let access = accounts.channel_access(channel, Setting::Volatile);
        access.is_none_or(|access| !access.alerting_disabled)
    }

    /// A channel's destination and its community string.
    fn destination(&self, channel: ChannelNumber, number: u8) -> (Destination, String) {
        let lan = self.deps.lan.get();
        let mut all = lan.destinations(channel.value()).into_iter();
        let to = all.nth(usize::from(number)).unwrap_or_default();
        (to, lan.community(channel.value()))
    }

    /// A trap of an event, with the next sequence number.
    pub(super) fn trap(
        &self,
        timestamp: u32,
        generator: GeneratorId,
        event: Event,
        severity: u8,
    ) -> Trap {
        let sequence = {
            let mut sequence = lock(&self.sequence);
            *sequence = sequence.wrapping_add(1).max(1);
            *sequence
        };
        let (manufacturer, product) = self.deps.manufacturer;
        Trap {
            guid: self.parameters.get().guid().unwrap_or_default(),
            sequence,
            timestamp,
            utc_offset: self.deps.clock.utc_offset(),
            severity,
            generator,
            event,
            manufacturer,
            product,
            agent: Ipv4Addr::UNSPECIFIED.octets(),
            text: Vec::new(),
        }
    }

    /// Sends a trap with the destination's retries. True if it was acknowledged, or sent where no acknowledgement is
    /// configured.
    async fn send(&self, to: &Destination, community: &str, mut trap: Trap) -> bool {
        let address = to.address;
        if address.is_unspecified() {
            return false;
        }
        if self.parameters.get().guid().is_none() {
            trap.guid = self.platform.system_uuid().await.unwrap_or_default();
        }
        let mut acknowledged = self.acknowledged.subscribe();
        for _ in 0..=to.retries {
            if let Err(error) = self.transmit(address, community, &mut trap).await {
                debug!(%error, %address, "cannot send a trap: the alert has failed");
                return false;
            }
            let interval = Duration::from_secs(to.timeout.into());
            if to.acknowledged {
                let answer = acknowledged.wait_for(|sequence| *sequence == trap.sequence);
                if time::timeout(interval, answer).await.is_ok() {
                    return true;
                }
            } else if to.retries > 0 {
                time::sleep(interval).await;
            }
        }
        !to.acknowledged
    }

    async fn transmit(
        &self,
        address: Ipv4Addr,
        community: &str,
        trap: &mut Trap,
    ) -> std::io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        socket.connect((address, self.deps.config.get().trap_port)).await?;
        if let std::net::IpAddr::V4(own) = socket.local_addr()?.ip() {
            trap.agent = own.octets();
        }
        socket.send(&trap.to_bytes(community)).await?;
        Ok(())
    }
}
