//! Values that outlive the daemon.

use std::sync::{Arc, Mutex};

pub use daemon::lock;
use durable::{Folder, Retention, StateFile};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedMutexGuard;
use tokio::task;
use tracing::error;

use super::StoreError;

/// A value in a file of the state directory, with a copy in memory for reading.
///
/// A change is on the medium when [`update`](Self::update) returns; it is written by a thread of
/// the runtime's pool, so that nothing else waits for the medium.
#[derive(Debug)]
pub struct Persistent<T> {
    current: Arc<Mutex<T>>,
    file: Option<Arc<Mutex<StateFile<T>>>>,
    /// Held from reading the value until its change is written, so that no change is lost.
    changing: Arc<tokio::sync::Mutex<()>>,
}

impl<T: Clone + Default + Serialize + DeserializeOwned + Send + 'static> Persistent<T> {
    /// The value in the file `name` of `folder`, or the default if there is no file.
    #[must_use]
    pub fn open(folder: Folder, name: &str) -> Self {
        let file: StateFile<T> = StateFile::open(folder, name, Retention::Previous);
        let current = Arc::new(Mutex::new(file.value().clone()));
        let file = Some(Arc::new(Mutex::new(file)));
        Self { current, file, changing: Arc::default() }
    }

    /// The default value, in memory only.
    #[must_use]
    pub fn volatile() -> Self {
        Self { current: Arc::default(), file: None, changing: Arc::default() }
    }

    /// A copy of the current value.
    #[must_use]
    pub fn get(&self) -> T {
        lock(&self.current).clone()
    }

    /// Calls `look` with the current value, without a copy.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&lock(&self.current))
    }

    /// Changes the value and writes it. Changes are made one after another; one that has started is completed even
    /// if its request times out.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSpace`] when the medium is full, [`StoreError::Storage`] when it fails; the value is then what
    /// it was.
    pub async fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, StoreError> {
        self.try_update(|value| Ok(change(value))).await
    }

    /// As [`update`](Self::update), for a change that may be refused after looking at the value.
    ///
    /// # Errors
    ///
    /// Those of `change`, after which nothing is changed, and those of [`update`](Self::update).
    pub async fn try_update<R, E: From<StoreError>>(
        &self,
        change: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        let mut value = self.get();
        let result = change(&mut value)?;
        self.save(value, changing).await?;
        Ok(result)
    }

    /// Writes `value` and makes it the current one, holding `changing` meanwhile.
    async fn save(&self, value: T, changing: OwnedMutexGuard<()>) -> Result<(), StoreError> {
        let current = Arc::clone(&self.current);
        let Some(file) = self.file.clone() else {
            *lock(&current) = value;
            return Ok(());
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
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                error!(%error, "cannot save a setting; the change is refused");
                Err(if error.is_full() { StoreError::NoSpace } else { StoreError::Storage })
            }
            Err(error) => {
                error!(%error, "the thread that saves a setting failed; the change is refused");
                Err(StoreError::Storage)
            }
        }
    }
}
