//! Tasks and locks of a daemon.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::{self, AbortHandle};

/// A task that is aborted when this is dropped.
#[derive(Debug)]
#[must_use = "the task is aborted at once"]
pub struct AbortOnDrop(AbortHandle);

impl AbortOnDrop {
    /// Starts `task` on the runtime of the caller.
    pub fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Self {
        Self(task::spawn(task).abort_handle())
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs `future` in a task of its own, which is aborted when this is dropped: what wakes the future then polls nothing
/// of what waits for it.
///
/// # Panics
///
/// When `future` does.
pub async fn in_task<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let task = task::spawn(future);
    let _abort = AbortOnDrop(task.abort_handle());
    match task.await {
        Ok(result) => result,
        // Nothing else aborts it.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Locks `mutex`, even after a thread panicked while it held the lock.
///
/// For values that are consistent between any two statements. The release build aborts on a panic, so only tests
/// see a poisoned lock.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_task_ends_with_its_owner() {
        let (sender, receiver) = oneshot::channel::<()>();
        let task = AbortOnDrop::spawn(async move {
            let _sender = sender;
            future::pending::<()>().await;
        });
        assert!(!task.is_finished());
        drop(task);
        assert!(receiver.await.is_err());
    }

    #[tokio::test]
    async fn a_future_in_a_task_ends_with_its_result_or_its_owner() {
        assert_eq!(in_task(async { 7 }).await, 7);
        let (sender, receiver) = oneshot::channel::<()>();
        let endless = in_task(async move {
            let _sender = sender;
            future::pending::<()>().await;
        });
        tokio::select! {
            biased;
            () = endless => {}
            () = task::yield_now() => {}
        }
        assert!(receiver.await.is_err());
    }
}
