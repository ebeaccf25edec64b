//! The memory that the allocator keeps of a small, single-threaded daemon.

/// Gives the process one heap: by default glibc gives each thread an arena of its own, and a daemon has threads for
/// the moments in which it writes files only. To be called before there are threads. Does nothing with another C
/// library.
pub fn use_one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt(3) takes two integers; a value that it refuses changes nothing.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}

/// Gives pages of the heap that hold nothing back to the system, such as those that only the start needed.
pub fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim(3) takes an integer and locks the arenas itself.
    unsafe {
        libc::malloc_trim(0)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_works_after_it_was_trimmed() {
        use_one_heap();
        let blocks: Vec<_> = (1..200_usize).map(|size| vec![size; size]).collect();
        trim_heap();
        assert!(blocks.iter().zip(1..).all(|(block, size)| block.iter().all(|at| *at == size)));
    }
}
