//! Messages of `/dev/ipmi-ssif-host`, Linux's BMC side of SSIF (IPMI v2.0 §12).
//!
//! The device gives and takes whole messages: a length of four bytes in the machine's order, then
//! the message as on KCS. The SMBus transactions, their single and multi-part reads and writes
//! (§12.5, §12.6) and PEC are the kernel's (`drivers/char/ipmi/ssif_bmc.c`).

use crate::frame::FrameError;
use crate::{Request, Response, kcs};

/// The most bytes of a message, the length before it not counted (`IPMI_SSIF_PAYLOAD_MAX`).
pub const MAX_MESSAGE: usize = 254;

/// The bytes of the length.
pub const LENGTH_BYTES: usize = 4;

/// Reads a request.
///
/// # Errors
///
/// [`FrameError::Length`] when the length and the bytes after it disagree,
/// [`FrameError::Truncated`] when a length or a command is missing.
pub fn parse_request(bytes: &[u8]) -> Result<Request, FrameError> {
    kcs::parse_request(body(bytes)?)
}

/// Appends `request` to `out`.
///
/// # Errors
///
/// [`FrameError::TooLong`] beyond [`MAX_MESSAGE`]; `out` is untouched then.
pub fn emit_request(request: &Request, out: &mut Vec<u8>) -> Result<(), FrameError> {
    out.extend(length(2 + request.data.len())?);
    kcs::emit_request(request, out);
    Ok(())
}

/// Reads a response.
///
/// # Errors
///
/// As [`parse_request`]; a response needs a completion code as well.
pub fn parse_response(bytes: &[u8]) -> Result<Response, FrameError> {
    kcs::parse_response(body(bytes)?)
}

/// Appends `response` to `out`.
///
/// # Errors
///
/// As [`emit_request`].
pub fn emit_response(response: &Response, out: &mut Vec<u8>) -> Result<(), FrameError> {
    out.extend(length(3 + response.data.len())?);
    kcs::emit_response(response, out);
    Ok(())
}

fn body(bytes: &[u8]) -> Result<&[u8], FrameError> {
    let (&length, body) =
        bytes.split_first_chunk::<LENGTH_BYTES>().ok_or(FrameError::Truncated {
            what: "SSIF length",
            need: LENGTH_BYTES,
            have: bytes.len(),
        })?;
    let stated = usize::try_from(u32::from_ne_bytes(length)).unwrap_or(usize::MAX);
    if stated > MAX_MESSAGE {
        return Err(FrameError::TooLong { limit: MAX_MESSAGE, have: stated });
    }
    // The kernel's structure is of one size; what follows the message is not part of it.
    body.get(..stated).ok_or(FrameError::Length { stated, have: body.len() })
}

fn length(bytes: usize) -> Result<[u8; LENGTH_BYTES], FrameError> {
    match u32::try_from(bytes) {
        Ok(length) if bytes <= MAX_MESSAGE => Ok(length.to_ne_bytes()),
        _ => Err(FrameError::TooLong { limit: MAX_MESSAGE, have: bytes }),
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;
    use crate::{CompletionCode, Lun, NetFn};

    fn get_device_id() -> Request {
        Request { netfn: NetFn::APP, lun: Lun::BMC, command: 0x01, data: vec![] }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn messages_match_golden_bytes() {
        let bytes = hex!("02 00 00 00 18 01");
        assert_eq!(parse_request(&bytes), Ok(get_device_id()));
        let mut out = Vec::new();
        emit_request(&get_device_id(), &mut out).unwrap();
        assert_eq!(out, bytes);

        let bytes = hex!("03 00 00 00 1c 01 c3");
        let response = Response::failure(&get_device_id(), CompletionCode::TIMEOUT);
        assert_eq!(parse_response(&bytes), Ok(response.clone()));
        out.clear();
        emit_response(&response, &mut out).unwrap();
        assert_eq!(out, bytes);
    }

    #[test]
    fn message_cut_short_is_an_error() {
        let mut whole = Vec::new();
        emit_request(&get_device_id(), &mut whole).unwrap();
        for cut in 0..whole.len() {
            assert!(parse_request(&whole[..cut]).is_err());
        }
        assert!(parse_response(&whole).is_err());
    }

    #[test]
    fn length_beyond_the_devices_is_refused_both_ways() {
        let mut bytes = 255_u32.to_ne_bytes().to_vec();
        bytes.resize(LENGTH_BYTES + 255, 0);
        let error = FrameError::TooLong { limit: 254, have: 255 };
        assert_eq!(parse_request(&bytes), Err(error));
        let long = Response::to(&get_device_id(), CompletionCode::OK, vec![0; 252]);
        assert_eq!(emit_response(&long, &mut Vec::new()), Err(error));
    }

    proptest! {
        #[test]
        fn every_message_survives_the_round(body in prop::collection::vec(any::<u8>(), 3..=254)) {
            let length = u32::try_from(body.len()).unwrap();
            let bytes = [length.to_ne_bytes().to_vec(), body].concat();
            let mut out = Vec::new();
            emit_request(&parse_request(&bytes).unwrap(), &mut out).unwrap();
            prop_assert_eq!(&out, &bytes);
            out.clear();
            emit_response(&parse_response(&bytes).unwrap(), &mut out).unwrap();
            prop_assert_eq!(&out, &bytes);
        }

        #[test]
        fn any_bytes_are_parsed_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_request(&bytes);
            let _ = parse_response(&bytes);
        }
    }
}
