//! Lines: who waits for a GPU gets it before those who come later, also if these would be content with less.
//!
//! A place in a GPU's line is a lock on one byte of its file, beyond those of its memory: the higher, the
//! later. Nobody takes anything of a GPU while another stands before him in its line, so whoever wants all of
//! it need only outlast the leases there are, and these end by themselves. Like leases, places end with their
//! process.
//!
//! Who wants several GPUs stands in the lines of as many, and joins them in the order of their files' names,
//! which is the same for all processes: the next one only when first in the one before. So nobody who is
//! waited for in a line waits in an earlier one, and no two processes can wait for each other.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::wish::Wish;
use super::{Gpu, Leases, ROUNDS, SPACE, files, told, write_name};
use crate::os::RangeLocks;

/// Where places are: behind the bytes of memory. More of them than will ever be asked for while a line is not
/// empty for a moment.
const PLACES: Range<u64> = SPACE.end..1 << 40;

/// A place in lines, until dropped.
#[derive(Debug)]
#[must_use = "a place is lost when it is dropped"]
pub struct Place {
    /// The files of the GPUs that are waited for, in the order in which their lines are joined.
    files: Vec<String>,
    tickets: BTreeMap<String, Ticket>,
}

#[derive(Debug)]
struct Ticket {
    at: u64,
    locks: RangeLocks,
}

impl Place {
    /// The number in the line of a GPU, if it stands in that.
    pub(super) fn number(&self, file: &str) -> Option<u64> {
        self.tickets.get(file).map(|ticket| ticket.at)
    }
}

impl Leases {
    /// Joins the lines for what is wanted, or gets on in them. To be repeated as long as it is waited, before
    /// or after each [`try_take`](Self::try_take). `task` is told to those who are held up.
    pub fn line_up(&self, wish: Wish, place: &mut Option<Place>, task: &str) -> io::Result<()> {
        let place = match place {
            Some(place) => place,
            None => place.insert(Place { files: self.shortest(wish)?, tickets: BTreeMap::new() }),
        };
        for file in &place.files {
            let path = self.dir.join(file);
            let known = place.tickets.get(file).filter(|t| files::is_still(t.locks.file(), &path));
            if known.is_none() {
                place.tickets.remove(file);
                let Some(ticket) = join(&path).map_err(|error| told(&path, error))? else { return Ok(()) };
                let _ = write_name(ticket.locks.file(), ticket.at, &self.name(task, None));
                place.tickets.insert(file.clone(), ticket);
            }
            let Some(ticket) = place.tickets.get(file) else { return Ok(()) };
            if !ahead(&ticket.locks, Some(ticket.at)).map_err(|error| told(&path, error))?.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The GPUs with the fewest before one and beside one, as many as are wanted.
    fn shortest(&self, wish: Wish) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        for Gpu { id, .. } in &self.gpus {
            let file = files::name(id);
            let locks = RangeLocks::new(files::open(&self.dir.join(&file))?);
            lines.push((ahead(&locks, None)?.len(), locks.survey(SPACE)?.taken.len(), file));
        }
        lines.sort_unstable();
        let mut files: Vec<String> = lines.into_iter().take(wish.count()).map(|(_, _, file)| file).collect();
        files.sort_unstable();
        Ok(files)
    }
}

/// Takes the last place in a line; `None` if others were faster all the time.
fn join(path: &Path) -> io::Result<Option<Ticket>> {
    for _ in 0..ROUNDS {
        let locks = RangeLocks::new(files::open(path)?);
        let last = locks.survey(PLACES)?.taken.last().copied();
        let at = last.map_or(PLACES.start, |last| last + 1);
        let place = at..at + 1;
        let taken = at < PLACES.end && locks.lock(std::slice::from_ref(&place))?;
        if !taken || !files::is_still(locks.file(), path) {
            continue;
        }
        // Whoever was last may have gone between looking and locking, and others may have come behind him, who
        // were here before.
        if locks.survey(place.end..PLACES.end)?.taken.is_empty() {
            return Ok(Some(Ticket { at, locks }));
        }
    }
    Ok(None)
}

/// The places of others before `own`, or before anyone who would join now.
pub(super) fn ahead(locks: &RangeLocks, own: Option<u64>) -> io::Result<Vec<u64>> {
    let before = PLACES.start..own.unwrap_or(PLACES.end);
    if before.is_empty() {
        // To the kernel, no length means all that follows.
        return Ok(Vec::new());
    }
    let mut taken = locks.survey(before)?.taken;
    // The kernel tells of a lock where it begins.
    taken.retain(|at| PLACES.contains(at));
    Ok(taken)
}
