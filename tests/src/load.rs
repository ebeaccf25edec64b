//! Clients that all work at once, while something is done to the daemons.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::wait;

/// One piece of a client's work, which asserts that nothing was lost. The argument counts them.
pub type Work<'a> = Box<dyn FnMut(usize) + Send + 'a>;

/// What the clients have done.
#[derive(Debug)]
pub struct Load {
    stop: AtomicBool,
    done: Vec<AtomicUsize>,
}

impl Load {
    /// Waits until every client has done `count` more pieces of its work.
    ///
    /// # Panics
    ///
    /// If a client has ended or does not go on.
    #[track_caller]
    pub fn until_all_have_done(&self, count: usize) {
        let done = || self.done.iter().map(|done| done.load(Ordering::Relaxed));
        let wanted: Vec<usize> = done().map(|done| done + count).collect();
        wait::until_true(&format!("all clients go on: {:?}", self.done), || {
            assert!(!self.stop.load(Ordering::Relaxed), "a client has failed");
            done().zip(&wanted).all(|(done, wanted)| done >= *wanted)
        });
    }

    fn run(&self, index: usize, work: &mut Work<'_>) {
        let mut number = 0;
        while !self.stop.load(Ordering::Relaxed) {
            work(number);
            number += 1;
            self.done[index].store(number, Ordering::Relaxed);
        }
    }
}

/// Runs `during` while each of `clients` does its work again and again, then ends them.
///
/// # Panics
///
/// If a client does, or `during`; the others are ended before.
pub fn run<'a>(clients: impl IntoIterator<Item = Work<'a>>, during: impl FnOnce(&Load)) {
    let mut clients: Vec<_> = clients.into_iter().collect();
    let done = clients.iter().map(|_| AtomicUsize::new(0)).collect();
    let load = Load { stop: AtomicBool::new(false), done };
    // Whatever fails, all end: the scope waits for them.
    let ending_all = |part: &mut dyn FnMut()| {
        let result = catch_unwind(AssertUnwindSafe(part));
        if let Err(panic) = result {
            load.stop.store(true, Ordering::Relaxed);
            resume_unwind(panic);
        }
    };
    thread::scope(|scope| {
        for (index, work) in clients.iter_mut().enumerate() {
            let (load, ending_all) = (&load, &ending_all);
            scope.spawn(move || ending_all(&mut || load.run(index, work)));
        }
        let mut during = Some(during);
        ending_all(&mut || {
            if let Some(during) = during.take() {
                during(&load);
            }
        });
        load.stop.store(true, Ordering::Relaxed);
    });
}
