//! All that a BMC has to do, at once, while the configuration of all its daemons is reloaded again and again.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::bus::Bus;
use crate::load::{self, Load, Work};
use crate::mctp::Endpoints;
use crate::process::Process;
use crate::reload::{WRONG, configure, misconfigure, refusal, value_in_force};
use crate::shell::Shell;
use crate::suite::Suite;
use crate::terminal::Terminal;
use crate::{ctl, wait};

/// Sessions over LAN, beside that of the console.
const SESSIONS: usize = 8;
/// Clients of the MCTP socket.
const MCTP_CLIENTS: u8 = 16;
/// Daemons on the suite's bus.
const DAEMONS: usize = 5;

/// The counters that must not grow: what is lost, refused or late, and connections that end.
const FAULTS: [&str; 9] = [
    "causeway_ipmi_deadline_misses_total",
    "causeway_ipmid_deadline_misses_total",
    "causeway_ipmi_late_replies_total",
    "causeway_ipmi_rejections_total",
    "causeway_rmcp_login_refusals_total",
    "causeway_sol_overruns_total",
    "causeway_bus_reconnects_total",
    "causeway_mctp_refusals_total",
    "causeway_mctp_binding_drops_total",
];

/// Completion codes of requests that were not executed: busy, at the deadline, not ready, for no reason that is known. A
/// guest's programs and driver try commands that have other codes.
const NOT_EXECUTED: [&str; 4] = ["0xc0", "0xc3", "0xd2", "0xff"];

/// Reloads `suite`, `bridge` of a host and two `mctp-demuxd` while eight sessions over LAN, the console, the host and
/// sixteen MCTP clients work. `host` is what the host does.
///
/// # Panics
///
/// If anything is lost, late or ended, by the clients or by the daemons' own counters.
pub fn is_reloaded(suite: Suite, bridge: Process, host: Work<'_>) {
    let login = suite.administrator();
    let mctp = Endpoints::start(&suite);
    let mut bmc = Bmc { suite, bridge, mctp };
    let mut clients: Vec<Work<'_>> = vec![host];
    let mut terminal = Terminal::sol(&login);
    clients.push(Box::new(move |number| {
        terminal.enter(&format!("n{number}\r"));
        terminal.until_shows(&format!("n{number}: not found"));
    }));
    for mut shell in (0..SESSIONS).map(|_| Shell::open(&login)).collect::<Vec<_>>() {
        clients.push(Box::new(move |_| {
            let reply = shell.run("raw 6 1");
            assert!(reply.trim_start().starts_with("20 "), "{reply}");
        }));
    }
    for client in (0..MCTP_CLIENTS).map(|number| bmc.mctp.client(number)) {
        clients.push(Box::new(move |number| client.ask(number)));
    }
    let ended = |bmc: &Bmc| bmc.suite.netipmid.log().matches("session ended").count();
    let (before, ended_before) = (bmc.faults(), ended(&bmc));
    load::run(clients, |load| {
        for round in 0..WRONG.len() {
            bmc.reload(round, load);
        }
        // While the clients are there: their end is none of this.
        assert_eq!(bmc.faults(), before);
        assert_eq!(ended(&bmc), ended_before, "{}", bmc.suite.netipmid.log());
    });
}

/// All daemons of the test.
struct Bmc {
    suite: Suite,
    bridge: Process,
    mctp: Endpoints,
}

impl Bmc {
    /// Reloads a configuration that is wrong, and two that differ from those before.
    fn reload(&mut self, round: usize, load: &Load) {
        let (daemon, text, line) = WRONG[round];
        let place = misconfigure(&self.suite, text, line);
        self.hang_up_all();
        wait::until_true(&format!("{text}: {place} is refused"), || {
            refusal(&self.suite, daemon).contains(&place)
        });
        load.until_all_have_done(1);
        for (timeout, log_clears) in [(60 + round, true), (120 + round, false)] {
            configure(&self.suite, &settings(timeout, log_clears, round));
            self.hang_up_all();
            let is_in_force = |daemon: &str, key: &str, value: &str| {
                value_in_force(&self.suite, daemon, key).as_deref() == Some(value)
            };
            wait::until_true("the configuration is in force", || {
                is_in_force("netipmid", "lan.idle-timeout", &timeout.to_string())
                    && is_in_force("ipmid", "sel.log-clears", &log_clears.to_string())
            });
            let answers = ctl::json_on(&self.suite.bus, "config reload");
            let answers = answers.as_array().expect("a list");
            assert_eq!(answers.len(), DAEMONS, "{answers:?}");
            for answer in answers {
                assert_eq!(answer["refused"], Value::Null, "{answer}");
                assert_eq!(answer["restart-needed"], json!([]), "{answer}");
            }
            load.until_all_have_done(2);
        }
    }

    fn hang_up_all(&mut self) {
        let Self { suite, bridge, mctp } = self;
        for process in [
            &mut suite.netipmid,
            &mut suite.ipmid,
            &mut suite.platformd,
            bridge,
            &mut mctp.own,
            &mut mctp.far,
        ] {
            assert_eq!(process.exited(), None, "{}", process.log());
            process.signal(Signal::SIGHUP);
        }
    }

    /// The counters of faults of all daemons, but those that are 0; and requests that were not executed.
    fn faults(&self) -> BTreeMap<String, u64> {
        let far = faults_on(&self.mctp.far_bus).into_iter();
        faults_on(&self.suite.bus)
            .into_iter()
            .chain(far.map(|(name, value)| (format!("far {name}"), value)))
            .collect()
    }
}

/// A configuration, all of whose keys a reload applies.
fn settings(timeout: usize, log_clears: bool, round: usize) -> String {
    format!(
        "[lan]\nidle-timeout = {timeout}\nsessions = {}\npackets-per-second = {}\n[sel]\nlog-clears = {}\n\
         [host]\nrunning = {}\n[mctp]\nlearned-s = {}\naccept-assignment = {}\n\
         [mctp.limits]\nclients = {}\nclient-queue-messages = {}\nassemblies = {}\n",
        if log_clears { 9 } else { 62 },
        4000 + timeout,
        log_clears,
        8 + round % 8,
        600 + timeout,
        log_clears,
        16 + round,
        256 + timeout,
        64 + round,
    )
}

fn faults_on(bus: &Bus) -> BTreeMap<String, u64> {
    let counters = ctl::json_on(bus, "counters");
    let counters = counters.as_array().expect("a list").iter();
    let is_fault = |counter: &&Value| {
        let name = counter["name"].as_str().expect("a name");
        let completion = counter["labels"]["completion"].as_str().unwrap_or_default();
        FAULTS.contains(&name)
            || (name.ends_with("_requests_total") && NOT_EXECUTED.contains(&completion))
    };
    let entry = |counter: &Value| {
        let value = counter["value"].as_u64().expect("a number");
        (format!("{} {}", counter["name"], counter["labels"]), value)
    };
    counters.filter(is_fault).map(entry).collect()
}
