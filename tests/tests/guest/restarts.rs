//! Bridge and ipmid restart or stop while the host sends requests.

use std::thread;
use std::time::Duration;

use tests::guest::{Interface, Running};

use super::GuestSuite;

/// How long ipmid is stopped: longer than every timeout between the guest and ipmid.
const STANDSTILL: Duration = Duration::from_secs(10);

/// Sends requests until a line arrives on standard input, and prints `good` or `bad` for each; `PAUSE` is the time between
/// two, in seconds.
///
/// Each request has a response of its own: FRU data whose bytes are their own offsets. `wrong` is a
/// response to another request.
pub(crate) const ASKING: &str = r#"
pattern=
i=0
while [ $i -lt 240 ]; do pattern="$pattern $i"; i=$((i + 1)); done
ipmitool -I open raw 0x0a 0x12 0 0 0 $pattern >/dev/null || exit 1
ask() {
    answer=$(timeout 20 ipmitool -I open raw 0x0a 0x11 0 $1 0 4 2>/dev/null)
    expected=$(printf ' 04 %02x %02x %02x %02x' $1 $(($1 + 1)) $(($1 + 2)) $(($1 + 3)))
    case "$answer" in
        "$expected") echo good ;;
        '') echo bad ;;
        *) echo "wrong: $answer in place of $expected" ;;
    esac
}
asking() {
    i=0
    while :; do
        ask $i
        i=$(((i + 7) % 236))
        sleep ${PAUSE:-0.1}
    done
}
asking &
read line
kill $!
wait
"#;

/// Counts the lines that the guest has printed.
struct Watched {
    running: Running,
    good: usize,
    bad: usize,
}

impl Watched {
    /// Waits for `count` more good responses.
    #[track_caller]
    fn good(&mut self, count: usize) {
        self.good = self.running.printed("good") + count;
        self.running.until_printed("good", self.good);
    }

    /// Waits for one more request without a response.
    #[track_caller]
    fn noticed(&mut self) {
        self.running.until_printed("bad", self.bad + 1);
        self.bad = self.running.printed("bad");
    }
}

fn survives(interface: Interface) {
    let mut bmc = GuestSuite::new(interface);
    let running = bmc.start(ASKING, &["--stdin"]);
    let mut host = Watched { running, good: 0, bad: 0 };
    host.good(3);

    bmc.suite.ipmid.kill();
    host.noticed();
    bmc.suite.restart_ipmid();
    host.good(3);

    bmc.bridge.kill();
    host.noticed();
    bmc.restart_bridge();
    host.good(3);

    bmc.suite.ipmid.pause();
    thread::sleep(STANDSTILL);
    host.noticed();
    bmc.suite.ipmid.resume();
    host.good(10);

    host.running.write_stdin("enough\n");
    let ran = host.running.finish();
    assert!(!ran.ok().contains("wrong"), "{}", ran.output);
}

#[test]
#[ignore = "boots a guest"]
fn kcs_driver_survives_restarts_of_bridge_and_ipmid() {
    survives(Interface::Kcs);
}

#[test]
#[ignore = "boots a guest"]
fn bt_driver_survives_restarts_of_bridge_and_ipmid() {
    survives(Interface::Bt);
}

#[test]
#[ignore = "boots a guest"]
fn ssif_driver_survives_restarts_of_bridge_and_ipmid() {
    survives(Interface::Ssif);
}
