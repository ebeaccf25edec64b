//! Asset tag and management controller identifier (DCMI 1.5 §6.4.2, §6.4.6).

use std::sync::Arc;

use ipmi_proto::codec::Remaining;
use ipmi_proto::{CompletionCode, GroupBody, Privilege};
use serde::{Deserialize, Serialize};

use super::{DcmiProvider, Platform, absent};
use crate::model::persistent::lock;
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// Bytes that one request reads or writes at most.
const CHUNK: usize = 16;
/// The longest asset tag.
const TAG_LENGTH: usize = 63;
/// The longest identifier, with its NUL.
const IDENTIFIER_LENGTH: usize = 64;

/// The bytes of an asset tag, which the bus has as text.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct AssetTag(Vec<u8>);

impl AssetTag {
    /// The text on the bus: up to a NUL, which it cannot have; UTF-8, or Latin-1 where the bytes are not (DCMI 1.5
    /// §6.4.2). A character that a later part completes is left out.
    fn text(&self) -> String {
        let bytes = self.0.split(|&byte| byte == 0).next().unwrap_or_default();
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(error) => match (error.error_len(), bytes.split_at_checked(error.valid_up_to())) {
                (None, Some((complete, _))) => String::from_utf8_lossy(complete).into_owned(),
                _ => bytes.iter().copied().map(char::from).collect(),
            },
        }
    }

    /// These bytes, or those of `text` where another service has changed it.
    fn under(self, text: String) -> Self {
        if self.text() == text {
            return self;
        }
        let mut bytes = text.into_bytes();
        bytes.truncate(TAG_LENGTH);
        Self(bytes)
    }
}

impl<P: Platform> DcmiProvider<P> {
    #[rustfmt::skip] // one line a command
    pub(super) fn register_identity(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, Operator, User};
        let mut rows = table.rows(GroupBody::DCMI, self);
        rows.add(0x06, User, "Get Asset Tag", Self::get_asset_tag);
        rows.add(0x09, User, "Get Management Controller Identifier String", Self::get_controller_identifier);
        let mut rows = rows.changing(Resource::ASSET_TAG);
        rows.add(0x08, Operator, "Set Asset Tag", Self::set_asset_tag);
        let mut rows = rows.changing(Resource::HOST_NAME);
        rows.add(0x0a, Administrator, "Set Management Controller Identifier String", Self::set_controller_identifier);
    }

    /// Get Asset Tag (DCMI 1.5 §6.4.2): total length and a part of at most 16 bytes.
    ///
    /// # Errors
    ///
    /// `C9h` for a part beyond the end or of more than 16 bytes.
    async fn get_asset_tag(
        self: Arc<Self>,
        _: Context,
        offset: u8,
        count: u8,
    ) -> HandlerResult<(u8, Remaining)> {
        let AssetTag(tag) = self.asset_tag().await?;
        let part = part(&tag, offset, count)?;
        Ok((length(&tag), part.into()))
    }

    /// Set Asset Tag (DCMI 1.5 §6.4.3): a part at an offset; the tag ends where the part ends.
    ///
    /// # Errors
    ///
    /// `C7h` when there are not as many bytes as said, `C9h` beyond 63 bytes or past the end.
    async fn set_asset_tag(
        self: Arc<Self>,
        _: Context,
        offset: u8,
        count: u8,
        bytes: Vec<u8>,
    ) -> HandlerResult<u8> {
        let mut tag = self.asset_tag().await?;
        splice(&mut tag.0, offset, count, &bytes, TAG_LENGTH)?;
        self.platform.set_asset_tag(tag.text()).await.map_err(absent)?;
        let total = length(&tag.0);
        self.state.update(|state| state.asset_tag = tag).await?;
        Ok(total)
    }

    async fn asset_tag(&self) -> HandlerResult<AssetTag> {
        let text = self.platform.asset_tag().await.map_err(absent)?;
        Ok(self.state.look(|state| state.asset_tag.clone()).under(text))
    }

    /// Get Management Controller Identifier String (DCMI 1.5 §6.4.6.1): the host name with its
    /// NUL; total length and a part of at most 16 bytes.
    ///
    /// # Errors
    ///
    /// `C9h` for a part beyond the end or of more than 16 bytes.
    async fn get_controller_identifier(
        self: Arc<Self>,
        _: Context,
        offset: u8,
        count: u8,
    ) -> HandlerResult<(u8, Remaining)> {
        let mut name = self.platform.host_name().await.map_err(absent)?.into_bytes();
        name.truncate(IDENTIFIER_LENGTH - 1);
        name.push(0);
        let part = part(&name, offset, count)?;
        Ok((length(&name), part.into()))
    }

    /// Set Management Controller Identifier String (DCMI 1.5 §6.4.6.2), part by part; it takes
    /// effect with the part that ends in NUL.
    ///
    /// # Errors
    ///
    /// As Set Asset Tag.
    async fn set_controller_identifier(
        self: Arc<Self>,
        _: Context,
        offset: u8,
        count: u8,
        bytes: Vec<u8>,
    ) -> HandlerResult<u8> {
        let (total, complete) = {
            let mut identifier = lock(&self.identifier);
            splice(&mut identifier, offset, count, &bytes, IDENTIFIER_LENGTH)?;
            let end = identifier.iter().position(|&byte| byte == 0);
            (length(&identifier), end.map(|end| identifier[..end].to_vec()))
        };
        if let Some(name) = complete {
            let name = String::from_utf8(name).map_err(|_| CompletionCode::INVALID_DATA_FIELD)?;
            self.platform.set_host_name(name).await.map_err(absent)?;
        }
        Ok(total)
    }
}

