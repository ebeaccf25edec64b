//! The SOL packet (IPMI v2.0 §15.9, Table 15-2).
//!
//! Both directions have the same four header bytes and differ in the meaning of the last one:
//! [`Operation`] from the remote console to the BMC, [`Status`] the other way.

/// Length of the header before the characters.
pub const HEADER_LEN: usize = 4;

/// The most characters of one packet: its acknowledgement counts them in one byte.
pub const MAX_CHARS: usize = u8::MAX as usize;

/// A packet sequence number: 1 to 15; 0 on the wire stands for "none".
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seq(u8);

impl Seq {
    /// The first number of a payload instance.
    pub const FIRST: Self = Self(1);

    /// How many numbers there are before they repeat.
    pub const COUNT: u8 = 15;

    /// The number in the low nibble of `byte` (the high one is reserved); `None` for zero.
    #[must_use]
    pub const fn new(byte: u8) -> Option<Self> {
        match byte & 0x0f {
            0 => None,
            value => Some(Self(value)),
        }
    }

    /// The four bits that travel.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The number after this one: 15 is followed by 1.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 % Self::COUNT + 1)
    }

    /// How many steps of [`next`](Self::next) lead from `earlier` to this number: 0 to 14.
    #[must_use]
    pub const fn steps_after(self, earlier: Self) -> u8 {
        (self.0 + Self::COUNT - earlier.0) % Self::COUNT
    }
}

/// The packet that is answered, and how many of its characters were taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ack {
    /// Its sequence number.
    pub seq: Seq,
    /// Fewer than the packet had request the rest in a new packet.
    pub accepted: u8,
}

/// The fourth byte of a packet: one meaning for each direction.
pub trait Control: Copy {
    /// From the wire; reserved bits are dropped.
    fn from_byte(byte: u8) -> Self;
    /// To the wire.
    fn byte(self) -> u8;
}

