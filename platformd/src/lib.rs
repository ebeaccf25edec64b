//! The D-Bus services of a BMC, simulated from one TOML file.
//!
//! Where there is no BMC, `platformd` is what `ipmid` talks to: the same names, paths and interfaces
//! that OpenBMC has, with behaviour. From the file down to the bus:
//!
//! - [`config`]: what the file can say.
//! - `part` and `parts`: a state machine per service, without a bus and without a clock.
//! - `tree`: the objects, and the changes that clients must be told.
//! - `simulation`: all parts together.
//! - `dispatch`, `introspect`, `mapper`, `associations`: method calls, still without a bus.
//! - `server`: messages in, messages out; who sends them; the only place that waits.

pub mod config;

mod arguments;
mod associations;
mod dispatch;
mod fault;
mod introspect;
mod kept;
mod mapper;
mod part;
mod parts;
mod server;
mod services;
mod simulation;
mod tree;
mod validate;

use std::time::{Instant, SystemTime};

use daemon::{Failure, Setup};
use tracing::{info, warn};

pub use self::arguments::Arguments;
use self::config::Platform;
use self::kept::Store;
use self::part::Now;
use self::server::Server;
use self::simulation::Simulation;

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
    let callers = config.services.callers.clone();
    Server::new(simulation, store, callers, started).run(|| setup.ready()).await?;
    restart(&config.bmc.reset_command);
    Ok(())
}

/// Restarts the suite: by the configured command, or by whoever started this daemon.
fn restart(command: &[String]) {
    let Some((program, arguments)) = command.split_first() else {
        info!("the BMC restarts: ending, so that the suite is started anew");
        return;
    };
    info!(program, "the BMC restarts");
    if let Err(error) = std::process::Command::new(program).args(arguments).spawn() {
        warn!(program, %error, "cannot run the reset command");
    }
}
