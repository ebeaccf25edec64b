//! Set and Get SOL Configuration Parameters, 0 to 8 (IPMI v2.0 §26.2, §26.3, Table 26-5).
//!
//! They are properties of the settings service, one object for each channel, which the bridge follows; a
//! change takes effect at once, so that there is nothing to commit. The bit rates are the console
//! service's; without one they are stored here and have no effect.

use std::sync::Arc;

use accounts::ChannelTable;
use ipmi_proto::codec::{Bits, Ignored, Remaining, Zero, encode};
use ipmi_proto::{ChannelNumber, CompletionCode, NetFn, Privilege};
use serde::{Deserialize, Serialize};

use crate::commands::set_in_progress::{self, SetState};
use crate::model::parameter_updates::{ParameterUpdates, Parameters};
use crate::model::persistent::Persistent;
use crate::platform::{PlatformError, Sessions, Sol, SolChange, SolSettings};
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// `80h`: parameter not supported.
const PARAMETER_NOT_SUPPORTED: CompletionCode = CompletionCode(0x80);
/// `82h`: attempt to write a read-only parameter.
const READ_ONLY: CompletionCode = CompletionCode(0x82);

/// Present revision 1, oldest compatible revision 1.
const REVISION: u8 = 0x11;

/// The numbers of the bit rates (IPMI v2.0 §26.3, Table 26-5, parameter 5); 0 stands for "as
/// configured for IPMI over serial".
const BIT_RATES: [(u8, u64); 5] =
    [(6, 9_600), (7, 19_200), (8, 38_400), (9, 57_600), (10, 115_200)];

/// State file `sol.json`: the bit rates as set while there is no console service.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BitRates {
    non_volatile: u8,
    volatile: u8,
}

/// The SOL configuration commands.
#[derive(Debug)]
pub struct SolProvider<P> {
    platform: Arc<P>,
    /// The channels with sessions, and what they are called.
    channels: Vec<(ChannelNumber, String)>,
    bit_rates: Persistent<BitRates>,
    updates: Arc<ParameterUpdates>,
}

/// One of the parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Parameter {
    SetInProgress,
    Enable,
    Authentication,
    Accumulate,
    Retry,
    NonVolatileBitRate,
    VolatileBitRate,
    PayloadChannel,
    PayloadPort,
}

impl Parameter {
    fn new(selector: u8) -> Result<Self, CompletionCode> {
        match selector {
            0 => Ok(Self::SetInProgress),
            1 => Ok(Self::Enable),
            2 => Ok(Self::Authentication),
            3 => Ok(Self::Accumulate),
            4 => Ok(Self::Retry),
            5 => Ok(Self::NonVolatileBitRate),
            6 => Ok(Self::VolatileBitRate),
            7 => Ok(Self::PayloadChannel),
            8 => Ok(Self::PayloadPort),
            _ => Err(PARAMETER_NOT_SUPPORTED),
        }
    }
}

impl<P: Sessions + Sol> SolProvider<P> {
    /// Over `platform`, for those of `channels` that have sessions.
    #[must_use]
    pub fn new(
        platform: Arc<P>,
        channels: &ChannelTable,
        bit_rates: Persistent<BitRates>,
        updates: Arc<ParameterUpdates>,
    ) -> Arc<Self> {
        let with_sessions = channels.iter().filter(|channel| channel.has_sessions());
        let channels = with_sessions.map(|channel| (channel.number(), channel.name.clone()));
        Arc::new(Self { platform, channels: channels.collect(), bit_rates, updates })
    }

