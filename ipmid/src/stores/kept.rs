//! A value in memory that is also in a state file: read without waiting, changed once it is written.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use durable::{Error, Keep, StateFile, Storage};
use serde::{Serialize, de::DeserializeOwned};

/// A value that survives a restart.
pub struct Kept<T, S> {
    file: Arc<Mutex<StateFile<T, S>>>,
    value: Arc<Mutex<T>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl<T: std::fmt::Debug, S> std::fmt::Debug for Kept<T, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.value().fmt(f)
    }
}

impl<T, S> Kept<T, S> {
    /// The value, to look at; never held over an `await`.
    pub fn value(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, S> Kept<T, S>
where
    T: Clone + Default + DeserializeOwned + PartialEq + Send + Serialize + 'static,
    S: Storage + 'static,
{
    /// The value in the file `name`, or the default if there is none.
    pub fn open(storage: S, name: &str) -> Self {
        let file: StateFile<T, S> = StateFile::open(storage, name, Keep::Previous);
        let value = Arc::new(Mutex::new(file.value().clone()));
        Self {
            file: Arc::new(Mutex::new(file)),
            value,
            turn: Arc::default(),
        }
    }

    /// Makes `change`; it is seen, here and after a restart, once this has returned. A change that changes
    /// nothing is not written. What was begun is ended even if the caller no longer waits.
    ///
    /// # Errors
    ///
    /// When the medium refuses; the value is what it was then.
    pub async fn update(&self, change: impl FnOnce(&mut T) + Send) -> Result<(), Error> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let mut next = self.value().clone();
        change(&mut next);
        if *self.value() == next {
            return Ok(());
        }
        let (file, value) = (Arc::clone(&self.file), Arc::clone(&self.value));
        let writing = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.save(next.clone())?;
            *value.lock().unwrap_or_else(PoisonError::into_inner) = next;
            Ok(())
        });
        // The runtime ends: so does whoever waits.
        writing.await.unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use durable::simulated::Disk;

    use super::*;

    #[tokio::test]
    async fn change_is_there_at_the_next_start_and_none_costs_nothing() {
        let disk = Disk::new();
        let kept: Kept<Vec<u8>, _> = Kept::open(disk.clone(), "value");
        kept.update(|value| value.push(7)).await.unwrap();
        let before = disk.operations();
        kept.update(|value| value.dedup()).await.unwrap();
        assert_eq!(disk.operations(), before);
        let again: Kept<Vec<u8>, _> = Kept::open(disk.after_power_loss(0), "value");
        assert_eq!(*again.value(), [7]);
    }

    #[tokio::test]
    async fn value_stays_what_it_was_when_the_medium_refuses() {
        let disk = Disk::new();
        let kept: Kept<Vec<u8>, _> = Kept::open(disk.clone(), "value");
        disk.set_capacity(Some(0));
        assert!(kept.update(|value| value.push(7)).await.is_err());
        assert!(kept.value().is_empty());
    }
}
