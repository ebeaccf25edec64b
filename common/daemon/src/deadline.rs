//! Waiting for a deadline that may be absent.

use std::future;
use std::time::Instant;

use tokio::time;

/// Waits until `deadline`; without one it never completes. For an arm of `select!` beside a state machine's
/// `poll_timeout`. Cancel safe.
pub async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => time::sleep_until(deadline.into()).await,
        None => future::pending().await,
    }
}

#[cfg(test)]
mod tests {
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
}
