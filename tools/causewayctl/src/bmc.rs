//! Users, channels and cipher suites of the BMC, through `ipmid`'s own commands with the codec that it uses.

use std::pin::Pin;

use ipmi_proto::codec::{self, Bits, Decode, Encode, Ignored, Remaining, Zero};
use ipmi_proto::{
    AccessMode, ChannelNumber, ChannelProtocol, CompletionCode, Lun, Medium, NetFn, Privilege,
    Request, ResponseBody, SessionSupport,
};
use openbmc_dbus::client::ObjectAt;
use openbmc_dbus::execute::CHANNEL_PREFIX;
use openbmc_dbus::ipmi::session_info;
use zeroize::Zeroizing;

use crate::bus::{Bus, Options};
use crate::cli::Global;
use crate::error::Error;

/// The least and most bytes of a password (IPMI v2.0 §22.30).
const SHORT_PASSWORD: usize = 16;
pub(crate) const LONG_PASSWORD: usize = 20;
/// The most bytes of a user name.
const NAME: usize = 16;
/// "No access" in place of a privilege.
const NO_ACCESS: u8 = 0x0f;

/// The BMC.
#[derive(Debug)]
pub(crate) struct Bmc {
    pub(crate) bus: Bus,
}

/// A channel (Get Channel Info, IPMI v2.0 §22.24).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channel {
    pub(crate) number: ChannelNumber,
    pub(crate) medium: u8,
    pub(crate) protocol: u8,
    pub(crate) sessions: SessionSupport,
    pub(crate) active: u8,
}

impl Channel {
    pub(crate) fn has_sessions(&self) -> bool {
        self.sessions != SessionSupport::SessionLess
    }

    pub(crate) fn medium(&self) -> &'static str {
        Medium::new(self.medium).map_or("unknown", Medium::name)
    }

    pub(crate) fn protocol(&self) -> &'static str {
        ChannelProtocol::new(self.protocol).map_or("unknown", ChannelProtocol::name)
    }
}

/// Which setting of a channel's access.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Setting {
    /// What it is after a restart.
    NonVolatile = 1,
    /// What it is now.
    Volatile = 2,
}

/// Channel access (IPMI v2.0 §22.22).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ChannelAccess {
    pub(crate) mode: AccessMode,
    pub(crate) user_auth_off: bool,
    pub(crate) message_auth_off: bool,
    pub(crate) alerting_off: bool,
    pub(crate) privilege: Option<Privilege>,
}

/// A user's access to a channel (IPMI v2.0 §22.26).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct UserAccess {
    /// `None`: no access.
    pub(crate) privilege: Option<Privilege>,
    pub(crate) messaging: bool,
    pub(crate) link_authentication: bool,
    pub(crate) callback_only: bool,
}

/// What Get User Access says beside the access.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserState {
    /// The highest user id.
    pub(crate) ids: u8,
    pub(crate) enabled: bool,
    pub(crate) access: UserAccess,
}

/// What Set User Password does.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum PasswordOperation {
    Disable = 0,
    Enable = 1,
    Set = 2,
}

/// Two numbers of six bits, each with two more bits.
type Counts = ((Bits<6>, Bits<2>), (Bits<6>, Bits<2>), (Bits<6>, Bits<2>));
type ModeBits = (Bits<3>, bool, bool, bool);

/// A request under way.
type Exchange<'a> = Pin<Box<dyn Future<Output = Result<ResponseBody, Error>> + 'a>>;

impl Bmc {
    pub(crate) async fn connect(global: &Global) -> Result<Self, Error> {
        Ok(Self { bus: Bus::connect(global).await? })
    }

