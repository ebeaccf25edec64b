//! LAN configuration parameters and statistics (IPMI v2.0 §23.1, §23.2, §23.4).
//!
//! What the network service has is read from it and written to it at once; users' settings are the
//! accounts'; the rest is kept here. A parameter takes effect when it is set; of a client that has
//! said "set in progress", when it is committed.

mod alerts;
mod hold;
mod ipv4;
mod ipv6;
mod security;
mod statistics;

use std::sync::{Arc, Mutex};

use accounts::{AccountError, Snapshot, UserAdmin};
use ipmi_proto::codec::{Bits, Ignored, Remaining};
use ipmi_proto::{ChannelNumber, CompletionCode, Medium, NetFn, Privilege};
use tokio::task;

use crate::commands::set_in_progress::{self, SetState};
use crate::model::lan::{ChannelState, LanSessions, LanState};
use crate::model::live::Live;
use crate::model::parameter_updates::{ParameterUpdates, Parameters};
use crate::model::persistent::Persistent;
use crate::model::requester::Requester;
use crate::platform::{LinkChange, Network, PlatformError, Sessions};
use crate::request::command::{CommandError, HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// `80h`: parameter not supported.
const PARAMETER_NOT_SUPPORTED: CompletionCode = CompletionCode(0x80);
/// `82h`: parameter is read-only.
const READ_ONLY: CompletionCode = CompletionCode(0x82);

/// `C9h`: a value that a parameter cannot have. Not `CCh`, which means the same less exactly: ipmitool sends a write that
/// was answered `CCh` ten times more, with pauses of five seconds, and gives up at any other code.
const INVALID_VALUE: CompletionCode = CompletionCode::PARAMETER_OUT_OF_RANGE;

/// Version of the parameters' layout.
const PARAMETER_VERSION: u8 = 0x11;
const PARAM_SET_IN_PROGRESS: u8 = 0;

/// What a parameter reads as, or what came of setting it.
type Data = HandlerResult<Vec<u8>>;
type Done = HandlerResult<()>;

/// The LAN commands and what they keep between requests.
pub struct LanProvider<P> {
    platform: Arc<P>,
    accounts: Arc<dyn UserAdmin>,
    sessions: Live<LanSessions>,
    state: Arc<Persistent<LanState>>,
    /// Updates in progress, and what they hold.
    updates: Arc<ParameterUpdates>,
    cleared: Mutex<crate::platform::IpCounters>,
}

/// A LAN channel.
#[derive(Clone, Debug)]
struct Lan {
    number: ChannelNumber,
    name: String,
    /// Whether what is set is only looked at, and nothing changed.
    dry: bool,
}

impl Lan {
    const fn parameters(&self) -> Parameters {
        Parameters::Lan(self.number.value())
    }
}

impl<P: Network + Sessions> LanProvider<P> {
    /// Over the network of `platform` and these accounts, with the rest in `state`.
    #[must_use]
    pub fn new(
        platform: Arc<P>,
        accounts: Arc<dyn UserAdmin>,
        sessions: Live<LanSessions>,
        state: Arc<Persistent<LanState>>,
        updates: Arc<ParameterUpdates>,
    ) -> Arc<Self> {
        let cleared = Mutex::default();
        Arc::new(Self { platform, accounts, sessions, state, updates, cleared })
    }

    /// Adds its commands.
    #[rustfmt::skip] // one line a command
    pub fn register(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, Operator, User};
        let mut rows = table.rows(NetFn::TRANSPORT, self);
        rows.add(0x02, Operator, "Get LAN Configuration Parameters", Self::get_lan_configuration_parameters);
        rows.add(0x04, User, "Get IP/UDP/RMCP Statistics", Self::get_ip_udp_rmcp_statistics);
        let mut rows = rows.changing(Resource::NETWORK);
        rows.add(0x01, Administrator, "Set LAN Configuration Parameters", Self::set_lan_configuration_parameters);
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
            .map(|channel| Lan { number, name: channel.name.clone(), dry: false })
            .ok_or(CompletionCode::INVALID_DATA_FIELD)
    }

    fn read_state<R>(&self, lan: &Lan, look: impl FnOnce(&ChannelState) -> R) -> R {
        self.state.look(|state| match state.channel(lan.number.value()) {
            Some(state) => look(state),
            None => look(&ChannelState::default()),
        })
    }

    async fn update_state(
        &self,
        lan: &Lan,
        change: impl FnOnce(&mut ChannelState) -> Result<(), CompletionCode>,
    ) -> Done {
        if lan.dry {
            return Ok(self.read_state(lan, |state| change(&mut state.clone()))?);
        }
        let number = lan.number.value();
        Ok(self.state.try_update(|state| change(state.channel_mut(number))).await?)
    }

    async fn change(&self, lan: &Lan, change: LinkChange) -> Done {
        if lan.dry {
            return Ok(());
        }
        self.platform.change_link(&lan.name, change).await.map_err(unmanaged)
    }

    async fn administer(
        &self,
        lan: &Lan,
        act: impl FnOnce(&dyn UserAdmin) -> Result<(), AccountError> + Send + 'static,
    ) -> Done {
        if lan.dry {
            return Ok(());
        }
        let accounts = Arc::clone(&self.accounts);
        match task::spawn_blocking(move || act(accounts.as_ref())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.is_full() => Err(CompletionCode::OUT_OF_SPACE.into()),
            Ok(Err(_)) | Err(_) => Err(CompletionCode::UNSPECIFIED.into()),
        }
    }

    /// Set LAN Configuration Parameters (IPMI v2.0 §23.1, Table 23-4).
    ///
    /// # Errors
    ///
    /// `80h` for a parameter that there is not, `81h` for an update while one is in progress,
    /// `82h` for one that can only be read; `C9h` for a value that the parameter cannot have; `D5h` for one that it
    /// cannot have now; `CCh` for a channel that is no LAN. Commit write: that of
    /// the first write that fails, with which those after it are dropped.
    async fn set_lan_configuration_parameters(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
        parameter: u8,
        data: Remaining,
    ) -> Done {
        let lan = self.lan(&context, channel)?;
        let who = Requester::from(&context);
        if parameter == PARAM_SET_IN_PROGRESS {
            return self.set_progress(&lan, who, &data).await;
        }
        let held = self.updates.holds(lan.parameters(), who);
        let lan = Lan { dry: held, ..lan };
        self.apply(&lan, parameter, &data).await?;
        if held {
            let write = (parameter, data.into());
            self.updates.hold(lan.parameters(), who, write)?;
        }
        Ok(())
    }

    /// Sets a parameter other than Set In Progress.
    async fn apply(&self, lan: &Lan, parameter: u8, data: &Remaining) -> Done {
        match parameter {
            1 | 2 | 22..=24 | 26 => self.set_security(lan, parameter, data).await,
            3..=15 | 20 | 21 => self.set_ipv4(lan, parameter, data).await,
            16..=19 | 25 => self.set_alerts(lan, parameter, data).await,
            50..=80 => self.set_ipv6(lan, parameter, data).await,
            _ => Err(PARAMETER_NOT_SUPPORTED.into()),
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
    ) -> HandlerResult<(u8, Remaining)> {
        let lan = self.lan(&context, channel)?;
        if revision_only {
            return Ok((PARAMETER_VERSION, Remaining::default()));
        }
        let who = Requester::from(&context);
        let is_read = |write: &_| hold::is_read(write, (parameter, set_selector));
        if let Some(data) = self.updates.last_held(lan.parameters(), who, is_read) {
            let data = hold::as_read(parameter, data);
            return Ok((PARAMETER_VERSION, data.into()));
        }
        let data = match parameter {
            PARAM_SET_IN_PROGRESS => {
                let (platform, of) = (&*self.platform, lan.parameters());
                vec![set_in_progress::get(&self.updates, platform, of, &context).await]
            }
            1 | 2 | 22..=24 | 26 => self.security(&lan, parameter)?,
            3..=15 | 20 | 21 => self.ipv4(&lan, parameter).await?,
            16..=19 | 25 => self.alerts(&lan, parameter, set_selector)?,
            50..=80 => self.ipv6(&lan, parameter, set_selector).await?,
            _ => return Err(PARAMETER_NOT_SUPPORTED.into()),
        };
        Ok((PARAMETER_VERSION, data.into()))
    }

    async fn set_progress(&self, lan: &Lan, who: Requester, data: &Remaining) -> Done {
        let (progress, of) = (SetState::decode(data)?, lan.parameters());
        let updates = &self.updates;
        set_in_progress::end_of_ended_session(updates, &*self.platform, of, who).await;
        match progress {
            SetState::Complete => Ok(updates.end(of, who)?),
            SetState::InProgress => Ok(updates.begin(of, who)?),
            SetState::CommitWrite => {
                for (parameter, data) in updates.take_writes(of, who)? {
                    self.apply(lan, parameter, &data.into()).await?;
                }
                Ok(())
            }
        }
    }
}

/// Refuses reserved bits that are set: they would not be read back.
const fn reserved<const N: u32>(bits: Bits<N>) -> Result<(), CompletionCode> {
    if bits.value() == 0 { Ok(()) } else { Err(INVALID_VALUE) }
}

/// The error of a network parameter, which a machine without a network service does not have.
fn unmanaged(error: PlatformError) -> CommandError {
    match error {
        PlatformError::Absent(_) => PARAMETER_NOT_SUPPORTED.into(),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    pub(super) use crate::commands::test_support::{TestCommands, answer};
    use crate::request::command::Family;

    /// The LAN commands over a fake network.
    pub(super) fn commands() -> TestCommands {
        commands_and_updates().0
    }

    pub(super) fn commands_with(sessions: LanSessions) -> TestCommands {
        commands_of(sessions, Arc::default())
    }

    /// The same, and where its updates in progress are.
    pub(super) fn commands_and_updates() -> (TestCommands, Arc<ParameterUpdates>) {
        let updates = Arc::<ParameterUpdates>::default();
        let sessions = LanSessions { cipher_suites: vec![3, 17], auth_types: 0 };
        (commands_of(sessions, Arc::clone(&updates)), updates)
    }

    fn commands_of(sessions: LanSessions, updates: Arc<ParameterUpdates>) -> TestCommands {
        let folder = tempfile::tempdir().unwrap();
        let config = ::accounts::AccessConfig::default();
        let accounts =
            ::accounts::Writer::open(folder.path(), &config, Default::default()).unwrap();
        let mut commands =
            TestCommands::with(Family::NetFn(NetFn::TRANSPORT), |platform, table| {
                let state = Arc::new(Persistent::volatile());
                let accounts = Arc::new(accounts);
                let sessions = sessions.into();
                LanProvider::new(Arc::clone(platform), accounts, sessions, state, updates)
                    .register(table);
            });
        commands.folder = Some(folder);
        commands
    }

    #[tokio::test]
    async fn invalid_channels_and_parameters_are_refused() {
        let commands = commands();
        let refused = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x02, &[0x0f, 3, 0, 0]).await, refused);
        assert_eq!(commands.send(0x02, &[0x02, 3, 0, 0]).await, refused);
        assert_eq!(commands.send(0x02, &[0x01, 27, 0, 0]).await, Err(PARAMETER_NOT_SUPPORTED));
        assert_eq!(commands.send(0x01, &[0x01, 192, 0]).await, Err(PARAMETER_NOT_SUPPORTED));
        assert_eq!(commands.send(0x02, &[0x81, 3, 0, 0]).await, answer(&[0x11]));
    }
}
