//! What the tests of both stores share.

use std::sync::Barrier;
use std::thread;

use crate::AccountError;

/// What a thread does.
pub(crate) type Act<'a> = &'a (dyn Fn() -> Result<(), AccountError> + Sync);

/// Does all of it at the same time, each in a thread of its own.
pub(crate) fn at_once(acts: &[Act<'_>]) -> Vec<Result<(), AccountError>> {
    let barrier = Barrier::new(acts.len());
    let run = |act: Act<'_>| {
        barrier.wait();
        act()
    };
    thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = acts.iter().map(|act| scope.spawn(move || run(*act))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
