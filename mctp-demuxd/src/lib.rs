//! The MCTP demultiplexer: endpoints on serial lines, I2C, PCIe or behind the kernel's stack on one
//! side, message handlers on an abstract socket on the other.
//!
//! - [`demux`]: which client gets which message, without I/O.
//! - [`bindings`]: the devices; [`args`] and [`config`]: which, and with what limits.
//! - [`capture`]: packets to a file and to programs that trace; [`dbus`]: what is published on D-Bus.

pub mod args;
mod assignments;
pub mod bindings;
pub mod capture;
pub mod config;
pub mod dbus;
pub mod demux;
mod engine;
mod identity;
mod server;
mod sockets;

use std::sync::Arc;

use daemon::{Failure, Setup};
use mctp_proto::LinkId;
use mctp_proto::control::bus_owner::BusOwner;
use openbmc_dbus::configuration;

use crate::args::Args;
use crate::assignments::Assignments;
use crate::bindings::keep_serving;
use crate::capture::Capture;
use crate::config::{Config, KEYS, OwnedBuses, Plan, PlanError};
use crate::dbus::Names;
use crate::demux::Demux;
use crate::engine::{EngineHandle, Port};

/// Puts arguments and configuration together.
///
/// # Errors
///
/// [`Failure::Config`] for what cannot work.
pub fn prepare(setup: &Setup<Args>) -> Result<Plan, Failure> {
    let config: Config = setup.config()?;
    Plan::new(&setup.args, &config, identity::machine()).map_err(|error| match error {
        PlanError::Arguments(text) => Failure::Config(text),
        PlanError::Config(invalid) => setup.invalid(&invalid),
    })
}

/// Runs the daemon until it is ended.
///
/// # Errors
///
/// [`Failure::Config`] for a capture that cannot be created, and otherwise when a socket cannot be bound.
pub async fn run(setup: Setup<Args>, plan: Plan) -> Result<(), Failure> {
    let capture = setup.args.capture.as_deref().map(|path| {
        let failed = |error| Failure::Config(format!("--capture {}: {error}", path.display()));
        Capture::create(path).map_err(failed)
    });
    let names: Vec<String> = plan.bindings.iter().map(|(name, _)| name.clone()).collect();
    let mut demux =
        Demux::new(plan.settings, names.iter().cloned().zip(plan.kinds.iter().copied()).collect());
    let mut assignments = None;
    if let Some(owned) = plan.owned {
        let media = plan.kinds.iter().map(|kind| kind.medium());
        let file = Assignments::open(&setup.state_dir, names.into_iter().zip(media).collect());
        demux.own_buses(owner(&demux, &file, owned));
        assignments = Some(file);
    }
    let listeners = server::listeners(&plan.sockets)?;
    let handle = EngineHandle::new(demux, plan.queue, capture.transpose()?.unwrap_or_default());
    if let Some(assignments) = assignments {
        tokio::spawn(assignments.keep(Arc::clone(&handle)));
    }
    for (index, (name, binding)) in plan.bindings.into_iter().enumerate() {
        let port = Port::new(Arc::clone(&handle), LinkId(u8::try_from(index)?));
        tokio::spawn(keep_serving(port, binding, name));
    }
    for listener in listeners {
        tokio::spawn(server::accept(Arc::clone(&handle), listener));
    }
    tokio::spawn(Arc::clone(&handle).run_flusher());
    let names = if plan.mctpd_names { Names::mctpd() } else { Names::own() };
    tokio::spawn(dbus::serve(Arc::clone(&handle), names));
    let of_reload = Arc::clone(&handle);
    let reload = setup.reloads(KEYS, prepare, move |Plan { settings, queue, .. }| {
        of_reload.with(|engine| {
            engine.demux.reconfigure(settings);
            engine.sockets.set_limits(queue);
        });
    });
    tokio::spawn(configuration::serve(reload, None));
    setup.ready();
    handle.run_timer().await;
    Ok(())
}

/// A bus owner with its positions, and what it assigned there before.
fn owner(demux: &Demux, file: &Assignments, owned: OwnedBuses) -> BusOwner {
    let mut owner = BusOwner::new(demux.eid(), owned.pool, owned.timing);
    for route in demux.routes() {
        owner.reserve(route.first, route.last);
    }
    owner.restore(file.load());
    for position in owned.positions {
        owner.add_position(position.path, position.wanted);
    }
    owner
}
