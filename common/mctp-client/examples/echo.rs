//! Responds to each vendor defined message (type 7Eh) with the same bytes.
//!
//! `cargo run -p mctp-client --example echo [SOCKET]`

use std::io::{self, Write};

use mctp_client::{Client, DEFAULT_SOCKET};

fn main() -> io::Result<()> {
    let name = std::env::args().nth(1);
    let name = name.as_deref().unwrap_or(DEFAULT_SOCKET);
    if name.starts_with('-') {
        return writeln!(
            io::stdout(),
            "usage: echo [SOCKET]   (an abstract name, default {DEFAULT_SOCKET})"
        );
    }
    Client::connect_to(name, 0x7e)?.serve(|_eid, request| Some(request.to_vec()))
}
