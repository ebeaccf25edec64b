//! LAN configuration parameters and statistics (IPMI v2.0 §23.1, §23.2, §23.4).
//!
//! What the network service has is read from it and written to it at once; users' settings are the
//! accounts'; the rest is kept here. A parameter takes effect when it is set, so that "set in
//! progress" only keeps two clients apart, and there is nothing to roll back.

mod alerts;
mod ipv4;
mod ipv6;
mod security;
mod statistics;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use accounts::{AccountError, Snapshot, UserAdmin};
use ipmi_proto::{
    ChannelNumber, CompletionCode, Medium, NetFn, Privilege,
    codec::{Bits, Ignored, Remaining},
};
use tokio::task;

use crate::{
    command::{Command, Registrar},
    context::Context,
    platform::{Network, PlatformError},
    state::{Persistent, lock},
    stores::lan::{ChannelState, LanState},
};

const SET_LAN_CONFIGURATION_PARAMETERS: Command = Command::standard(
    NetFn::TRANSPORT,
    0x01,
    Privilege::Administrator,
    "Set LAN Configuration Parameters",
);
const GET_LAN_CONFIGURATION_PARAMETERS: Command = Command::standard(
    NetFn::TRANSPORT,
    0x02,
    Privilege::Operator,
    "Get LAN Configuration Parameters",
);
const GET_IP_UDP_RMCP_STATISTICS: Command = Command::standard(
    NetFn::TRANSPORT,
    0x04,
    Privilege::User,
    "Get IP/UDP/RMCP Statistics",
);

/// `80h`: parameter not supported.
const PARAMETER_NOT_SUPPORTED: CompletionCode = CompletionCode(0x80);
/// `81h`: set in progress already.
const SET_IN_PROGRESS: CompletionCode = CompletionCode(0x81);
/// `82h`: parameter is read-only.
const READ_ONLY: CompletionCode = CompletionCode(0x82);

/// Version of the parameters' layout.
const PARAMETER_VERSION: u8 = 0x11;
const PARAM_SET_IN_PROGRESS: u8 = 0;

/// What a parameter reads as, or what came of setting it.
type Data = Result<Vec<u8>, CompletionCode>;
type Done = Result<(), CompletionCode>;

/// The LAN commands and what they keep between requests.
pub struct LanProvider<P> {
    platform: Arc<P>,
    accounts: Arc<dyn UserAdmin>,
    sessions: LanSessions,
    state: Arc<Persistent<LanState>>,
    /// Channels whose parameters somebody is setting.
    in_progress: Mutex<BTreeSet<u8>>,
    cleared: Mutex<crate::platform::IpCounters>,
}

/// How sessions over LAN may be opened, as the configuration has it.
#[derive(Clone, Debug)]
pub struct LanSessions {
    /// Ids of the cipher suites of RMCP+.
    pub cipher_suites: Vec<u8>,
    /// Authentication types of IPMI 1.5, each a bit by its number.
    pub auth_types: u8,
}

/// A LAN channel.
#[derive(Clone, Debug)]
struct Lan {
    number: ChannelNumber,
    name: String,
}

impl<P: Network> LanProvider<P> {
    /// Over the network of `platform` and these accounts, with the rest in `state`.
    #[must_use]
    pub fn new(
        platform: Arc<P>,
        accounts: Arc<dyn UserAdmin>,
        sessions: LanSessions,
        state: Arc<Persistent<LanState>>,
    ) -> Arc<Self> {
        let (in_progress, cleared) = Default::default();
        Arc::new(Self {
            platform,
            accounts,
            sessions,
            state,
            in_progress,
            cleared,
        })
    }

    /// Adds its commands.
    pub fn register(self: &Arc<Self>, table: &mut Registrar<'_>) {
        table.add(
            SET_LAN_CONFIGURATION_PARAMETERS,
            self,
            Self::set_lan_configuration_parameters,
        );
        table.add(
            GET_LAN_CONFIGURATION_PARAMETERS,
            self,
            Self::get_lan_configuration_parameters,
        );
        table.add(
            GET_IP_UDP_RMCP_STATISTICS,
            self,
            Self::get_ip_udp_rmcp_statistics,
        );
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.accounts.snapshot()
    }

    fn lan(&self, context: &Context, channel: ChannelNumber) -> Result<Lan, CompletionCode> {
        let number = context.resolve(channel);
        self.snapshot()
            .channels()
            .get(number)
            .filter(|channel| channel.medium == Medium::Lan)
            .map(|channel| Lan {
                number,
                name: channel.name.clone(),
            })
            .ok_or(CompletionCode::INVALID_DATA_FIELD)
    }

    fn kept<R>(&self, lan: &Lan, look: impl FnOnce(&ChannelState) -> R) -> R {
        self.state
            .look(|state| match state.channel(lan.number.value()) {
                Some(kept) => look(kept),
                None => look(&ChannelState::default()),
            })
    }

    async fn keep(&self, lan: &Lan, change: impl FnOnce(&mut ChannelState)) -> Done {
        let number = lan.number.value();
        self.state
            .update(|state| change(state.channel_mut(number)))
            .await
    }

    async fn administer(
        &self,
        act: impl FnOnce(&dyn UserAdmin) -> Result<(), AccountError> + Send + 'static,
    ) -> Done {
        let accounts = Arc::clone(&self.accounts);
        match task::spawn_blocking(move || act(accounts.as_ref())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.is_full() => Err(CompletionCode::OUT_OF_SPACE),
            Ok(Err(_)) | Err(_) => Err(CompletionCode::UNSPECIFIED),
        }
    }

