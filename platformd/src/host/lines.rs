//! Lines of a stream, bounded in length.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The lines of `R`, without their ends.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// How much of the buffer has no end of a line.
    searched: usize,
    longest: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads lines of at most `longest` bytes.
    pub(super) fn new(reader: R, longest: usize) -> Self {
        Self { reader, buffer: Vec::new(), searched: 0, longest }
    }

    /// The next line; `None` at the end of the stream. What is not ended by a line feed is no line. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] for a line that is too long, and the reader's errors.
    pub(super) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let end = self.searched + length;
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.pop();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > self.longest {
                let text = format!("a line is longer than {} bytes", self.longest);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_at_line_feeds_only() {
        let mut lines = Lines::new(&b"one\r\n\ntwo\nno line"[..], 100);
        for line in ["one\r", "", "two"] {
            assert_eq!(lines.next().await.unwrap().unwrap(), line.as_bytes());
        }
        assert_eq!(lines.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_line_without_end_is_an_error() {
        let endless = vec![b'x'; 10_000];
        let mut lines = Lines::new(&endless[..], 1000);
        assert_eq!(lines.next().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
