//! A cached property, which is read once over the bus.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::model::persistent::lock;
use crate::platform::{PlatformError, PlatformResult};

/// After an absent service or a timeout the property is not read again for so long.
const RETRY: Duration = Duration::from_secs(5);

/// The cache of one property.
#[derive(Debug)]
pub(super) struct Remembered<T>(Mutex<State<T>>);

#[derive(Debug)]
enum State<T> {
    Unknown,
    Known(T),
    Failed(PlatformError, Instant),
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Mutex::new(State::Unknown))
    }
}

impl<T: Clone> Remembered<T> {
    /// The cached value, or the one that `ask` reads.
    pub(super) async fn get(
        &self,
        ask: impl Future<Output = PlatformResult<T>>,
    ) -> PlatformResult<T> {
        match &*lock(&self.0) {
            State::Known(value) => return Ok(value.clone()),
            State::Failed(error, when) if when.elapsed() < RETRY => return Err(error.clone()),
            State::Failed(..) | State::Unknown => {}
        }
        let result = ask.await;
        *lock(&self.0) = match &result {
            Ok(value) => State::Known(value.clone()),
            Err(error) => State::Failed(error.clone(), Instant::now()),
        };
        result
    }

    /// Replaces the cached value.
    pub(super) fn set(&self, value: T) {
        *lock(&self.0) = State::Known(value);
    }

    /// Drops the cached value.
    pub(super) fn forget(&self) {
        *lock(&self.0) = State::Unknown;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn value_is_asked_for_once_and_an_absent_service_not_again_at_once() {
        let remembered = Remembered::default();
        let unasked = async { unreachable!("it is known") };
        let absent = PlatformError::absent(&"no such service");
        let failing = async { Err(absent.clone()) };
        assert_eq!(remembered.get(failing).await, Err(absent.clone()));
        assert_eq!(remembered.get(unasked).await, Err(absent));
        remembered.forget();
        assert_eq!(remembered.get(async { Ok(1) }).await, Ok(1));
        assert_eq!(remembered.get(async { Ok(2) }).await, Ok(1));
        remembered.set(3);
        assert_eq!(remembered.get(async { Ok(2) }).await, Ok(3));
    }
}
