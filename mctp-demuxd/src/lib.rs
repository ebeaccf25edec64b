//! The MCTP demultiplexer: endpoints on serial lines, I2C, PCIe or behind the kernel's stack on one
//! side, message handlers on an abstract socket on the other.
//!
//! - [`demux`]: who gets which message, without I/O.
//! - [`bindings`]: the devices; [`args`], [`spec`] and [`config`]: which, and with what limits.
//! - [`capture`]: packets to a file; [`view`]: what an operator sees on D-Bus.

pub mod args;
pub mod bindings;
pub mod capture;
pub mod config;
pub mod demux;
mod engine;
mod identity;
mod server;
mod sockets;
pub mod spec;
pub mod view;

use std::sync::Arc;

use daemon::{Failure, Setup};
use mctp_proto::LinkId;
use mctp_proto::control::bus_owner::BusOwner;

use crate::args::Args;
use crate::capture::Capture;
use crate::config::{Plan, View};
use crate::demux::Demux;
use crate::engine::Hub;

/// Puts arguments and configuration together.
///
/// # Errors
///
/// [`Failure::Config`] for what cannot work.
pub fn prepare(setup: &Setup<Args>) -> Result<Plan, Failure> {
    let view: View = setup.config()?;
    Plan::new(&setup.args, &view, identity::machine()).map_err(Failure::Config)
}

/// Runs the daemon until it is ended.
///
/// # Errors
///
/// When a socket cannot be bound or the capture not be created.
pub async fn run(setup: Setup<Args>, plan: Plan) -> Result<(), Failure> {
    let capture = setup.args.capture.as_deref().map(Capture::create).transpose()?;
    let clients = plan.settings.clients;
    let names = plan.bindings.iter().map(ToString::to_string).zip(plan.kinds.iter().copied());
    let mut demux = Demux::new(plan.settings, names.collect());
    if let Some((pool, timing, _)) = plan.owned {
        demux.own_buses(BusOwner::new(demux.eid(), pool, timing));
    }
    let listeners = server::listeners(&plan.sockets)?;
    let hub = Hub::new(demux, plan.queue, capture);
    for (_, _, targets) in plan.owned.iter() {
        for target in targets {
            hub.with(|engine| engine.look_at(target));
        }
    }
    for (index, spec) in plan.bindings.into_iter().enumerate() {
        let link = LinkId(u8::try_from(index)?);
        tokio::spawn(bindings::serve(Arc::clone(&hub), link, spec));
    }
    for listener in listeners {
        tokio::spawn(server::accept(Arc::clone(&hub), listener, clients));
    }
    tokio::spawn(Arc::clone(&hub).run_flusher());
    tokio::spawn(view::serve(Arc::clone(&hub)));
    setup.ready();
    hub.run_timer().await;
    Ok(())
}
