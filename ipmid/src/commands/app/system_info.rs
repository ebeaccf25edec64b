//! System info parameters: names and versions that hosts and operators store in the BMC
//! (IPMI v2.0 §22.14a, §22.14b).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ipmi_proto::codec::{Bits, Remaining};
use ipmi_proto::{CompletionCode, NetFn, Privilege};
use serde::{Deserialize, Serialize};

use super::{AppProvider, Platform};
use crate::commands::set_in_progress::{self, SetState};
use crate::model::parameter_updates::Parameters;
use crate::model::persistent::lock;
use crate::platform::PlatformError;
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// `80h`: parameter not supported.
const PARAMETER_NOT_SUPPORTED: CompletionCode = CompletionCode(0x80);

/// Version of the parameters' layout.
const PARAMETER_VERSION: u8 = 0x11;
/// Bytes in a block of text.
const BLOCK: usize = 16;
/// Maximum blocks of a text, the first of which starts with encoding and length.
const BLOCKS: usize = 16;
/// Encoding 0: ASCII and Latin-1.
const ASCII: u8 = 0;

const PARAM_SET_IN_PROGRESS: u8 = 0;
const PARAM_FIRMWARE_VERSION: u8 = 1;
/// Operating system name: volatile, lost at a restart.
const PARAM_OS_NAME: u8 = 4;
/// Present OS version, volatile too.
const PARAM_OS_VERSION: u8 = 5;
const PARAM_LAST: u8 = 7;

/// A text as its blocks: encoding, length, characters.
type Text = Vec<u8>;

/// The non-volatile texts.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, transparent)]
pub struct SystemInfo(BTreeMap<u8, Text>);

/// The volatile texts.
pub(super) type Volatile = Mutex<SystemInfo>;

impl SystemInfo {
    fn set_block(&mut self, parameter: u8, selector: u8, bytes: &[u8]) {
        let text = self.0.entry(parameter).or_default();
        let start = usize::from(selector) * BLOCK;
        if selector == 0 {
            text.clear(); // the first block begins a new text
        }
        text.resize(text.len().max(start + bytes.len()), 0);
        text[start..start + bytes.len()].copy_from_slice(bytes);
    }

    fn text(&self, parameter: u8) -> Option<&Text> {
        self.0.get(&parameter)
    }
}

fn is_volatile(parameter: u8) -> bool {
    matches!(parameter, PARAM_OS_NAME | PARAM_OS_VERSION)
}

/// One block of `text`, padded with zeros.
///
/// # Errors
///
/// `C9h` beyond its last block.
fn block(text: &[u8], selector: u8) -> Result<[u8; BLOCK], CompletionCode> {
    let mut block = [0; BLOCK];
    match text.chunks(BLOCK).nth(selector.into()) {
        Some(part) => block[..part.len()].copy_from_slice(part),
        None if selector == 0 => {}
        None => return Err(CompletionCode::PARAMETER_OUT_OF_RANGE),
    }
    Ok(block)
}

