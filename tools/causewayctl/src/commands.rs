//! `commands`: what `ipmid` has registered, by its own table.

use clap::Args;
use ipmi_proto::{CompletionCode, Privilege};
use openbmc_dbus::execute::CommandInfo;
use serde::Serialize;

use crate::bus::Bus;
use crate::cli::Global;
use crate::error::Error;
use crate::hex;
use crate::output::{Cell, Report, Style};
use crate::raw::Completion;

/// List the commands that ipmid has, who may send them, and what refuses them
///
/// The list is ipmid's own table, with the commands of vendors and sites. "Refused on" names the channels on which a
/// filter (the firmware firewall, a site's own) refuses the command now, for every sender.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Only commands of this network function
    #[arg(long, value_name = "NETFN", value_parser = hex::byte)]
    netfn: Option<u8>,
    /// Only commands that a filter refuses on a channel
    #[arg(long)]
    refused: bool,
    /// Only commands with this text in their name, in whatever case
    #[arg(value_name = "TEXT")]
    text: Option<String>,
}

/// One command, as JSON.
#[derive(Serialize)]
struct Command<'a> {
    family: &'static str,
    number: u32,
    command: u8,
    name: &'a str,
    access: &'static str,
    priority: u8,
    #[serde(skip_serializing_if = "str::is_empty")]
    changes: &'a str,
    refusals: Vec<Refusal<'a>>,
}

#[derive(Serialize)]
struct Refusal<'a> {
    channel: u8,
    completion: Completion,
    filter: &'a str,
}

impl<'a> From<&'a CommandInfo> for Command<'a> {
    fn from(info: &'a CommandInfo) -> Self {
        let refusals = info.refusals.iter().map(|refusal| Refusal {
            channel: refusal.channel,
            completion: CompletionCode(refusal.completion).into(),
            filter: &refusal.filter,
        });
        Self {
            family: family(info.family),
            number: info.number,
            command: info.code,
            name: &info.name,
            access: access(info.access),
            priority: info.priority,
            changes: &info.changes,
            refusals: refusals.collect(),
        }
    }
}

impl Command<'_> {
    fn row(&self) -> Vec<Cell> {
        let netfn = match self.family {
            "netfn" => format!("{:02X}h", self.number),
            "group" => format!("2Ch {:02X}h", self.number),
            _ => format!("2Eh {}", self.number),
        };
        let refused: Vec<_> = self
            .refusals
            .iter()
            .map(|refusal| {
                format!("{} ({}, {})", refusal.channel, refusal.completion, refusal.filter)
            })
            .collect();
        vec![
            netfn.into(),
            format!("{:02X}h", self.command).into(),
            self.name.into(),
            self.access.into(),
            self.priority.to_string().into(),
            self.changes.into(),
            Cell::new(refused.join(", "), Style::Bad),
        ]
    }
}

fn family(family: u8) -> &'static str {
    match family {
        CommandInfo::NETFN => "netfn",
        CommandInfo::GROUP => "group",
        _ => "oem",
    }
}

fn access(access: u8) -> &'static str {
    match (access, Privilege::new(access)) {
        (CommandInfo::ANYONE, _) => "anyone",
        (_, Some(privilege)) => hex::privilege(privilege),
        (_, None) => "system-interface",
    }
}

impl Arguments {
    /// Whether certain commands are looked for.
    const fn is_filtered(&self) -> bool {
        self.netfn.is_some() || self.text.is_some() || !self.refused
    }

    fn has(&self, command: &CommandInfo) -> bool {
        let netfn = match command.family {
            CommandInfo::NETFN => u8::try_from(command.number).ok(),
            CommandInfo::GROUP => Some(0x2c),
            _ => Some(0x2e),
        };
        let name = command.name.to_lowercase();
        self.netfn.is_none_or(|wanted| netfn == Some(wanted))
            && (!self.refused || !command.refusals.is_empty())
            && self.text.as_ref().is_none_or(|text| name.contains(&text.to_lowercase()))
    }
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    let commands = Bus::connect(global).await?.commands().await?;
    let commands: Vec<_> =
        commands.iter().filter(|command| arguments.has(command)).map(Command::from).collect();
    let report = Report::new(&commands, |page| {
        if commands.is_empty() {
            page.line(if arguments.is_filtered() {
                "no such command"
            } else {
                "nothing is refused"
            });
            return;
        }
        let head = ["NETFN", "CMD", "NAME", "PRIVILEGE", "PRIORITY", "CHANGES", "REFUSED ON"];
        page.table(&head, commands.iter().map(Command::row).collect());
    });
    // As grep(1): nothing found is no success, unless it is what refuses commands.
    Ok(report.failed_if(commands.is_empty() && arguments.is_filtered()))
}
