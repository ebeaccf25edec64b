//! Many clients at once.

use std::collections::HashMap;

use crate::daemon::{Client, Daemon};
use crate::wire::FAR;

#[test]
fn two_hundred_and_fifty_six_clients_come_and_go_without_cross_talk() {
    let mut daemon = Daemon::start();
    // The same at each run.
    let mut random = fastrand::Rng::with_seed(1);
    let mut clients: HashMap<usize, Client> = HashMap::new();
    let mut serial = 0_u32;
    for number in 0..256 {
        clients.insert(number, daemon.connect());
        clients[&number].send_raw(&[kind(number)]);
    }
    daemon.settle();
    for _ in 0..1500 {
        let number = random.usize(..256);
        match random.usize(..3) {
            0 => {
                // One goes in the middle of a question, another comes in its place.
                let client = clients.remove(&number).unwrap();
                let asked = ask(&client, number, serial, &mut daemon);
                drop(client);
                let next = daemon.connect();
                next.send_raw(&[kind(number)]);
                clients.insert(number, next);
                daemon.wire.answer(&asked, &asked.bytes);
            }
            1 => {
                let client = &clients[&number];
                let asked = ask(client, number, serial, &mut daemon);
                daemon.wire.answer(&asked, &asked.bytes);
                assert_eq!(client.message(), (asked.to, asked.bytes));
            }
            _ => {
                // Two questions that cross.
                let other = (number + 1 + random.usize(..255)) % 256;
                let first = ask(&clients[&number], number, serial, &mut daemon);
                let second = ask(&clients[&other], other, serial + 1, &mut daemon);
                daemon.wire.answer(&second, &second.bytes);
                daemon.wire.answer(&first, &first.bytes);
                assert_eq!(clients[&number].message().1, first.bytes);
                assert_eq!(clients[&other].message().1, second.bytes);
            }
        }
        serial += 2;
    }
    daemon.settle();
    assert!(clients.values().all(Client::is_silent));
}

fn kind(number: usize) -> u8 {
    u8::try_from(0x10 + number % 4).unwrap()
}

/// A question that names its client and is asked only once.
fn ask(client: &Client, number: usize, serial: u32, daemon: &mut Daemon) -> crate::wire::Message {
    let eid = u8::try_from(usize::from(FAR) + number % 16).unwrap();
    let number = u8::try_from(number).unwrap();
    let message = [&[kind(number.into()), number][..], &serial.to_be_bytes()].concat();
    client.send(eid, &message);
    let asked = daemon.wire.message();
    assert_eq!((asked.to, &asked.bytes), (eid, &message));
    asked
}
