//! The D-Bus services of a BMC, simulated from one TOML file.
//!
//! Where there is no BMC, `platformd` is what `ipmid` talks to: the same names, paths and interfaces
//! that OpenBMC has, with behaviour. From the file down to the bus:
//!
//! - [`config`]: the types of the platform's file.
//! - `part` and `parts`: a state machine per service, without a bus and without a clock.
//! - `tree`: the objects, and the changes that clients are notified of.
//! - `simulation`: all parts together.
//! - `dispatch`, `introspect`, `mapper`, `associations`: method calls, still without a bus.
//! - `server`: messages in, messages out; who sends them; the only place that waits.

pub mod config;

mod arguments;
mod associations;
mod dispatch;
mod fault;
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
use tokio::sync::mpsc;
use tracing::{info, warn};

pub use self::arguments::Arguments;
use self::config::{KEYS, Platform};
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

/// Runs the daemon until the BMC is to be restarted.
///
/// # Errors
///
/// [`Failure::Fatal`] when another process owns all of its bus names.
pub async fn run(setup: Setup<Arguments>, config: Platform) -> Result<(), Failure> {
    let store = Store::open(&setup.state_dir);
    let started = Instant::now();
    let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Now { uptime: started.elapsed(), epoch };
    let simulation = Simulation::start(&config, store.load(), setup.args.power_lost, now);
    let (sender, plans) = mpsc::unbounded_channel();
    let reload = setup.reloads(KEYS, prepare, move |config| {
        // The server runs as long as the process.
        let _ = sender.send(config);
    });
    tokio::spawn(configuration::serve(reload, None));
    let mut server = Server::new(simulation, store, config, plans, started);
    server.run(|| setup.ready()).await?;
    restart(server.reset_command());
    Ok(())
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