    /// Adds its commands.
    #[rustfmt::skip] // one line a command
    pub fn register(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, User};
        let mut rows = table.rows(NetFn::TRANSPORT, self);
        rows.add(0x22, User, "Get SOL Configuration Parameters", Self::get_sol_configuration_parameters);
        let mut rows = rows.changing(Resource::SOL);
        rows.add(0x21, Administrator, "Set SOL Configuration Parameters", Self::set_sol_configuration_parameters);
    }

    /// Set SOL Configuration Parameters (IPMI v2.0 §26.2).
    ///
    /// # Errors
    ///
    /// - `80h` for a parameter beyond 8, `82h` for channel and port.
    /// - `81h` when an update is in progress already.
    /// - `CCh` for a channel without sessions, and for invalid values of a parameter.
    async fn set_sol_configuration_parameters(
        self: Arc<Self>,
        context: Context,
        (channel, _): (ChannelNumber, Ignored<4>),
        selector: u8,
        data: Remaining,
    ) -> HandlerResult<()> {
        let (number, name) = self.channel(context, channel)?;
        let of = Parameters::Sol(number.value());
        let parameter = Parameter::new(selector)?;
        if parameter == Parameter::SetInProgress {
            let progress = SetState::decode(&data)?;
            let (updates, platform) = (&self.updates, &*self.platform);
            set_in_progress::set(updates, platform, of, &context, progress).await?;
            return Ok(());
        }
        self.updates.extend(of, (&context).into());
        let change = match parameter {
            Parameter::Enable => {
                let (enable, _) = data.decode::<(bool, Zero<7>)>()?;
                SolChange::Enable(enable)
            }
            Parameter::Authentication => authentication(&data)?,
            Parameter::Accumulate => {
                let (interval, threshold) = data.decode()?;
                SolChange::Accumulate { interval, threshold }
            }
            Parameter::Retry => {
                let (count, _, interval) = data.decode::<(Bits<3>, Zero<5>, u8)>()?;
                SolChange::Retry { count: count.value(), interval }
            }
            which @ (Parameter::NonVolatileBitRate | Parameter::VolatileBitRate) => {
                return self.set_bit_rate(which, &data).await;
            }
            Parameter::SetInProgress | Parameter::PayloadChannel | Parameter::PayloadPort => {
                return Err(READ_ONLY.into());
            }
        };
        Ok(self.platform.change_sol(name, change).await?)
    }

    /// Get SOL Configuration Parameters (IPMI v2.0 §26.3). Set and block selectors, of which no
    /// parameter has any, may be left out.
    ///
    /// # Errors
    ///
    /// `80h` for a parameter beyond 8, `CCh` for a channel without sessions.
    async fn get_sol_configuration_parameters(
        self: Arc<Self>,
        context: Context,
        (channel, _, revision_only): (ChannelNumber, Ignored<3>, bool),
        selector: u8,
        _: (Option<u8>, Option<u8>),
    ) -> HandlerResult<(u8, Vec<u8>)> {
        let (number, name) = self.channel(context, channel)?;
        let parameter = Parameter::new(selector)?;
        if revision_only {
            return Ok((REVISION, Vec::new()));
        }
        let data = match parameter {
            Parameter::SetInProgress => {
                let of = Parameters::Sol(number.value());
                vec![set_in_progress::get(&self.updates, &*self.platform, of, &context).await]
            }
            Parameter::NonVolatileBitRate | Parameter::VolatileBitRate => {
                vec![self.bit_rate(parameter).await?]
            }
            Parameter::PayloadChannel => vec![number.value()],
            // Payloads go to the port of their session.
            Parameter::PayloadPort => {
                self.platform.served_port(number.value()).await?.to_le_bytes().to_vec()
            }
            _ => stored(parameter, &self.platform.sol_settings(name).await?),
        };
        Ok((REVISION, data))
    }

    /// The channel that a request selects, which must have sessions.
    fn channel(
        &self,
        context: Context,
        channel: ChannelNumber,
    ) -> Result<(ChannelNumber, &str), CompletionCode> {
        let wanted = context.resolve(channel);
        let mut channels = self.channels.iter();
        let (number, name) = channels
            .find(|(number, _)| *number == wanted)
            .ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        Ok((*number, name))
    }

    async fn bit_rate(&self, which: Parameter) -> HandlerResult<u8> {
        match self.platform.console_baud().await {
            Ok(baud) => {
                let known = BIT_RATES.iter().find(|(_, rate)| *rate == baud);
                Ok(known.map_or(0, |(number, _)| *number))
            }
            Err(PlatformError::Absent(_)) => {
                let rates = self.bit_rates.get();
                let volatile = which == Parameter::VolatileBitRate;
                Ok(if volatile { rates.volatile } else { rates.non_volatile })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn set_bit_rate(&self, which: Parameter, data: &Remaining) -> HandlerResult<()> {
        let (number, _) = data.decode::<(Bits<4>, Zero<4>)>()?;
        let number = number.value();
        let known = BIT_RATES.iter().find(|(known, _)| *known == number);
        if let Some((_, baud)) = known {
            match self.platform.set_console_baud(*baud).await {
                Err(PlatformError::Absent(_)) => {}
                other => return Ok(other?),
            }
        } else if number != 0 {
            return Err(CompletionCode::INVALID_DATA_FIELD.into());
        }
        let store = |rates: &mut BitRates| match which {
            Parameter::VolatileBitRate => rates.volatile = number,
            _ => rates.non_volatile = number,
        };
        Ok(self.bit_rates.update(store).await?)
    }
}

/// Parameter 2 as it is set: the privilege is one that a login can have.
fn authentication(data: &Remaining) -> Result<SolChange, CompletionCode> {
    let (privilege, _, force_authentication, force_encryption) =
        data.decode::<(Privilege, Zero<2>, bool, bool)>()?;
    if privilege < Privilege::User {
        return Err(CompletionCode::INVALID_DATA_FIELD);
    }
    let privilege = privilege.value();
    Ok(SolChange::Authentication { force_encryption, force_authentication, privilege })
}

/// The data of a parameter that the settings hold.
fn stored(parameter: Parameter, settings: &SolSettings) -> Vec<u8> {
    match parameter {
        Parameter::Enable => vec![settings.enable.into()],
        Parameter::Authentication => encode(&(
            Bits::<4>::low(settings.privilege),
            Bits::<2>::low(0),
            settings.force_authentication,
            settings.force_encryption,
        )),
        Parameter::Accumulate => vec![settings.accumulate_interval, settings.threshold],
        Parameter::Retry => vec![settings.retry_count, settings.retry_interval],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::set_in_progress::SET_IN_PROGRESS;
    use crate::commands::test_support::{TestCommands, answer};
    use crate::request::command::Family;

    const LAN: ChannelNumber = match ChannelNumber::new(1) {
        Some(number) => number,
        None => ChannelNumber::CURRENT,
    };

    fn commands() -> TestCommands {
        TestCommands::with(Family::NetFn(NetFn::TRANSPORT), |platform, table| {
            let channels = ChannelTable::default();
            let rates = Persistent::volatile();
            SolProvider::new(Arc::clone(platform), &channels, rates, Arc::default())
                .register(table);
        })
    }

    /// What `ipmitool sol info 1` asks, and the defaults of OpenBMC's settings.
    #[tokio::test]
    async fn all_parameters_are_read() {
        let commands = commands();
        for (selector, data) in [
            (0, &hex!("11 00")[..]),
            (1, &hex!("11 01")),
            (2, &hex!("11 c4")),
            (3, &hex!("11 14 01")),
            (4, &hex!("11 07 64")),
            (5, &hex!("11 0a")),
            (6, &hex!("11 0a")),
            (7, &hex!("11 01")),
            (8, &hex!("11 6f 02")),
        ] {
            let asked = commands.send(0x22, &[0x01, selector, 0, 0]).await;
            assert_eq!(asked, answer(data), "{selector}");
        }
        assert_eq!(commands.send(0x22, &hex!("81 02 00 00")).await, answer(&hex!("11")));
        assert_eq!(commands.send(0x22, &hex!("01 09 00 00")).await, Err(PARAMETER_NOT_SUPPORTED));
        let no_channel = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x22, &hex!("02 01 00 00")).await, no_channel);
        assert_eq!(commands.send(0x22, &hex!("0e 01 00 00")).await, no_channel, "from the host");
        let lan = Context { channel: LAN, ..Context::system_interface() };
        assert_eq!(commands.send_as(lan, 0x22, &hex!("0e 01 00 00")).await, answer(&hex!("11 01")));
    }

    #[tokio::test]
    async fn payloads_go_to_the_port_that_is_served() {
        let commands = commands();
        commands.platform.state().served_port = 6230;
        assert_eq!(commands.send(0x22, &hex!("01 08 00 00")).await, answer(&hex!("11 56 18")));
    }

    #[tokio::test]
    async fn parameters_are_set_and_read_back() {
        let commands = commands();
        for (request, asked, data) in [
            (&hex!("01 01 00")[..], 1, &hex!("11 00")[..]),
            (&hex!("01 02 83"), 2, &hex!("11 83")),
            (&hex!("01 03 0a 60"), 3, &hex!("11 0a 60")),
            (&hex!("01 04 07 0a"), 4, &hex!("11 07 0a")),
            (&hex!("01 05 06"), 6, &hex!("11 06")),
        ] {
            assert_eq!(commands.send(0x21, request).await, answer(&[]), "{request:02x?}");
            assert_eq!(commands.send(0x22, &[0x01, asked, 0, 0]).await, answer(data));
        }
    }

    #[tokio::test]
    async fn invalid_parameters_and_values_are_refused() {
        let commands = commands();
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        for (request, completion) in [
            (&hex!("01 07 01")[..], READ_ONLY),
            (&hex!("01 08 6f 02"), READ_ONLY),
            (&hex!("01 c0 01"), PARAMETER_NOT_SUPPORTED),
            (&hex!("01 02 c0"), invalid),
            (&hex!("01 02 c1"), invalid),
            (&hex!("01 05 0f"), invalid),
            (&hex!("01 00 03"), invalid),
            (&hex!("0f 01 01"), invalid),
            (&hex!("01 03 01"), CompletionCode::REQUEST_LENGTH_INVALID),
        ] {
            assert_eq!(commands.send(0x21, request).await, Err(completion), "{request:02x?}");
        }
    }

    #[tokio::test]
    async fn one_update_is_in_progress_at_a_time() {
        let commands = commands();
        for (value, expected) in [
            (1, answer(&[])),
            (1, Err(SET_IN_PROGRESS)),
            (2, answer(&[])),
            (0, answer(&[])),
            (1, answer(&[])),
        ] {
            assert_eq!(commands.send(0x21, &[0x01, 0x00, value]).await, expected, "{value}");
        }
    }

    #[tokio::test]
    async fn without_a_console_service_bit_rates_are_stored() {
        let commands = commands();
        commands.platform.state().console_baud = None;
        assert_eq!(commands.send(0x22, &hex!("01 05 00 00")).await, answer(&hex!("11 00")));
        assert_eq!(commands.send(0x21, &hex!("01 05 0a")).await, answer(&[]));
        assert_eq!(commands.send(0x21, &hex!("01 06 06")).await, answer(&[]));
        assert_eq!(commands.send(0x22, &hex!("01 05 00 00")).await, answer(&hex!("11 0a")));
        assert_eq!(commands.send(0x22, &hex!("01 06 00 00")).await, answer(&hex!("11 06")));
    }
}
