//! `doctor`: what is wrong with a BMC, seen from outside, and the command that mends it.

mod access;
mod files;
mod services;

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::bmc::Bmc;
use crate::cli::Global;
use crate::config;
use crate::error::Error;
use crate::output::{Cell, Report, Style};

/// Find what is wrong with this BMC, and how to mend it
///
/// Looks at the daemons, their bus names, the configuration, the state folder, devices, the firmware firewall, the clock,
/// channels, cipher suites and users, and changes nothing. Exit code 1 if something is wrong.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The configuration file of the daemons
    #[arg(long, value_name = "FILE", default_value = config::FILE)]
    config: PathBuf,
    /// The state folder of the daemons
    #[arg(long, value_name = "DIR", default_value = "/var/lib/ipmi")]
    state_dir: PathBuf,
}

/// One finding, as JSON.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    check: &'static str,
    problem: String,
    remedy: String,
}

impl Finding {
    pub(crate) fn new(
        check: &'static str,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { check, problem: problem.into(), remedy: remedy.into() }
    }
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    let bmc = Bmc::connect(global).await?;
    let Arguments { config, state_dir } = arguments;
    let mut findings = services::check(&bmc, config).await?;
    findings.extend(files::check(config, state_dir, &services::processes(&bmc.bus).await?));
    match access::check(&bmc).await {
        Ok(found) => findings.extend(found),
        // Without ipmid there is nothing to look at, and that is found already.
        Err(_) if !findings.is_empty() => {}
        Err(error) => {
            findings.push(Finding::new("ipmid", error.to_string(), "causewayctl status"));
        }
    }
    let report = Report::new(&findings, |page| {
        if findings.is_empty() {
            page.line(Cell::new("nothing is wrong", Style::Good));
        }
        for Finding { check, problem, remedy } in &findings {
            page.line(Cell::new(format!("{check}: {problem}"), Style::Bad));
            page.line(format!("  try: {remedy}"));
        }
    });
    Ok(report.failed_if(!findings.is_empty()))
}
