//! Locks on ranges of a file: the "open file description locks" of Linux. They belong to the file as it was
//! opened, not to the process, so two of them in one process exclude each other like those of two. They
//! need not lie where the file has contents.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// All that can be locked: to the kernel, from 0 without end.
const EVERYTHING: Range<u64> = 0..END;
const END: u64 = i64::MAX as u64;

/// Opens a file for reading and writing, if it is there and no symbolic link: in a folder of several users,
/// one could lead to anything.
pub fn open_no_link(path: &Path) -> io::Result<File> {
    // Without O_CREAT: on a file of another user in a folder with the sticky bit, Linux refuses that
    // (`fs.protected_regular`).
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(path)
}

/// An open file and whatever was locked in it, until dropped.
#[derive(Debug)]
pub struct RangeLocks {
    file: File,
}

/// What is free and what is taken by others.
#[derive(Debug, Default)]
pub struct Survey {
    /// Ascending.
    pub free: Vec<Range<u64>>,
    /// Where each range begins that another has, ascending.
    pub taken: Vec<u64>,
}

impl RangeLocks {
    /// Nothing is locked yet.
    pub fn new(file: File) -> Self {
        Self { file }
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Locks these ranges without waiting; false, with some of them locked perhaps, if another was faster.
    pub fn lock(&self, pieces: &[Range<u64>]) -> io::Result<bool> {
        for piece in pieces {
            let request = request(libc::F_WRLCK, piece);
            match fcntl(&self.file, FcntlArg::F_OFD_SETLK(&request)) {
                Ok(_) => {}
                Err(Errno::EAGAIN | Errno::EACCES) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Looks who has what within `range`. It may have changed when this returns.
    pub fn survey(&self, range: Range<u64>) -> io::Result<Survey> {
        let mut survey = Survey::default();
        // The kernel tells one lock at a time, and not in order: what remains on either side is looked
        // at again.
        let mut unknown = vec![range];
        while let Some(range) = unknown.pop() {
            let Some(taken) = self.taken_in(&range)? else {
                survey.free.push(range);
                continue;
            };
            if taken.end <= range.start || range.end <= taken.start {
                // It would be looked at without end.
                return Err(io::Error::other("the file system tells of a lock that was not asked about"));
            }
            if taken.end < range.end {
                unknown.push(taken.end..range.end);
            }
            if range.start < taken.start {
                unknown.push(range.start..taken.start);
            }
            survey.taken.push(taken.start);
        }
        survey.free.sort_unstable_by_key(|range| range.start);
        survey.taken.sort_unstable();
        Ok(survey)
    }

    /// A range that another has locked and that reaches into `range`.
    fn taken_in(&self, range: &Range<u64>) -> io::Result<Option<Range<u64>>> {
        let mut request = request(libc::F_WRLCK, range);
        fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut request))?;
        if i32::from(request.l_type) == libc::F_UNLCK {
            return Ok(None);
        }
        let start = u64::try_from(request.l_start).unwrap_or(0);
        let length = u64::try_from(request.l_len).unwrap_or(0);
        let end = if length == 0 { END } else { start.saturating_add(length).min(END) };
        Ok(Some(start..end))
    }
}

impl Drop for RangeLocks {
    fn drop(&mut self) {
        // Closing the file would do, were there not the moment between fork and exec in which a child that
        // another thread is starting has it open, too.
        let _ = fcntl(&self.file, FcntlArg::F_OFD_SETLK(&request(libc::F_UNLCK, &EVERYTHING)));
    }
}

/// What the kernel is asked. `l_pid` must be 0 for these locks.
fn request(kind: i32, range: &Range<u64>) -> libc::flock {
    let length = if range.end == END { 0 } else { range.end - range.start };
    libc::flock {
        // The constants are ints, the fields shorts; offsets are below `END`, so no cast loses anything.
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: range.start as libc::off_t,
        l_len: length as libc::off_t,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survey_tells_what_others_have_and_not_what_is_ones_own() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || RangeLocks::new(open_no_link(file.path()).unwrap());
        let lock = |locks: &RangeLocks, range: Range<u64>| locks.lock(std::slice::from_ref(&range)).unwrap();
        let (late, early, own) = (open(), open(), open());
        assert!(late.lock(&[50..60, 70..80]).unwrap());
        assert!(lock(&early, 10..20));
        assert!(lock(&own, 0..5));
        let survey = own.survey(15..75).unwrap();
        assert_eq!(survey.free, [20..50, 60..70]);
        assert_eq!(survey.taken, [10, 50, 70]);
        assert!(!own.lock(&[30..40, 55..56]).unwrap());
        drop(late);
        assert_eq!(own.survey(EVERYTHING).unwrap().free, [0..10, 20..EVERYTHING.end]);
        assert!(lock(&own, 20..EVERYTHING.end));
        assert!(!lock(&early, 1_000_000..1_000_001));
    }
}
