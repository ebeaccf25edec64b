//! Users on the bus: those without an entry in the user database, and those of senders.
//!
//! dbus-daemon looks up the user of each connection, and its own, in the user database, and drops the connection if one
//! is not there (`bus_policy_allow_unix_user`). A container that runs as an arbitrary user therefore has a private bus
//! whose connections are anonymous. They are the user's own as long as nobody else can reach the bus's socket.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User};
use zbus::fdo::{self, DBusProxy};
use zbus::names::BusName;
use zbus::{Connection, Error};

use super::{address, unix_socket};

/// The user of the process that has the bus name `sender`.
///
/// # Errors
///
/// When the bus does not know it: the process has ended, or its connection is anonymous and the bus is not private.
pub async fn user_of(bus: &Connection, sender: &str) -> fdo::Result<u32> {
    let proxy = DBusProxy::new(bus).await?;
    match proxy.get_connection_unix_user(BusName::try_from(sender)?).await {
        // dbus-daemon's answer for an anonymous connection; a process that has ended is `NameHasNoOwner`.
        Err(fdo::Error::Failed(_)) if is_private() => Ok(Uid::effective().as_raw()),
        other => other,
    }
}

/// Whether only this process's user (and root) can reach the socket of the bus: it is in a folder of this user's that
/// is closed to others.
fn is_private() -> bool {
    unix_socket(&address()).is_some_and(|socket| is_in_own_folder(Path::new(&socket)))
}

fn is_in_own_folder(socket: &Path) -> bool {
    let folder = fs::canonicalize(socket).ok().and_then(|path| fs::metadata(path.parent()?).ok());
    folder.is_some_and(|folder| {
        folder.uid() == Uid::effective().as_raw() && folder.mode() & 0o077 == 0
    })
}

/// Why a dbus-daemon drops a connection to `address` although it is there, as far as the user database explains it.
pub(super) fn explanation(address: &str, error: &Error) -> Option<String> {
    // Without a bus there is nothing to explain.
    let is_absent = matches!(error, Error::InputOutput(error) if matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused
    ));
    if is_absent {
        return None;
    }
    let owner = unix_socket(address).and_then(|socket| Some(fs::metadata(socket).ok()?.uid()));
    let own = Uid::effective().as_raw();
    let users = [("this process's user", Some(own)), ("the bus's user", owner)];
    let (whose, uid) = users.into_iter().find_map(|(whose, uid)| {
        let uid = uid.filter(|uid| is_unknown(*uid))?;
        Some((whose, uid))
    })?;
    Some(format!(
        "{whose}, uid {uid}, has no entry in the user database (/etc/passwd), and dbus-daemon refuses such users: add \
         an entry, or start the bus with causeway-bus"
    ))
}

/// Whether the user database can be read, and has no entry of the user.
fn is_unknown(uid: u32) -> bool {
    matches!(User::from_uid(Uid::from_raw(uid)), Ok(None))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_folder_that_others_may_enter_is_not_private() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("bus");
        assert!(!is_in_own_folder(&socket), "there is none");
        fs::write(&socket, "").unwrap();
        for (mode, expected) in [(0o700, true), (0o500, true), (0o710, false), (0o701, false)] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_in_own_folder(&socket), expected, "{mode:o}");
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        // What counts is where the socket is, not where its name is.
        symlink(&socket, closed.join("bus")).unwrap();
        assert!(!is_in_own_folder(&closed.join("bus")));
    }

    #[test]
    fn a_known_user_and_a_missing_bus_are_not_explained() {
        let dropped = Error::Handshake("closed".to_owned());
        let absent = Error::from(std::io::Error::from(std::io::ErrorKind::NotFound));
        assert_eq!(explanation("unix:path=/nowhere/bus", &absent), None);
        let is_known = !is_unknown(Uid::effective().as_raw());
        assert_eq!(explanation("unix:path=/nowhere/bus", &dropped).is_none(), is_known);
        assert!(is_unknown(0xfff1_2345));
    }
}
