//! A value asked for once and then remembered.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::model::persistent::lock;
use crate::platform::{PlatformError, PlatformResult};

/// How long a service that is absent or silent is not asked again.
const RETRY: Duration = Duration::from_secs(5);

/// What is known of a value.
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
    /// The value, asked for with `ask` when it is not known.
    pub(super) async fn get(
        &self,
        ask: impl Future<Output = PlatformResult<T>>,
    ) -> PlatformResult<T> {
        match &*lock(&self.0) {
            State::Known(value) => return Ok(value.clone()),
            State::Failed(error, when) if when.elapsed() < RETRY => return Err(*error),
            State::Failed(..) | State::Unknown => {}
        }
        let result = ask.await;
        *lock(&self.0) = match &result {
            Ok(value) => State::Known(value.clone()),
            Err(error) => State::Failed(*error, Instant::now()),
        };
        result
    }

    /// The value is this now.
    pub(super) fn set(&self, value: T) {
        *lock(&self.0) = State::Known(value);
    }

    /// The value is to be asked for again.
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
        assert_eq!(
            remembered.get(async { Err(PlatformError::Absent) }).await,
            Err(PlatformError::Absent)
        );
        assert_eq!(remembered.get(unasked).await, Err(PlatformError::Absent));
        remembered.forget();
        assert_eq!(remembered.get(async { Ok(1) }).await, Ok(1));
        assert_eq!(remembered.get(async { Ok(2) }).await, Ok(1));
        remembered.set(3);
        assert_eq!(remembered.get(async { Ok(2) }).await, Ok(3));
    }
}
