//! The D-Bus services of a BMC, simulated from one TOML file.
//!
//! Where there is no BMC, `platformd` is what `ipmid` talks to: the same names, paths and interfaces
//! that OpenBMC has, with behaviour. From the file down to the bus:
//!
//! - [`config`]: the types of the platform's file.
//! - `part` and `parts`: a state machine per service, without a bus and without a clock.
//! - `host`: what executes power operations: a simulation, a QEMU, or programs.
//! - `derived`: identities that the file does not say.
//! - `tree`: the objects, and the changes that clients are notified of.
//! - `simulation`: all parts together.
//! - `dispatch`, `introspect`, `mapper`, `associations`: method calls, still without a bus.
//! - `server`: messages in, messages out; who sends them; the only place that waits.

pub mod config;

mod arguments;
mod associations;
mod derived;
mod dispatch;
mod fault;
mod host;
mod introspect;
mod mapper;
mod part;
mod parts;
mod server;
mod services;
mod simulation;
mod state_file;
mod tree;
mod validate;

use std::time::{Instant, SystemTime};

use daemon::{Failure, Setup};
use openbmc_dbus::configuration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tracing::{info, warn};

pub use self::arguments::Arguments;
use self::config::{KEYS, Platform, Reset};
use self::part::Now;
use self::server::Server;
use self::simulation::Simulation;
use self::state_file::Store;

/// Reads the platform's description.
///
/// # Errors
///
/// [`Failure::Config`] when the platform's file cannot be used.
pub fn prepare(setup: &Setup<Arguments>) -> Result<Platform, Failure> {
    Platform::read(&setup.args.platform)
}

/// Runs the daemon until the BMC is to be restarted, and further where nothing else restarts it.
///
/// # Errors
///
/// [`Failure::Fatal`] when another process owns all of its bus names.
pub async fn run(setup: Setup<Arguments>, mut config: Platform) -> Result<(), Failure> {
    let mut power_lost = setup.args.power_lost;
    let (sender, mut plans) = mpsc::unbounded_channel();
    let reload = setup.reloads(KEYS, prepare, move |config| {
        // The server runs as long as the process.
        let _ = sender.send(config);
    });
    tokio::spawn(configuration::serve(reload, None));
    loop {
        (config, plans) = serve(&setup, config, plans, power_lost).await?;
        if !restarts_itself(&config) {
            restart(&config.bmc.reset_command);
            return Ok(());
        }
        info!("the BMC restarts: no service manager is known; starting the services anew");
        power_lost = false;
    }
}

/// Serves the platform until the BMC is to be restarted; returns the configuration as it is then, and its changes.
async fn serve(
    setup: &Setup<Arguments>,
    config: Platform,
    plans: UnboundedReceiver<Platform>,
    power_lost: bool,
) -> Result<(Platform, UnboundedReceiver<Platform>), Failure> {
    let store = Store::open(&setup.state_dir);
    let started = Instant::now();
    let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Now { uptime: started.elapsed(), epoch };
    let (backend, host) = host::open(&config, power_lost);
    let simulation = Simulation::start(&config, backend, store.load(), power_lost, now);
    let mut server = Server::new(simulation, host, store, config, plans, started);
    server.run(|| setup.ready()).await?;
    Ok(server.into_configuration())
}

/// Whether a restart of the BMC leaves this process running: nothing would start it again.
fn restarts_itself(config: &Platform) -> bool {
    match config.bmc.reset {
        Reset::Auto => {
            let is_supervised = std::env::var_os("NOTIFY_SOCKET").is_some();
            config.bmc.reset_command.is_empty() && !is_supervised
        }
        Reset::End => false,
        Reset::Restart => true,
    }
}

/// Restarts the suite: by the configured command, or by ending, so that the service manager restarts it.
fn restart(command: &[String]) {
    let Some((program, arguments)) = command.split_first() else {
        info!("the BMC restarts: ending, so that the suite is started anew");
        return;
    };
    info!(program, "the BMC restarts: running the reset command");
    if let Err(error) = std::process::Command::new(program).args(arguments).spawn() {
        warn!(program, %error, "cannot run the reset command; ending without it");
    }
}
