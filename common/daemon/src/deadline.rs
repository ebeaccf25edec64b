//! Waiting for a deadline that may be absent.

use std::future;
use std::pin::Pin;
use std::time::Instant;

use tokio::time::{self, Sleep};

/// Waits until `deadline`; without one it never completes. For an arm of `select!` beside a state machine's
/// `poll_timeout`. Cancel safe.
pub async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => time::sleep_until(deadline.into()).await,
        None => future::pending().await,
    }
}

/// As [`sleep_until`], for a loop that waits again and again and whose deadline moves with most turns: the runtime's
/// timer is left as it is until it is due, or the deadline is an earlier one.
#[derive(Debug, Default)]
pub struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Waits until `deadline`; without one it never completes. Cancel safe.
    pub async fn wait_until(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline.map(time::Instant::from) else {
            return future::pending().await;
        };
        let sleep = self.0.get_or_insert_with(|| Box::pin(time::sleep_until(deadline)));
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        loop {
            sleep.as_mut().await;
            if sleep.deadline() >= deadline {
                return;
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_deadline_ends_and_none_does_not() {
        sleep_until(Some(Instant::now())).await;
        tokio::select! {
            biased;
            () = sleep_until(None) => panic!("no deadline ended"),
            () = future::ready(()) => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_waits_for_the_last_deadline_that_it_was_given() {
        let start = time::Instant::now();
        let at = |seconds| Some((start + Duration::from_secs(seconds)).into_std());
        let mut alarm = Alarm::default();
        for (given_up, deadline) in [(Some(9), 5), (Some(6), 7), (None, 7), (Some(20), 8)] {
            let given_up = given_up.and_then(at);
            tokio::select! {
                biased;
                () = alarm.wait_until(given_up) => panic!("it is not time yet"),
                () = future::ready(()) => {}
            }
            alarm.wait_until(at(deadline)).await;
            assert_eq!(start.elapsed(), Duration::from_secs(deadline));
        }
    }
}
