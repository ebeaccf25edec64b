//! The RMCP+ bridge: IPMI over LAN (IPMI v2.0 §13).
//!
//! One process per network interface. Sessions are `rmcp_proto`'s affair; this crate gives it a
//! socket, a clock, random numbers and accounts, carries requests to `ipmid` and answers back, and
//! shows the sessions on D-Bus.
//!
//! - [`bridge`]: the task that moves everything.
//! - [`datagrams`], [`socket`]: UDP in batches, answered from the address that was asked.
//! - [`users`]: accounts as the server asks for them, followed while they change.
//! - [`sessions`]: the session objects.
//! - [`report`], [`audit`], [`counters`]: what is told of all that.
//! - [`console`]: Serial over LAN.

pub mod arguments;
pub mod audit;
pub mod bridge;
pub mod config;
pub mod console;
pub mod counters;
pub mod datagrams;
pub mod guid;
pub mod random;
pub mod report;
pub mod sessions;
pub mod socket;
pub mod users;

use std::sync::Arc;
use std::time::Duration;

use accounts::Users;
use daemon::{Failure, Setup};
use openbmc_dbus::execute::{IpmiHost, LinkState};
use rmcp_proto::server::{Config, Server};
use tokio::sync::{mpsc, watch};

pub use self::arguments::Args;
use self::bridge::{Bridge, Inputs};
use self::config::View;
use self::console::{Settings, Sol, follow_settings};
use self::datagrams::Datagrams;
use self::random::SystemBytes;
use self::sessions::Publisher;
use self::users::ChannelUsers;

/// Without a bus, the bridge calls itself ready after this time: it serves, as far as it can.
const READY_WITHOUT_BUS: Duration = Duration::from_secs(2);

/// Runs the bridge.
///
/// # Errors
///
/// A configuration or a socket that cannot be used; another process that is the bridge of the channel.
pub async fn serve(setup: Setup<Args>) -> Result<(), Failure> {
    let view = setup.config::<View>()?.with_channels()?;
    view.check()?;
    let (channel, config) = view.server(setup.args.channel())?;
    let (name, number) = (channel.name.clone(), channel.number());
    let config = Config { guid: guid::FALLBACK, ..config };
    let datagrams = Datagrams::new(socket::open(&setup.args)?)?;
    setup.drop_privileges();

    let (told_close, close) = mpsc::unbounded_channel();
    let (told_guid, guid) = mpsc::unbounded_channel();
    let (told_accounts, accounts) = mpsc::unbounded_channel();
    let (told_sessions, changes) = mpsc::unbounded_channel();
    let (asked_counts, counts) = mpsc::unbounded_channel();

    let store = view.accounts(&setup.state_dir);
    let users = ChannelUsers::new(Arc::clone(&store) as Arc<dyn Users>, number);
    let (ipmid, link) = IpmiHost::new(&name);
    tokio::spawn(Publisher::new(&name, number, told_close).run(link.clone(), changes));
    let (told_settings, settings) = watch::channel(Settings::default());
    tokio::spawn(follow_settings(name.clone(), link.clone(), told_settings));
    tokio::spawn({
        let (name, link) = (name.clone(), link.clone());
        async move { counters::serve(&name, link, asked_counts).await }
    });
    tokio::spawn(guid::follow(link.clone(), told_guid));
    tokio::spawn(users::follow(store, move || {
        // The bridge ends with the process.
        let _ = told_accounts.send(());
    }));

    let server = Server::new(config, users.clone(), SystemBytes::default());
    let sol = Sol::new(&view.sol, settings);
    let inputs = Inputs { close, guid, accounts, counts };
    tokio::spawn(tell_ready(setup, link));
    tracing::info!(channel = %name, "serving");
    let bridge = Bridge::new(server, datagrams, ipmid.clone(), sol, users, told_sessions);
    ipmid.unless_taken(bridge.run(inputs)).await??;
    Ok(())
}

/// Tells the service manager once requests can be carried to `ipmid`: some clients give up at the
/// first D2h.
async fn tell_ready(setup: Setup<Args>, mut link: LinkState) {
    let linked = link.wait_for(Option::is_some);
    let _ = tokio::time::timeout(READY_WITHOUT_BUS, linked).await;
    setup.ready();
}
