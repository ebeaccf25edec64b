//! The bare message of a KCS interface (IPMI v2.0 §9.2, §9.3), which SSIF and the QEMU link wrap.
//!
//! A request is network function and LUN, command, data; a response has the completion code before
//! the data. One read or write of `/dev/ipmi-kcsN` is one message; there is neither a length
//! nor a checksum, and the register handshake is the kernel's.

use crate::frame::FrameError;
use crate::{CompletionCode, NetFn, Request, Response};

/// The most bytes that Linux's BMC-side KCS device takes or gives in one message.
pub const MAX_MESSAGE: usize = 1000;

/// Reads a request.
///
/// # Errors
///
/// [`FrameError::Truncated`] without a command byte.
pub fn parse_request(bytes: &[u8]) -> Result<Request, FrameError> {
    let (&[head, command], data) = bytes.split_first_chunk().ok_or(FrameError::Truncated {
        what: "request",
        need: 2,
        have: bytes.len(),
    })?;
    let (netfn, lun) = NetFn::split(head);
    Ok(Request { netfn, lun, command, data: data.to_vec() })
}

/// Appends `request` to `out`.
pub fn emit_request(request: &Request, out: &mut Vec<u8>) {
    out.extend([request.netfn.join(request.lun), request.command]);
    out.extend(&request.data);
}

/// Reads a response.
///
/// # Errors
///
/// [`FrameError::Truncated`] without a completion code.
pub fn parse_response(bytes: &[u8]) -> Result<Response, FrameError> {
    let (&[head, command, completion], data) = bytes
        .split_first_chunk()
        .ok_or(FrameError::Truncated { what: "response", need: 3, have: bytes.len() })?;
    let (netfn, lun) = NetFn::split(head);
    Ok(Response {
        netfn,
        lun,
        command,
        completion: CompletionCode(completion),
        data: data.to_vec(),
    })
}

/// Appends `response` to `out`.
pub fn emit_response(response: &Response, out: &mut Vec<u8>) {
    let head = response.netfn.join(response.lun);
    out.extend([head, response.command, response.completion.0]);
    out.extend(&response.data);
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;
    use crate::Lun;

    fn set_global_enables() -> Request {
        Request { netfn: NetFn::APP, lun: Lun::BMC, command: 0x2e, data: vec![0x0d] }
    }

    // As Linux's ipmi_si sends it while it comes up.
    const SET_GLOBAL_ENABLES: [u8; 3] = hex!("18 2e 0d");

    #[test]
    fn request_matches_golden_bytes() {
        assert_eq!(parse_request(&SET_GLOBAL_ENABLES), Ok(set_global_enables()));
        let mut out = Vec::new();
        emit_request(&set_global_enables(), &mut out);
        assert_eq!(out, SET_GLOBAL_ENABLES);
    }

    #[test]
    fn response_matches_golden_bytes() {
        let bytes = hex!("1c 2f 00 0d");
        let response = Response {
            netfn: NetFn::APP.response(),
            lun: Lun::BMC,
            command: 0x2f,
            completion: CompletionCode::OK,
            data: vec![0x0d],
        };
        assert_eq!(parse_response(&bytes), Ok(response.clone()));
        let mut out = Vec::new();
        emit_response(&response, &mut out);
        assert_eq!(out, bytes);
    }

    #[test]
    fn message_cut_short_is_truncated() {
        for cut in 0..2 {
            let error = parse_request(&SET_GLOBAL_ENABLES[..cut]).unwrap_err();
            assert!(matches!(error, FrameError::Truncated { need: 2, .. }));
        }
        for cut in 0..3 {
            let error = parse_response(&SET_GLOBAL_ENABLES[..cut]).unwrap_err();
            assert!(matches!(error, FrameError::Truncated { need: 3, .. }));
        }
    }

    proptest! {
        #[test]
        fn every_message_survives_the_round(bytes in prop::collection::vec(any::<u8>(), 3..300)) {
            let mut out = Vec::new();
            emit_request(&parse_request(&bytes).unwrap(), &mut out);
            prop_assert_eq!(&out, &bytes);
            out.clear();
            emit_response(&parse_response(&bytes).unwrap(), &mut out);
            prop_assert_eq!(&out, &bytes);
        }
    }
}
