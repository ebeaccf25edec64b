//! `ipmi_pass`: names and passwords, encrypted under a key made of `key_file`.
//!
//! The head is a C structure of the BMC's own word size: a signature, and the lengths of what
//! follows: random bytes from which the key is made, the initialization vector, the text, encrypted
//! with AES-128-CBC, and an HMAC-SHA256 of the encrypted text.

use std::collections::BTreeMap;

use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt, InnerIvInit, KeyInit};
use ring::hmac;
use zeroize::Zeroizing;

use crate::{Password, PasswordSize};

const SIGNATURE: &[u8] = b"=OPENBMC=\0";

/// How much of the key file counts (`maxKeySize`).
const KEY_FILE_LENGTH: usize = 8;

const BLOCK: usize = 16;
const WORD: usize = size_of::<usize>();

/// Where the first length is: behind the signature and two reserved bytes, aligned.
const LENGTHS_AT: usize = (SIGNATURE.len() + 2).next_multiple_of(WORD);

/// The parts of a file.
struct Parts<'a> {
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
    let parts = split(file)?;
    if parts.text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let key_file = key_file
        .get(..KEY_FILE_LENGTH)
        .ok_or("the key file is too short")?;
    let made = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key_file), parts.salt);
    // The whole of it authenticates, its first half encrypts.
    hmac::verify(
        &hmac::Key::new(hmac::HMAC_SHA256, made.as_ref()),
        parts.text,
        parts.mac,
    )
    .map_err(|_| "it does not fit the key file, or was changed")?;
    let key = made.as_ref().get(..BLOCK).ok_or("the key is too short")?;
    Ok(entries(&decrypt(key, parts.iv, parts.text)?))
}

fn split(file: &[u8]) -> Result<Parts<'_>, &'static str> {
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
    Ok(Parts {
        salt,
        iv,
        text,
        mac,
    })
}

fn decrypt(key: &[u8], iv: &[u8], text: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let cipher = Aes128::new_from_slice(key).map_err(|_| "the key has a wrong length")?;
    let iv: [u8; BLOCK] = iv
        .try_into()
        .map_err(|_| "the initialization vector has a wrong length")?;
    let mut plain = Zeroizing::new(text.to_vec());
    let (blocks, []) = Array::slice_as_chunks_mut(&mut plain) else {
        return Err("the text is no whole number of blocks");
    };
    cbc::Decryptor::inner_iv_init(cipher, &iv.into()).decrypt_blocks(blocks);
    // PKCS#7: each of the last bytes says how many they are.
    let padding = usize::from(plain.last().copied().unwrap_or(0));
    let end = plain
        .len()
        .checked_sub(padding)
        .filter(|_| (1..=BLOCK).contains(&padding));
    plain.truncate(end.ok_or("the padding is wrong")?);
    Ok(plain)
}

/// The lines `name:password`, up to the first zero byte.
fn entries(plain: &[u8]) -> BTreeMap<String, Password> {
    let text = plain.split(|&byte| byte == 0).next().unwrap_or_default();
    text.split(|&byte| byte == b'\n')
        .filter_map(entry)
        .collect()
}

fn entry(line: &[u8]) -> Option<(String, Password)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, password) = (line.get(..colon)?, line.get(colon + 1..)?);
    // The file does not tell the size; one that fits 16 bytes was set as such by most tools.
    let fits16 = password.len() <= PasswordSize::Bytes16.length();
    let size = if fits16 {
        PasswordSize::Bytes16
    } else {
        PasswordSize::Bytes20
    };
    Some((
        String::from_utf8(name.to_vec()).ok()?,
        Password::new(password, size)?,
    ))
}

/// A file that `open` opens, for the tests of this crate.
#[cfg(test)]
pub(super) fn seal(entries: &[(&str, &str)], key_file: &[u8]) -> Vec<u8> {
    use aes::cipher::BlockModeEncrypt;

    let mut plain: Vec<u8> = Vec::new();
    for (name, password) in entries {
        plain.extend(format!("{name}:{password}\n").bytes());
    }
    let padding = BLOCK - plain.len() % BLOCK;
    let data = plain.len();
    plain.resize(data + padding, u8::try_from(padding).unwrap());
    let (salt, iv) = ([7; 64], [9; BLOCK]);
    let made = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key_file[..8]), &salt);
    let cipher = Aes128::new_from_slice(&made.as_ref()[..BLOCK]).unwrap();
    let (blocks, []) = Array::slice_as_chunks_mut(&mut plain) else {
        unreachable!()
    };
    cbc::Encryptor::inner_iv_init(cipher, &iv.into()).encrypt_blocks(blocks);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, made.as_ref()), &plain);
    let mut file = SIGNATURE.to_vec();
    file.resize(LENGTHS_AT, 0);
    for length in [salt.len(), iv.len(), data, padding, mac.as_ref().len()] {
        file.extend(length.to_ne_bytes());
    }
    [
        file,
        salt.to_vec(),
        iv.to_vec(),
        plain,
        mac.as_ref().to_vec(),
    ]
    .concat()
}
