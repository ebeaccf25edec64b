//! `org.causeway.Ipmi.Providers` and `org.causeway.Ipmi.Provider`: commands that other processes answer. The
//! interfaces are Causeway's own; `docs/provider.md` is their contract.

use std::io;

use zbus::{Connection, fdo};

/// The bus name of the object that takes registrations. It is not `ipmid`'s name for requests, so that what
/// providers send is never in the way of a request.
pub const SERVICE: &str = "org.causeway.Ipmi.Providers";
/// The object that takes registrations; an object below it has the statistics of each provider.
pub const PATH: &str = "/org/causeway/Ipmi/Providers";

/// The interface of a provider.
pub const INTERFACE: &str = "org.causeway.Ipmi.Provider";
/// The object that a provider has it at.
pub const PROVIDER_PATH: &str = "/org/causeway/Ipmi/Provider";
/// The method that answers a request.
pub const METHOD: &str = "Execute";
/// The error that hands a request on.
pub const NOT_MINE: &str = "org.causeway.Ipmi.Provider.Error.NotMine";

/// A command as a provider registers it: kind of family ([`kind`]), number of the family, command, privilege,
/// name, fewest and most bytes of the request, channels (none: all).
pub type CommandRow = (u8, u32, u8, u8, String, u16, u16, Vec<u8>);

/// Kinds of command families.
pub mod kind {
    /// The number is a network function.
    pub const NETFN: u8 = 0;
    /// The number is the defining body of a group (NetFn 2Ch).
    pub const GROUP: u8 = 1;
    /// The number is an enterprise number (NetFn 2Eh).
    pub const OEM: u8 = 2;
}

/// A request for a provider: channel, user, privilege, session, network function, LUN, command, data.
pub type ProviderRequest = (u8, u8, u8, u32, u8, u8, u8, Vec<u8>);

/// Why a provider gave no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProviderError {
    /// It handed the request on.
    #[error("not its request")]
    NotMine,
    /// It is not on the bus, and did not get the request.
    #[error("not on the bus")]
    Absent,
    /// It left the bus with the request.
    #[error("left the bus")]
    Left,
    /// It did not answer in time.
    #[error("no answer in time")]
    Late,
    /// Its answer has another type than `(y, ay)`.
    #[error("the answer is not (y, ay)")]
    Malformed,
    /// It, or the bus, answered with another error.
    #[error("{0}")]
    Failed(String),
}

impl From<zbus::Error> for ProviderError {
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, ..) if name.as_str() == NOT_MINE => Self::NotMine,
            zbus::Error::FDO(error) => match *error {
                fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_) => Self::Absent,
                fdo::Error::NoReply(_) | fdo::Error::Disconnected(_) => Self::Left,
                fdo::Error::Timeout(_) | fdo::Error::TimedOut(_) => Self::Late,
                error => Self::Failed(error.to_string()),
            },
            zbus::Error::InputOutput(error) if error.kind() == io::ErrorKind::TimedOut => {
                Self::Late
            }
            zbus::Error::InputOutput(_) => Self::Left,
            error => Self::Failed(error.to_string()),
        }
    }
}

/// Has the provider whose unique name is `provider` answer `request`: completion code and data.
///
/// # Errors
///
/// [`ProviderError`].
pub async fn execute(
    connection: &Connection,
    provider: &str,
    request: &ProviderRequest,
) -> Result<(u8, Vec<u8>), ProviderError> {
    let reply = connection
        .call_method(Some(provider), PROVIDER_PATH, Some(INTERFACE), METHOD, request)
        .await?;
    reply.body().deserialize().map_err(|_| ProviderError::Malformed)
}
