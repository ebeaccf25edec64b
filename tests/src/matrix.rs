//! The client commands that must work, read from `golden/clients/`.
//!
//! A file is a list of rows, run on one BMC in their order and then in the opposite one, so that no row
//! depends on the state that another left. A row begins with its number and the command as an
//! administrator types it, less address and credentials. The lines after it are the expectations:
//!
//! ```text
//! [33] ipmitool chassis poh
//! < ipmitool chassis power on      runs before it, until it succeeds
//! file sel.txt: 0x04 0x10          makes a file in the client's folder (`\n` is a new line)
//! + ipmitool chassis status        runs after it, until both together print what is expected
//! > POH Counter : 40 days          is printed; blanks count as one
//! ! Error                          is not printed
//! holds sel.raw: CW0000042         a file in the client's folder then contains this
//! silent: why                      nothing is printed
//! exit 1: why it cannot succeed    the exit code, where it is not 0, and the reason
//! last: why                        runs once, after all others
//! ```
//!
//! A command that ends in `(pty)` runs on a terminal, where each `>` is waited for in turn, then `type TEXT`
//! types TEXT.

use std::fs;
use std::process::Command;

use crate::client::{self, Output};
use crate::clients::Login;
use crate::terminal::Terminal;
use crate::wait;

/// One command and its expectations.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Its number, unique over all files.
    pub number: u16,
    /// The command.
    pub command: String,
    /// Commands to run before it.
    pub before: Vec<String>,
    /// Commands to run after it.
    pub after: Vec<String>,
    /// Files to make before it: name and content.
    pub files: Vec<(String, String)>,
    /// Expected content of files after it: name and a part of the content.
    pub holds: Vec<(String, String)>,
    /// Expected output.
    pub prints: Vec<String>,
    /// Text that the output must not contain.
    pub lacks: Vec<String>,
    /// Its exit code.
    pub exit: i32,
    /// Text to type at the end, on a terminal.
    pub keys: Option<String>,
    /// Why it prints nothing.
    pub silent: Option<String>,
    /// Why it is run once, at the end.
    pub last: Option<String>,
}

/// Reads the rows of a file.
///
/// # Panics
///
/// If a line is malformed.
#[must_use]
pub fn parse(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((number, command)) = line.strip_prefix('[').and_then(|l| l.split_once("] ")) {
            let number = number.parse().expect("a number");
            rows.push(Row { number, command: command.to_owned(), ..Row::default() });
            continue;
        }
        let row = rows.last_mut().expect("a row before what is expected of it");
        let (kind, rest) = line.split_once(' ').expect("a keyword");
        let after_colon = || rest.split_once(": ").unwrap_or_else(|| panic!("no colon: {line}"));
        match kind {
            "<" => row.before.push(rest.to_owned()),
            "+" => row.after.push(rest.to_owned()),
            ">" => row.prints.push(rest.to_owned()),
            "!" => row.lacks.push(rest.to_owned()),
            "exit" => row.exit = after_colon().0.parse().expect("an exit code"),
            "type" => row.keys = Some(rest.to_owned()),
            "silent:" => row.silent = Some(rest.to_owned()),
            "last:" => row.last = Some(rest.to_owned()),
            "holds" => {
                let (name, content) = after_colon();
                row.holds.push((name.to_owned(), content.to_owned()));
            }
            "file" => {
                let (name, content) = after_colon();
                row.files.push((name.to_owned(), content.replace("\\n", "\n")));
            }
            _ => panic!("what is {line:?}?"),
        }
    }
    rows
}

