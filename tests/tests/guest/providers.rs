//! Commands of providers, from the host's own driver.

use tests::guest::Interface;
use tests::provider;

use super::{GuestSuite, RUN, Sections};

const SCRIPT: &str = r"
tool() { ipmitool -I open raw $@; }
run python tool 0x30 1 1 2 3
run handed-on tool 6 1
run c tool 0x2e 2 0xd9 0x7e 0 2
run c-refuses tool 0x2e 2 0xd9 0x7e 0 4
run c-length tool 0x2e 2 0xd9 0x7e 0
run unknown tool 0x30 9
";

#[test]
#[ignore = "boots a guest"]
fn providers_answer_the_hosts_driver_over_kcs() {
    let bmc = GuestSuite::new(Interface::Kcs);
    let over_lan = || bmc.suite.administrator().ipmitool("raw 6 1").ok().trim().to_owned();
    let base = over_lan();
    let _python = provider::python_example(&bmc.suite);
    let _c = provider::c_example(&bmc.suite);
    assert_eq!(over_lan(), provider::OF_EXAMPLE);
    let output = bmc.run(&format!("{RUN}{SCRIPT}"));
    let sections = Sections::of(&output);
    assert_eq!(sections.good("python").trim(), "03 02 01");
    // The example answers Get Device ID over LAN alone.
    assert_eq!(sections.good("handed-on").trim(), base);
    assert_eq!(sections.good("c").trim(), "d9 7e 00 07");
    assert!(sections.failed("c-refuses").contains("rsp=0xcb"));
    assert!(sections.failed("c-length").contains("rsp=0xc7"));
    assert!(sections.failed("unknown").contains("rsp=0xc1"));
}
