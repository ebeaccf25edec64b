//! A provider that does not answer gets no requests for a while, and then one to show that it answers again.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::persistent::lock;

/// Requests in a row without an answer, after which the circuit opens.
const LIMIT: u32 = 3;
/// How long it stays open.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Circuit(Mutex<State>);

#[derive(Clone, Copy, Debug)]
enum State {
    /// Requests pass; so many were not answered since the last answer.
    Closed(u32),
    /// None passes until then.
    Open(Instant),
    /// One has passed, and its outcome decides.
    Trial,
}

impl Default for Circuit {
    fn default() -> Self {
        Self(Mutex::new(State::Closed(0)))
    }
}

impl Circuit {
    /// Lets a request pass; the pass takes its outcome afterwards.
    pub(super) fn pass(&self) -> Option<Pass<'_>> {
        let mut state = lock(&self.0);
        let is_trial = match *state {
            State::Closed(_) => false,
            State::Open(until) if Instant::now() >= until => true,
            State::Open(_) | State::Trial => return None,
        };
        if is_trial {
            *state = State::Trial;
        }
        drop(state);
        Some(Pass { circuit: self, is_trial })
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(*lock(&self.0), State::Closed(_))
    }
}

/// A request that has passed. Dropped without an outcome, it leaves the circuit as it found it.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    circuit: &'a Circuit,
    is_trial: bool,
}

impl Pass<'_> {
    /// The provider has answered. Returns whether that closed the circuit.
    pub(super) fn answered(self) -> bool {
        let mut state = lock(&self.circuit.0);
        let was_open = !matches!(*state, State::Closed(_));
        *state = State::Closed(0);
        was_open
    }

    /// The provider has not answered. Returns whether that opened the circuit.
    pub(super) fn timed_out(self) -> bool {
        let mut state = lock(&self.circuit.0);
        let timeouts = match *state {
            State::Closed(timeouts) => timeouts + 1,
            State::Trial if self.is_trial => LIMIT,
            State::Open(_) | State::Trial => return false,
        };
        let opens = timeouts >= LIMIT;
        *state = if opens { State::Open(Instant::now() + PAUSE) } else { State::Closed(timeouts) };
        opens
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.circuit.0);
        if self.is_trial && matches!(*state, State::Trial) {
            *state = State::Open(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time;

    use super::*;

    fn time_out(circuit: &Circuit) -> bool {
        circuit.pass().unwrap().timed_out()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_in_a_row_without_an_answer_open_it_and_one_answer_closes_it() {
        let circuit = Circuit::default();
        assert!(!time_out(&circuit) && !time_out(&circuit));
        assert!(!circuit.pass().unwrap().answered());
        assert!(!time_out(&circuit) && !time_out(&circuit) && time_out(&circuit));
        assert!(circuit.pass().is_none());
        time::advance(PAUSE).await;
        // One at a time, and its failure is the next pause.
        let trial = circuit.pass().unwrap();
        assert!(circuit.pass().is_none());
        assert!(trial.timed_out());
        assert!(circuit.pass().is_none());
        time::advance(PAUSE).await;
        assert!(circuit.pass().unwrap().answered());
        assert!(circuit.pass().is_some() && !circuit.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn trial_that_is_given_up_leaves_room_for_the_next() {
        let circuit = Circuit::default();
        let early = circuit.pass().unwrap();
        assert!(!time_out(&circuit) && !time_out(&circuit) && time_out(&circuit));
        time::advance(PAUSE).await;
        drop(circuit.pass().unwrap());
        let trial = circuit.pass().unwrap();
        // A request from before says nothing about the trial.
        assert!(!early.timed_out());
        assert!(circuit.pass().is_none());
        assert!(trial.answered());
    }
}
