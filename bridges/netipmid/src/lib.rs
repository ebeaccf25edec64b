//! The RMCP+ bridge: IPMI over LAN (IPMI v2.0 §13).
//!
//! One process per network interface. `rmcp_proto` implements the sessions; this crate provides it with a
//! socket, a clock, random numbers and accounts, forwards requests to `ipmid` and the responses back, and
//! publishes the sessions on D-Bus.
//!
//! - [`bridge`]: the task that forwards datagrams, requests and events.
//! - [`datagrams`], [`socket`]: UDP in batches; replies leave from the address that the request was sent to.
//! - [`interface`]: the interface that the socket is bound to, deleted and made again.
//! - [`users`], [`account_changes`]: the accounts, and how their changes are followed.
//! - [`sessions`]: the session objects on D-Bus.
//! - [`report`], [`audit`]: the log; [`counters`]: the counters of rejections; [`measures`]: other metrics.
//! - [`console`]: Serial over LAN.

pub mod account_changes;
pub mod arguments;
pub mod audit;
pub mod bridge;
pub mod config;
pub mod console;
pub mod counters;
pub mod datagrams;
pub mod guid;
pub mod interface;
pub mod measures;
pub mod random;
pub mod report;
pub mod sessions;
pub mod socket;
pub mod users;

use std::sync::Arc;
use std::time::Duration;

use daemon::{Failure, Setup, in_task};
use openbmc_dbus::configuration;
use openbmc_dbus::execute::{IpmiHost, LinkState};
use openbmc_dbus::recorder::Recorder;
use rmcp_proto::server::{self, Server};
use tokio::sync::{mpsc, watch};

use self::account_changes::Changes;
pub use self::arguments::Args;
use self::bridge::{Bridge, Inputs};
use self::config::Plan;
pub use self::config::{KEYS, prepare};
use self::console::{Settings, Sol, follow_settings, publish_payload};
use self::datagrams::Datagrams;
use self::measures::Measures;
use self::random::SystemBytes;
use self::sessions::Publisher;
use self::users::ChannelUsers;

/// Without a bus, the bridge reports that it is ready after this time: it serves as far as it can.
const READY_WITHOUT_BUS: Duration = Duration::from_secs(2);

/// Runs the bridge.
///
/// # Errors
///
/// A socket that cannot be used; another process that is the bridge of the channel.
pub async fn serve(setup: Setup<Args>, plan: Plan) -> Result<(), Failure> {
    let Plan { config, channel, server: server_config } = plan;
    let (name, number) = (channel.name.clone(), channel.number());
    let server_config = server::Config { guid: guid::FALLBACK, ..server_config };
    let datagrams = Datagrams::new(socket::open(&setup.args)?)?;
    setup.drop_privileges();

    let (close_sender, close) = mpsc::unbounded_channel();
    let (guid_sender, guid) = mpsc::unbounded_channel();
    let (accounts_sender, accounts) = mpsc::unbounded_channel();
    let (session_sender, session_changes) = mpsc::unbounded_channel();
    let (counts_sender, counts) = mpsc::unbounded_channel();
    let (plan_sender, plans) = mpsc::unbounded_channel();
    let reload = setup.reloads(KEYS, prepare, move |plan| {
        // The bridge runs as long as the process.
        let _ = plan_sender.send(plan);
    });
    tokio::spawn(configuration::serve(reload, Some(name.clone())));
    let (sol_sender, sol_requests) = mpsc::unbounded_channel();

    let store = config.accounts(&setup.state_dir);
    let changes = Arc::new(Changes::default());
    let users = ChannelUsers::new(Arc::clone(&store), Arc::clone(&changes), number);
    let recorder = Recorder::of_bridge(setup.name, config.recorder);
    let (ipmid, link) = IpmiHost::new(&name, recorder.channel(&name, number.value()));
    let measures = Arc::new(Measures::new(&name, server_config.sessions));
    recorder.measure({
        let measures = Arc::clone(&measures);
        move |metrics| measures.measure(metrics)
    });
    recorder.serve(&name, link.clone());
    let publisher = Publisher::new(&name, number, datagrams.port(), close_sender);
    tokio::spawn(publisher.run(link.clone(), session_changes));
    let (settings_sender, settings) = watch::channel(Settings::default());
    tokio::spawn(follow_settings(name.clone(), link.clone(), settings_sender));
    tokio::spawn({
        let (name, link) = (name.clone(), link.clone());
        async move { counters::serve(&name, link, counts_sender).await }
    });
    tokio::spawn({
        let (name, link) = (name.clone(), link.clone());
        async move { publish_payload(&name, link, sol_sender).await }
    });
    tokio::spawn(guid::follow(link.clone(), guid_sender));
    tokio::spawn(account_changes::follow(store, changes, move || {
        // The bridge runs as long as the process.
        let _ = accounts_sender.send(());
    }));

    let server = Server::new(server_config, users.clone(), SystemBytes::default());
    let sol = Sol::new(&config.sol, settings);
    let inputs = Inputs { close, guid, accounts, counts, plans, sol: sol_requests };
    tokio::spawn(report_ready(setup, link));
    tracing::info!(channel = %name, "serving");
    let bridge =
        Bridge::new(server, datagrams, ipmid.clone(), sol, users, session_sender, measures);
    ipmid.unless_taken(in_task(bridge.run(inputs))).await??;
    Ok(())
}

/// Reports to the service manager that the bridge is ready, once it can forward requests to `ipmid`: some clients
/// give up at the first D2h.
async fn report_ready(setup: Setup<Args>, mut link: LinkState) {
    let linked = link.wait_for(Option::is_some);
    let _ = tokio::time::timeout(READY_WITHOUT_BUS, linked).await;
    setup.ready();
}