fn length(text: &[u8]) -> u8 {
    u8::try_from(text.len()).unwrap_or(u8::MAX)
}

fn part(text: &[u8], offset: u8, count: u8) -> Result<Vec<u8>, CompletionCode> {
    let (offset, count) = (usize::from(offset), usize::from(count));
    if count > CHUNK || offset > text.len() {
        return Err(CompletionCode::PARAMETER_OUT_OF_RANGE);
    }
    Ok(text.iter().skip(offset).take(count).copied().collect())
}

/// Writes `bytes` at `offset`, where `text` ends after them.
fn splice(
    text: &mut Vec<u8>,
    offset: u8,
    count: u8,
    bytes: &[u8],
    limit: usize,
) -> Result<(), CompletionCode> {
    if bytes.len() != usize::from(count) {
        return Err(CompletionCode::REQUEST_LENGTH_INVALID);
    }
    let offset = usize::from(offset);
    if bytes.len() > CHUNK || offset > text.len() || offset + bytes.len() > limit {
        return Err(CompletionCode::PARAMETER_OUT_OF_RANGE);
    }
    text.truncate(offset);
    text.extend(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::dcmi::tests::{answer, commands};

    #[tokio::test]
    async fn asset_tag_is_written_and_read_in_parts() {
        let commands = commands();
        let write = |offset: u8, text: &[u8]| [&[offset, length(text)][..], text].concat();
        assert_eq!(commands.send(0x08, &write(0, b"rack 7, unit 16.")).await, answer(&[16]));
        assert_eq!(commands.send(0x08, &write(16, b" left")).await, answer(&[21]));
        let first = [&[21][..], b"rack 7, unit 16."].concat();
        assert_eq!(commands.send(0x06, &[0, 16]).await, answer(&first));
        let second = [&[21][..], b" left"].concat();
        assert_eq!(commands.send(0x06, &[16, 16]).await, answer(&second));
        let beyond = Err(CompletionCode::PARAMETER_OUT_OF_RANGE);
        assert_eq!(commands.send(0x06, &[22, 1]).await, beyond);
        assert_eq!(commands.send(0x06, &[0, 17]).await, beyond);
        assert_eq!(commands.send(0x08, &write(40, b"x")).await, beyond);
        let short = Err(CompletionCode::REQUEST_LENGTH_INVALID);
        assert_eq!(commands.send(0x08, &[0, 2, b'x']).await, short);
    }

    #[tokio::test]
    async fn character_may_straddle_two_parts_and_latin_1_is_read_back() {
        let commands = commands();
        let write = |offset: u8, text: &[u8]| [&[offset, length(text)][..], text].concat();
        let read = async |offset, count| commands.send(0x06, &[offset, count]).await.unwrap();
        let bus = || commands.platform.state().asset_tag.clone();
        let text = "Gestell 7, Süd, \u{1f4e6}!".as_bytes();
        commands.send(0x08, &write(0, &text[..13])).await.unwrap();
        assert_eq!(bus(), "Gestell 7, S");
        assert_eq!(read(0, 16).await, [&[13][..], &text[..13]].concat());
        commands.send(0x08, &write(13, &text[13..])).await.unwrap();
        assert_eq!(bus().as_bytes(), text);

        let latin = b"S\xfcd";
        commands.send(0x08, &write(0, latin)).await.unwrap();
        assert_eq!((bus().as_str(), read(0, 3).await), ("Süd", b"\x03S\xfcd".to_vec()));
        commands.send(0x08, &write(0, b"a\0b")).await.unwrap();
        assert_eq!((bus().as_str(), read(0, 3).await), ("a", b"\x03a\0b".to_vec()));
        commands.platform.state().asset_tag = "by Redfish".to_owned();
        assert_eq!(read(0, 16).await, b"\x0aby Redfish");
    }

    #[tokio::test]
    async fn identifier_is_the_host_name_and_ends_with_nul() {
        let commands = commands();
        let name = [&[4][..], b"bmc\0"].concat();
        assert_eq!(commands.send(0x09, &[0, 16]).await, answer(&name));
        assert_eq!(commands.send(0x0a, b"\x00\x04node").await, answer(&[4]));
        assert_eq!(commands.platform.state().host_name, "bmc");
        assert_eq!(commands.send(0x0a, b"\x04\x03-7\0").await, answer(&[7]));
        assert_eq!(commands.platform.state().host_name, "node-7");
    }
}
