//! Commands: what they are called, who may send them, and the handlers that answer them.
//!
//! A provider adds a command with one line ([`Rows::add`]) and one `async fn`; the table unpacks the
//! function's typed parameters from the request before it runs and packs its typed result after:
//!
//! ```
//! use std::sync::Arc;
//!
//! use ipmi_proto::{CompletionCode, NetFn, Privilege};
//! use ipmid::request::{command::{CommandTable, Priority}, context::Context};
//!
//! async fn add(_: Arc<()>, _: Context, a: u8, b: u8) -> Result<u16, CompletionCode> {
//!     Ok(u16::from(a) + u16::from(b))
//! }
//!
//! let mut table = CommandTable::default();
//! let mut base = table.at(Priority::BASE);
//! base.rows(NetFn::APP, &Arc::new(())).add(0x70, Privilege::User, "Add", add);
//! let registry = table.finish().expect("no command is registered twice");
//! assert_eq!(registry.iter().count(), 1);
//! ```

mod error;
mod handler;
mod own;
mod resource;
mod table;

use std::fmt;

use daemon::metrics::{Metrics, Times};
pub use error::{CommandError, HandlerResult};
pub use handler::{Coded, Handler, Outcome, ResponseFuture};
use ipmi_proto::{GroupBody, Iana, NetFn, Privilege};
pub use own::{Execute, OwnRequests};
pub use resource::Resource;
pub use table::{CommandTable, DuplicateCommand, Entry, Registrar, Registry, Rows};

/// The command number of a handler for all commands of its family that have no handler of their own, as
/// in phosphor-host-ipmid.
pub const WILDCARD: u8 = 0xff;

/// The number space of a command.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    /// A network function of the specification or of a board's OEM (30h-3Eh).
    NetFn(NetFn),
    /// NetFn 2Ch with this defining body in the first data byte.
    Group(GroupBody),
    /// NetFn 2Eh with this enterprise number in the first three data bytes.
    Oem(Iana),
}

impl Family {
    /// The network function of its requests.
    #[must_use]
    pub const fn netfn(self) -> NetFn {
        match self {
            Self::NetFn(netfn) => netfn,
            Self::Group(_) => NetFn::GROUP,
            Self::Oem(_) => NetFn::OEM,
        }
    }
}

/// As authors of commands write it in an error's text.
impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NetFn(netfn) => write!(f, "NetFn {netfn}"),
            Self::Group(GroupBody(body)) => write!(f, "group {body:02X}h"),
            Self::Oem(iana) => write!(f, "enterprise number {}", iana.value()),
        }
    }
}

impl From<NetFn> for Family {
    fn from(netfn: NetFn) -> Self {
        Self::NetFn(netfn)
    }
}

impl From<GroupBody> for Family {
    fn from(body: GroupBody) -> Self {
        Self::Group(body)
    }
}

impl From<Iana> for Family {
    fn from(iana: Iana) -> Self {
        Self::Oem(iana)
    }
}

/// Who may send a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Anyone with at least this privilege; the system interface has Administrator.
    AtLeast(Privilege),
    /// The host alone, over a session-less channel.
    SystemInterface,
    /// Anyone, on a LAN without a session too.
    Anyone,
}

/// One row of the command table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Command {
    /// Number space of `code`.
    pub family: Family,
    /// Command number.
    pub code: u8,
    /// Who may send it.
    pub access: Access,
    /// The resource that it changes, if any.
    pub changes: Option<Resource>,
    /// The specification's name for it.
    pub name: &'static str,
}

impl Command {
    /// A command of a network function.
    #[must_use]
    pub const fn standard(
        netfn: NetFn,
        code: u8,
        privilege: Privilege,
        name: &'static str,
    ) -> Self {
        Self::new(Family::NetFn(netfn), code, privilege, name)
    }

    /// A group extension command.
    #[must_use]
    pub const fn group(
        body: GroupBody,
        code: u8,
        privilege: Privilege,
        name: &'static str,
    ) -> Self {
        Self::new(Family::Group(body), code, privilege, name)
    }

    /// An OEM command.
    #[must_use]
    pub const fn oem(iana: Iana, code: u8, privilege: Privilege, name: &'static str) -> Self {
        Self::new(Family::Oem(iana), code, privilege, name)
    }

    /// The same command, for the host's system interface alone.
    #[must_use]
    pub const fn from_host_only(self) -> Self {
        Self { access: Access::SystemInterface, ..self }
    }

    /// The same command, for anyone, on a LAN without a session too.
    #[must_use]
    pub const fn for_anyone(self) -> Self {
        Self { access: Access::Anyone, ..self }
    }

    /// The same command, which changes `resource`: no other that does runs at the same time.
    #[must_use]
    pub const fn changes(self, resource: Resource) -> Self {
        Self { changes: Some(resource), ..self }
    }

    /// Adds how long its handler took, with `labels` beside those of the command.
    pub(crate) fn measure(&self, metrics: &mut Metrics, labels: &[(&str, &str)], times: Times) {
        let family = match self.family {
            Family::NetFn(netfn) => format!("0x{:02x}", netfn.value()),
            Family::Group(body) => format!("group 0x{:02x}", body.0),
            Family::Oem(iana) => format!("oem {}", iana.value()),
        };
        let code = format!("0x{:02x}", self.code);
        let own = [("netfn", family.as_str()), ("command", code.as_str())];
        let labels = [&own, labels].concat();
        metrics.times("causeway_ipmid_handler_duration_seconds", &labels, times);
    }

    const fn new(family: Family, code: u8, privilege: Privilege, name: &'static str) -> Self {
        Self { family, code, access: Access::AtLeast(privilege), changes: None, name }
    }
}

/// Priority of a handler: of several for one command, the highest answers (phosphor-host-ipmid,
/// `ipmid/api-types.hpp`).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Priority(u8);

impl Priority {
    /// The specification's commands.
    pub const BASE: Self = Self(10);
    /// A vendor's own.
    pub const OEM: Self = Self(20);
    /// A board vendor's own (ODM).
    pub const ODM: Self = Self(30);
    /// A site's own.
    pub const CUSTOM: Self = Self(40);

    /// The number of phosphor-host-ipmid.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }

    /// The priority of this number, of those above [`BASE`](Self::BASE).
    #[must_use]
    pub fn above_base(value: u8) -> Option<Self> {
        [Self::OEM, Self::ODM, Self::CUSTOM].into_iter().find(|priority| priority.0 == value)
    }
}
