//! The commands that need no session: what a console asks before it logs in.

use ipmi_proto::{ChannelNumber, CompletionCode, GroupBody, NetFn, Privilege, Request, Response};

use super::accounts::{Accounts, LoginStatus, V15Policy};
use super::config::Config;
use crate::suite::{CipherSuite, emit_algorithms};
use crate::wire::v20::PayloadType;

/// Get System GUID (IPMI v2.0 §22.14).
const GET_SYSTEM_GUID: u8 = 0x37;
/// Get Channel Authentication Capabilities (IPMI v2.0 §22.13).
const GET_CHANNEL_AUTH_CAPABILITIES: u8 = 0x38;
/// Get Channel Cipher Suites (IPMI v2.0 §22.15).
const GET_CHANNEL_CIPHER_SUITES: u8 = 0x54;

/// Get DCMI Capabilities Info (DCMI v1.5 §6.1.1), in the group of DCMI.
const GET_DCMI_CAPABILITIES_INFO: u8 = 0x01;

/// Whether the BMC answers `request` outside a session: by it a console finds out whether there is DCMI, so it
/// needs none (DCMI v1.5 §3.1).
pub(super) fn is_for_bmc(request: &Request) -> bool {
    request.netfn == NetFn::GROUP
        && request.command == GET_DCMI_CAPABILITIES_INFO
        && request.data.first() == Some(&GroupBody::DCMI.0)
}

/// Answers `request` if it is one of the three; `None` for every other command.
pub(super) fn answer(
    request: &Request,
    config: &Config,
    accounts: &impl Accounts,
) -> Option<Response> {
    if request.netfn != NetFn::APP {
        return None;
    }
    let result = match request.command {
        GET_SYSTEM_GUID => guid(request, config),
        GET_CHANNEL_AUTH_CAPABILITIES => auth_capabilities(request, config, accounts),
        GET_CHANNEL_CIPHER_SUITES => cipher_suites(request, config),
        _ => return None,
    };
    Some(match result {
        Ok(data) => Response::to(request, CompletionCode::OK, data),
        Err(code) => Response::failure(request, code),
    })
}

/// Answers `request`, which came within a session, if it is about the session's own channel. The command
/// daemon, which knows all channels, answers the others.
pub(super) fn answer_in_session(
    request: &Request,
    config: &Config,
    accounts: &impl Accounts,
) -> Option<Response> {
    let about = ChannelNumber::new(request.data.first()? & 0x0f)?;
    if request.command == GET_SYSTEM_GUID || !is_ours(about, config) {
        return None;
    }
    answer(request, config, accounts)
}

fn is_ours(channel: ChannelNumber, config: &Config) -> bool {
    channel == ChannelNumber::CURRENT || channel == config.channel
}

fn guid(request: &Request, config: &Config) -> Result<Vec<u8>, CompletionCode> {
    if request.data.is_empty() {
        Ok(config.guid.to_vec())
    } else {
        Err(CompletionCode::REQUEST_LENGTH_INVALID)
    }
}

/// Bit 7 of the request's channel byte: report the IPMI 2.0 extended capabilities.
const WANTS_V20: u8 = 0x80;
/// Bit 7 of the authentication types: the extended capabilities are valid.
const HAS_EXTENDED: u8 = 0x80;
/// Extended capabilities: the channel supports IPMI 2.0 connections; bit 0 is for 1.5.
const SUPPORTS_V20: u8 = 0x02;

/// Get Channel Authentication Capabilities (IPMI v2.0 §22.13, Table 22-15).
///
/// # Errors
///
/// - `C7h` for another length than two bytes.
/// - `CCh` for another channel or a reserved privilege level.
fn auth_capabilities(
    request: &Request,
    config: &Config,
    accounts: &impl Accounts,
) -> Result<Vec<u8>, CompletionCode> {
    let &[channel_byte, privilege] = request.data.as_slice() else {
        return Err(CompletionCode::REQUEST_LENGTH_INVALID);
    };
    let channel = ChannelNumber::new(channel_byte & 0x0f);
    let valid = channel.is_some_and(|channel| is_ours(channel, config));
    if !valid || Privilege::new(privilege & 0x0f).is_none() {
        return Err(CompletionCode::INVALID_DATA_FIELD);
    }
    let wants_v20 = channel_byte & WANTS_V20 != 0;
    let v15 = config.v15.iter().fold(0, |types, auth| types | 1 << auth.value());
    let (types, extended) =
        if wants_v20 { (HAS_EXTENDED | v15, SUPPORTS_V20 | u8::from(v15 != 0)) } else { (v15, 0) };
    let policy = accounts.v15_policy();
    let status = status_bits(accounts.kg().is_some(), policy, accounts.login_status());
    Ok(vec![config.channel.value(), types, status, extended, 0, 0, 0, 0])
}

/// Byte 4 of the answer: KG, which packets of IPMI 1.5 sessions go without auth code, and which
/// kinds of users there are.
fn status_bits(has_kg: bool, policy: V15Policy, status: LoginStatus) -> u8 {
    u8::from(has_kg) << 5
        | u8::from(policy.per_message_auth_disabled) << 4
        | u8::from(policy.user_level_auth_disabled) << 3
        | u8::from(status.named_users) << 2
        | u8::from(status.null_users) << 1
        | u8::from(status.anonymous)
}

/// Bytes of the list in one answer.
const LIST_BLOCK: usize = 16;
/// Bit 7 of the list index: list by suite, not by algorithm.
const BY_SUITE: u8 = 0x80;

/// Get Channel Cipher Suites (IPMI v2.0 §22.15, Table 22-17).
///
/// # Errors
///
/// - `C7h` for another length than three bytes.
/// - `CCh` for another channel or an unknown payload type.
fn cipher_suites(request: &Request, config: &Config) -> Result<Vec<u8>, CompletionCode> {
    let &[channel, payload, index] = request.data.as_slice() else {
        return Err(CompletionCode::REQUEST_LENGTH_INVALID);
    };
    let channel = ChannelNumber::new(channel & 0x0f);
    let known = [PayloadType::IPMI, PayloadType::SOL].map(PayloadType::value);
    if !channel.is_some_and(|channel| is_ours(channel, config))
        || !known.contains(&(payload & 0x3f))
    {
        return Err(CompletionCode::INVALID_DATA_FIELD);
    }
    let list = suite_list(&config.suites, index & BY_SUITE != 0);
    let block = list.chunks(LIST_BLOCK).nth(usize::from(index & 0x3f)).unwrap_or_default();
    let mut data = vec![config.channel.value()];
    data.extend_from_slice(block);
    Ok(data)
}

fn suite_list(suites: &[CipherSuite], by_suite: bool) -> Vec<u8> {
    let mut list = Vec::new();
    if by_suite {
        for suite in suites {
            suite.emit_record(&mut list);
        }
    } else {
        emit_algorithms(suites, &mut list);
    }
    list
}
