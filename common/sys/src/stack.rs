//! The memory that the stack keeps.

use std::hint::black_box;
use std::{mem, ptr};

/// The stack below the caller that is left alone: what this function and the system call use of it, by far.
const USED: usize = 16 * 1024;

/// Gives the pages of this thread's stack that nothing uses back to the system: the start goes deeper than what follows
/// it, and a page once written to stays. Does nothing with another C library.
#[inline(never)]
pub fn trim_stack() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let here = 0_u8;
        let here = black_box(&raw const here).addr();
        if let Some(bottom) = bottom().filter(|bottom| *bottom < here) {
            discard(bottom, here);
        }
    }
}

/// The lowest address that this thread's stack may grow to.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn bottom() -> Option<usize> {
    let mut attributes = mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut bottom, mut size) = (ptr::null_mut(), 0);
    // SAFETY: pthread_getattr_np(3) initializes the attributes if it returns 0; they are read and destroyed only then.
    let failed = unsafe {
        libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 || {
            let failed =
                libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut bottom, &raw mut size);
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            failed != 0
        }
    };
    (!failed).then_some(bottom.addr())
}

/// Discards the whole pages between `bottom` and what is in use below `here`.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn discard(bottom: usize, here: usize) {
    // SAFETY: sysconf(3) takes an integer.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let Some(page) = usize::try_from(page).ok().filter(|page| page.is_power_of_two()) else {
        return;
    };
    let start = bottom.next_multiple_of(page);
    let Some(end) = here.checked_sub(USED).map(|end| end & !(page - 1)) else { return };
    if start < end {
        // SAFETY: the range is part of this thread's stack, and below all of its frames: nothing is there that is read
        // before it is written. What is not mapped of it, madvise(2) leaves out.
        unsafe {
            libc::madvise(ptr::without_provenance_mut(start), end - start, libc::MADV_DONTNEED)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes to `depth` kB of stack, and returns what is there afterwards.
    #[inline(never)]
    fn deep(depth: usize) -> usize {
        let block = black_box([1_u8; 1024]);
        let below = if depth > 1 { deep(depth - 1) } else { 0 };
        below + usize::from(black_box(&block)[depth % 1024])
    }

    /// The kB of this thread's stack that are in memory, of the 256 kB below `here`.
    fn resident() -> usize {
        let here = 0_u8;
        let end = (&raw const here).addr() & !0xfff;
        let start = end - 256 * 1024;
        let mut pages = [0_u8; 64];
        // SAFETY: mincore(2) writes a byte for each of the 64 pages of 4 kB.
        let done = unsafe {
            libc::mincore(ptr::without_provenance_mut(start), end - start, pages.as_mut_ptr())
        };
        assert_eq!(done, 0);
        pages.iter().filter(|page| **page & 1 == 1).count() * 4
    }

    #[test]
    fn what_a_deep_call_used_is_given_back_and_can_be_used_again() {
        let thread = std::thread::Builder::new().stack_size(1 << 20);
        let thread = thread.spawn(|| {
            assert_eq!(deep(200), 200);
            let before = resident();
            trim_stack();
            let after = resident();
            assert_eq!(deep(200), 200);
            (before, after)
        });
        let (before, after) = thread.unwrap().join().unwrap();
        assert!(before >= 200 && after <= 64, "{before} kB, then {after} kB");
    }

    #[test]
    fn the_first_threads_stack_ends_where_it_may_grow_to() {
        let here = 0_u8;
        assert!(bottom().is_some_and(|bottom| bottom < (&raw const here).addr()));
    }
}
