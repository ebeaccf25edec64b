//! A request and a response, free of any transport's framing.

use std::fmt;

use crate::{CompletionCode, Lun, NetFn};

/// One request as a bridge hands it to `ipmid`.
#[derive(Clone, Eq, PartialEq)]
pub struct Request {
    /// Network function, as received (`ipmid` responds C1h to an odd one).
    pub netfn: NetFn,
    /// Responder's logical unit.
    pub lun: Lun,
    /// Command number.
    pub command: u8,
    /// The bytes after the command.
    pub data: Vec<u8>,
}

impl fmt::Debug for Request {
    /// Without the data, which may hold a password (Set User Password) or a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { netfn, lun, command, data } = self;
        f.debug_struct("Request")
            .field("netfn", netfn)
            .field("lun", lun)
            .field("command", command)
            .field("data", &format_args!("{} bytes", data.len()))
            .finish()
    }
}

/// One response as `ipmid` hands it back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// The request's network function with bit 0 set.
    pub netfn: NetFn,
    /// The request's logical unit.
    pub lun: Lun,
    /// The request's command number.
    pub command: u8,
    /// How it ended.
    pub completion: CompletionCode,
    /// The bytes after the completion code.
    pub data: Vec<u8>,
}

/// How a request ended: what a handler gives, before a bridge puts it under the request's numbers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResponseBody {
    /// How it ended.
    pub completion: CompletionCode,
    /// The bytes after the completion code.
    pub data: Vec<u8>,
}

impl From<CompletionCode> for ResponseBody {
    /// A completion code without data.
    fn from(completion: CompletionCode) -> Self {
        Self { completion, data: Vec::new() }
    }
}

impl Response {
    /// The response to `request` with `completion` and `data`.
    #[must_use]
    pub fn to(request: &Request, completion: CompletionCode, data: Vec<u8>) -> Self {
        Self {
            netfn: request.netfn.response(),
            lun: request.lun,
            command: request.command,
            completion,
            data,
        }
    }

    /// The response to `request` that has only `completion`.
    #[must_use]
    pub fn failure(request: &Request, completion: CompletionCode) -> Self {
        Self::to(request, completion, Vec::new())
    }
}
