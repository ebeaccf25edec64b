//! The firmware firewall: commands and sub-functions that are disabled on a channel
//! (IPMI v2.0 §21).

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use ipmi_proto::{ChannelNumber, CompletionCode, NetFn};
use serde::{Deserialize, Serialize};

use super::Filter;
use crate::model::StoreError;
use crate::model::persistent::{Persistent, lock};
use crate::request::command::{Command, Family};
use crate::request::context::Context;

/// State file `firewall.json`: the disabled commands and sub-functions; all others are enabled.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, transparent)]
pub struct Rules(BTreeMap<String, Rule>);

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Rule {
    /// The whole command.
    disabled: bool,
    /// Bit n: sub-function n.
    disabled_functions: u32,
}

impl Rule {
    /// Whether a command with these sub-functions is disabled, as a whole or in all of its sub-functions.
    const fn is_off(self, functions: u32) -> bool {
        self.disabled || self.all_functions_off(functions)
    }

    const fn all_functions_off(self, functions: u32) -> bool {
        functions != 0 && functions & !self.disabled_functions == 0
    }
}

/// A command whose sub-functions can be disabled one by one.
struct SubFunctions {
    family: Family,
    code: u8,
    /// Bit n: sub-function n exists.
    mask: u32,
    /// The sub-function that a request's data selects.
    of: fn(&[u8]) -> Option<u8>,
}

/// Chassis Control: a sub-function for each action (IPMI v2.0 Appendix H).
const SUB_FUNCTIONS: [SubFunctions; 1] = [SubFunctions {
    family: Family::NetFn(NetFn::CHASSIS),
    code: 0x02,
    mask: 0x3f,
    of: |data| data.first().map(|action| action & 0x0f),
}];

/// Application commands that cannot be disabled: Get Device ID, command discovery and the firewall
/// itself, so that administrators cannot lock themselves out. `ipmitool firewall reset` disables the configurable
/// ones of the last eight, 60h to 67h.
const ALWAYS_ON: [u8; 11] = [0x01, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x60, 0x61, 0x62, 0x63, 0x64];

/// All registered commands, and the disabled ones by channel.
#[derive(Debug)]
pub struct Firewall {
    commands: OnceLock<Vec<Command>>,
    /// Those of providers that are there now.
    provided: Mutex<Vec<Command>>,
    rules: Persistent<Rules>,
}

impl Firewall {
    /// With the rules stored in `rules`.
    #[must_use]
    pub fn new(rules: Persistent<Rules>) -> Self {
        Self { commands: OnceLock::new(), provided: Mutex::default(), rules }
    }

    /// Sets the registered commands, once, after all families have registered theirs.
    pub fn learn<'a>(&self, commands: impl Iterator<Item = &'a Command>) {
        self.commands.get_or_init(|| commands.copied().collect());
    }

    /// Tells it which commands of providers there are beside those.
    pub fn learn_provided(&self, commands: impl Iterator<Item = Command>) {
        *lock(&self.provided) = commands.collect();
    }

    /// All commands there are: those that are compiled in, and then those of providers.
    pub fn commands(&self) -> Vec<Command> {
        let mut all = self.commands.get().cloned().unwrap_or_default();
        all.extend(lock(&self.provided).iter());
        all
    }

    /// Whether a command can be disabled.
    #[must_use]
    pub fn is_configurable(command: &Command) -> bool {
        command.family != Family::NetFn(NetFn::APP) || !ALWAYS_ON.contains(&command.code)
    }

    /// Whether a command is enabled.
    #[must_use]
    pub fn is_enabled(&self, channel: ChannelNumber, command: &Command) -> bool {
        !self.rule(channel, command).is_off(functions(command))
    }

    /// The sub-functions that a command has, and the enabled ones.
    #[must_use]
    pub fn sub_functions(&self, channel: ChannelNumber, command: &Command) -> (u32, u32) {
        let mask = functions(command);
        (mask, mask & !self.rule(channel, command).disabled_functions)
    }

    /// Enables or disables commands. Enabling restores a command's enabled sub-functions, or enables all of
    /// them if none was enabled: `ipmitool firewall reset` disables all sub-functions before it enables the
    /// command.
    ///
    /// # Errors
    ///
    /// As [`Persistent::update`].
    pub async fn set_enabled(
        &self,
        channel: ChannelNumber,
        commands: &[(Command, bool)],
    ) -> Result<(), StoreError> {
        self.rules
            .update(|rules| {
                for (command, enabled) in commands {
                    rules.change(channel, command, |rule| {
                        rule.disabled = !enabled;
                        if *enabled && rule.all_functions_off(functions(command)) {
                            rule.disabled_functions = 0;
                        }
                    });
                }
            })
            .await
    }

    /// Enables these sub-functions of a command, and disables all others.
    ///
    /// # Errors
    ///
    /// As [`Persistent::update`].
    pub async fn set_sub_functions(
        &self,
        channel: ChannelNumber,
        command: &Command,
        enabled: u32,
    ) -> Result<(), StoreError> {
        let (mask, _) = self.sub_functions(channel, command);
        self.rules
            .update(|rules| {
                rules.change(channel, command, |rule| rule.disabled_functions = mask & !enabled);
            })
            .await
    }

    fn rule(&self, channel: ChannelNumber, command: &Command) -> Rule {
        // Fast path: this runs for each request, and most machines have no rules.
        self.rules.look(|rules| {
            if rules.0.is_empty() {
                return Rule::default();
            }
            rules.0.get(&key(channel, command)).copied().unwrap_or_default()
        })
    }
}