    /// Set LAN Configuration Parameters (IPMI v2.0 §23.1, Table 23-4).
    ///
    /// # Errors
    ///
    /// `80h` for a parameter that there is not, `81h` for an update while one is in progress,
    /// `82h` for one that can only be read; `CCh` for a channel that is no LAN.
    async fn set_lan_configuration_parameters(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
        parameter: u8,
        data: Remaining,
    ) -> Result<(), CompletionCode> {
        let lan = self.lan(&context, channel)?;
        match parameter {
            PARAM_SET_IN_PROGRESS => self.set_progress(&lan, &data),
            1 | 2 | 22..=24 | 26 => self.set_security(&lan, parameter, &data).await,
            3..=15 | 20 | 21 => self.set_ipv4(&lan, parameter, &data).await,
            16..=19 | 25 => self.set_alerts(&lan, parameter, &data).await,
            50..=80 => self.set_ipv6(&lan, parameter, &data).await,
            _ => Err(PARAMETER_NOT_SUPPORTED),
        }
    }

    /// Get LAN Configuration Parameters (IPMI v2.0 §23.2): layout version; unless that alone is
    /// asked for, the parameter.
    ///
    /// # Errors
    ///
    /// `80h` for a parameter that there is not; `CCh` for a channel that is no LAN.
    async fn get_lan_configuration_parameters(
        self: Arc<Self>,
        context: Context,
        (channel, _, revision_only): (ChannelNumber, Ignored<3>, bool),
        parameter: u8,
        set_selector: u8,
        _block_selector: u8,
    ) -> Result<(u8, Remaining), CompletionCode> {
        let lan = self.lan(&context, channel)?;
        if revision_only {
            return Ok((PARAMETER_VERSION, Remaining::default()));
        }
        let data = match parameter {
            PARAM_SET_IN_PROGRESS => {
                vec![u8::from(
                    lock(&self.in_progress).contains(&lan.number.value()),
                )]
            }
            1 | 2 | 22..=24 | 26 => self.security(&lan, parameter)?,
            3..=15 | 20 | 21 => self.ipv4(&lan, parameter).await?,
            16..=19 | 25 => self.alerts(&lan, parameter, set_selector)?,
            50..=80 => self.ipv6(&lan, parameter, set_selector).await?,
            _ => return Err(PARAMETER_NOT_SUPPORTED),
        };
        Ok((PARAMETER_VERSION, data.into()))
    }

    fn set_progress(&self, lan: &Lan, data: &Remaining) -> Done {
        let (state, _): (Bits<2>, Bits<6>) = data.decode()?;
        let mut in_progress = lock(&self.in_progress);
        match state.value() {
            1 if !in_progress.insert(lan.number.value()) => Err(SET_IN_PROGRESS),
            1 => Ok(()),
            0 | 2 => {
                in_progress.remove(&lan.number.value());
                Ok(())
            }
            _ => Err(CompletionCode::INVALID_DATA_FIELD),
        }
    }
}

/// A network parameter on a machine whose network nobody manages.
fn unmanaged(error: PlatformError) -> CompletionCode {
    match error {
        PlatformError::Absent => PARAMETER_NOT_SUPPORTED,
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Family;
    pub(super) use crate::providers::bench::{Bench, answer};

    /// The LAN commands over a fake network.
    pub(super) fn bench() -> Bench {
        bench_with(LanSessions {
            cipher_suites: vec![3, 17],
            auth_types: 0,
        })
    }

    pub(super) fn bench_with(sessions: LanSessions) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let config = ::accounts::AccessConfig::default();
        let accounts =
            ::accounts::Writer::open(folder.path(), &config, Default::default()).unwrap();
        let mut bench = Bench::with(Family::NetFn(NetFn::TRANSPORT), |platform, table| {
            let state = Arc::new(Persistent::volatile());
            LanProvider::new(Arc::clone(platform), Arc::new(accounts), sessions, state)
                .register(table);
        });
        bench.folder = Some(folder);
        bench
    }

    #[tokio::test]
    async fn what_is_no_channel_or_parameter_is_refused() {
        let bench = bench();
        let refused = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(bench.send(0x02, &[0x0f, 3, 0, 0]).await, refused);
        assert_eq!(bench.send(0x02, &[0x02, 3, 0, 0]).await, refused);
        assert_eq!(
            bench.send(0x02, &[0x01, 27, 0, 0]).await,
            Err(PARAMETER_NOT_SUPPORTED)
        );
        assert_eq!(
            bench.send(0x01, &[0x01, 192, 0]).await,
            Err(PARAMETER_NOT_SUPPORTED)
        );
        assert_eq!(bench.send(0x02, &[0x81, 3, 0, 0]).await, answer(&[0x11]));
    }

    #[tokio::test]
    async fn two_clients_do_not_update_at_once() {
        let bench = bench();
        assert_eq!(bench.send(0x01, &[1, 0, 1]).await, answer(&[]));
        assert_eq!(bench.send(0x01, &[1, 0, 1]).await, Err(SET_IN_PROGRESS));
        assert_eq!(bench.send(0x02, &[1, 0, 0, 0]).await, answer(&[0x11, 1]));
        assert_eq!(bench.send(0x01, &[1, 0, 0]).await, answer(&[]));
        assert_eq!(bench.send(0x01, &[1, 0, 1]).await, answer(&[]));
    }
}
