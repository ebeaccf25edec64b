//! Keys that are not the host's: `~.` at the start of a line detaches, `~~` is one `~`, as in ssh(1).

/// What was typed so far, as far as it matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Escape {
    /// At the start of a line.
    LineStart,
    /// In a line.
    InLine,
    /// After `~` at the start of a line.
    Tilde,
}

impl Escape {
    /// Takes keys; appends those for the host to `out`. `true` if they detach: the rest is dropped.
    pub(super) fn take(&mut self, keys: &[u8], out: &mut Vec<u8>) -> bool {
        for &key in keys {
            match (*self, key) {
                (Self::LineStart, b'~') => {
                    *self = Self::Tilde;
                    continue;
                }
                (Self::Tilde, b'.') => return true,
                (Self::Tilde, b'~') | (Self::LineStart | Self::InLine, _) => {}
                (Self::Tilde, _) => out.push(b'~'),
            }
            out.push(key);
            *self = if matches!(key, b'\r' | b'\n') { Self::LineStart } else { Self::InLine };
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys for the host, and whether they detach; in pieces of each size the same.
    #[track_caller]
    fn typed(keys: &str) -> (String, bool) {
        let in_pieces = |size: usize| {
            let (mut escape, mut out) = (Escape::LineStart, Vec::new());
            let detached = keys.as_bytes().chunks(size).any(|piece| escape.take(piece, &mut out));
            (String::from_utf8(out).unwrap(), detached)
        };
        let whole = in_pieces(keys.len().max(1));
        for size in 1..keys.len() {
            assert_eq!(in_pieces(size), whole, "in pieces of {size}");
        }
        whole
    }

    #[test]
    fn only_a_tilde_and_a_dot_at_the_start_of_a_line_detach() {
        for (keys, out, detaches) in [
            ("~.", "", true),
            ("ls\r~.rest", "ls\r", true),
            ("a~.b\r", "a~.b\r", false),
            ("~~.\r", "~.\r", false),
            ("~a\r~.", "~a\r", true),
            ("~\r~.", "~\r", true),
            ("\x03\x04\x1b[A", "\x03\x04\x1b[A", false),
            ("", "", false),
        ] {
            assert_eq!(typed(keys), (out.to_owned(), detaches), "{keys:?}");
        }
    }
}
