//! Values that outlive the daemon.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use durable::{Folder, Retention, StateFile};
use ipmi_proto::CompletionCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task;
use tracing::error;

/// A value kept in a file of the state directory, and in memory for reading.
///
/// A change is on the medium when [`update`](Self::update) returns; it is written by a thread of
/// the runtime's pool, so that nothing else waits for the medium.
#[derive(Debug)]
pub struct Persistent<T> {
    current: Arc<Mutex<T>>,
    file: Option<Arc<Mutex<StateFile<T>>>>,
    /// Held from reading the value that is to be changed until it is written.
    changing: Arc<tokio::sync::Mutex<()>>,
}

impl<T: Clone + Default + Serialize + DeserializeOwned + Send + 'static> Persistent<T> {
    /// The value in the file `name` of `folder`, or the default where there is none.
    #[must_use]
    pub fn open(folder: Folder, name: &str) -> Self {
        let file: StateFile<T> = StateFile::open(folder, name, Retention::Previous);
        let current = Arc::new(Mutex::new(file.value().clone()));
        let file = Some(Arc::new(Mutex::new(file)));
        Self { current, file, changing: Arc::default() }
    }

    /// The default value, kept nowhere.
    #[must_use]
    pub fn volatile() -> Self {
        Self { current: Arc::default(), file: None, changing: Arc::default() }
    }

    /// The value as it is now.
    #[must_use]
    pub fn get(&self) -> T {
        lock(&self.current).clone()
    }

    /// Looks at the value as it is now.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&lock(&self.current))
    }

    /// Changes the value and writes it; changes follow one another. One that is begun is carried
    /// out even if the request that wants it has run out of time.
    ///
    /// # Errors
    ///
    /// `C4h` when the medium is full, `FFh` when it fails; the value is then what it was.
    pub async fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, CompletionCode> {
        self.try_update(|value| Ok(change(value))).await
    }

    /// As [`update`](Self::update), of a change that looks at the value whether it may be made.
    ///
    /// # Errors
    ///
    /// Those of `change`, after which nothing is changed, and those of [`update`](Self::update).
    pub async fn try_update<R>(
        &self,
        change: impl FnOnce(&mut T) -> Result<R, CompletionCode>,
    ) -> Result<R, CompletionCode> {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        let mut value = self.get();
        let result = change(&mut value)?;
        let current = Arc::clone(&self.current);
        let Some(file) = self.file.clone() else {
            *lock(&current) = value;
            return Ok(result);
        };
        let saved = task::spawn_blocking(move || {
            let saved = lock(&file).save(value.clone());
            if saved.is_ok() {
                *lock(&current) = value;
            }
            drop(changing);
            saved
        });
        match saved.await {
            Ok(Ok(())) => Ok(result),
            Ok(Err(error)) => {
                error!(%error, "a setting is not saved");
                Err(if error.is_full() {
                    CompletionCode::OUT_OF_SPACE
                } else {
                    CompletionCode::UNSPECIFIED
                })
            }
            Err(error) => {
                error!(%error, "the thread that saves a setting ended");
                Err(CompletionCode::UNSPECIFIED)
            }
        }
    }
}

/// Locks `mutex`; what a thread that panicked left in it is as good as ever, as no lock here is
/// held over a change in several steps.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
