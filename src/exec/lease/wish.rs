//! What a task wants of GPUs, and who is in its way.

use std::fmt;

use crate::study::Resources;

/// What is wanted of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// All of it, alone.
    Whole,
    /// So many bytes of its memory, beside others. As much as there is, or more, is the whole GPU.
    Share(u64),
}

/// What a task wants: so many GPUs, and of each the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// How many, all different; 0 counts as 1.
    pub gpus: u32,
    /// What of each.
    pub each: Want,
}

impl Wish {
    /// One GPU.
    pub fn one(each: Want) -> Self {
        Self { gpus: 1, each }
    }

    /// What a stage asks for: shares if it says how much GPU memory it needs.
    pub fn of(resources: &Resources) -> Self {
        let each = resources.gpu_memory.map_or(Want::Whole, Want::Share);
        Self { gpus: resources.gpus, each }
    }

    pub(super) fn count(self) -> usize {
        self.gpus.max(1) as usize
    }
}

/// Nothing could be had now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Busy {
    /// Who is in the way.
    pub holders: Vec<Holder>,
}

/// Who has a lease, or is to have one before others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Index of the GPU.
    pub gpu: u32,
    /// `process 123 on host, task X`, with its share if it has one.
    pub name: String,
    /// Whether it has no lease yet but stands in line before.
    pub waits: bool,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, holder) in self.holders.iter().enumerate() {
            let before = if i == 0 { "" } else { "; " };
            let how = if holder.waits { "waited for" } else { "held" };
            write!(f, "{before}GPU {} is {how} by {}", holder.gpu, holder.name)?;
        }
        Ok(())
    }
}