impl Row {
    /// Runs the row; `Err` lists the expectations that failed.
    ///
    /// # Errors
    ///
    /// The command's output and the failed expectations.
    ///
    /// # Panics
    ///
    /// If a file cannot be written or a program cannot be started.
    pub fn run(&self, login: &Login) -> Result<(), String> {
        for (name, content) in &self.files {
            fs::write(login.home.join(name), content).expect("a file");
        }
        for before in &self.before {
            // The one before it may not be through yet.
            let mut output = run(login, before);
            wait::until_true_or_timeout(|| {
                let done = output.code == Some(0);
                if !done {
                    output = run(login, before);
                }
                done
            });
            if output.code != Some(0) {
                return Err(format!("[{}] before it: {output}", self.number));
            }
        }
        if let Some(command) = self.command.strip_suffix(" (pty)") {
            return self.run_on_terminal(&mut command_of(login, command));
        }
        let output = run(login, &self.command);
        let mut faults = self.faults(&output);
        if output.code == Some(self.exit) && !self.after.is_empty() {
            // What a command began may take a moment to be seen.
            wait::until_true_or_timeout(|| {
                faults = self.faults_after(login, &output);
                faults.is_empty()
            });
        }
        faults.extend(self.holds.iter().filter_map(|(name, content)| {
            let bytes = fs::read(login.home.join(name)).unwrap_or_default();
            let found = bytes.windows(content.len()).any(|part| part == content.as_bytes());
            (!found).then(|| format!("{name} does not hold {content:?}"))
        }));
        if faults.is_empty() {
            return Ok(());
        }
        Err(format!("[{}] {}\n{output}", self.number, faults.join("; ")))
    }

    /// Whether the row has an expectation beyond its exit code.
    #[must_use]
    pub fn is_meaningful(&self) -> bool {
        !(self.prints.is_empty() && self.holds.is_empty() && self.silent.is_none())
    }

    /// The expectations that fail on the row's output together with that of the commands after it.
    fn faults_after(&self, login: &Login, output: &Output) -> Vec<String> {
        let mut all = output.clone();
        for after in &self.after {
            let output = run(login, after);
            if output.code != Some(0) {
                return vec![format!("after it: {output}")];
            }
            all.stdout.push_str(&output.stdout);
            all.stderr.push_str(&output.stderr);
        }
        self.faults(&all)
    }

    fn faults(&self, output: &Output) -> Vec<String> {
        let all = format!("{} {}", output.stdout, output.stderr);
        let squeezed = all.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut faults = Vec::new();
        if output.code != Some(self.exit) {
            faults.push(format!("exit code {:?}, not {}", output.code, self.exit));
        }
        let missing = self.prints.iter().filter(|text| !squeezed.contains(*text));
        faults.extend(missing.map(|text| format!("does not print {text:?}")));
        let wrong = self.lacks.iter().filter(|text| squeezed.contains(*text));
        faults.extend(wrong.map(|text| format!("prints {text:?}")));
        if self.silent.is_some() && !squeezed.is_empty() {
            faults.push("prints something".to_owned());
        }
        faults
    }

    fn run_on_terminal(&self, command: &mut Command) -> Result<(), String> {
        let mut terminal = Terminal::start(command);
        for text in &self.prints {
            terminal.until_shows(text);
        }
        if let Some(keys) = &self.keys {
            terminal.enter(&format!("\r{keys}"));
        }
        match terminal.until_ended() {
            code if code == Some(self.exit) => Ok(()),
            code => Err(format!("[{}] ended with {code:?}, not {}", self.number, self.exit)),
        }
    }
}

/// Runs a command line as an administrator would, with address, credentials and interface added if they
/// are missing. `BMC` stands for the address.
fn run(login: &Login, line: &str) -> Output {
    client::run(&mut command_of(login, line))
}

fn command_of(login: &Login, line: &str) -> Command {
    let address = login.address.ip().to_string();
    let mut words = line.split_whitespace();
    let name = words.next().expect("a program");
    let own: Vec<&str> = words.map(|word| if word == "BMC" { &address } else { word }).collect();
    let port = login.address.port().to_string();
    let host = login.address.to_string();
    let defaults: &[(&str, &str)] = match name {
        "ipmitool" => &[
            ("-I", "lanplus"),
            ("-H", &address),
            ("-p", &port),
            ("-U", &login.user),
            ("-P", &login.password),
        ],
        "rmcp-ping" | "ipmi-ping" => &[],
        "ipmiconsole" => &[("-h", &host), ("-u", &login.user), ("-p", &login.password)],
        _ => &[("-D", "LAN_2_0"), ("-h", &host), ("-u", &login.user), ("-p", &login.password)],
    };
    let mut command: Command = login.program(name);
    if let Some(cache) = login.sdr_cache(name) {
        command.arg(cache);
    }
    for (option, value) in defaults {
        // ipmitool's subcommands have no options of these names; FreeIPMI has no subcommands.
        if !own.contains(option) {
            command.args([option, value]);
        }
    }
    command.args(own);
    command
}