impl<P: Platform> AppProvider<P> {
    #[rustfmt::skip] // one line a command
    pub(super) fn register_system_info(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Administrator, User};
        let mut rows = table.rows(NetFn::APP, self);
        rows.add(0x59, User, "Get System Info Parameters", Self::get_system_info_parameters);
        let mut rows = rows.changing(Resource::SYSTEM_INFO);
        rows.add(0x58, Administrator, "Set System Info Parameters", Self::set_system_info_parameters);
    }

    /// Set System Info Parameters (IPMI v2.0 §22.14a): texts 1 to 7 in blocks of 16 bytes, the
    /// first of which starts with encoding and length. A firmware version that is set replaces that of the host's
    /// firmware service.
    ///
    /// # Errors
    ///
    /// `80h` beyond parameter 7, `81h` for an update while one is in progress, `C7h` and `C9h` for blocks that are too
    /// long or too many.
    async fn set_system_info_parameters(
        self: Arc<Self>,
        context: Context,
        parameter: u8,
        data: Remaining,
    ) -> Result<(), CompletionCode> {
        let (updates, of) = (&self.deps.updates, Parameters::SystemInfo);
        match parameter {
            PARAM_SET_IN_PROGRESS => {
                let progress = SetState::decode(&data)?;
                return set_in_progress::set(updates, &*self.platform, of, &context, progress)
                    .await;
            }
            PARAM_FIRMWARE_VERSION..=PARAM_LAST => {}
            _ => return Err(PARAMETER_NOT_SUPPORTED),
        }
        updates.extend(of, (&context).into());
        let (selector, bytes): (u8, Vec<u8>) = data.decode()?;
        if bytes.is_empty() || bytes.len() > BLOCK {
            return Err(CompletionCode::REQUEST_LENGTH_INVALID);
        }
        if usize::from(selector) >= BLOCKS {
            return Err(CompletionCode::PARAMETER_OUT_OF_RANGE);
        }
        if is_volatile(parameter) {
            lock(&self.system_info).set_block(parameter, selector, &bytes);
            return Ok(());
        }
        let set = |texts: &mut SystemInfo| texts.set_block(parameter, selector, &bytes);
        Ok(self.deps.system_info.update(set).await?)
    }

    /// Get System Info Parameters (IPMI v2.0 §22.14b): layout version; unless only the revision
    /// is requested, the set selector and one block.
    ///
    /// # Errors
    ///
    /// `80h` for a parameter beyond 7 and a text that was never set, `C9h` beyond a text's last block.
    async fn get_system_info_parameters(
        self: Arc<Self>,
        context: Context,
        (_, revision_only): (Bits<7>, bool),
        parameter: u8,
        selector: u8,
        _block_selector: u8,
    ) -> HandlerResult<(u8, Remaining)> {
        if parameter > PARAM_LAST {
            return Err(PARAMETER_NOT_SUPPORTED.into());
        }
        if revision_only {
            return Ok((PARAMETER_VERSION, Remaining::default()));
        }
        let data = match parameter {
            PARAM_SET_IN_PROGRESS => {
                let (platform, of) = (&*self.platform, Parameters::SystemInfo);
                vec![set_in_progress::get(&self.deps.updates, platform, of, &context).await]
            }
            _ => {
                let text = self.text(parameter).await?;
                [&[selector][..], &block(&text, selector)?].concat()
            }
        };
        Ok((PARAMETER_VERSION, data.into()))
    }

    async fn text(&self, parameter: u8) -> HandlerResult<Text> {
        let stored = if is_volatile(parameter) {
            lock(&self.system_info).text(parameter).cloned()
        } else {
            self.deps.system_info.get().text(parameter).cloned()
        };
        match stored {
            Some(text) => Ok(text),
            None if parameter == PARAM_FIRMWARE_VERSION => {
                match self.platform.host_firmware_version().await {
                    Ok(version) => Ok(ascii(&version)),
                    Err(PlatformError::Absent(_)) => Err(PARAMETER_NOT_SUPPORTED.into()),
                    Err(error) => Err(error.into()),
                }
            }
            None => Err(PARAMETER_NOT_SUPPORTED.into()),
        }
    }
}

/// A text of the BMC with its encoding and length, truncated to the size of the blocks.
fn ascii(text: &str) -> Text {
    let limit = BLOCK * BLOCKS - 2;
    let characters = text.as_bytes();
    let characters = &characters[..characters.len().min(limit)];
    let length = u8::try_from(characters.len()).unwrap_or(u8::MAX);
    [&[ASCII, length][..], characters].concat()
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::app::tests::{answer, commands};

    #[tokio::test]
    async fn names_are_written_and_read_in_blocks() {
        let (commands, ..) = commands();
        let first = hex!("02 00 00 11 63617573657761792d746573742d"); // "causeway-test-"
        let second = hex!("02 01 626d63"); // "bmc"
        assert_eq!(commands.send(0x59, &hex!("00 02 00 00")).await, Err(PARAMETER_NOT_SUPPORTED));
        for request in [&hex!("00 01")[..], &first, &second, &hex!("00 00")] {
            assert_eq!(commands.send(0x58, request).await, answer(&[]), "{request:02x?}");
        }
        let block = answer(&hex!("11 00 00 11 63617573657761792d746573742d"));
        assert_eq!(commands.send(0x59, &hex!("00 02 00 00")).await, block);
        let block = answer(&hex!("11 01 626d63 00000000000000000000000000"));
        assert_eq!(commands.send(0x59, &hex!("00 02 01 00")).await, block);
        let beyond = Err(CompletionCode::PARAMETER_OUT_OF_RANGE);
        assert_eq!(commands.send(0x59, &hex!("00 02 02 00")).await, beyond);
        assert_eq!(commands.send(0x59, &hex!("80 02 00 00")).await, answer(&[0x11]));
    }

    #[tokio::test]
    async fn firmware_version_is_the_hosts_until_one_is_set() {
        let (commands, ..) = commands();
        let version = answer(&hex!("11 00 00 08 686f73742d312e32 000000000000"));
        assert_eq!(commands.send(0x59, &hex!("00 01 00 00")).await, version);
        assert_eq!(commands.send(0x58, &hex!("01 00 00 03 322e30")).await, answer(&[]));
        let version = answer(&hex!("11 00 00 03 322e30 0000000000000000000000"));
        assert_eq!(commands.send(0x59, &hex!("00 01 00 00")).await, version);
    }

    #[tokio::test]
    async fn invalid_parameters_and_blocks_are_refused() {
        let (commands, ..) = commands();
        for (code, request, expected) in [
            (0x58, &hex!("08 00 00")[..], 0x80),
            (0x59, &hex!("00 e7 00 00"), 0x80),
            (0x58, &hex!("02 00"), 0xc7),
            (0x58, &hex!("02 10 00"), 0xc9),
            (0x58, &hex!("00 03"), 0xcc),
        ] {
            let expected = Err(CompletionCode(expected));
            assert_eq!(commands.send(code, request).await, expected, "{request:02x?}");
        }
    }
}
