//! FRU inventory, written by clients: in the device's own memory where it has one.

use std::fs;

use tests::bus::{Bus, Property};
use tests::clients::Login;
use tests::suite::Suite;
use tests::{client, wait};

/// The FRU that the system's inventory describes, and the one in the main board's own memory.
const SYSTEM: u8 = 0;
const MAIN_BOARD: u8 = 1;
/// Bytes of the main board's memory.
const SIZE: usize = 512;

/// What the scanner shows of the main board's memory.
const BOARD_NAME: Property<'static> = Property {
    path: "/xyz/openbmc_project/FruDevice/Mainboard",
    interface: "xyz.openbmc_project.FruDevice",
    name: "BOARD_PRODUCT_NAME",
};

/// An image as a factory's tool writes it: a header, and a board area of manufacturer, product, serial
/// number and part number (FRU v1.3 §8, §11).
fn factory_image() -> Vec<u8> {
    let mut board = vec![0x01, 0, 0x00, 0x10, 0x20, 0x30];
    for text in ["Factory", "Replaced Board", "MB999999", "CW-MB-9"] {
        board.push(0xc0 | u8::try_from(text.len()).expect("a short text"));
        board.extend(text.bytes());
    }
    // No file id, no more fields.
    board.extend([0x00, 0xc1]);
    board.resize((board.len() + 1).next_multiple_of(8) - 1, 0);
    board[1] = u8::try_from((board.len() + 1) / 8).expect("a short area");
    let mut image = vec![0x01, 0, 0, 1, 0, 0, 0];
    for area in [&mut image, &mut board] {
        let sum = area.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        area.push(sum.wrapping_neg());
    }
    image.extend(board);
    image.resize(SIZE, 0);
    image
}

fn print(login: &Login, device: u8) -> String {
    let output = login.ipmitool(&format!("fru print {device}"));
    let words: Vec<&str> = output.ok().split_whitespace().collect();
    words.join(" ")
}

fn board_name(bus: &Bus) -> Option<String> {
    Some(bus.property(&BOARD_NAME)?.as_str()?.to_owned())
}

#[test]
fn image_in_a_file_is_written_to_the_device() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    assert!(print(&login, MAIN_BOARD).contains("Board Product : Test Board"));
    let image = factory_image();
    fs::write(suite.dir().join("image"), &image).expect("a file");
    let written = login.ipmitool(&format!("fru write {MAIN_BOARD} image"));
    assert!(written.ok().contains("Size to Write"), "{written}");
    let shown = print(&login, MAIN_BOARD);
    for field in [
        "Board Mfg : Factory",
        "Board Product : Replaced Board",
        "Board Serial : MB999999",
        "Board Part Number : CW-MB-9",
    ] {
        assert!(shown.contains(field), "{field}: {shown}");
    }
    assert!(!shown.contains("Product Name"), "{shown}");
    login.ipmitool(&format!("fru read {MAIN_BOARD} back")).ok();
    assert_eq!(fs::read(suite.dir().join("back")).expect("a file"), image);
    assert_eq!(board_name(&suite.bus).as_deref(), Some("Replaced Board"));

    assert!(suite.platformd.terminate().success());
    suite.restart_platformd();
    wait::until_true("the device has stored it", || {
        board_name(&suite.bus).as_deref() == Some("Replaced Board")
    });
    wait::until_true("the image is read again", || {
        let output = login.ipmitool(&format!("fru print {MAIN_BOARD}"));
        output.stdout.contains("MB999999")
    });
}

#[test]
fn fields_of_the_system_and_of_a_device_are_edited() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    let before = print(&login, SYSTEM);
    assert!(before.contains("Board Mfg : Causeway"), "{before}");
    assert!(before.contains("Chassis Serial : CW0000042"), "{before}");
    for device in [SYSTEM, MAIN_BOARD] {
        // As long as before; and longer, where ipmitool builds the image anew and always ends with 1.
        for (field, code, says) in
            [("Steamway", 0, "Updating Field"), ("Steam & Way Ltd.", 1, "Writing new FRU.\nDone.")]
        {
            let mut command = login.ipmitool_command();
            command.args(["fru", "edit", &device.to_string(), "field", "b", "0", field]);
            let edited = client::run(&mut command);
            assert_eq!(edited.code, Some(code), "{edited}");
            assert!(edited.stdout.contains(says), "{edited}");
            let shown = print(&login, device);
            assert!(shown.contains(&format!("Board Mfg : {field}")), "{shown}");
        }
        let shown = print(&login, device);
        assert!(shown.contains("Product Serial : CW0000042"), "{shown}");
    }
    suite.ipmid.kill();
    suite.restart_ipmid();
    wait::until_true("the written data persist", || {
        let output = login.ipmitool(&format!("fru print {SYSTEM}"));
        output.stdout.contains("Steam & Way Ltd.")
    });
}

/// Writes the system's serial number to its inventory in the platform's configuration, and starts the platform anew.
fn replace_system(suite: &mut Suite, serial: &str, asset: &str) {
    let file = suite.dir().join("platform.toml");
    let text = fs::read_to_string(&file).expect("the platform");
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("serial-number", _)) => format!("serial-number = \"{serial}\""),
        Some(("part-number", old)) if old.contains("CW-TEST") => {
            format!("part-number = \"{asset}\"")
        }
        _ => line.to_owned(),
    });
    let lines: Vec<String> = lines.collect();
    fs::write(&file, lines.join("\n")).expect("the platform");
    assert!(suite.platformd.terminate().success());
    suite.restart_platformd();
}

#[test]
fn edits_stay_over_what_changes_below_and_go_with_the_part() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    let edited = login.ipmitool(&format!("fru edit {SYSTEM} field b 0 Steamway"));
    assert!(edited.ok().contains("Updating Field"), "{edited}");
    let shows = |login: &Login, field: &str| {
        let output = login.ipmitool(&format!("fru print {SYSTEM}"));
        let words: Vec<&str> = output.stdout.split_whitespace().collect();
        words.join(" ").contains(field)
    };
    replace_system(&mut suite, "CW0000042", "CW-TEST-2");
    wait::until_true("the part number below is shown", || {
        shows(&login, "Product Part Number : CW-TEST-2")
    });
    assert!(shows(&login, "Board Mfg : Steamway"));
    assert!(!login.ipmitool("sel elist").stdout.contains("Version Change"));
    replace_system(&mut suite, "CW0000043", "CW-TEST-2");
    wait::until_true("the other part is shown", || shows(&login, "Product Serial : CW0000043"));
    assert!(shows(&login, "Board Mfg : Causeway"));
    assert!(suite.ipmid.log().contains("what clients wrote over it is dropped"));
    let log = login.ipmitool("sel elist");
    assert!(log.ok().contains("Version Change"), "{log}");
}
