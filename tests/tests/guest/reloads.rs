//! The configuration of all daemons is reloaded while the host and everybody else send requests.

use tests::everything;
use tests::guest::Interface;

use super::GuestSuite;
use super::restarts::ASKING;

#[test]
#[ignore = "boots a guest"]
fn reloads_under_load_lose_no_request_of_a_guest() {
    let bmc = GuestSuite::new(Interface::Kcs);
    let mut guest = bmc.start(&format!("PAUSE=0\n{ASKING}"), &["--stdin"]);
    // The driver's own first requests are none of the load.
    guest.until_printed("good", 3);
    let GuestSuite { suite, bridge, .. } = bmc;
    everything::is_reloaded(
        suite,
        bridge,
        Box::new(|_| {
            let good = guest.printed("good");
            guest.until_printed("good", good + 1);
            assert_eq!(guest.printed("bad") + guest.printed("wrong"), 0, "a response is missing");
        }),
    );
}
