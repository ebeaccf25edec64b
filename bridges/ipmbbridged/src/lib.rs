//! The IPMB bridge between satellite controllers and `ipmid` (IPMB v1.0; IPMI v2.0 §7).
//!
//! - [`tracker`]: requests to satellites: sequence numbers, retries, matching of responses. Without I/O.
//! - [`inbox`]: requests from satellites: their number, and duplicates. Without I/O.
//! - [`port`]: `/dev/ipmb-N`, or an I2C bus with a slave queue.
//! - [`object`]: `org.openbmc.Ipmb`, through which processes on the BMC send requests to satellites.
//! - [`bridge`]: the loop between these and `ipmid`.
//! - [`arguments`], [`config`]: the command line and the `[ipmb]` section.
//!
//! A completion code, C1h included, is forwarded and not remembered: the next request is sent again.

pub mod arguments;
pub mod bridge;
pub mod config;
pub mod inbox;
pub mod object;
pub mod port;
pub mod signals;
pub mod tracker;

use daemon::{Failure, Setup};
use openbmc_dbus::configuration;
use openbmc_dbus::execute::IpmiHost;
use openbmc_dbus::recorder::Recorder;
use tokio::sync::watch;

use self::arguments::IpmbArguments;
use self::bridge::Bridge;
pub use self::config::{Config, KEYS, prepare};

/// The number of the primary IPMB's channel (IPMI v2.0 §6.3), under which requests are recorded.
const PRIMARY_IPMB: u8 = 0;

/// Runs the bridge without end.
///
/// # Errors
///
/// [`Failure::Fatal`] when another process is the bridge of the channel.
pub async fn serve(setup: Setup<IpmbArguments>, config: Config) -> Result<(), Failure> {
    let channel = setup.args.channel().to_owned();
    let Config { ipmb: config, recorder } = config;
    let recorder = Recorder::of_bridge(setup.name, recorder);
    let (new_config, config) = watch::channel(config);
    let apply = move |config: Config| {
        new_config.send_replace(config.ipmb);
    };
    let reload = setup.reloads(KEYS, prepare, apply);
    tokio::spawn(configuration::serve(reload, Some(channel.clone())));
    let (ipmid, link) = IpmiHost::new(&channel, recorder.channel(&channel, PRIMARY_IPMB));
    ipmid.started(link.clone()).await?;
    recorder.serve(&channel, link.clone());
    let (calls, signals) = object::serve(&channel, link, config.clone());
    setup.ready();
    let own = setup.args.address();
    let satellites = recorder.satellites(&channel, PRIMARY_IPMB);
    let bridge = Bridge::new(own, config, (ipmid.clone(), satellites), (calls, signals));
    Ok(ipmid.unless_taken(bridge.run(&setup.args.bus_path())).await?)
}
