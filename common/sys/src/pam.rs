//! Changing a password through PAM.
//!
//! The library is loaded when it is needed, so that everything else works on a machine without it, and the
//! build needs no headers. The declarations are those of Linux-PAM (`pam_start(3)`, `pam_conv(3)`,
//! `pam_chauthtok(3)`).

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// The library, by the name of its interface's only version.
const LIBRARY: &CStr = c"libpam.so.0";

const PAM_SUCCESS: c_int = 0;
const PAM_BUF_ERR: c_int = 5;
const PAM_CONV_ERR: c_int = 19;
const PAM_AUTHTOK_ERR: c_int = 20;
/// No messages to the user.
const PAM_SILENT: c_int = 0x8000;
/// A prompt without echo: for a password.
const PAM_PROMPT_ECHO_OFF: c_int = 1;
/// A prompt with echo, to which this conversation has no response.
const PAM_PROMPT_ECHO_ON: c_int = 2;
/// The most messages of one conversation (`PAM_MAX_NUM_MSG`).
const MAX_MESSAGES: c_int = 32;

/// `struct pam_message`.
#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

/// `struct pam_response`.
#[repr(C)]
struct Response {
    text: *mut c_char,
    unused: c_int,
}

/// `struct pam_conv`.
#[repr(C)]
struct Conversation {
    answer: extern "C" fn(c_int, *mut *const Message, *mut *mut Response, *mut c_void) -> c_int,
    password: *mut c_void,
}

type Handle = *mut c_void;
type Start =
    unsafe extern "C" fn(*const c_char, *const c_char, *const Conversation, *mut Handle) -> c_int;
type StartIn = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const Conversation,
    *const c_char,
    *mut Handle,
) -> c_int;
type WithFlags = unsafe extern "C" fn(Handle, c_int) -> c_int;
type ErrorText = unsafe extern "C" fn(Handle, c_int) -> *const c_char;

/// Why a password was not changed.
#[derive(Debug)]
pub enum PamError {
    /// PAM is not installed, or lacks a function; the text says which.
    Absent(String),
    /// The modules refuse this password.
    BadPassword(String),
    /// Anything else; the text is PAM's own.
    Failed(String),
}

impl std::fmt::Display for PamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent(text) => write!(f, "PAM is not available: {text}"),
            Self::BadPassword(text) | Self::Failed(text) => write!(f, "PAM: {text}"),
        }
    }
}

impl std::error::Error for PamError {}

/// The service whose stack of modules changes passwords.
#[derive(Clone, Copy, Debug)]
pub struct PamService<'a> {
    /// The service's name, which is that of its file.
    pub name: &'a str,
    /// The folder of the file, if it is not PAM's default.
    pub folder: Option<&'a Path>,
}

/// Sets the password of `user`, which has no zero byte in it. May take as long as the modules do.
///
/// # Errors
///
/// [`PamError`].
pub fn change_password(
    service: PamService<'_>,
    user: &str,
    password: &[u8],
) -> Result<(), PamError> {
    let text = |bytes: &[u8]| {
        CString::new(bytes).map_err(|_| PamError::Failed("a zero byte in a string".to_owned()))
    };
    let (name, user) = (text(service.name.as_bytes())?, text(user.as_bytes())?);
    let folder = service.folder.map(|path| text(path.as_os_str().as_bytes()));
    let folder = folder.transpose()?;
    let mut password = Wiped(text(password)?.into_bytes_with_nul());
    let conversation = Conversation { answer, password: password.0.as_mut_ptr().cast() };
    let library = Library::open()?;
    let mut handle: Handle = ptr::null_mut();
    let started = match &folder {
        Some(folder) => {
            let start = library.symbol(c"pam_start_confdir")?;
            // SAFETY: `pam_start_confdir` has this type; all strings end in zero and live until it
            // returns, the conversation until `pam_end` below, and `handle` is written by it.
            unsafe {
                let start = std::mem::transmute::<*mut c_void, StartIn>(start);
                start(
                    name.as_ptr(),
                    user.as_ptr(),
                    &raw const conversation,
                    folder.as_ptr(),
                    &raw mut handle,
                )
            }
        }
        None => {
            let start = library.symbol(c"pam_start")?;
            // SAFETY: as above, for `pam_start`.
            unsafe {
                let start = std::mem::transmute::<*mut c_void, Start>(start);
                start(name.as_ptr(), user.as_ptr(), &raw const conversation, &raw mut handle)
            }
        }
    };
    if started != PAM_SUCCESS {
        return Err(PamError::Failed(format!("cannot start: error {started}")));
    }
    library.change(handle)
}

