//! `ipmi_pass`: names and passwords, encrypted under a key made of `key_file`.
//!
//! The head is a C structure of the BMC's own word size: a signature, and the lengths of what
//! follows: random bytes from which the key is made, the initialization vector, the text, encrypted
//! with AES-128-CBC, and an HMAC-SHA256 of the encrypted text.

use std::collections::BTreeMap;

use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::{Password, PasswordSize};

const SIGNATURE: &[u8] = b"=OPENBMC=\0";

/// How much of the key file counts (`maxKeySize`).
const KEY_FILE_LENGTH: usize = 8;

const BLOCK: usize = 16;
/// Random bytes from which the key is made: one block of SHA-256.
const SALT: usize = 64;
const WORD: usize = size_of::<usize>();

/// Where the first length is: behind the signature and two reserved bytes, aligned.
const LENGTHS_AT: usize = (SIGNATURE.len() + 2).next_multiple_of(WORD);

/// The parts of a file.
struct SealedPasswords<'a> {
    salt: &'a [u8],
    iv: &'a [u8],
    text: &'a [u8],
    mac: &'a [u8],
}

/// The passwords of the file, by user name.
pub(super) fn open(
    file: &[u8],
    key_file: &[u8],
) -> Result<BTreeMap<String, Password>, &'static str> {
    let plain = text(file, key_file)?;
    Ok(lines(&plain).filter_map(|(name, password)| entry(name, password)).collect())
}

/// The lines of the file, decrypted.
fn text(file: &[u8], key_file: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let parts = split(file)?;
    if parts.text.is_empty() {
        return Ok(Zeroizing::default());
    }
    let made = made_key(key_file, parts.salt)?;
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, made.as_ref()), parts.text, parts.mac)
        .map_err(|_| "it does not fit the key file, or was changed")?;
    decrypt(made.as_ref(), parts.iv, parts.text)
}

/// The key of one file: the whole of it authenticates, its first half encrypts.
fn made_key(key_file: &[u8], salt: &[u8]) -> Result<hmac::Tag, &'static str> {
    let key_file = key_file.get(..KEY_FILE_LENGTH).ok_or("the key file is too short")?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, key_file);
    Ok(hmac::sign(&key, salt))
}

fn cipher(made: &[u8]) -> Result<Aes128, &'static str> {
    made.get(..BLOCK).and_then(|key| Aes128::new_from_slice(key).ok()).ok_or("the key is too short")
}

fn split(file: &[u8]) -> Result<SealedPasswords<'_>, &'static str> {
    const SHORT: &str = "cut short";
    if !file.starts_with(SIGNATURE) {
        return Err("it has no signature");
    }
    let (words, _) = file.get(LENGTHS_AT..).ok_or(SHORT)?.as_chunks::<WORD>();
    let &[salt, iv, data, padding, mac, ..] = words else {
        return Err(SHORT);
    };
    let body = file.get(LENGTHS_AT + 5 * WORD..).ok_or(SHORT)?;
    let length = usize::from_ne_bytes;
    let text = length(data).checked_add(length(padding)).ok_or(SHORT)?;
    let (salt, body) = body.split_at_checked(length(salt)).ok_or(SHORT)?;
    let (iv, body) = body.split_at_checked(length(iv)).ok_or(SHORT)?;
    let (text, body) = body.split_at_checked(text).ok_or(SHORT)?;
    let mac = body.get(..length(mac)).ok_or(SHORT)?;
    Ok(SealedPasswords { salt, iv, text, mac })
}

fn decrypt(made: &[u8], iv: &[u8], text: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let cipher = cipher(made)?;
    let iv: [u8; BLOCK] =
        iv.try_into().map_err(|_| "the initialization vector has a wrong length")?;
    let mut plain = Zeroizing::new(text.to_vec());
    let (blocks, []) = Array::slice_as_chunks_mut(&mut plain) else {
        return Err("the text is no whole number of blocks");
    };
    cbc::Decryptor::inner_iv_init(cipher, &iv.into()).decrypt_blocks(blocks);
    // PKCS#7: each of the last bytes says how many they are.
    let padding = usize::from(plain.last().copied().unwrap_or(0));
    let end = plain.len().checked_sub(padding).filter(|_| (1..=BLOCK).contains(&padding));
    plain.truncate(end.ok_or("the padding is wrong")?);
    Ok(plain)
}

