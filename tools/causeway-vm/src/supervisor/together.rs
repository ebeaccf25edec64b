//! The BMCs of one process: started a few at a time, and ended together.

use std::collections::VecDeque;
use std::io;

use report::error::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::watch::{self, Receiver};
use tokio::task::JoinSet;

use super::Supervisor;
use super::children::Children;
use super::log::Log;
use crate::definition::Definition;
use crate::places::Place;

/// How many BMCs start at a time.
pub(crate) const AT_A_TIME: usize = 8;

/// A BMC that is to run.
pub(crate) struct Bmc {
    pub(crate) definition: Definition,
    pub(crate) place: Place,
    pub(crate) log: Log,
}

/// Runs the BMCs until a signal ends them. `ready` is called once, when all serve.
///
/// # Errors
///
/// When one does not start, or cannot go on; that ends the others too.
pub(crate) async fn run(bmcs: Vec<Bmc>, ready: impl FnOnce()) -> Result<(), Error> {
    let failed = |error: io::Error| Error::failed(format_args!("signals: {error}"));
    let mut signals = Signals::receive().map_err(failed)?;
    let children = Children::watch().map_err(failed)?;
    let (end, ending) = watch::channel(false);
    let (serves, mut serving) = mpsc::channel(AT_A_TIME);
    let is_one = bmcs.len() == 1;
    let mut missing = bmcs.len();
    let mut waiting = VecDeque::from(bmcs);
    let mut starting = 0;
    let mut ready = Some(ready);
    let mut running = JoinSet::new();
    let mut result = Ok(());
    loop {
        while !*ending.borrow()
            && starting < AT_A_TIME
            && let Some(bmc) = waiting.pop_front()
        {
            starting += 1;
            let name = (!is_one).then(|| bmc.definition.name.clone());
            let run = supervise(bmc, children.clone(), ending.clone(), serves.clone());
            running.spawn(async move {
                let result = run.await;
                result.map_err(|error| match name {
                    Some(name) => error.of(name),
                    None => error,
                })
            });
        }
        tokio::select! {
            () = signals.next() => {
                end.send_replace(true);
            }
            Some(()) = serving.recv() => {
                starting -= 1;
                missing -= 1;
                if missing == 0 && let Some(ready) = ready.take() {
                    ready();
                }
            }
            ended = running.join_next() => {
                let Some(ended) = ended else { return result };
                result = result.and(ended.unwrap_or_else(|error| Err(Error::failed(error))));
                end.send_replace(true);
            }
        }
    }
}

/// Runs one BMC until all end.
async fn supervise(
    bmc: Bmc,
    children: Children,
    ending: Receiver<bool>,
    serves: Sender<()>,
) -> Result<(), Error> {
    let supervisor = Supervisor::prepare(bmc, &children).await?;
    let ready = || {
        let _has_room_for_each_that_starts = serves.try_send(());
    };
    supervisor.run(ending, ready).await
}

/// The signals that end a supervisor.
struct Signals([Signal; 3]);

impl Signals {
    fn receive() -> io::Result<Self> {
        let [terminate, interrupt, hangup] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        Ok(Self([terminate?, interrupt?, hangup?]))
    }

    async fn next(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
