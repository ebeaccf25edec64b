//! Random bytes from the system, read a buffer at a time: an encrypted reply needs 16, and a system call for
//! each would cost more than the encryption.

use ring::rand::{SecureRandom, SystemRandom};
use rmcp_proto::server::Random;
use zeroize::Zeroize;

/// Bytes fetched at a time.
const BUFFER: usize = 512;

/// The system's random source. Bytes given out are wiped from the buffer.
pub struct SystemBytes {
    source: SystemRandom,
    buffer: Box<[u8; BUFFER]>,
    left: usize,
}

impl Default for SystemBytes {
    fn default() -> Self {
        Self { source: SystemRandom::new(), buffer: Box::new([0; BUFFER]), left: 0 }
    }
}

impl Random for SystemBytes {
    fn fill(&mut self, bytes: &mut [u8]) {
        if bytes.len() > BUFFER {
            return self.fetch(bytes);
        }
        if self.left < bytes.len() {
            let mut fresh = [0; BUFFER];
            self.fetch(&mut fresh);
            self.buffer.copy_from_slice(&fresh);
            fresh.zeroize();
            self.left = BUFFER;
        }
        let start = self.left - bytes.len();
        if let Some(taken) = self.buffer.get_mut(start..self.left) {
            bytes.copy_from_slice(taken);
            taken.zeroize();
        }
        self.left = start;
    }
}

impl SystemBytes {
    fn fetch(&self, bytes: &mut [u8]) {
        // Without random numbers no session is secure: the process must end.
        self.source.fill(bytes).expect("the system has random bytes");
    }
}

impl Drop for SystemBytes {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn bytes_are_never_given_out_twice() {
        let mut source = SystemBytes::default();
        let mut seen = HashSet::new();
        for _ in 0..200 {
            let mut bytes = [0; 16];
            source.fill(&mut bytes);
            assert!(seen.insert(bytes));
        }
        let mut long = [0; 2 * BUFFER];
        source.fill(&mut long);
        assert_ne!(long, [0; 2 * BUFFER]);
    }
}
