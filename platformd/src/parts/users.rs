//! The BMC's accounts, as phosphor-user-manager shows them. Passwords are not on D-Bus.

use std::collections::BTreeMap;

use openbmc_dbus::interface::PropertyValue as _;
use openbmc_dbus::object::delete;
use openbmc_dbus::user::{ROOT, SERVICE, attributes, manager};
use zbus::wire::{Structure, Variant};

use crate::config::User;
use crate::fault::Fault;
use crate::part::{Context, Invocation, Part, Returned, Setting};
use crate::tree::Instance;

/// All privileges, as phosphor-user-manager has them.
const PRIVILEGES: [&str; 4] = ["priv-admin", "priv-operator", "priv-user", "priv-noaccess"];
/// All groups.
const GROUPS: [&str; 4] = ["ipmi", "redfish", "ssh", "web"];
/// The group whose members use IPMI, and how many there may be.
const IPMI: &str = "ipmi";
const MOST_IPMI: usize = 15;
/// How many accounts there may be, and how long a name, of IPMI's users and of others.
const MOST_USERS: usize = 30;
const LONGEST_IPMI_NAME: usize = 16;
const LONGEST_NAME: usize = 30;

/// The name under which a list of accounts outlives the process.
const KEPT: &str = "users";

/// The accounts.
#[derive(Debug)]
pub(crate) struct Users {
    config: Vec<User>,
}

impl Users {
    pub(crate) fn new(config: &[User]) -> Self {
        Self { config: config.to_vec() }
    }
}

/// All accounts as they are shown now.
fn all(context: &Context<'_>) -> Vec<User> {
    let users = context.tree.below(ROOT).filter_map(|(path, _)| {
        Some(User {
            name: path.strip_prefix(ROOT)?.strip_prefix('/')?.to_owned(),
            privilege: context.tree.get(path, attributes::USER_PRIVILEGE)?,
            groups: context.tree.get(path, attributes::USER_GROUPS)?,
            enabled: context.tree.get(path, attributes::USER_ENABLED)?,
        })
    });
    users.collect()
}

fn keep(context: &mut Context<'_>) {
    let lines = all(context).into_iter().map(|user| {
        let groups = user.groups.join(",");
        format!("{} {} {} {groups}", user.name, user.privilege, user.enabled)
    });
    let lines = Variant::from(lines.collect::<Vec<_>>());
    context.tree.keep(ROOT, KEPT, lines);
}

