//! Values of the configuration that a reload replaces while requests are executed.

use std::sync::{Arc, Mutex};

use super::persistent::lock;

/// A value that is read at each use, and shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct Live<T>(Arc<Mutex<T>>);

impl<T> From<T> for Live<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }
}

impl<T: Clone> Live<T> {
    /// The value as it is now.
    #[must_use]
    pub fn get(&self) -> T {
        lock(&self.0).clone()
    }

    /// Replaces the value.
    pub fn set(&self, value: T) {
        *lock(&self.0) = value;
    }
}