/// The library, loaded for good: PAM's modules do not all survive being unloaded.
struct Library(*mut c_void);

impl Library {
    fn open() -> Result<Self, PamError> {
        // Global, as in a program that is linked with it: modules look there for its functions.
        let flags = libc::RTLD_NOW | libc::RTLD_GLOBAL;
        // SAFETY: the name ends in zero; the library's constructors are those of Linux-PAM, which
        // many programs load.
        let library = unsafe { libc::dlopen(LIBRARY.as_ptr(), flags) };
        if library.is_null() {
            return Err(PamError::Absent(load_error()));
        }
        Ok(Self(library))
    }

    fn symbol(&self, name: &CStr) -> Result<*mut c_void, PamError> {
        // SAFETY: the library is loaded and stays so, the name ends in zero.
        let symbol = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        if symbol.is_null() {
            return Err(PamError::Absent(load_error()));
        }
        Ok(symbol)
    }

    /// Runs the modules, which change the password, and ends the transaction.
    fn change(&self, handle: Handle) -> Result<(), PamError> {
        let change = self.symbol(c"pam_chauthtok")?;
        let end = self.symbol(c"pam_end")?;
        let text = self.symbol(c"pam_strerror")?;
        // SAFETY: these are the types of the three functions; the handle is one that `pam_start`
        // made, and is not used after `pam_end`. The text is a constant of the library's, or null.
        unsafe {
            let change = std::mem::transmute::<*mut c_void, WithFlags>(change);
            let end = std::mem::transmute::<*mut c_void, WithFlags>(end);
            let text = std::mem::transmute::<*mut c_void, ErrorText>(text);
            let result = change(handle, PAM_SILENT);
            let message = text(handle, result);
            let message = if message.is_null() {
                format!("error {result}")
            } else {
                CStr::from_ptr(message).to_string_lossy().into_owned()
            };
            end(handle, result);
            match result {
                PAM_SUCCESS => Ok(()),
                PAM_AUTHTOK_ERR => Err(PamError::BadPassword(message)),
                _ => Err(PamError::Failed(message)),
            }
        }
    }
}

/// The loader's text for its last failure.
fn load_error() -> String {
    // SAFETY: the text, if there is one, is valid until the next call on this thread.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() {
            "it cannot be loaded".to_owned()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}

/// Responds to each prompt for a password with the new one, and to messages with nothing.
///
/// PAM frees the responses, which are therefore allocated with `malloc`.
extern "C" fn answer(
    count: c_int,
    messages: *mut *const Message,
    responses: *mut *mut Response,
    password: *mut c_void,
) -> c_int {
    let count = match usize::try_from(count) {
        Ok(count) if count > 0 && count <= MAX_MESSAGES as usize => count,
        _ => return PAM_CONV_ERR,
    };
    // SAFETY: PAM passes `count` pointers to messages, a pointer for the responses, and the password of
    // the conversation, which ends in zero. Allocations are freed here or handed to PAM.
    unsafe {
        let answers = libc::calloc(count, size_of::<Response>()).cast::<Response>();
        if answers.is_null() {
            return PAM_BUF_ERR;
        }
        for at in 0..count {
            let style = (**messages.add(at)).style;
            let answered = match style {
                PAM_PROMPT_ECHO_OFF => {
                    let text = libc::strdup(password.cast_const().cast());
                    (*answers.add(at)).text = text;
                    !text.is_null()
                }
                style => style != PAM_PROMPT_ECHO_ON,
            };
            if !answered {
                (0..at).for_each(|at| wipe_and_free((*answers.add(at)).text));
                libc::free(answers.cast());
                return PAM_CONV_ERR;
            }
        }
        *responses = answers;
    }
    PAM_SUCCESS
}