macro_rules! control {
    ($(#[$doc:meta])* $name:ident { $($(#[$bit_doc:meta])* $bit:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        pub struct $name(u8);

        impl $name {
            /// No bit set.
            pub const NONE: Self = Self(0);
            $($(#[$bit_doc])* pub const $bit: Self = Self($value);)*
            const DEFINED: u8 = $($value)|*;

            /// Whether all bits of `other` are set.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// With the bits of `other` set as well.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// With the bits of `other` set as well if `condition` holds.
            #[must_use]
            pub const fn with_if(self, condition: bool, other: Self) -> Self {
                if condition { self.with(other) } else { self }
            }
        }

        impl Control for $name {
            fn from_byte(byte: u8) -> Self {
                Self(byte & Self::DEFINED)
            }

            fn byte(self) -> u8 {
                self.0
            }
        }
    };
}

control! {
    /// What the remote console asks of the BMC besides taking the characters.
    Operation {
        /// The packet named in the acknowledgement was refused.
        NACK = 0x40,
        /// Assert RI, to wake the system by ring.
        RING = 0x20,
        /// Generate a break before the packet's characters.
        BREAK = 0x10,
        /// Deassert CTS: the host shall stop sending.
        CTS_HOLD = 0x08,
        /// Deassert DCD and DSR.
        DROP_DCD_DSR = 0x04,
        /// Drop what the console sent before this packet and the UART has not taken yet.
        FLUSH_INBOUND = 0x02,
        /// Drop what the BMC has not sent to the console yet.
        FLUSH_OUTBOUND = 0x01,
    }
}

control! {
    /// What the BMC reports to the remote console.
    Status {
        /// The packet named in the acknowledgement was refused.
        NACK = 0x40,
        /// Characters for the host cannot be taken now.
        UNAVAILABLE = 0x20,
        /// SOL is, or is being, deactivated.
        DEACTIVATED = 0x10,
        /// Characters from the host were lost just before those in this packet.
        OVERRUN = 0x08,
        /// The host sent a break.
        BREAK_DETECTED = 0x04,
    }
}

/// One packet; see [`ToBmc`] and [`ToConsole`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packet<'a, C> {
    /// Its number; `None` for one that only acknowledges or informs, and is not acknowledged.
    pub seq: Option<Seq>,
    /// What it says of a packet that came the other way.
    pub ack: Option<Ack>,
    /// Operation or status.
    pub control: C,
    /// Console characters; meaningless without a `seq`.
    pub chars: &'a [u8],
}

/// A packet from the remote console to the BMC.
pub type ToBmc<'a> = Packet<'a, Operation>;

/// A packet from the BMC to the remote console.
pub type ToConsole<'a> = Packet<'a, Status>;

/// A payload shorter than the header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("SOL packet: {have} bytes where {HEADER_LEN} are needed")]
pub struct Truncated {
    /// Bytes that came.
    pub have: usize,
}

impl<'a, C: Control> Packet<'a, C> {
    /// Reads one SOL payload. Any number of characters is accepted.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if the header is not whole.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Truncated> {
        let (&[seq, ack, accepted, control], chars) =
            bytes.split_first_chunk().ok_or(Truncated { have: bytes.len() })?;
        Ok(Self {
            seq: Seq::new(seq),
            ack: Seq::new(ack).map(|seq| Ack { seq, accepted }),
            control: C::from_byte(control),
            chars,
        })
    }

    /// Appends the packet to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let (ack, accepted) = self.ack.map_or((0, 0), |ack| (ack.seq.get(), ack.accepted));
        out.extend([self.seq.map_or(0, Seq::get), ack, accepted, self.control.byte()]);
        out.extend(self.chars);
    }

    /// The packet as the payload of a datagram.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + self.chars.len());
        self.emit(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    fn seq(value: u8) -> Seq {
        Seq::new(value).unwrap()
    }

    fn ack(value: u8, accepted: u8) -> Option<Ack> {
        Some(Ack { seq: seq(value), accepted })
    }

    #[test]
    fn packets_to_the_console_match_golden_bytes() {
        let cases: [(&str, &[u8], ToConsole); 5] = [
            (
                "data",
                &hex!("01 00 00 00 6f 6b"),
                Packet { seq: Some(Seq::FIRST), ack: None, control: Status::NONE, chars: b"ok" },
            ),
            (
                "echo that acknowledges",
                &hex!("0f 02 01 00 61"),
                Packet { seq: Some(seq(15)), ack: ack(2, 1), control: Status::NONE, chars: b"a" },
            ),
            (
                "nack, transfer unavailable",
                &hex!("00 03 00 60"),
                Packet {
                    seq: None,
                    ack: ack(3, 0),
                    control: Status::NACK.with(Status::UNAVAILABLE),
                    chars: b"",
                },
            ),
            (
                "deactivated",
                &hex!("04 00 00 10"),
                Packet { seq: Some(seq(4)), ack: None, control: Status::DEACTIVATED, chars: b"" },
            ),
            (
                "after an overrun and a break",
                &hex!("05 00 00 0c 21"),
                Packet {
                    seq: Some(seq(5)),
                    ack: None,
                    control: Status::OVERRUN.with(Status::BREAK_DETECTED),
                    chars: b"!",
                },
            ),
        ];
        for (name, bytes, packet) in cases {
            assert_eq!(ToConsole::parse(bytes), Ok(packet), "parse: {name}");
            assert_eq!(packet.to_vec(), bytes, "emit: {name}");
        }
    }

    /// The break is `~B` of ipmitool 1.8.19, the last one what ipmiconsole 1.6.10 answers to a
    /// packet without characters.
    #[test]
    fn packets_to_the_bmc_match_golden_bytes() {
        let cases: [(&str, &[u8], ToBmc); 4] = [
            (
                "typed",
                &hex!("02 00 00 00 6c 73 0d"),
                Packet { seq: Some(seq(2)), ack: None, control: Operation::NONE, chars: b"ls\r" },
            ),
            (
                "break",
                &hex!("03 00 00 10"),
                Packet { seq: Some(seq(3)), ack: None, control: Operation::BREAK, chars: b"" },
            ),
            (
                "lines and flush",
                &hex!("04 00 00 2f"),
                Packet {
                    seq: Some(seq(4)),
                    ack: None,
                    control: Operation::RING
                        .with(Operation::CTS_HOLD)
                        .with(Operation::DROP_DCD_DSR)
                        .with(Operation::FLUSH_INBOUND)
                        .with(Operation::FLUSH_OUTBOUND),
                    chars: b"",
                },
            ),
            (
                "acknowledgement of nothing",
                &hex!("00 07 00 40"),
                Packet { seq: None, ack: ack(7, 0), control: Operation::NACK, chars: b"" },
            ),
        ];
        for (name, bytes, packet) in cases {
            assert_eq!(ToBmc::parse(bytes), Ok(packet), "parse: {name}");
            assert_eq!(packet.to_vec(), bytes, "emit: {name}");
        }
    }

    #[test]
    fn sol_header_cut_short_is_truncated() {
        let whole = hex!("01 00 00 00");
        for have in 0..HEADER_LEN {
            assert_eq!(ToBmc::parse(&whole[..have]), Err(Truncated { have }));
            assert_eq!(ToConsole::parse(&whole[..have]), Err(Truncated { have }));
        }
    }

    #[test]
    fn sequence_numbers_go_round_without_zero() {
        let mut number = Seq::FIRST;
        for step in 1..=30 {
            number = number.next();
            assert_ne!(number.get(), 0);
            assert_eq!(number.steps_after(Seq::FIRST), step % Seq::COUNT);
        }
        assert_eq!(seq(15).next(), Seq::FIRST);
    }

    proptest! {
        #[test]
        fn what_parses_is_emitted_as_it_came(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(packet) = ToBmc::parse(&bytes) {
                let emitted = packet.to_vec();
                prop_assert_eq!(ToBmc::parse(&emitted), Ok(packet));
                prop_assert_eq!(emitted.len(), bytes.len());
            }
            if let Ok(packet) = ToConsole::parse(&bytes) {
                let emitted = packet.to_vec();
                prop_assert_eq!(ToConsole::parse(&emitted), Ok(packet));
            }
        }
    }
}
