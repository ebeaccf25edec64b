//! Messages of a BT interface (IPMI v2.0 §11.2, §11.3).
//!
//! Length (which does not count itself), network function and LUN, sequence, command, then the
//! completion code of a response, then data. A response has its request's sequence. One read or
//! write of `/dev/ipmi-bt-host` is one message; the kernel does the register handshake.

use crate::frame::FrameError;
use crate::{CompletionCode, NetFn, Request, Response};

/// The most bytes a message takes, its length byte included.
pub const MAX_MESSAGE: usize = 256;

/// Reads a request and its sequence.
///
/// # Errors
///
/// [`FrameError::Length`] when the length byte and the bytes after it disagree,
/// [`FrameError::Truncated`] without a command byte.
pub fn parse_request(bytes: &[u8]) -> Result<(u8, Request), FrameError> {
    let body = body(bytes)?;
    let (&[head, seq, command], data) = body.split_first_chunk().ok_or(FrameError::Truncated {
        what: "BT request",
        need: 3,
        have: body.len(),
    })?;
    let (netfn, lun) = NetFn::split(head);
    let request = Request { netfn, lun, command, data: data.to_vec() };
    Ok((seq, request))
}

/// Appends `request` to `out`.
///
/// # Errors
///
/// [`FrameError::TooLong`] if the length does not fit into one byte; `out` does not change then.
pub fn emit_request(seq: u8, request: &Request, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let length = length(3 + request.data.len())?;
    let head = request.netfn.join(request.lun);
    out.extend([length, head, seq, request.command]);
    out.extend(&request.data);
    Ok(())
}

/// Reads a response and its sequence.
///
/// # Errors
///
/// As [`parse_request`]; a response needs a completion code as well.
pub fn parse_response(bytes: &[u8]) -> Result<(u8, Response), FrameError> {
    let body = body(bytes)?;
    let (&[head, seq, command, completion], data) = body
        .split_first_chunk()
        .ok_or(FrameError::Truncated { what: "BT response", need: 4, have: body.len() })?;
    let (netfn, lun) = NetFn::split(head);
    let response = Response {
        netfn,
        lun,
        command,
        completion: CompletionCode(completion),
        data: data.to_vec(),
    };
    Ok((seq, response))
}

/// Appends `response` to `out`.
///
/// # Errors
///
/// As [`emit_request`].
pub fn emit_response(seq: u8, response: &Response, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let length = length(4 + response.data.len())?;
    let head = response.netfn.join(response.lun);
    out.extend([length, head, seq, response.command, response.completion.0]);
    out.extend(&response.data);
    Ok(())
}

fn body(bytes: &[u8]) -> Result<&[u8], FrameError> {
    let (&length, body) =
        bytes.split_first().ok_or(FrameError::Truncated { what: "BT length", need: 1, have: 0 })?;
    let stated = usize::from(length);
    if stated == body.len() {
        Ok(body)
    } else {
        Err(FrameError::Length { stated, have: body.len() })
    }
}

fn length(bytes: usize) -> Result<u8, FrameError> {
    u8::try_from(bytes).map_err(|_| FrameError::TooLong { limit: MAX_MESSAGE, have: bytes + 1 })
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;
    use crate::Lun;

    // Get Device ID with sequence 5.
    const REQUEST: [u8; 4] = hex!("03 18 05 01");

    fn get_device_id() -> Request {
        Request { netfn: NetFn::APP, lun: Lun::BMC, command: 0x01, data: vec![] }
    }

    #[test]
    fn request_matches_golden_bytes() {
        assert_eq!(parse_request(&REQUEST), Ok((5, get_device_id())));
        let mut out = Vec::new();
        emit_request(5, &get_device_id(), &mut out).unwrap();
        assert_eq!(out, REQUEST);
    }

    #[test]
    fn response_matches_golden_bytes() {
        let bytes = hex!("04 1c 05 01 c3");
        let response = Response::failure(&get_device_id(), CompletionCode::TIMEOUT);
        assert_eq!(parse_response(&bytes), Ok((5, response.clone())));
        let mut out = Vec::new();
        emit_response(5, &response, &mut out).unwrap();
        assert_eq!(out, bytes);
    }

    #[test]
    fn message_cut_short_is_an_error() {
        for cut in 0..REQUEST.len() {
            assert!(parse_request(&REQUEST[..cut]).is_err());
            assert!(parse_response(&REQUEST[..cut]).is_err());
        }
        for length in 0..3 {
            let short = [vec![length], vec![0x18; usize::from(length)]].concat();
            let error = parse_request(&short).unwrap_err();
            assert!(matches!(error, FrameError::Truncated { need: 3, .. }));
        }
    }

    #[test]
    fn length_byte_must_be_right() {
        let error = FrameError::Length { stated: 4, have: 3 };
        assert_eq!(parse_request(&hex!("04 18 05 01")), Err(error));
        let error = FrameError::Length { stated: 2, have: 3 };
        assert_eq!(parse_request(&hex!("02 18 05 01")), Err(error));
    }

    #[test]
    fn response_longer_than_its_length_byte_is_refused() {
        let long = Response::to(&get_device_id(), CompletionCode::OK, vec![0; 252]);
        let mut out = vec![0xee];
        assert!(emit_response(1, &long, &mut out).is_err());
        assert_eq!(out, [0xee]);
        let most = Response::to(&get_device_id(), CompletionCode::OK, vec![0; 251]);
        emit_response(1, &most, &mut out).unwrap();
        assert_eq!(out.len(), 1 + MAX_MESSAGE);
    }

    proptest! {
        #[test]
        fn every_message_survives_the_round(body in prop::collection::vec(any::<u8>(), 4..=255)) {
            let length = u8::try_from(body.len()).unwrap();
            let bytes = [vec![length], body].concat();
            let (seq, request) = parse_request(&bytes).unwrap();
            let mut out = Vec::new();
            emit_request(seq, &request, &mut out).unwrap();
            prop_assert_eq!(&out, &bytes);
            let (seq, response) = parse_response(&bytes).unwrap();
            out.clear();
            emit_response(seq, &response, &mut out).unwrap();
            prop_assert_eq!(&out, &bytes);
        }

        #[test]
        fn any_bytes_are_parsed_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_request(&bytes);
            let _ = parse_response(&bytes);
        }
    }
}
