//! Names of sensors and units within the 16 bytes of a record's id string (IPMI v2.0 §43.15).
//!
//! Clients find a record by its name, and people tell records apart by it: a name is shortened word by word, so that every
//! word and every number of it is still there, and no two records of the BMC share a name.

use ipmi_proto::IdString;

/// The names of the BMC's own records, which no sensor and no unit has.
pub const RESERVED: [&str; 5] = ["BMC", "Watchdog", "Buttons", "Event Log", "Version Change"];

/// Words, and what they are shortened to before letters are left out. OpenBMC shortens some of them.
const SHORTER: [(&str, &str); 25] = [
    ("Temperature", "Temp"),
    ("Voltage", "Volt"),
    ("Current", "Curr"),
    ("Output", "Out"),
    ("Input", "In"),
    ("Regulator", "Reg"),
    ("Utilization", "Util"),
    ("Humidity", "Hum"),
    ("Pressure", "Pres"),
    ("Processor", "Proc"),
    ("Memory", "Mem"),
    ("Controller", "Ctrl"),
    ("Supply", "Sup"),
    ("Backplane", "Bpl"),
    ("Ambient", "Amb"),
    ("Channel", "Chan"),
    ("Sensor", "Sns"),
    ("Module", "Mod"),
    ("Status", "Stat"),
    ("Board", "Brd"),
    ("Front", "Frnt"),
    ("Power", "Pwr"),
    ("Average", "Avg"),
    ("Maximum", "Max"),
    ("Minimum", "Min"),
];

/// A word of a name, and whether a space is before it.
#[derive(Clone, Debug)]
struct Word {
    text: String,
    spaced: bool,
}

/// `name` within what a record's name holds.
///
/// As long as it is too long: known words are shortened one after the other, spaces left out from the first on, vowels
/// left out from the last on, and then the longest word loses letters. Digits stay.
#[must_use]
pub fn shorten(name: &str) -> String {
    within(name, IdString::MAX)
}

/// `name`, shortened, if it is unused, else with `kind` after it, else with a number.
#[must_use]
pub fn unique(name: &str, kind: &str, is_used: impl Fn(&str) -> bool) -> String {
    let plain = shorten(name);
    if !is_used(&plain) {
        return plain;
    }
    let with_kind = shorten(&format!("{name} {kind}"));
    if !kind.is_empty() && !is_used(&with_kind) {
        return with_kind;
    }
    let numbered = |number: usize| {
        let suffix = format!("#{number}");
        within(name, IdString::MAX - suffix.len()) + &suffix
    };
    // There are fewer records than numbers.
    (2..).map(numbered).find(|name| !is_used(name)).unwrap_or(plain)
}

fn within(name: &str, length: usize) -> String {
    let mut words = split(&latin1(name));
    let is_long = |words: &[Word]| joined(words).chars().count() > length;
    for (long, short) in SHORTER {
        if is_long(&words) {
            words.iter_mut().for_each(|word| word.text = replaced(&word.text, long, short));
        }
    }
    for at in 1..words.len() {
        if is_long(&words) {
            words.iter_mut().skip(at).take(1).for_each(|word| word.spaced = false);
        }
    }
    for at in (0..words.len()).rev() {
        if is_long(&words) {
            words.iter_mut().skip(at).take(1).for_each(drop_vowels);
        }
    }
    while is_long(&words) && drop_letter(&mut words) {}
    joined(&words).chars().take(length).collect()
}

/// What the wire has of it: Latin 1, without control characters, and one space where there are several.
fn latin1(name: &str) -> String {
    let readable = |c: char| if u8::try_from(c).is_ok() && !c.is_control() { c } else { '?' };
    name.split_whitespace().collect::<Vec<_>>().join(" ").chars().map(readable).collect()
}

/// The words of a name: at spaces, and where an upper-case letter follows a lower-case one or a digit, or begins a
/// word after an abbreviation.
fn split(name: &str) -> Vec<Word> {
    let letters: Vec<char> = name.chars().collect();
    let mut words: Vec<Word> = Vec::new();
    let mut before = ' ';
    for (at, letter) in letters.iter().copied().enumerate() {
        let next_is_lower = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        let begins = before == ' '
            || (letter.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit()))
            || (letter.is_uppercase() && before.is_uppercase() && next_is_lower);
        match words.last_mut() {
            _ if letter == ' ' => {}
            Some(word) if !begins => word.text.push(letter),
            _ => words.push(Word { text: letter.to_string(), spaced: before == ' ' && at > 0 }),
        }
        before = letter;
    }
    words
}

fn joined(words: &[Word]) -> String {
    let texts = words.iter().map(|word| if word.spaced { " " } else { "" }.to_owned() + &word.text);
    texts.collect()
}

/// `word` with `long`, or the same in lower case, replaced.
fn replaced(word: &str, long: &str, short: &str) -> String {
    word.replace(long, short).replace(&long.to_lowercase(), &short.to_lowercase())
}