    /// Sends a request, and takes its response apart. `what` says what it does, for the error.
    pub(crate) async fn ask<T: Decode>(
        &self,
        what: &str,
        (netfn, command): (NetFn, u8),
        data: &(impl Encode + ?Sized),
    ) -> Result<Result<T, CompletionCode>, Error> {
        let response = self.exchange(netfn, command, codec::encode(data)).await?;
        if response.completion != CompletionCode::OK {
            return Ok(Err(response.completion));
        }
        codec::decode(&response.data).map(Ok).map_err(|error| {
            Error::failed(format_args!("cannot {what}: ipmid's response: {error}"))
        })
    }

    /// Sends a request. Not generic, and in a box, so that its code exists once.
    fn exchange(&self, netfn: NetFn, command: u8, data: Vec<u8>) -> Exchange<'_> {
        Box::pin(async move {
            let request = Request { netfn, lun: Lun::BMC, command, data };
            let response = self.bus.execute(&request, &Options::new()).await;
            // It may hold a password.
            drop(Zeroizing::new(request.data));
            response
        })
    }

    /// The same where any completion code but 00h is an error.
    async fn must<T: Decode>(
        &self,
        what: &str,
        command: (NetFn, u8),
        data: &(impl Encode + ?Sized),
    ) -> Result<T, Error> {
        self.ask(what, command, data).await?.map_err(|completion| refused(what, completion))
    }

    /// All channels.
    pub(crate) async fn channels(&self) -> Result<Vec<Channel>, Error> {
        type Info = (u8, u8, u8, (Bits<6>, Bits<2>), [u8; 3], [u8; 2]);
        let mut channels = Vec::new();
        // Eh is the channel that the request came on.
        let numbers = (0..=0x0f).filter(|number| *number != 0x0e).filter_map(ChannelNumber::new);
        for number in numbers {
            let request = (number, Zero::<4>);
            let info = self.ask("read a channel", (NetFn::APP, 0x42), &request).await?;
            let (_, medium, protocol, (active, sessions), ..): Info = match info {
                Ok(info) => info,
                Err(CompletionCode::INVALID_DATA_FIELD) => continue,
                Err(completion) => return Err(refused("list channels", completion)),
            };
            let sessions =
                SessionSupport::new(sessions.value()).unwrap_or(SessionSupport::SessionLess);
            channels.push(Channel { number, medium, protocol, sessions, active: active.value() });
        }
        Ok(channels)
    }

    /// The number of the LAN channel `name`, by its bridge.
    pub(crate) async fn channel_of(&self, name: &str) -> Result<ChannelNumber, Error> {
        let path = format!("{}/{}/0", session_info::ROOT, name.replace('-', "_"));
        let zero = ObjectAt::new(format!("{CHANNEL_PREFIX}{name}"), path);
        let number = self.bus.client().get(&zero, session_info::CHANNEL_NUM).await;
        let number = number.map_err(|error| {
            Error::failed(format_args!(
                "the bridge of channel {name} does not say its number: {error}"
            ))
            .remedy(format_args!("systemctl status 'netipmid@*'"))
        })?;
        ChannelNumber::new(number)
            .ok_or_else(|| Error::failed(format_args!("{number} is no number of a channel")))
    }

    /// The channels with sessions: all, or the one of this number.
    pub(crate) async fn session_channels(
        &self,
        number: Option<ChannelNumber>,
    ) -> Result<Vec<Channel>, Error> {
        let mut channels = self.channels().await?;
        channels.retain(|channel| {
            channel.has_sessions() && number.is_none_or(|number| number == channel.number)
        });
        match (number, channels.is_empty()) {
            (Some(number), true) => {
                let number = number.value();
                Err(Error::failed(format_args!("channel {number} is no channel with sessions"))
                    .remedy("causewayctl channel list"))
            }
            (None, true) => Err(Error::failed("no channel with sessions is configured")
                .remedy("add a [[channel]] of medium \"lan\" to causeway.toml")),
            _ => Ok(channels),
        }
    }

    pub(crate) async fn channel_access(
        &self,
        channel: ChannelNumber,
        setting: Setting,
    ) -> Result<ChannelAccess, Error> {
        let request = (channel, Zero::<4>, Zero::<6>, Bits::<2>::low(setting as u8));
        let what = "read channel access";
        let (mode, _, privilege, _): (ModeBits, Ignored<2>, Bits<4>, Ignored<4>) =
            self.must(what, (NetFn::APP, 0x41), &request).await?;
        let (mode, user_auth_off, message_auth_off, alerting_off) = mode;
        Ok(ChannelAccess {
            mode: AccessMode::new(mode.value()).unwrap_or(AccessMode::Disabled),
            user_auth_off,
            message_auth_off,
            alerting_off,
            privilege: Privilege::new(privilege.value()),
        })
    }

    pub(crate) async fn set_channel_access(
        &self,
        channel: ChannelNumber,
        setting: Setting,
        access: ChannelAccess,
    ) -> Result<(), Error> {
        let which = Bits::<2>::low(setting as u8);
        let mode: ModeBits = (
            Bits::low(access.mode.value()),
            access.user_auth_off,
            access.message_auth_off,
            access.alerting_off,
        );
        // A limit that is no level is left as it is.
        let limit = access.privilege.map_or(0, Privilege::value);
        let limits = if access.privilege.is_some() { which } else { Bits::low(0) };
        let request =
            ((channel, Zero::<4>), (mode, which), (Bits::<4>::low(limit), Zero::<2>, limits));
        self.must("set channel access", (NetFn::APP, 0x40), &request).await
    }

    /// A user's state, and access to `channel`.
    pub(crate) async fn user(&self, channel: ChannelNumber, id: u8) -> Result<UserState, Error> {
        type Access = (Bits<4>, (bool, bool, bool), bool);
        let request = ((channel, Zero::<4>), (Bits::<6>::low(id), Zero::<2>));
        let what = format!("read user {id}");
        let (counts, (limit, flags, _)): (Counts, Access) =
            self.must(&what, (NetFn::APP, 0x44), &request).await?;
        let ((ids, _), (_, state), _) = counts;
        let (messaging, link_authentication, callback_only) = flags;
        Ok(UserState {
            ids: ids.value(),
            enabled: state.value() == 1,
            access: UserAccess {
                privilege: Privilege::new(limit.value()),
                messaging,
                link_authentication,
                callback_only,
            },
        })
    }

    /// A user's name; empty for an id without a user.
    pub(crate) async fn user_name(&self, id: u8) -> Result<String, Error> {
        let request = (Bits::<6>::low(id), Zero::<2>);
        let what = format!("read the name of user {id}");
        let name: [u8; NAME] = self.must(&what, (NetFn::APP, 0x46), &request).await?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    /// Names a user; the empty name removes it.
    pub(crate) async fn set_user_name(&self, id: u8, name: &str) -> Result<(), Error> {
        let mut bytes = [0; NAME];
        let Some(start) = bytes.get_mut(..name.len()) else {
            return Err(Error::usage(format_args!("a user name has at most {NAME} bytes")));
        };
        start.copy_from_slice(name.as_bytes());
        let request = ((Bits::<6>::low(id), Zero::<2>), bytes);
        let what = format!("set the name of user {id}");
        self.must(&what, (NetFn::APP, 0x45), &request).await
    }

    /// Sets a password; one of at most 16 bytes is good for clients that know IPMI 1.5 only.
    pub(crate) async fn set_password(&self, id: u8, password: &[u8]) -> Result<(), Error> {
        let is_long = password.len() > SHORT_PASSWORD;
        let mut bytes = Zeroizing::new(password.to_vec());
        bytes.resize(if is_long { LONG_PASSWORD } else { SHORT_PASSWORD }, 0);
        let what = format!("set the password of user {id}");
        self.password(&what, id, PasswordOperation::Set, is_long, &bytes).await
    }

    pub(crate) async fn enable(&self, id: u8, enabled: bool) -> Result<(), Error> {
        let (verb, operation) = match enabled {
            true => ("enable", PasswordOperation::Enable),
            false => ("disable", PasswordOperation::Disable),
        };
        self.password(&format!("{verb} user {id}"), id, operation, false, &[]).await
    }

    /// Set User Password (IPMI v2.0 §22.30).
    async fn password(
        &self,
        what: &str,
        id: u8,
        operation: PasswordOperation,
        is_long: bool,
        password: &[u8],
    ) -> Result<(), Error> {
        let operation = Bits::<2>::low(operation as u8);
        let request = ((Bits::<6>::low(id), Zero::<1>, is_long), (operation, Zero::<6>), password);
        self.must(what, (NetFn::APP, 0x47), &request).await
    }

    pub(crate) async fn set_user_access(
        &self,
        channel: ChannelNumber,
        id: u8,
        access: UserAccess,
    ) -> Result<(), Error> {
        let flags = (access.messaging, access.link_authentication, access.callback_only);
        let limit = access.privilege.map_or(NO_ACCESS, Privilege::value);
        let request = (
            (channel, flags, true),
            (Bits::<6>::low(id), Zero::<2>),
            (Bits::<4>::low(limit), Zero::<4>),
        );
        let what = format!("set the access of user {id}");
        self.must(&what, (NetFn::APP, 0x43), &request).await
    }

    /// The records of the cipher suites of a channel (Get Channel Cipher Suites, IPMI v2.0 §22.15).
    pub(crate) async fn cipher_suite_records(
        &self,
        channel: ChannelNumber,
    ) -> Result<Vec<u8>, Error> {
        const BLOCK: usize = 16;
        let mut records = Vec::new();
        for index in 0..0x40 {
            let request = ((channel, Zero::<4>), 0_u8, (Bits::<6>::low(index), Zero::<1>, true));
            let what = "list cipher suites";
            let (_, block): (u8, Remaining) = self.must(what, (NetFn::APP, 0x54), &request).await?;
            records.extend(block.as_bytes());
            if block.as_bytes().len() < BLOCK {
                break;
            }
        }
        Ok(records)
    }

    /// A LAN parameter's bytes after its revision (IPMI v2.0 §23.2); `None` where there is none.
    pub(crate) async fn lan_parameter(
        &self,
        channel: ChannelNumber,
        parameter: u8,
    ) -> Result<Option<Vec<u8>>, Error> {
        self.parameter("read a LAN parameter", (NetFn::TRANSPORT, 0x02), channel, parameter).await
    }

    /// A SOL parameter's bytes after its revision (IPMI v2.0 §26.3); `None` where there is none.
    #[cfg(feature = "sol")]
    pub(crate) async fn sol_parameter(
        &self,
        channel: ChannelNumber,
        parameter: u8,
    ) -> Result<Option<Vec<u8>>, Error> {
        self.parameter("read a SOL parameter", (NetFn::TRANSPORT, 0x22), channel, parameter).await
    }

    async fn parameter(
        &self,
        what: &str,
        command: (NetFn, u8),
        channel: ChannelNumber,
        parameter: u8,
    ) -> Result<Option<Vec<u8>>, Error> {
        let request = ((channel, Zero::<4>), parameter, 0_u8, 0_u8);
        let answer = self.ask(what, command, &request).await?;
        Ok(answer.ok().map(|(_, data): (u8, Remaining)| data.into()))
    }
}

/// A request that `ipmid` refuses.
fn refused(what: &str, completion: CompletionCode) -> Error {
    let error = Error::failed(format_args!("cannot {what}: {completion} {}", completion.text()));
    match completion {
        CompletionCode::DESTINATION_UNAVAILABLE => error.remedy(
            "a channel INTRABMC in causeway.toml, and root or a user of [ipmid] callers: docs/dbus.md",
        ),
        CompletionCode::NOT_IN_PRESENT_STATE | CompletionCode::TIMEOUT => {
            error.remedy("journalctl -u ipmid")
        }
        _ => error,
    }
}