impl Rules {
    fn change(
        &mut self,
        channel: ChannelNumber,
        command: &Command,
        change: impl FnOnce(&mut Rule),
    ) {
        let key = key(channel, command);
        let mut rule = self.0.remove(&key).unwrap_or_default();
        change(&mut rule);
        if rule != Rule::default() {
            self.0.insert(key, rule);
        }
    }
}

/// The key of a command on a channel in the file: `1 6 0x2e`, `1 group 0xdc 0x01`.
fn key(channel: ChannelNumber, command: &Command) -> String {
    let family = match command.family {
        Family::NetFn(netfn) => format!("{:#04x}", netfn.value()),
        Family::Group(body) => format!("group {:#04x}", body.0),
        Family::Oem(iana) => format!("oem {}", iana.value()),
    };
    format!("{} {family} {:#04x}", channel.value(), command.code)
}

/// The sub-functions that a command has, each a bit.
fn functions(command: &Command) -> u32 {
    sub_functions_of(command).map_or(0, |functions| functions.mask)
}

fn sub_functions_of(command: &Command) -> Option<&'static SubFunctions> {
    SUB_FUNCTIONS.iter().find(|known| known.family == command.family && known.code == command.code)
}

/// Refuses disabled commands: `D4h` for a command, `D6h` for a sub-function (IPMI v2.0
/// Table 5-2).
impl Filter for std::sync::Arc<Firewall> {
    fn check(
        &self,
        context: &Context,
        command: &Command,
        data: &[u8],
    ) -> Result<(), CompletionCode> {
        let rule = self.rule(context.channel, command);
        if rule.is_off(functions(command)) {
            return Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
        }
        let function = sub_functions_of(command).and_then(|functions| (functions.of)(data));
        match function {
            Some(n) if n < 32 && rule.disabled_functions >> n & 1 == 1 => {
                Err(CompletionCode::SUBFUNCTION_DISABLED)
            }
            _ => Ok(()),
        }
    }

    fn name(&self) -> &'static str {
        "firmware firewall"
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ipmi_proto::Privilege;

    use super::*;

    const CONTROL: Command =
        Command::standard(NetFn::CHASSIS, 0x02, Privilege::Operator, "Chassis Control");
    const LAN: ChannelNumber = ChannelNumber::new(1).unwrap();

    #[test]
    fn discovery_and_the_firewall_itself_are_always_on() {
        let is_configurable = |code| {
            Firewall::is_configurable(&Command::standard(NetFn::APP, code, Privilege::User, ""))
        };
        assert!((0x09..=0x0d).chain(0x60..=0x64).all(|code| !is_configurable(code)));
        assert!(is_configurable(0x02));
    }

    #[tokio::test]
    async fn what_is_off_is_off_on_its_channel_alone() {
        let firewall = Arc::new(Firewall::new(Persistent::volatile()));
        let host = Context::system_interface();
        let lan = Context { channel: LAN, ..host };
        assert_eq!(firewall.check(&lan, &CONTROL, &[1]), Ok(()));
        firewall.set_enabled(LAN, &[(CONTROL, false)]).await.unwrap();
        let refused = Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
        assert_eq!(firewall.check(&lan, &CONTROL, &[1]), refused);
        assert_eq!(firewall.check(&host, &CONTROL, &[1]), Ok(()));
        firewall.set_enabled(LAN, &[(CONTROL, true)]).await.unwrap();
        assert_eq!(firewall.check(&lan, &CONTROL, &[1]), Ok(()));
    }

    #[tokio::test]
    async fn sub_functions_are_refused_one_by_one() {
        let firewall = Arc::new(Firewall::new(Persistent::volatile()));
        let lan = Context { channel: LAN, ..Context::system_interface() };
        firewall.set_sub_functions(LAN, &CONTROL, 0x03).await.unwrap();
        assert_eq!(firewall.sub_functions(LAN, &CONTROL), (0x3f, 0x03));
        assert_eq!(firewall.check(&lan, &CONTROL, &[1]), Ok(()));
        let refused = Err(CompletionCode::SUBFUNCTION_DISABLED);
        assert_eq!(firewall.check(&lan, &CONTROL, &[2]), refused);
        assert_eq!(firewall.check(&lan, &CONTROL, &[]), Ok(())); // too short: C7h later
        // On again: as it was.
        firewall.set_enabled(LAN, &[(CONTROL, true)]).await.unwrap();
        assert_eq!(firewall.sub_functions(LAN, &CONTROL), (0x3f, 0x03));
    }

    #[tokio::test]
    async fn command_without_sub_functions_is_off_and_has_all_when_it_is_on_again() {
        let firewall = Arc::new(Firewall::new(Persistent::volatile()));
        let lan = Context { channel: LAN, ..Context::system_interface() };
        assert!(firewall.is_enabled(LAN, &CONTROL));
        firewall.set_sub_functions(LAN, &CONTROL, 0).await.unwrap();
        assert!(!firewall.is_enabled(LAN, &CONTROL));
        assert_eq!(firewall.sub_functions(LAN, &CONTROL), (0x3f, 0));
        let refused = Err(CompletionCode::INSUFFICIENT_PRIVILEGE);
        assert_eq!(firewall.check(&lan, &CONTROL, &[1]), refused);
        // Switching off what is off changes nothing.
        firewall.set_enabled(LAN, &[(CONTROL, false)]).await.unwrap();
        assert_eq!(firewall.check(&lan, &CONTROL, &[1]), refused);
        firewall.set_enabled(LAN, &[(CONTROL, true)]).await.unwrap();
        assert_eq!(firewall.sub_functions(LAN, &CONTROL), (0x3f, 0x3f));
        assert_eq!(firewall.check(&lan, &CONTROL, &[1]), Ok(()));
    }
}
