//! Power loss at any operation, full and damaged media.

use super::*;

/// Runs `change` on two users, cut off after each of its operations, and gives many outcomes of
/// each to `check`, with whether the change had returned.
fn cut_everywhere(
    change: impl Fn(&Writer<Disk>) -> Result<(), AccountError>,
    check: impl Fn(&Writer<Disk>, bool),
) {
    let origin = two_users();
    for cut in 0.. {
        let disk = origin.after_power_loss(1);
        let writer = open(&disk);
        let before = disk.operations();
        disk.cut_after(cut);
        let returned = change(&writer).is_ok();
        let done = disk.operations() - before < cut;
        for seed in 0..24 {
            check(&open(&disk.after_power_loss(seed)), returned);
        }
        if done {
            assert!(returned);
            return;
        }
    }
}

#[test]
fn power_loss_leaves_the_old_password_or_the_new() {
    cut_everywhere(
        |writer| writer.set_password(id(2), &password("new")),
        |writer, returned| {
            let (old, new) = (has(writer, 2, "alice"), has(writer, 2, "new"));
            assert!(if returned { new } else { old ^ new }, "old {old}, new {new}");
            assert!(has(writer, 3, "bob"));
            assert_eq!(enabled(writer), [2, 3]);
            writer.set_password(id(2), &password("newer")).unwrap();
            assert!(has(writer, 2, "newer"));
        },
    );
}

#[test]
fn power_loss_leaves_the_old_user_or_the_new() {
    cut_everywhere(
        |writer| writer.set_name(id(2), name("")),
        |writer, returned| {
            let gone = enabled(writer) == [3] && names(writer) == ["bob"];
            let here = enabled(writer) == [2, 3] && has(writer, 2, "alice");
            assert!(gone || (here && !returned));
        },
    );
}

#[test]
fn full_disk_changes_nothing() {
    let disk = two_users();
    let writer = open(&disk);
    disk.set_capacity(Some(0));
    assert!(writer.set_password(id(2), &password("new")).unwrap_err().is_full());
    assert!(writer.set_enabled(id(2), false).unwrap_err().is_full());
    assert!(has(&writer, 2, "alice"));
    assert_eq!(enabled(&writer), [2, 3]);
    disk.set_capacity(None);
    writer.set_password(id(2), &password("new")).unwrap();
    assert!(has(&open(&disk), 2, "new"));
}

#[test]
fn damaged_credentials_disable_everyone_and_lose_no_name() {
    for file in ["credentials.json", "key.json"] {
        let origin = two_users();
        let length = origin.read(file).unwrap().unwrap().len();
        for at in 0..length {
            let disk = origin.after_power_loss(1);
            disk.tamper(file, |bytes| bytes[at] ^= 0x04);
            check_disabled(&disk, &format!("{file} at {at}"));
        }
        for cut in 0..length {
            let disk = origin.after_power_loss(1);
            disk.tamper(file, |bytes| bytes.truncate(cut));
            check_disabled(&disk, &format!("{file} cut at {cut}"));
        }
        origin.remove(file).unwrap();
        check_disabled(&origin, &format!("{file} removed"));
    }
}

fn check_disabled(disk: &Disk, what: &str) {
    let writer = open(disk);
    assert_eq!(enabled(&writer), [0; 0], "{what}");
    assert_eq!(names(&writer), ["alice", "bob"], "{what}");
    assert!(writer.password(id(2)).is_none() && writer.password(id(3)).is_none(), "{what}");
    drop(writer);
    // Neither does another start enable them; a new password and an explicit call do.
    let writer = open(disk);
    assert_eq!(enabled(&writer), [0; 0], "{what}");
    writer.set_password(id(2), &password("new")).unwrap();
    assert_eq!(enabled(&writer), [0; 0], "{what}");
    writer.set_enabled(id(2), true).unwrap();
    drop(writer);
    let writer = open(disk);
    assert!(has(&writer, 2, "new"), "{what}");
    assert_eq!(enabled(&writer), [2], "{what}");
}

#[test]
fn damaged_users_file_falls_back_to_the_one_before() {
    let origin = two_users();
    let length = origin.read("users.json").unwrap().unwrap().len();
    for at in 0..length {
        let disk = origin.after_power_loss(1);
        disk.tamper("users.json", |bytes| bytes[at] ^= 0x04);
        let writer = open(&disk);
        // The last change was to enable bob.
        assert_eq!(enabled(&writer), [2], "damage at {at}");
        assert_eq!(names(&writer), ["alice", "bob"]);
        assert!(has(&writer, 3, "bob"));
    }
}

#[test]
fn damage_to_other_files_costs_no_user() {
    let origin = two_users();
    let writer = open(&origin);
    let configured = writer.snapshot().channel_access(LAN, Setting::Volatile).unwrap();
    set_whole_access(&writer, LAN, (Setting::NonVolatile, configured)).unwrap();
    drop(writer);
    for file in ["channels.json", "volatile.json", "generation"] {
        for at in 0..origin.read(file).unwrap().unwrap().len() {
            let disk = origin.after_power_loss(1);
            disk.tamper(file, |bytes| bytes[at] ^= 0x84);
            let writer = open(&disk);
            assert_eq!(enabled(&writer), [2, 3], "{file} at {at}");
            assert!(has(&writer, 2, "alice"), "{file} at {at}");
        }
    }
}

#[test]
fn entries_moved_between_users_do_not_open() {
    let disk = two_users();
    let writer = open(&disk);
    let mut credentials = writer.files().credentials.value().clone();
    let mut swapped = credentials.passwords.clone();
    if let [a, b] = swapped.as_mut_slice() {
        std::mem::swap(&mut a.sealed, &mut b.sealed);
    }
    credentials.passwords = swapped;
    writer.files().credentials.save(credentials).unwrap();
    drop(writer);
    let writer = open(&disk);
    assert_eq!(enabled(&writer), [0; 0]);
    assert!(!has(&writer, 2, "bob") && !has(&writer, 3, "alice"));
}

#[test]
fn initial_user_does_not_come_back_with_damage() {
    let (state, config) = real_folder();
    let open = || Writer::open(state.path(), &config, ChannelTable::default()).unwrap();
    open().set_enabled(id(INITIAL_USER), false).unwrap();
    for file in ["users.json", "users.json.previous"] {
        std::fs::write(state.path().join(FOLDER).join(file), b"damaged").unwrap();
    }
    assert_eq!(open().snapshot().enabled_users(), 0);
    assert_eq!(open().snapshot().find(b"root"), None);
}
