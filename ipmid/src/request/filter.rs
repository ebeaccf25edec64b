//! Filters: rules that may refuse a command before its parameters are unpacked.
//!
//! They are checked after the privilege, in the order they were added, and the first that
//! refuses decides the completion code (restriction modes, the firmware firewall, a site's own).

pub mod firewall;

use ipmi_proto::CompletionCode;

use crate::request::command::Command;
use crate::request::context::Context;

/// A rule that may refuse a command.
pub trait Filter: Send + Sync + 'static {
    /// Accepts `command` with `data`, or refuses it with a completion code.
    ///
    /// # Errors
    ///
    /// Any code but 00h; the requester gets it without data.
    fn check(
        &self,
        context: &Context,
        command: &Command,
        data: &[u8],
    ) -> Result<(), CompletionCode>;

    /// What operators know it by.
    fn name(&self) -> &'static str {
        std::any::type_name::<Self>()
    }
}