/// # Safety
///
/// `text` is null, or a string that `strdup` made.
unsafe fn wipe_and_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: the string has so many bytes, and no other owner.
        unsafe {
            libc::explicit_bzero(text.cast(), libc::strlen(text));
            libc::free(text.cast());
        }
    }
}

/// Bytes that are overwritten when they are dropped.
struct Wiped(Vec<u8>);

impl Drop for Wiped {
    fn drop(&mut self) {
        // SAFETY: so many bytes are the vector's own.
        unsafe { libc::explicit_bzero(self.0.as_mut_ptr().cast(), self.0.len()) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What a stack of these lines makes of a password; `None` on a machine without PAM.
    fn with_stack(lines: &str) -> Option<Result<(), PamError>> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("causeway-test"), lines).unwrap();
        let service = PamService { name: "causeway-test", folder: Some(folder.path()) };
        match change_password(service, "nobody", b"s3cret") {
            Err(PamError::Absent(reason)) => {
                assert!(!reason.is_empty());
                None
            }
            result => Some(result),
        }
    }

    #[test]
    fn modules_decide() {
        if let Some(result) = with_stack("password required pam_permit.so\n") {
            assert!(result.is_ok(), "{result:?}");
        }
        if let Some(result) = with_stack("password required pam_deny.so\n") {
            let refused = result.unwrap_err();
            let text = refused.to_string();
            assert!(text.starts_with("PAM: ") && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn prompts_are_answered_and_messages_are_not() {
        let message = |style| Message { style, text: c"".as_ptr() };
        let (hidden, information, shown) =
            (message(PAM_PROMPT_ECHO_OFF), message(4), message(PAM_PROMPT_ECHO_ON));
        let mut password = *b"s3cret\0";
        let mut ask = |messages: &[&Message]| {
            let mut list: Vec<*const Message> =
                messages.iter().map(|m| ptr::from_ref(*m)).collect();
            let mut answers = ptr::null_mut();
            let count = c_int::try_from(list.len()).unwrap();
            let out = &raw mut answers;
            let code = answer(count, list.as_mut_ptr(), out, password.as_mut_ptr().cast());
            if code != PAM_SUCCESS {
                return Err(code);
            }
            let text = |at| {
                // SAFETY: there are as many answers as messages, each null or a string.
                unsafe {
                    let text = (*answers.add(at)).text;
                    let copy = (!text.is_null()).then(|| CStr::from_ptr(text).to_owned());
                    wipe_and_free(text);
                    copy
                }
            };
            let texts: Vec<_> = (0..messages.len()).map(text).collect();
            // SAFETY: allocated by `answer`, and not used again.
            unsafe { libc::free(answers.cast()) };
            Ok(texts)
        };
        let secret = Some(c"s3cret".to_owned());
        assert_eq!(ask(&[&information, &hidden]), Ok(vec![None, secret.clone()]));
        assert_eq!(ask(&[&hidden, &hidden]), Ok(vec![secret.clone(), secret]));
        assert_eq!(ask(&[&hidden, &shown]), Err(PAM_CONV_ERR));
        assert_eq!(ask(&[]), Err(PAM_CONV_ERR));
    }

    #[test]
    fn strings_that_end_early_are_refused() {
        let service = PamService { name: "causeway-test", folder: None };
        assert!(change_password(service, "no\0body", b"x").is_err());
        assert!(change_password(service, "nobody", b"x\0y").is_err());
    }
}
