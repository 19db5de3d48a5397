//! What a run may use at the same time: cores and memory. GPUs are leased, because others use them, too.

use std::collections::BTreeMap;

/// What may be used in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// Processor cores.
    pub cores: u32,
    /// Host memory, bytes; `None` for no limit.
    pub memory: Option<u64>,
}

/// What a task holds while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    cores: u32,
    memory: u64,
}

/// Slots in use.
#[derive(Debug)]
pub(super) struct Slots {
    capacity: Capacity,
    held: BTreeMap<usize, Held>,
}

impl Slots {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self { capacity, held: BTreeMap::new() }
    }

    /// What a task would hold, if it is free now. A task that asks for more cores or memory than there are
    /// gets all of it, alone.
    fn offer(&self, cores: u32, memory: Option<u64>) -> Option<Held> {
        let cores = cores.clamp(1, self.capacity.cores.max(1));
        let memory = memory.unwrap_or(0).min(self.capacity.memory.unwrap_or(u64::MAX));
        let free_cores = self.capacity.cores.max(1) - self.held.values().map(|h| h.cores).sum::<u32>();
        let used_memory: u64 = self.held.values().map(|h| h.memory).sum();
        let fits = cores <= free_cores
            && self.capacity.memory.is_none_or(|limit| used_memory.saturating_add(memory) <= limit);
        if !fits {
            return None;
        }
        Some(Held { cores, memory })
    }

    /// Whether a task could start now.
    pub(super) fn fits(&self, cores: u32, memory: Option<u64>) -> bool {
        self.offer(cores, memory).is_some()
    }

    /// Takes what a task asks for, if it is free, and says with how many threads it computes.
    pub(super) fn take(&mut self, task: usize, cores: u32, memory: Option<u64>) -> Option<usize> {
        let held = self.offer(cores, memory)?;
        let cores = held.cores;
        self.held.insert(task, held);
        Some(cores as usize)
    }

    /// Gives back what a task held.
    pub(super) fn release(&mut self, task: usize) {
        self.held.remove(&task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_gives_more_than_there_is() {
        let mut s = Slots::new(Capacity { cores: 2, memory: Some(100) });
        assert!(s.take(0, 1, Some(60)).is_some());
        assert!(s.take(1, 1, Some(60)).is_none(), "memory");
        assert!(s.take(2, 2, None).is_none(), "cores");
        assert!(s.take(3, 1, Some(40)).is_some());
        s.release(0);
        s.release(3);
        assert_eq!(s.take(4, 64, Some(1000)), Some(2));
        assert!(s.take(5, 1, None).is_none());
    }
}
