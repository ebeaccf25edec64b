//! Sends raw requests to a provider's commands over a fake platform.

use std::sync::Arc;

use ipmi_proto::{CompletionCode, ResponseBody};
use tempfile::TempDir;

use crate::platform::fake::FakePlatform;
use crate::request::command::{CommandTable, Family, Priority, Registrar, Registry};
use crate::request::context::Context;

/// Response data or completion code of a command.
pub(crate) type CommandResult = Result<Vec<u8>, CompletionCode>;

/// A successful response with `data`.
pub(crate) fn answer(data: &[u8]) -> CommandResult {
    Ok(data.to_vec())
}

/// One provider and the platform under it.
pub(crate) struct TestCommands {
    pub(crate) platform: Arc<FakePlatform>,
    registry: Registry,
    family: Family,
    /// The provider's state directory, removed on drop.
    pub(crate) folder: Option<TempDir>,
}

impl TestCommands {
    /// The commands of `family` that `register` adds.
    pub(crate) fn with(
        family: Family,
        register: impl FnOnce(&Arc<FakePlatform>, &mut Registrar<'_>),
    ) -> Self {
        let platform = Arc::new(FakePlatform::default());
        let mut table = CommandTable::default();
        register(&platform, &mut table.at(Priority::BASE));
        Self { platform, registry: table.finish().unwrap(), family, folder: None }
    }

    /// Sends a command from the host.
    pub(crate) async fn send(&self, code: u8, data: &[u8]) -> CommandResult {
        self.send_as(Context::system_interface(), code, data).await
    }

    /// Sends a command with another context.
    pub(crate) async fn send_as(&self, context: Context, code: u8, data: &[u8]) -> CommandResult {
        let body = self.respond(context, code, data).await?;
        let is_failure = body.completion != CompletionCode::OK && body.data.is_empty();
        if is_failure { Err(body.completion) } else { Ok(body.data) }
    }

    /// As [`Self::send_as`], with the completion code of a response with data.
    pub(crate) async fn respond(
        &self,
        context: Context,
        code: u8,
        data: &[u8],
    ) -> Result<ResponseBody, CompletionCode> {
        let entry = self.registry.find(self.family, code).expect("the command is registered");
        let response = entry.start(Context { command: code, ..context }, data)?;
        response.await.map_err(|error| error.completion)
    }
}
