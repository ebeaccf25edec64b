//! Sessions of IPMI 1.5 with MD2, which not every client has.

use tests::client;
use tests::clients::{PASSWORD, USER};
use tests::suite::Suite;

/// What ipmitool prints when it was built with an OpenSSL without MD2, as all are since OpenSSL 1.0:
/// it then sends an authentication code of zeros, which no BMC may take for the password.
const NO_MD2: &str = "No internal support for MD2";

#[test]
fn md2_sessions_are_accepted_if_configured() {
    let suite = Suite::with("[lan]\nipmi-15 = [\"md2\"]\n");
    let login = suite.administrator();
    let mut freeipmi = login.program("bmc-info");
    freeipmi.args(["-D", "LAN", "-h", &login.address.to_string()]).args([
        "-u",
        USER,
        "-p",
        PASSWORD,
        "--authentication-type",
        "MD2",
    ]);
    let output = client::run(&mut freeipmi);
    assert!(output.ok().contains("Firmware Revision"), "{output}");

    let mut ipmitool = login.program("ipmitool");
    ipmitool
        .args(["-I", "lan", "-A", "MD2", "-R", "1", "-N", "2"])
        .args(["-H", &login.address.ip().to_string()])
        .args(["-p", &login.address.port().to_string()])
        .args(["-U", USER, "-P", PASSWORD, "mc", "info"]);
    let output = client::run(&mut ipmitool);
    if output.stdout.contains(NO_MD2) {
        eprintln!("this ipmitool has no MD2: {NO_MD2}");
        output.failed();
        let log = suite.netipmid.log();
        assert!(log.contains("login refused"), "{log}");
    } else {
        assert!(output.ok().contains("Firmware Revision"), "{output}");
    }
}
