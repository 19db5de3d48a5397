//! What else was on a machine when a task began or failed.

use serde::{Deserialize, Serialize};

use crate::diag::memory;

/// Memory that could be had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// On the host, bytes; within the limit of a control group, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_free: Option<u64>,
    /// On the GPU that the task has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuRoom>,
}

/// Memory of a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuRoom {
    /// What the driver calls the GPU.
    pub gpu: String,
    /// Bytes in all.
    pub total: u64,
    /// Bytes in use, by anyone.
    pub used: u64,
    /// Bytes that could be had.
    pub free: u64,
    /// Who has some.
    pub processes: Vec<GpuProcess>,
}

/// A process that has memory of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuProcess {
    /// Its number, as the driver knows it: in a container that may be another than inside.
    pub pid: u32,
    /// Bytes that it has.
    pub bytes: u64,
    /// Whether the run started it; `None` where numbers of processes mean something else to the driver.
    pub ours: Option<bool>,
}

/// A GPU whose memory others have less of than this part counts as free of others: desktops and daemons
/// always have a little.
const NEGLIGIBLE: u64 = 20;

impl GpuRoom {
    /// Processes that are not of this run and have a part of the memory worth waiting for, or nothing.
    /// `before` is what was seen before the task began: who was there then is none of the task's.
    pub fn others(&self, before: Option<&GpuRoom>) -> Vec<GpuProcess> {
        let was_there = |pid| before.is_some_and(|before| before.processes.iter().any(|p| p.pid == pid));
        let other = |process: &&GpuProcess| match process.ours {
            Some(ours) => !ours,
            None => was_there(process.pid),
        };
        let others: Vec<GpuProcess> = self.processes.iter().filter(other).copied().collect();
        let bytes: u64 = others.iter().map(|process| process.bytes).sum();
        if bytes > self.total / NEGLIGIBLE { others } else { Vec::new() }
    }

    /// `process 4711 has 30.0 GiB of 80.0 GiB on GPU 0`.
    pub fn held_by(&self, others: &[GpuProcess]) -> String {
        let one = |process: &GpuProcess| format!("process {} has {}", process.pid, memory(process.bytes));
        let words: Vec<String> = others.iter().map(one).collect();
        format!("{} of {} on GPU {}", words.join(", "), memory(self.total), self.gpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn room(processes: &[(u32, u64, Option<bool>)]) -> GpuRoom {
        let processes = processes.iter().map(|&(pid, gib, ours)| GpuProcess { pid, bytes: gib * GIB, ours });
        GpuRoom { gpu: "0".into(), total: 80 * GIB, used: 0, free: 0, processes: processes.collect() }
    }

    #[test]
    fn others_are_told_from_the_task_itself() {
        let known = room(&[(1, 30, Some(false)), (2, 40, Some(true)), (3, 2, Some(false))]);
        let others = known.others(None);
        assert_eq!(others.iter().map(|p| p.pid).collect::<Vec<_>>(), [1, 3]);
        let told = "process 1 has 30.0 GiB, process 3 has 2.0 GiB of 80.0 GiB on GPU 0";
        assert_eq!(known.held_by(&others), told);
        assert!(room(&[(1, 3, Some(false))]).others(None).is_empty(), "a desktop");
        // In a container: who was there before the task began is another.
        let (before, after) = (room(&[(7, 30, None)]), room(&[(7, 30, None), (8, 45, None)]));
        assert_eq!(after.others(Some(&before)).iter().map(|p| p.pid).collect::<Vec<_>>(), [7]);
        assert!(after.others(None).is_empty());
    }
}
