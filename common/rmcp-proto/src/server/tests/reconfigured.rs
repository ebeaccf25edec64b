//! Another configuration while there are sessions.

use super::*;

fn is_opened(bmc: &mut Bmc, port: u16, credentials: Credentials) -> bool {
    let mut console = console(bmc.now, credentials);
    bmc.run(peer(port), &mut console) == [ConsoleEvent::Opened]
}

#[test]
fn a_lower_limit_ends_no_session_and_bars_new_ones() {
    let mut bmc = Bmc::usual();
    let _consoles: Vec<_> = (1..=4).map(|port| bmc.log_in(port, root(17))).collect();
    bmc.server.reconfigure(bmc.now, Config { sessions: 3, ..config() });
    assert_eq!(bmc.server.sessions().count(), 4);
    // An idle session makes room for another one only where there may be as many.
    bmc.pass(Duration::from_secs(11));
    assert!(!is_opened(&mut bmc, 5, root(17)));
    assert_eq!(bmc.server.sessions().count(), 4);
    let ids: Vec<_> = bmc.server.sessions().map(|session| session.id).collect();
    bmc.server.close(ids[0]);
    bmc.server.close(ids[1]);
    assert!(is_opened(&mut bmc, 6, root(17)));
    assert_eq!(bmc.server.sessions().count(), 3);
    bmc.server.reconfigure(bmc.now, Config { sessions: 62, ..config() });
    assert!((7..=60).all(|port| is_opened(&mut bmc, port, root(17))));
}

#[test]
fn a_session_outlives_its_cipher_suite_and_new_ones_cannot_have_it() {
    let mut bmc = Bmc::usual();
    let mut old = bmc.log_in(1, root(3));
    let suites = CipherSuite::from_id(17).into_iter().collect();
    bmc.server.reconfigure(bmc.now, Config { suites, guid: [0; 16], ..config() });
    assert!(!is_opened(&mut bmc, 2, root(3)));
    assert!(is_opened(&mut bmc, 3, root(17)));
    bmc.events();
    assert!(old.send(bmc.now, &device_id()).is_some());
    bmc.run(peer(1), &mut old);
    assert_eq!(bmc.requests(), 1);
}

#[test]
fn a_shorter_time_out_counts_from_its_reload() {
    let mut bmc = Bmc::usual();
    let _console = bmc.log_in(1, root(17));
    bmc.pass(Duration::from_secs(30));
    let idle_timeout = Duration::from_secs(5);
    bmc.server.reconfigure(bmc.now, Config { idle_timeout, ..config() });
    bmc.pass(Duration::from_secs(4));
    assert_eq!(bmc.server.sessions().count(), 1);
    bmc.pass(Duration::from_secs(1));
    assert_eq!(bmc.server.sessions().count(), 0);
}