/// The lines `name:password`, up to the first zero byte.
fn lines(plain: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let text = plain.split(|&byte| byte == 0).next().unwrap_or_default();
    text.split(|&byte| byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        Some((line.get(..colon)?, line.get(colon + 1..)?))
    })
}

fn entry(name: &[u8], password: &[u8]) -> Option<(String, Password)> {
    // The file does not have the size; most tools set one that fits 16 bytes as such.
    let fits16 = password.len() <= PasswordSize::Bytes16.length();
    let size = if fits16 { PasswordSize::Bytes16 } else { PasswordSize::Bytes20 };
    Some((String::from_utf8(name.to_vec()).ok()?, Password::new(password, size)?))
}

/// The file with another name for one user's password, or without it; `None` if it has none.
///
/// # Errors
///
/// What is wrong with the file, or that there are no random numbers.
pub(super) fn rename(
    file: &[u8],
    key_file: &[u8],
    old: &str,
    new: Option<&str>,
) -> Result<Option<Vec<u8>>, &'static str> {
    let plain = text(file, key_file)?;
    let mut next = Zeroizing::new(Vec::with_capacity(plain.len() + PasswordSize::MAX_LENGTH));
    let mut found = false;
    for (name, password) in lines(&plain) {
        let name = match new {
            _ if name != old.as_bytes() => name,
            Some(new) => {
                found = true;
                new.as_bytes()
            }
            None => {
                found = true;
                continue;
            }
        };
        for part in [name, b":", password, b"\n"] {
            next.extend_from_slice(part);
        }
    }
    found.then(|| seal(&next, key_file)).transpose()
}

/// The file of this text, under fresh random bytes.
fn seal(text: &[u8], key_file: &[u8]) -> Result<Vec<u8>, &'static str> {
    const NO_RANDOM: &str = "there are no random numbers";
    let random = SystemRandom::new();
    let (mut salt, mut iv) = ([0; SALT], [0; BLOCK]);
    random.fill(&mut salt).map_err(|_| NO_RANDOM)?;
    random.fill(&mut iv).map_err(|_| NO_RANDOM)?;
    let (mut sealed, mut mac) = (Vec::new(), None);
    if !text.is_empty() {
        let made = made_key(key_file, &salt)?;
        sealed = encrypt(made.as_ref(), &iv, text)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, made.as_ref());
        mac = Some(hmac::sign(&key, &sealed));
    }
    let mac = mac.as_ref().map_or(&[][..], |mac| mac.as_ref());
    let padding = sealed.len().saturating_sub(text.len());
    let mut file = SIGNATURE.to_vec();
    file.resize(LENGTHS_AT, 0);
    for length in [salt.len(), iv.len(), text.len(), padding, mac.len()] {
        file.extend(length.to_ne_bytes());
    }
    for part in [&salt[..], &iv, &sealed, mac] {
        file.extend_from_slice(part);
    }
    Ok(file)
}

/// AES-128-CBC over the text and the padding of PKCS#7, of which there is always some.
fn encrypt(made: &[u8], iv: &[u8; BLOCK], text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let cipher = cipher(made)?;
    let padding = BLOCK - text.len() % BLOCK;
    let mut bytes = text.to_vec();
    bytes.resize(text.len() + padding, u8::try_from(padding).unwrap_or_default());
    let (blocks, _) = Array::slice_as_chunks_mut(&mut bytes);
    cbc::Encryptor::inner_iv_init(cipher, &(*iv).into()).encrypt_blocks(blocks);
    Ok(bytes)
}

/// A file of these entries, for the tests of this crate.
#[cfg(test)]
pub(super) fn file_of(entries: &[(&str, &str)], key_file: &[u8]) -> Vec<u8> {
    let line = |(name, password): &(&str, &str)| format!("{name}:{password}\n");
    let text: String = entries.iter().map(line).collect();
    seal(text.as_bytes(), key_file).unwrap()
}
