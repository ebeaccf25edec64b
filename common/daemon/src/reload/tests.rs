use super::*;

const KEYS: Keys = Keys {
    live: &["lan.sessions", "lan.cipher-suites", "access.initial-user.password"],
    restart: &["channel", "mctp.bindings"],
    others: &[],
};

fn settings(reader: &Reader, text: &str) -> Settings {
    let file = ConfigFile::from_text("x.toml", text.to_owned());
    reader.read(&file.expect("a configuration"), None)
}

fn of<'a>(settings: &'a Settings, key: &str) -> &'a Setting {
    settings.list().iter().find(|setting| setting.key == key).expect("the key")
}

#[test]
fn values_have_their_origin() {
    let reader = Reader::new(KEYS, vec![("mctp.bindings", "[\"serial:/dev/x\"]".to_owned())]);
    let settings = settings(&reader, "\n[lan]\n\nsessions = 0x10\n");
    let sessions = of(&settings, "lan.sessions");
    assert_eq!((sessions.value.as_str(), &sessions.live), ("16", &true));
    assert_eq!(sessions.origin, Origin::File("x.toml".to_owned(), 4));
    let suites = of(&settings, "lan.cipher-suites");
    assert_eq!((suites.value.as_str(), &suites.origin), ("[17, 3]", &Origin::BuiltIn));
    let bindings = of(&settings, "mctp.bindings");
    assert_eq!((bindings.origin.to_string().as_str(), bindings.live), ("command line", false));
    assert!(of(&settings, "channel").value.contains("\"kcs0\""), "{settings:?}");
    assert_eq!(of(&settings, "log.level").value, "\"info\"");
}

#[test]
fn changes_are_those_of_values_and_not_of_their_writing() {
    let reader = Reader::new(KEYS, vec![("mctp.bindings", "[]".to_owned())]);
    let running = settings(&reader, "[lan]\nsessions = 16\n");
    // The built-in value is written out, a number in another way, and what the command line has is another.
    let same =
        "# moved\n[log]\nlevel = \"info\"\n[lan]\nsessions = 0x10\n[mctp]\nbindings = [\"a\"]\n";
    let same = settings(&reader, same);
    assert_eq!(running.changes(&same), []);
    assert_eq!(of(&running.after(same), "lan.sessions").origin, Origin::File("x.toml".into(), 5));
    let file = settings(&reader, "[lan]\nsessions = 4\n[[channel]]\nnumber = 1\n");
    let changes = running.changes(&file);
    let keys: Vec<_> = changes.iter().map(|it| (it.file.key, it.file.live)).collect();
    assert_eq!(keys, [("lan.sessions", true), ("channel", false)]);
    let after = running.after(file.clone());
    assert_eq!(of(&after, "lan.sessions").value, "4");
    assert!(of(&after, "channel").value.contains("kcs0"), "in force until a restart");
    assert_eq!(after.changes(&file).len(), 1, "it is named again");
}

#[test]
fn secrets_are_compared_and_never_shown() {
    let reader = Reader::new(KEYS, Vec::new());
    let text = |password: &str| {
        format!("[access.initial-user]\nname = \"a\"\npassword = \"{password}\"\n")
    };
    let (one, other) =
        (settings(&reader, &text("Tr0ub4dor")), settings(&reader, &text("Tr0ub4dos")));
    assert_eq!(one.changes(&other).len(), 1);
    assert_eq!(one.changes(&settings(&reader, &text("Tr0ub4dor"))).len(), 0);
    assert!(!format!("{one:?}").contains("ub4"), "{one:?}");
    assert_eq!(of(&one, "access.initial-user.password").value, "(secret)");
    assert_eq!(of(&settings(&reader, ""), "access.initial-user.password").value, "");
}
