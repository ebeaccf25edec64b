use std::time::Duration;

use mctp_proto::{Address, Medium, MessageType};

use super::*;
use crate::args::Args;
use crate::demux::LinkKind;

fn plan(config: &str, bindings: &[&str]) -> Result<Plan, String> {
    let bindings = bindings.iter().map(|text| text.parse().unwrap()).collect();
    let file = daemon::ConfigFile::from_text("causeway.toml", config.to_owned());
    let config: Config = file.and_then(|file| file.config()).map_err(|f| f.to_string())?;
    let args = Args { bindings, ..Args::default() };
    Plan::new(&args, &config, Some([1; 16])).map_err(|error| error.to_string())
}

#[test]
fn defaults_serve_with_a_binding_alone() {
    let plan = plan("", &["serial:/dev/x"]).unwrap();
    assert_eq!(plan.sockets, ["mctp-demux"]);
    assert_eq!(plan.settings.identity.static_eid, Some(Eid(8)));
    assert_eq!(plan.settings.identity.uuid, Some([1; 16]));
    assert!(plan.owned.is_none());
}

#[test]
fn a_whole_section_is_read() {
    let text = r#"
        [mctp]
        eid = 10
        role = "bus-owner"
        uuid = "00112233-4455-6677-8899-aabbccddeeff"
        sockets = ["mctp-demux", "mctp-mux"]
        bindings = ["serial:/dev/ttyS1", "i2c:/dev/i2c-2,address=0x10,slave-mqueue=/sys/q"]
        mtu = 128
        answer-limit-ms = 1500
        [[mctp.answer-limit]]
        type = 5
        ms = 20000
        [[mctp.route]]
        eid = 20
        last = 22
        binding = 1
        address = 0x1d
        [mctp.owned]
        first = 30
        last = 40
        [[mctp.owned.place]]
        binding = 1
        address = 0x1e
        eid = 33
        [[mctp.versions]]
        type = 1
        versions = [[0xf1, 0xf0, 0xff, 0]]
        [[mctp.vendor]]
        pci = 0x1ab4
        command-set = 1
        [mctp.limits]
        clients = 4
    "#;
    let plan = plan(text, &[]).unwrap();
    assert_eq!(plan.kinds[1], LinkKind::Packets(Medium::Smbus, 128));
    let route = plan.settings.routes[0];
    assert_eq!((route.last, route.address), (Eid(22), Address::Smbus(0x1d)));
    let owned = plan.owned.unwrap();
    assert_eq!(owned.pool, (Eid(30), Eid(40)));
    assert_eq!(owned.positions[0].wanted, Some(Eid(33)));
    let limits = plan.settings.answer_limits;
    assert_eq!(limits.of(MessageType::PLDM), Duration::from_millis(1500));
    assert_eq!(limits.of(MessageType::SPDM), Duration::from_secs(20));
    assert_eq!(plan.settings.clients, 4);
    assert_eq!(plan.settings.identity.uuid.unwrap()[15], 0xff);
}

#[test]
fn mistakes_are_errors() {
    let owner = |places: &str| format!("[mctp]\nrole = \"bus-owner\"\n{places}");
    let place = |rest: &str| format!("[[mctp.owned.place]]\nbinding = 0\n{rest}");
    let serial = &["serial:/dev/x"][..];
    let pcie = &["pcie:/dev/x"][..];
    for (text, bindings) in [
        (String::new(), &[][..]),
        ("[mctp]\neid = 3\n".to_owned(), serial),
        ("[mctp]\neids = 8\n".to_owned(), serial),
        ("[mctp]\nuuid = \"12\"\n".to_owned(), serial),
        ("[mctp]\neid = 0\nrole = \"bus-owner\"\n".to_owned(), serial),
        ("[[mctp.route]]\neid = 9\nbinding = 1\n".to_owned(), serial),
        ("[[mctp.route]]\neid = 9\nlast = 8\nbinding = 0\n".to_owned(), serial),
        ("[[mctp.vendor]]\ncommand-set = 8\n".to_owned(), serial),
        ("[mctp]\nmtu = 10\n".to_owned(), serial),
        ("[mctp]\nanswer-limit-ms = 0\n".to_owned(), serial),
        ("[[mctp.answer-limit]]\ntype = 1\nms = 0\n".to_owned(), serial),
        ("[mctp]\nsockets = [\"\"]\n".to_owned(), serial),
        ("[mctp.limits]\nclients = 0\n".to_owned(), serial),
        (place(""), serial),
        (owner(&place("")), &["kernel:1"]),
        (owner(&place("eid = 8\n")), serial),
        (owner(&place("eid = 3\n")), serial),
        (owner(&(place("") + &place(""))), serial),
        (owner(&(place("address = 1\neid = 9\n") + &place("address = 2\neid = 9\n"))), pcie),
        (String::new(), &["serial:/dev/x", "serial:/dev/x,baud=9600"]),
        (String::new(), &["serial:/dev/null"]),
        (String::new(), &["serial:/etc/hosts"]),
        (String::new(), &["kernel:1", "kernel:1"]),
    ] {
        assert!(plan(&text, bindings).is_err(), "{text} {bindings:?}");
    }
    let two = owner(&(place("address = 1\neid = 9\n") + &place("address = 2\n")));
    assert!(plan(&two, pcie).is_ok());
}

#[test]
fn two_names_of_one_device_are_one_device() {
    let folder = tempfile::tempdir().unwrap();
    let (device, link) = (folder.path().join("a"), folder.path().join("b"));
    std::fs::write(&device, "").unwrap();
    std::os::unix::fs::symlink(&device, &link).unwrap();
    let [device, link] = [device, link].map(|path| format!("pcie:{}", path.display()));
    assert!(plan("", &[&device, &link]).is_err());
}
