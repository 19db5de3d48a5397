//! What a program writes, as lines.

use std::io::{self, BufRead};

/// Longest line that is kept in one piece, bytes.
const LONGEST: usize = 8 * 1024;

/// Calls `line` for each line of `source` as it comes, until the source ends or `line` says `false`.
///
/// A carriage return ends a line too, because progress bars write nothing else for hours. Empty lines
/// are dropped, overlong ones cut, bytes that are no UTF-8 replaced.
pub(super) fn read(mut source: impl BufRead, mut line: impl FnMut(String) -> bool) -> io::Result<()> {
    let mut pending: Vec<u8> = Vec::new();
    loop {
        let chunk = match source.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let room = LONGEST - pending.len();
        let end = chunk.iter().take(room).position(|b| matches!(b, b'\n' | b'\r'));
        let (take, used) = match end {
            Some(end) => (end, end + 1),
            None => (chunk.len().min(room), chunk.len().min(room)),
        };
        pending.extend_from_slice(&chunk[..take]);
        let ended = chunk.is_empty();
        source.consume(used);
        if ended || end.is_some() || pending.len() == LONGEST {
            if !pending.is_empty() && !line(String::from_utf8_lossy(&pending).into_owned()) {
                return Ok(());
            }
            pending.clear();
        }
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn lines(bytes: &[u8], buffer: usize) -> Vec<String> {
        let mut found = Vec::new();
        read(BufReader::with_capacity(buffer, bytes), |l| {
            found.push(l);
            true
        })
        .unwrap();
        found
    }

    #[test]
    fn lines_do_not_depend_on_how_bytes_arrive() {
        let bytes = b"one\n\ntwo\r\n 10%\r 20%\rthr\xffee\nlast";
        for buffer in [1, 2, 3, 7, 64] {
            assert_eq!(lines(bytes, buffer), ["one", "two", " 10%", " 20%", "thr\u{fffd}ee", "last"]);
        }
        assert!(lines(b"", 4).is_empty());
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let found = lines(&[b'x'; 2 * LONGEST + 5], 1000);
        assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [LONGEST, LONGEST, 5]);
    }

    #[test]
    fn reading_stops_when_told() {
        let mut seen = 0;
        read(&b"a\nb\nc\n"[..], |_| {
            seen += 1;
            seen < 2
        })
        .unwrap();
        assert_eq!(seen, 2);
    }
}
