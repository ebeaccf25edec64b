//! A whole bridge, set up from its command line.

use daemon::{Failure, Setup};
use ipmi_proto::ChannelNumber;
use openbmc_dbus::configuration;
use openbmc_dbus::execute::IpmiHost;
use openbmc_dbus::recorder::Recorder;
use tokio::sync::watch;

use crate::arguments::{Host, HostArguments};
use crate::attention;
use crate::bridge::Bridge;
use crate::config::{Config, KEYS};
use crate::device::{DeviceTransport, HostDevice};
use crate::exchange::Limits;
use crate::qemu::QemuTransport;

/// Bridges a `D`, or a QEMU in its place, to `ipmid`; does not return.
///
/// # Errors
///
/// [`Failure::Config`] for arguments that name no host, [`Failure::Fatal`] when another process is the
/// bridge of the channel.
pub async fn serve<D: HostDevice>(
    setup: Setup<HostArguments>,
    config: Config,
) -> Result<(), Failure> {
    let channel = setup.args.channel();
    let host = setup
        .args
        .host()
        .ok_or_else(|| Failure::Config("one of --device and --qemu is needed".into()))?;
    let defaults = match host {
        Host::Device(_) => Limits {
            answer_within: D::ANSWER_WITHIN,
            answer_data: D::ANSWER_DATA,
            ..Limits::default()
        },
        Host::Qemu(_) => Limits::default(),
    };
    let (new_limits, limits) = watch::channel(config.host.limits(defaults));
    let apply = move |config: Config| {
        new_limits.send_replace(config.host.limits(defaults));
    };
    let reload = setup.reloads(KEYS, Setup::config, apply);
    tokio::spawn(configuration::serve(reload, Some(channel.clone())));
    let recorder = Recorder::of_bridge(setup.name, config.recorder);
    let number = ChannelNumber::SYSTEM_INTERFACE.value();
    let (ipmid, link) = IpmiHost::new(&channel, recorder.channel(&channel, number));
    ipmid.started(link.clone()).await?;
    recorder.serve(&channel, link.clone());
    match host {
        Host::Device(path) => {
            let calls = attention::serve(&channel, link, D::IS_HOST_IPMI);
            setup.ready();
            let transport = DeviceTransport::<D>::new(path);
            let bridge = Bridge::new(transport, ipmid.clone(), calls, limits);
            ipmid.unless_taken(bridge.run()).await?;
        }
        Host::Qemu(address) => {
            let transport = QemuTransport::listen(&address).await;
            transport.warn_if_power_is_simulated(link.clone());
            let calls = attention::serve(&channel, link, D::IS_HOST_IPMI);
            setup.ready();
            let bridge = Bridge::new(transport, ipmid.clone(), calls, limits);
            ipmid.unless_taken(bridge.run()).await?;
        }
    }
    Ok(())
}
