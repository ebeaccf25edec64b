use std::io::{Read, Write};
use std::os::unix::net;

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

async fn accepted(listener: &mut ConsoleListener) -> Device {
    time::timeout(LIMIT, listener.accept()).await.expect("a connection").unwrap()
}

/// Lets the listener refuse for as long as `peer` has not been refused.
async fn until_refused(listener: &mut ConsoleListener, connected: &Device, peer: net::UnixStream) {
    peer.set_nonblocking(true).unwrap();
    let peer = UnixStream::from_std(peer).unwrap();
    let refused = async {
        peer.readable().await.unwrap();
        assert_eq!(peer.try_read(&mut [0; 1]).unwrap(), 0, "the end");
    };
    tokio::select! {
        () = listener.refuse_others(connected) => {}
        ended = time::timeout(LIMIT, refused) => ended.expect("refused"),
    }
}

#[tokio::test]
async fn a_second_host_is_refused_and_the_first_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("console");
    let mut listener = ConsoleListener::bind(&path).unwrap();
    let mut first = net::UnixStream::connect(&path).unwrap();
    let device = accepted(&mut listener).await;
    for _ in 0..3 {
        let second = net::UnixStream::connect(&path).unwrap();
        until_refused(&mut listener, &device, second).await;
    }
    assert!(listener.logged_refusal);
    device.write(b"typed").await.unwrap();
    let mut typed = [0; 5];
    first.read_exact(&mut typed).unwrap();
    assert_eq!(&typed, b"typed");
}

#[tokio::test]
async fn who_dials_while_the_last_output_is_unread_comes_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("console");
    let mut listener = ConsoleListener::bind(&path).unwrap();
    let mut first = net::UnixStream::connect(&path).unwrap();
    let device = accepted(&mut listener).await;
    first.write_all(b"last words").unwrap();
    drop(first);
    let mut second = net::UnixStream::connect(&path).unwrap();
    second.write_all(b"first words").unwrap();
    let third = net::UnixStream::connect(&path).unwrap();
    until_refused(&mut listener, &device, third).await;
    let mut buffer = [0; 32];
    let count = device.read(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"last words");
    let device = accepted(&mut listener).await;
    let count = device.read(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"first words");
}

#[tokio::test]
async fn the_socket_is_for_owner_and_group_and_goes_with_the_listener() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("console");
    let listener = ConsoleListener::bind(&path).unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, MODE);
    assert_eq!(metadata.uid(), nix::unistd::geteuid().as_raw());
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_a_live_one_or_a_file_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("console");
    drop(net::UnixListener::bind(&path).unwrap());
    let listener = ConsoleListener::bind(&path).unwrap();
    let second = ConsoleListener::bind(&path).err().expect("an error");
    assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    // One whose queue is full lives too.
    let waiting: Vec<_> = (0..3).map(|_| net::UnixStream::connect(&path).unwrap()).collect();
    assert!(ConsoleListener::bind(&path).is_err());
    drop((waiting, listener));
    fs::write(&path, "a file").unwrap();
    assert!(ConsoleListener::bind(&path).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"a file");
}

#[tokio::test]
async fn the_socket_of_a_successor_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("console");
    let listener = ConsoleListener::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let _successor = net::UnixListener::bind(&path).unwrap();
    drop(listener);
    assert!(path.exists());
}
