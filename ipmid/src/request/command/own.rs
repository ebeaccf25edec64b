//! Requests inside of requests: a Send Message to the BMC's own address holds one (IPMI v2.0 §22.7).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};

use ipmi_proto::{CompletionCode, ResponseBody};

use crate::request::context::Context;

/// Runs a request as if it had come by itself: look-up, privilege, filters, deadline.
pub trait Execute: Send + Sync {
    /// Runs the request of `context`, whose network function is `netfn`.
    fn execute(
        &self,
        context: Context,
        netfn: u8,
        data: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = ResponseBody> + Send + '_>>;
}

/// Runs requests for handlers, once all commands are registered.
#[derive(Clone, Default)]
pub struct OwnRequests(Arc<OnceLock<Weak<dyn Execute>>>);

impl fmt::Debug for OwnRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.0.get().is_some() { "ready" } else { "not ready" };
        f.debug_tuple("OwnRequests").field(&state).finish()
    }
}

impl OwnRequests {
    /// From now on `executor` runs them, as long as it is there.
    pub fn run_by(&self, executor: &Arc<impl Execute + 'static>) {
        let weak = Arc::downgrade(executor);
        self.0.get_or_init(|| weak);
    }

    /// Runs the request of `context`; `D3h` while nothing runs requests.
    pub async fn run(&self, context: Context, netfn: u8, data: Vec<u8>) -> ResponseBody {
        match self.0.get().and_then(Weak::upgrade) {
            Some(executor) => executor.execute(context, netfn, data).await,
            None => CompletionCode::DESTINATION_UNAVAILABLE.into(),
        }
    }
}