/// Leaves out the lower-case vowels of a word but for its first letter.
fn drop_vowels(word: &mut Word) {
    let mut at = 0;
    word.text.retain(|letter| {
        at += 1;
        at == 1 || !"aeiou".contains(letter)
    });
}

/// Takes the last letter of the longest word that has more than one; false when none has. Abbreviations, which are in
/// capitals, are left as they are while another word has one: a rail `VCCIN` must not look like `VCCIO`.
fn drop_letter(words: &mut [Word]) -> bool {
    let letters = |word: &Word| word.text.chars().filter(|c| !c.is_ascii_digit()).count();
    let is_plain = |word: &Word| word.text.contains(char::is_lowercase);
    let longest = words
        .iter_mut()
        .rev()
        .max_by_key(|word| (letters(word) > 1 && is_plain(word), letters(word)));
    let Some(word) = longest.filter(|word| letters(word) > 1) else {
        return false;
    };
    let last = word.text.char_indices().rev().find(|(_, c)| !c.is_ascii_digit());
    if let Some((at, _)) = last {
        word.text.remove(at);
    }
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_names_keep_every_word_and_number() {
        let cases = [
            ("Inlet Temp", "Inlet Temp"),
            ("CPU1 Core Temperature", "CPU1 Core Temp"),
            ("Chassis Intrusion", "ChassisIntrusion"),
            ("A Long Name of 17", "ALong Name of 17"),
            ("abcdefghijklmnopqrst", "abcdfghjklmnpqrs"),
            ("abcdefghijklmnopqrst17", "abcdfghjklmnpq17"),
            ("CPU0 VCCIN Voltage Regulator Temperature", "CPU0VCCINVlRgTmp"),
            ("CPU0 VCCIN Voltage Regulator Current", "CPU0VCCINVlRgCrr"),
            ("CPU0 VCCIN Voltage Regulator Power", "CPU0VCCINVlRgPwr"),
            ("CPU1 VCCIN Voltage Regulator Power", "CPU1VCCINVlRgPwr"),
            ("CPU0VCCINVoltReg", "CPU0VCCINVoltReg"),
            ("PowerSupply0InputVoltage", "PowerSup0InVolt"),
            ("PCIe Slot 12 Ambient Temperature", "PCIeSlot12AmbTmp"),
            ("NVMe Backplane Drive 23 Temperature", "NVMeBplDrv23Tmp"),
            ("Gehäuse Lüfter Drehzahl 3", "GhäsLüftrDrhzhl3"),
            ("机箱温度传感器甲 1", "???????? 1"),
            ("", ""),
        ];
        for (name, short) in cases {
            assert_eq!(shorten(name), short, "{name}");
        }
    }

    #[test]
    fn used_name_gets_its_kind_and_then_a_number() {
        let used = BTreeSet::from(["Fan 1", "Fan 1 PWM"]);
        assert_eq!(unique("Fan 2", "PWM", |name| used.contains(name)), "Fan 2");
        let one = BTreeSet::from(["Fan 1"]);
        assert_eq!(unique("Fan 1", "PWM", |name| one.contains(name)), "Fan 1 PWM");
        assert_eq!(unique("Fan 1", "PWM", |name| used.contains(name)), "Fan 1#2");
        assert_eq!(unique("Fan 1", "", |name| one.contains(name)), "Fan 1#2");
    }

    proptest! {
        #[test]
        fn any_name_fits_and_stays_unique(names in prop::collection::vec("\\PC{0,40}", 1..20)) {
            let mut used = BTreeSet::new();
            for name in names {
                let short = unique(&name, "Temp", |name| used.contains(name));
                prop_assert!(short.chars().count() <= IdString::MAX, "{name}: {short}");
                prop_assert_eq!(IdString::new(&short).to_text(), short.clone());
                prop_assert!(used.insert(short), "{name}");
            }
        }

        #[test]
        fn name_that_fits_is_left_as_it_is(name in "[A-Za-z0-9]{0,8}( [A-Za-z0-9]{1,7})?") {
            prop_assert_eq!(shorten(&name), name.trim());
        }

        /// Names of the usual build: a part, a number, a rail, what is measured.
        #[test]
        fn usual_names_stay_apart(
            a in "(CPU|DIMM|PSU|VR)[0-9]{1,2}_(VCCIN|VCCIO|VDDQ|VPP|PVNN)_(Voltage|Regulator|Phase)_(Temperature|Current|Power)",
            b in "(CPU|DIMM|PSU|VR)[0-9]{1,2}_(VCCIN|VCCIO|VDDQ|VPP|PVNN)_(Voltage|Regulator|Phase)_(Temperature|Current|Power)",
        ) {
            let short = |name: &str| shorten(&name.replace('_', " "));
            prop_assert_eq!(short(&a) == short(&b), a == b, "{} {}", a, b);
        }
    }
}
