//! How the vocabulary of IPMI travels: channel numbers and privileges are fields of four bits.

use super::{Decode, DecodeError, Encode, Reader, Writer};
use crate::{ChannelNumber, Iana, Privilege};

impl Decode for ChannelNumber {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let value = reader.bits(4)?;
        let number = u8::try_from(value).ok().and_then(Self::new);
        number.ok_or(DecodeError::Value { field: "channel", value })
    }
}

impl Encode for ChannelNumber {
    fn encode(&self, writer: &mut Writer) {
        writer.bits(self.value().into(), 4);
    }
}

impl Decode for Privilege {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let value = reader.bits(4)?;
        let level = u8::try_from(value).ok().and_then(Self::new);
        level.ok_or(DecodeError::Value { field: "privilege", value })
    }
}

impl Encode for Privilege {
    fn encode(&self, writer: &mut Writer) {
        writer.bits(self.value().into(), 4);
    }
}

impl Decode for Iana {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        <[u8; 3]>::decode(reader).map(Self::from_bytes)
    }
}

impl Encode for Iana {
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.to_bytes());
    }
}
