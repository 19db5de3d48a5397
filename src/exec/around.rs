//! What else is there when a task begins or fails, so that "too big" can be told from "someone else had the
//! memory".

use std::time::{Duration, Instant};

use super::{GpuWatch, Lease};
use crate::events::Room;
use crate::os;

/// What the host has free is looked at so often at most: thousands of tasks may begin in a second.
const FRESH: Duration = Duration::from_millis(500);
/// So often it is waited for others, each time twice as long.
const WAITS: u32 = 5;

/// Looks around.
pub(super) struct Around {
    watch: GpuWatch,
    host: Option<(Instant, Option<u64>)>,
}

impl Around {
    pub(super) fn new(watch: GpuWatch) -> Self {
        Self { watch, host: None }
    }

    /// What a task that begins finds.
    pub(super) fn at_start(&mut self, lease: Option<&Lease>) -> Room {
        let host_free = match self.host {
            Some((at, free)) if at.elapsed() < FRESH => free,
            _ => {
                let free = os::free_memory();
                self.host = Some((Instant::now(), free));
                free
            }
        };
        Room { host_free, ..self.gpu(lease) }
    }

    /// What is there when one has failed.
    pub(super) fn at_failure(&self, lease: Option<&Lease>) -> Room {
        Room { host_free: os::free_memory(), ..self.gpu(lease) }
    }

    fn gpu(&self, lease: Option<&Lease>) -> Room {
        // Of several, the fullest is the one that decides.
        let rooms = lease.into_iter().flat_map(Lease::ids).filter_map(|id| (self.watch.look)(id));
        Room { host_free: None, gpu: rooms.min_by_key(|room| room.free) }
    }

    /// How long to wait for others to give memory back, after so many waits for the same task; `None` when it
    /// was long enough.
    pub(super) fn wait(&self, waits: u32) -> Option<Duration> {
        (waits < WAITS).then(|| self.watch.wait.saturating_mul(1 << waits))
    }
}
