use super::*;

fn plan(config: &str, bindings: &[&str]) -> Result<Plan, String> {
    let bindings = bindings.iter().map(|text| text.parse().unwrap()).collect();
    let file = daemon::ConfigFile::from_text("causeway.toml", config.to_owned());
    let view: View = file.and_then(|file| file.config()).map_err(|f| f.to_string())?;
    Plan::new(&Args { bindings, ..Args::default() }, &view, Some([1; 16]))
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
    let (pool, _, targets) = plan.owned.unwrap();
    assert_eq!(pool, (Eid(30), Eid(40)));
    assert_eq!(targets[0].wanted, Some(Eid(33)));
    assert_eq!(plan.settings.clients, 4);
    assert_eq!(plan.settings.identity.uuid.unwrap()[15], 0xff);
}

#[test]
fn mistakes_are_errors() {
    for (text, bindings) in [
        ("", &[][..]),
        ("[mctp]\neid = 3\n", &["serial:/dev/x"]),
        ("[mctp]\neids = 8\n", &["serial:/dev/x"]),
        ("[mctp]\nuuid = \"12\"\n", &["serial:/dev/x"]),
        ("[mctp]\neid = 0\nrole = \"bus-owner\"\n", &["serial:/dev/x"]),
        ("[[mctp.route]]\neid = 9\nbinding = 1\n", &["serial:/dev/x"]),
        ("[[mctp.route]]\neid = 9\nlast = 8\nbinding = 0\n", &["serial:/dev/x"]),
        ("[[mctp.vendor]]\ncommand-set = 8\n", &["serial:/dev/x"]),
        ("[mctp]\nmtu = 10\n", &["serial:/dev/x"]),
    ] {
        assert!(plan(text, bindings).is_err(), "{text}");
    }
}
