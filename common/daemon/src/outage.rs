//! Retries without end, of which the first failure and the recovery are logged and no attempt between.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time;

use crate::lock;

/// Whether a failure was logged that lasts, and for which cause.
///
/// An operator needs a line when something fails and another when it works again, not one for each
/// attempt. `C` is the cause, if a change of it deserves a line of its own.
///
/// ```
/// static BUS: daemon::Outage = daemon::Outage::new();
///
/// if BUS.begin() {
///     tracing::warn!("cannot connect to the bus; retrying");
/// }
/// if BUS.end() {
///     tracing::info!("connected to the bus again");
/// }
/// ```
#[derive(Debug)]
pub struct Outage<C = ()> {
    logged: Mutex<Option<C>>,
}

impl<C> Outage<C> {
    /// Nothing has failed yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { logged: Mutex::new(None) }
    }

    /// Records a success; returns whether it ends an outage, and is to be logged.
    pub fn end(&self) -> bool {
        lock(&self.logged).take().is_some()
    }
}

impl<C: PartialEq> Outage<C> {
    /// Records a failure for `cause`; returns whether it is to be logged: the last attempt succeeded or failed for
    /// another cause.
    pub fn begin_for(&self, cause: C) -> bool {
        let mut logged = lock(&self.logged);
        let is_new = logged.as_ref() != Some(&cause);
        *logged = Some(cause);
        is_new
    }
}

impl Outage {
    /// Records a failure; returns whether it is the first of an outage, and is to be logged.
    pub fn begin(&self) -> bool {
        self.begin_for(())
    }

    /// Makes attempts until one succeeds, `pause` after each failure, and calls `log` for the first failure of an
    /// outage. The caller ends the outage with [`end`](Self::end).
    ///
    /// Cancel safe if the attempt is.
    pub async fn retry<T, E, F: Future<Output = Result<T, E>>>(
        &self,
        pause: Duration,
        mut attempt: impl FnMut() -> F,
        log: impl Fn(&E),
    ) -> T {
        loop {
            match attempt().await {
                Ok(value) => return value,
                Err(error) if self.begin() => log(&error),
                Err(_) => {}
            }
            time::sleep(pause).await;
        }
    }
}

impl<C> Default for Outage<C> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn the_first_failure_of_each_outage_is_logged() {
        let (outage, attempts, lines) = (Outage::new(), Cell::new(0), Cell::new(0));
        let attempt = || {
            attempts.set(attempts.get() + 1);
            std::future::ready(if attempts.get() % 4 == 0 { Ok(attempts.get()) } else { Err(()) })
        };
        let log = |(): &()| lines.set(lines.get() + 1);
        assert_eq!(outage.retry(Duration::ZERO, attempt, log).await, 4);
        assert_eq!(lines.get(), 1);
        assert!(outage.end());
        assert!(!outage.end());
        assert_eq!(outage.retry(Duration::ZERO, attempt, log).await, 8);
        assert_eq!(lines.get(), 2);
    }

    #[test]
    fn another_cause_is_logged() {
        let outage = Outage::new();
        let logged = ["a", "a", "b", "b", "a"].map(|cause| outage.begin_for(cause));
        assert_eq!(logged, [true, false, true, false, true]);
        assert!(outage.end());
        assert!(outage.begin_for("a"));
    }
}
