//! Turns an `async fn` with typed parameters into an entry of the command table.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use ipmi_proto::codec::{self, Decode, DecodeError, Encode, Reader};
use ipmi_proto::{CompletionCode, ResponseBody};

use super::CommandError;
use crate::request::context::Context;

/// A running handler; resolves to its response, or to why it has none.
pub type ResponseFuture = Pin<Box<dyn Future<Output = Result<ResponseBody, CommandError>> + Send>>;

/// The result of a handler: a value that can be packed, alone or with a completion code ([`Coded`]).
pub trait Outcome {
    /// Packs it.
    fn into_response(self) -> ResponseBody;
}

impl<T: Encode> Outcome for T {
    fn into_response(self) -> ResponseBody {
        ResponseBody { completion: CompletionCode::OK, data: codec::encode(&self) }
    }
}

/// Response data with a completion code other than 00h.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Coded<T>(pub CompletionCode, pub T);

impl<T: Encode> Outcome for Coded<T> {
    fn into_response(self) -> ResponseBody {
        ResponseBody { completion: self.0, data: codec::encode(&self.1) }
    }
}

/// An `async fn(Arc<S>, Context, A, B, …) -> HandlerResult<R>` whose parameters after the context can be unpacked and
/// whose result can be packed ([`Outcome`]); up to eight parameters. Its error may also be a
/// [`CompletionCode`] alone, where no platform call can fail.
pub trait Handler<S, Parameters>: Send + Sync + 'static {
    /// Unpacks `data`, which must have no bytes left over, and starts the function.
    ///
    /// # Errors
    ///
    /// Why the data cannot be unpacked; the function is not started then.
    fn start(
        &self,
        state: Arc<S>,
        context: Context,
        data: &[u8],
    ) -> Result<ResponseFuture, DecodeError>;
}

macro_rules! handlers {
    ($($parameter:ident)*) => {
        impl<S, Function, Fut, R, Failure, $($parameter),*> Handler<S, ($($parameter,)*)> for Function
        where
            Function: Fn(Arc<S>, Context, $($parameter),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<R, Failure>> + Send + 'static,
            R: Outcome,
            Failure: Into<CommandError>,
            $($parameter: Decode,)*
        {
            fn start(
                &self,
                state: Arc<S>,
                context: Context,
                data: &[u8],
            ) -> Result<ResponseFuture, DecodeError> {
                #[allow(unused_mut)]
                let mut reader = Reader::new(data);
                $(#[allow(non_snake_case)] let $parameter = $parameter::decode(&mut reader)?;)*
                reader.finish()?;
                let running = self(state, context, $($parameter),*);
                Ok(Box::pin(async move {
                    running.await.map(Outcome::into_response).map_err(Into::into)
                }))
            }
        }
    };
}

handlers! {}
handlers! { A }
handlers! { A B }
handlers! { A B C }
handlers! { A B C D }
handlers! { A B C D E }
handlers! { A B C D E F }
handlers! { A B C D E F G }
handlers! { A B C D E F G H }
