//! What the machine has to give to tasks at the same time: cores, memory, GPUs.

use std::collections::{BTreeMap, BTreeSet};

use crate::stages::Device;
use crate::study::{DeviceKind, Resources};

/// What may be used in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// Processor cores.
    pub cores: u32,
    /// Host memory, bytes; `None` for no limit.
    pub memory: Option<u64>,
    /// Indices of the GPUs that may be used.
    pub gpus: Vec<u32>,
}

/// What a task holds while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    cores: u32,
    memory: u64,
    gpu: Option<u32>,
}

/// Slots in use. One task to a GPU: two jobs sharing one card is how the reference study ran out of memory.
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
    fn offer(&self, wants: &Resources) -> Option<Held> {
        let cores = wants.cores.clamp(1, self.capacity.cores.max(1));
        let memory = wants.memory.unwrap_or(0).min(self.capacity.memory.unwrap_or(u64::MAX));
        let free_cores = self.capacity.cores.max(1) - self.held.values().map(|h| h.cores).sum::<u32>();
        let used_memory: u64 = self.held.values().map(|h| h.memory).sum();
        let fits = cores <= free_cores
            && self.capacity.memory.is_none_or(|limit| used_memory.saturating_add(memory) <= limit);
        if !fits {
            return None;
        }
        let gpu = match wants.device {
            DeviceKind::Cpu => None,
            DeviceKind::Cuda => {
                let busy: BTreeSet<u32> = self.held.values().filter_map(|h| h.gpu).collect();
                Some(self.capacity.gpus.iter().find(|g| !busy.contains(g)).copied()?)
            }
        };
        Some(Held { cores, memory, gpu })
    }

    /// Whether a task could start now.
    pub(super) fn fits(&self, wants: &Resources) -> bool {
        self.offer(wants).is_some()
    }

    /// Takes what a task asks for, if it is free, and says on which device and with how many threads it
    /// computes.
    pub(super) fn take(&mut self, task: usize, wants: &Resources) -> Option<(Device, usize)> {
        let held = self.offer(wants)?;
        let (device, cores) = (held.gpu.map_or(Device::Cpu, Device::Cuda), held.cores);
        self.held.insert(task, held);
        Some((device, cores as usize))
    }

    /// Whether a task could ever be served.
    pub(super) fn can_serve(&self, wants: &Resources) -> Result<(), String> {
        match wants.device {
            DeviceKind::Cuda if self.capacity.gpus.is_empty() => {
                Err("asks for a CUDA device, but none was found (nor named with --gpus)".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Gives back what a task held.
    pub(super) fn release(&mut self, task: usize) {
        self.held.remove(&task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(cores: u32, memory: Option<u64>, gpus: &[u32]) -> Slots {
        Slots::new(Capacity { cores, memory, gpus: gpus.to_vec() })
    }

    fn wants(cores: u32, memory: Option<u64>, device: DeviceKind) -> Resources {
        Resources { cores, memory, device, ..Resources::default() }
    }

    #[test]
    fn never_gives_more_than_there_is() {
        let mut s = slots(2, Some(100), &[]);
        assert!(s.take(0, &wants(1, Some(60), DeviceKind::Cpu)).is_some());
        assert!(s.take(1, &wants(1, Some(60), DeviceKind::Cpu)).is_none(), "memory");
        assert!(s.take(2, &wants(2, None, DeviceKind::Cpu)).is_none(), "cores");
        assert!(s.take(3, &wants(1, Some(40), DeviceKind::Cpu)).is_some());
        s.release(0);
        s.release(3);
        assert_eq!(s.take(4, &wants(64, Some(1000), DeviceKind::Cpu)), Some((Device::Cpu, 2)));
        assert!(s.take(5, &wants(1, None, DeviceKind::Cpu)).is_none());
    }

    #[test]
    fn one_task_to_a_gpu() {
        let mut s = slots(8, None, &[1, 3]);
        let cuda = wants(1, None, DeviceKind::Cuda);
        assert_eq!(s.take(0, &cuda).map(|t| t.0), Some(Device::Cuda(1)));
        assert_eq!(s.take(1, &cuda).map(|t| t.0), Some(Device::Cuda(3)));
        assert_eq!(s.take(2, &cuda), None);
        s.release(0);
        assert_eq!(s.take(2, &cuda).map(|t| t.0), Some(Device::Cuda(1)));
        assert!(slots(8, None, &[]).can_serve(&cuda).is_err());
    }
}