fn parse(line: &str) -> Option<User> {
    let mut words = line.split(' ');
    Some(User {
        name: words.next()?.to_owned(),
        privilege: words.next()?.to_owned(),
        enabled: words.next()?.parse().ok()?,
        groups: words
            .next()?
            .split(',')
            .filter(|group| !group.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

/// Refuses an account that phosphor-user-manager would refuse beside those of `others`.
pub(crate) fn check(others: &[User], user: &User) -> Result<(), Fault> {
    check_privilege(&user.privilege)?;
    check_groups(&user.groups)?;
    let ipmi = |groups: &[String]| groups.iter().any(|group| group == IPMI);
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let begins =
        user.name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let longest = if ipmi(&user.groups) { LONGEST_IPMI_NAME } else { LONGEST_NAME };
    if !begins || user.name.len() > longest || !user.name.bytes().all(letters) {
        return Err(Fault::invalid(format!("{:?} cannot be a name", user.name)));
    }
    if others.iter().any(|other| other.name == user.name) {
        return Err(Fault::user_exists(&user.name));
    }
    let of_ipmi = others.iter().filter(|other| ipmi(&other.groups)).count();
    if others.len() >= MOST_USERS || (ipmi(&user.groups) && of_ipmi >= MOST_IPMI) {
        return Err(Fault::not_allowed("too many users"));
    }
    Ok(())
}

pub(crate) fn check_privilege(privilege: &str) -> Result<(), Fault> {
    // An account may have none.
    if privilege.is_empty() || PRIVILEGES.contains(&privilege) {
        return Ok(());
    }
    Err(Fault::invalid(format!("no privilege {privilege:?}")))
}

fn check_groups(groups: &[String]) -> Result<(), Fault> {
    match groups.iter().find(|group| !GROUPS.contains(&group.as_str())) {
        Some(group) => Err(Fault::invalid(format!("no group {group:?}"))),
        None => Ok(()),
    }
}

fn add(context: &mut Context<'_>, user: &User) {
    let path = path(&user.name);
    let shown = Instance::new(&attributes::INTERFACE)
        .with(attributes::USER_GROUPS, user.groups.clone())
        .with(attributes::USER_PRIVILEGE, user.privilege.clone())
        .with(attributes::USER_ENABLED, user.enabled);
    context.tree.add(SERVICE, &path, [shown, Instance::new(&delete::INTERFACE)]);
}

fn path(name: &str) -> String {
    format!("{ROOT}/{name}")
}

fn create(context: &mut Context<'_>, arguments: &[Variant<'static>]) -> Result<(), Fault> {
    let [Variant::Str(name), groups, Variant::Str(privilege), Variant::Bool(enabled)] = arguments
    else {
        return Err(Fault::arguments(manager::CREATE_USER.input));
    };
    let user = User {
        name: name.to_string(),
        groups: Vec::from_variant(groups.clone())?,
        privilege: privilege.to_string(),
        enabled: *enabled,
    };
    check(&all(context), &user)?;
    add(context, &user);
    keep(context);
    Ok(())
}

fn rename(context: &mut Context<'_>, arguments: &[Variant<'static>]) -> Result<(), Fault> {
    let [Variant::Str(old), Variant::Str(new)] = arguments else {
        return Err(Fault::arguments(manager::RENAME_USER.input));
    };
    let (old, new) = (old.to_string(), new.to_string());
    let user = find(context, &old)?;
    let renamed = User { name: new.clone(), ..user };
    let mut others = all(context);
    others.retain(|other| other.name != old);
    check(&others, &renamed)?;
    // First of all: with it, IPMI's passwords move to the new name before the old one goes.
    let body = Structure::from((old.clone(), new));
    context.tree.signal(ROOT, manager::USER_RENAMED, Some(body));
    context.tree.remove(&path(&old));
    add(context, &renamed);
    keep(context);
    Ok(())
}

fn find(context: &Context<'_>, name: &str) -> Result<User, Fault> {
    let user = all(context).into_iter().find(|user| user.name == name);
    user.ok_or_else(|| Fault::no_user(name))
}

fn info(context: &Context<'_>, arguments: &[Variant<'static>]) -> Result<Returned, Fault> {
    let [Variant::Str(name)] = arguments else {
        return Err(Fault::arguments(manager::GET_USER_INFO.input));
    };
    let user = find(context, name.as_str())?;
    let values: BTreeMap<&str, Variant<'static>> = BTreeMap::from([
        ("UserPrivilege", Variant::from(user.privilege)),
        ("UserGroups", Variant::from(user.groups)),
        ("UserEnabled", Variant::from(user.enabled)),
        ("UserLockedForFailedAttempt", Variant::from(false)),
        ("UserPasswordExpired", Variant::from(false)),
        ("RemoteUser", Variant::from(false)),
    ]);
    Ok(vec![Variant::from(values)])
}

impl Part for Users {
    fn start(&mut self, context: &mut Context<'_>) {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let manager = Instance::new(&manager::INTERFACE)
            .with(manager::ALL_PRIVILEGES, names(&PRIVILEGES))
            .with(manager::ALL_GROUPS, names(&GROUPS));
        context.tree.add(SERVICE, ROOT, [manager]);
        let kept = context.tree.recall(ROOT, KEPT).and_then(|kept| Vec::from_variant(kept).ok());
        let users: Vec<User> = match kept {
            Some(lines) => lines.iter().filter_map(|line: &String| parse(line)).collect(),
            None => std::mem::take(&mut self.config),
        };
        for user in users {
            match check(&all(context), &user) {
                Ok(()) => add(context, &user),
                Err(fault) => tracing::warn!(user = user.name, %fault, "left out"),
            }
        }
    }

    fn set(
        &mut self,
        context: &mut Context<'_>,
        setting: &Setting<'_>,
    ) -> Option<Result<(), Fault>> {
        if setting.interface != attributes::NAME {
            return None;
        }
        let value = setting.value.clone();
        let checked = if setting.is(setting.path, attributes::USER_PRIVILEGE) {
            String::from_variant(value).map_err(Fault::from).and_then(|text| check_privilege(&text))
        } else if setting.is(setting.path, attributes::USER_GROUPS) {
            Vec::from_variant(value)
                .map_err(Fault::from)
                .and_then(|groups: Vec<String>| check_groups(&groups))
        } else {
            Ok(())
        };
        Some(checked.map(|()| {
            let (interface, property) = (setting.interface, setting.property);
            context.tree.store(setting.path, interface, property, setting.value.clone());
            keep(context);
        }))
    }

    fn call(
        &mut self,
        context: &mut Context<'_>,
        call: &Invocation<'_>,
    ) -> Option<Result<Returned, Fault>> {
        match *call.method {
            manager::CREATE_USER => Some(create(context, call.arguments).map(|()| Vec::new())),
            manager::RENAME_USER => Some(rename(context, call.arguments).map(|()| Vec::new())),
            manager::GET_USER_INFO => Some(info(context, call.arguments)),
            delete::DELETE if call.path.starts_with(ROOT) => {
                context.tree.remove(call.path);
                keep(context);
                Some(Ok(Vec::new()))
            }
            _ => None,
        }
    }
}
