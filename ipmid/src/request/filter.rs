//! Filters: a say in whether a command runs at all, before its parameters are looked at.
//!
//! They are asked after the privilege check, in the order they were added, and the first that
//! refuses decides the completion code (restriction modes, the firmware firewall, a site's own).

pub mod firewall;

use ipmi_proto::CompletionCode;

use crate::request::command::Command;
use crate::request::context::Context;

/// A rule that may keep a command from running.
pub trait Filter: Send + Sync + 'static {
    /// Lets `command` with `data` pass, or says with what completion code to refuse it.
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
