//! What a guest asks, as Wireshark sees it.

use tests::guest::Interface;
use tests::tracer::{self, Tracer};

use super::GuestSuite;

const ASKING: &str = r"
for words in 'sdr list' 'sel list' 'fru print 0' 'sol info 1' 'chassis status' 'mc watchdog get'; do
    ipmitool -I open $words > /dev/null || exit 1
done
";

#[test]
#[ignore = "boots a guest"]
fn wireshark_reads_a_trace_of_a_guest_and_of_a_session() {
    let bmc = GuestSuite::new(Interface::Kcs);
    let tracer = Tracer::of_lan(&bmc.suite);
    let file = tracer.file().to_owned();
    bmc.run(ASKING);
    bmc.suite.administrator().ipmitool("sdr list").ok();
    let _capture = tracer.end();
    let names = [
        "Get SDR",
        "Get SEL Info",
        "Read FRU Data",
        "Get SOL Configuration Parameters",
        "Get Chassis Status",
        "Get Watchdog Timer",
        // Of Linux's driver.
        "Get BMC Global Enables",
    ];
    tracer::wireshark_reads(&file, &names, &["1", "15"]);
}
