//! A PLDM responder (type 1) for GetTID and GetPLDMTypes (DSP0240), and an error for all else.
//!
//! `cargo run -p mctp-client --example pldm_discovery [SOCKET]`

use std::io::{self, Write};

use mctp_client::{Client, DEFAULT_SOCKET};

const REQUEST: u8 = 0x80;
const GET_TID: [u8; 2] = [0x00, 0x02];
const GET_PLDM_TYPES: [u8; 2] = [0x00, 0x04];

fn answer(_eid: u8, request: &[u8]) -> Option<Vec<u8>> {
    let &[flags, kind, command, ..] = request else {
        return None;
    };
    let body: &[u8] = match [kind, command] {
        _ if flags & REQUEST == 0 => return None,
        GET_TID => &[0x00, 0x01],
        GET_PLDM_TYPES => &[0x00, 0b0000_0001, 0, 0, 0, 0, 0, 0, 0],
        _ => &[0x05],
    };
    Some([&[flags & !REQUEST, kind, command], body].concat())
}

fn main() -> io::Result<()> {
    let name = std::env::args().nth(1);
    let name = name.as_deref().unwrap_or(DEFAULT_SOCKET);
    if name.starts_with('-') {
        return writeln!(
            io::stdout(),
            "usage: pldm_discovery [SOCKET]   (an abstract name, default {DEFAULT_SOCKET})"
        );
    }
    Client::connect_to(name, 0x01)?.serve(answer)
}
