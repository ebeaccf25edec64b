//! The console of a simulated host: a script that it prints whenever it starts.

use std::time::Duration;

use openbmc_dbus::simulation::CONSOLE_LOST;
use openbmc_dbus::state::host;

use crate::config::{BackendKind, Host};
use crate::fault::Fault;
use crate::part::{Context, Effect, Event, Part, Setting};

/// Lines printed at a time.
const BURST: usize = 16;

/// The script, and how far it is printed.
#[derive(Debug)]
pub(crate) struct Console {
    /// When each line is printed after a start.
    times: Vec<Duration>,
    /// When the host started, and the first line that is still to be printed.
    printing: Option<(Duration, usize)>,
}

impl Console {
    pub(crate) fn new(config: &Host) -> Self {
        let is_simulated = config.backend == BackendKind::Simulated;
        let script = config.console.script.iter().filter(|_| is_simulated);
        Self { times: script.map(|(ms, _)| Duration::from_millis(*ms)).collect(), printing: None }
    }
}

impl Part for Console {
    fn start(&mut self, _: &mut Context<'_>) {}

    fn set(
        &mut self,
        context: &mut Context<'_>,
        setting: &Setting<'_>,
    ) -> Option<Result<(), Fault>> {
        if setting.is(host::PATH, CONSOLE_LOST) {
            let is_lost = setting.value == true.into();
            context.effects.push(Effect::LoseConsole(is_lost));
        }
        // The tree stores it.
        None
    }

    fn handle_event(&mut self, context: &mut Context<'_>, event: Event) {
        match event {
            Event::HostStarting => self.printing = Some((context.now.uptime, 0)),
            Event::HostStopped | Event::PowerOff => self.printing = None,
            _ => {}
        }
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        // The rest is due at once; only so many effects may wait.
        for _ in 0..BURST {
            let Some(due) = self.deadline() else { return };
            let Some((_, line)) = &mut self.printing else { return };
            if due > context.now.uptime {
                return;
            }
            context.effects.push(Effect::Print(*line));
            *line += 1;
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let (started, line) = self.printing?;
        Some(started + *self.times.get(line)?)
    }
}
