//! The Telnet protocol as far as a serial line needs it (RFC 854): all 256 characters, and breaks. Options
//! are neither requested nor accepted, so both ends keep their defaults.

/// Interpret as command.
const IAC: u8 = 255;
/// WILL, WON'T, DO and DON'T: an option follows.
const OPTION_COMMANDS: std::ops::RangeInclusive<u8> = 251..=254;
/// A sub-negotiation begins.
const SB: u8 = 250;
/// A break.
const BREAK: u8 = 243;
/// A sub-negotiation ends.
const SE: u8 = 240;

/// One end of a connection.
#[derive(Debug, Default)]
pub(super) struct Telnet {
    state: State,
    /// Encoded bytes to be written.
    outgoing: Vec<u8>,
}

/// Where in the stream the reader is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    #[default]
    Chars,
    Command,
    Option,
    Negotiation,
    NegotiationCommand,
}

impl Telnet {
    /// Decodes bytes that were read: moves the characters to the front; returns how many they are and whether
    /// there was a break.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> (usize, bool) {
        let (mut count, mut breaks) = (0, false);
        for at in 0..bytes.len() {
            let Some(&byte) = bytes.get(at) else { break };
            let (state, is_char) = match (self.state, byte) {
                (State::Chars, IAC) => (State::Command, false),
                (State::Chars, _) | (State::Command, IAC) => (State::Chars, true),
                (State::Command, SB) => (State::Negotiation, false),
                (State::Command, byte) if OPTION_COMMANDS.contains(&byte) => (State::Option, false),
                (State::Command, byte) => {
                    breaks |= byte == BREAK;
                    (State::Chars, false)
                }
                (State::Option, _) | (State::NegotiationCommand, SE) => (State::Chars, false),
                (State::Negotiation, IAC) => (State::NegotiationCommand, false),
                (State::Negotiation | State::NegotiationCommand, _) => (State::Negotiation, false),
            };
            self.state = state;
            if is_char {
                if let Some(slot) = bytes.get_mut(count) {
                    *slot = byte;
                }
                count += 1;
            }
        }
        (count, breaks)
    }

    /// Encodes characters to be written.
    pub(super) fn push(&mut self, chars: &[u8]) {
        for &char in chars {
            self.outgoing.push(char);
            if char == IAC {
                self.outgoing.push(IAC);
            }
        }
    }

    /// Encodes a break to be written.
    pub(super) fn push_break(&mut self) {
        self.outgoing.extend([IAC, BREAK]);
    }

    /// The encoded bytes to be written.
    pub(super) fn outgoing(&self) -> &[u8] {
        &self.outgoing
    }

    /// Removes `count` encoded bytes, which were written.
    pub(super) fn written(&mut self, count: usize) {
        self.outgoing.drain(..count.min(self.outgoing.len()));
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    /// What QEMU 7.2's `-serial telnet:…,server` greets with, and text with a break and a character
    /// that has to be escaped.
    #[test]
    fn commands_are_taken_out_wherever_the_stream_is_cut() {
        let stream = hex!(
            "ff fb 01 ff fb 03 ff fb 00 ff fd 00" "6c 6f ff ff 67" "ff fa 18 01 ff ff ff f0" "69"
            "ff f3" "6e"
        );
        for cut in 0..stream.len() {
            let mut telnet = Telnet::default();
            let (mut text, mut breaks) = (Vec::new(), 0);
            let (first, second) = stream.split_at(cut);
            for piece in [first, second] {
                let mut piece = piece.to_vec();
                let (count, broke) = telnet.decode(&mut piece);
                text.extend_from_slice(&piece[..count]);
                breaks += usize::from(broke);
            }
            assert_eq!(text, b"lo\xffgin", "cut at {cut}");
            assert_eq!(breaks, 1, "cut at {cut}");
        }
    }

    #[test]
    fn characters_and_breaks_are_escaped() {
        let mut telnet = Telnet::default();
        telnet.push(b"a\xffb");
        telnet.push_break();
        assert_eq!(telnet.outgoing(), hex!("61 ff ff 62 ff f3"));
        telnet.written(4);
        assert_eq!(telnet.outgoing(), hex!("ff f3"));
        telnet.written(100);
        assert!(telnet.outgoing().is_empty());
    }
}
