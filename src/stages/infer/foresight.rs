//! How much memory inference will take, and how many groups at a time therefore.
//!
//! A session's memory is a line over the chunk: so much whatever happens, so much per group. The line comes
//! from the shapes in the model's file, which is roughly right; or, once the model has run with this
//! library, from what its arena said then, which is right to a fraction of a percent.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chunks::{self, Chunk};
use super::{library, stream};
use crate::diag::{StageError, StageResult};
use crate::io::digest::Digest;
use crate::nn::onnx;
use crate::stages::Device;

/// Share of the limit that is left free: allocators round up, and threads have stacks.
const MARGIN: u64 = 16;

/// Memory of a process that has loaded the library and nothing else, bytes: for forecasts before the first
/// run, measured with ONNX Runtime 1.32, as is all that follows.
const BARE: u64 = 44 << 20;

/// The library's part of that, for a process that has other things to do.
pub const LOADING_BARE: u64 = 32 << 20;

/// What loading a model takes at its peak, in bytes per byte of weights: the file, the parsed weights, and
/// those in the layout of the convolutions.
const LOADING: u64 = 3;

/// Percent of what lives at the same time that an arena holds: freed blocks that fit nobody stay held.
const HELD: u64 = 130;

/// Memory of a model with a library on a device, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appetite {
    /// The session's, whatever the chunk.
    pub fixed: u64,
    /// The session's, for every group more.
    pub per_group: u64,
    /// What the process has resident besides: program, library, dataset's positions.
    pub base: u64,
    /// Resident peak while the model is loaded.
    pub loading: u64,
    /// C·N²: pixels of a group.
    pub pixels: u64,
    /// Measured with this very library rather than derived from shapes.
    pub measured: bool,
}

impl Appetite {
    /// From the shapes in the model's file.
    ///
    /// # Errors
    /// `Input` if the file cannot be read or is no such model.
    pub fn of_model(model: &Path) -> StageResult<Self> {
        let wrong = |why: String| StageError::input(format!("model {}: {why}", model.display()));
        let bytes = std::fs::read(model).map_err(|e| wrong(e.to_string()))?;
        Self::of_bytes(bytes).map_err(wrong)
    }

    /// The same of a file's bytes.
    ///
    /// # Errors
    /// Says why they are no such model.
    pub fn of_bytes(model: Vec<u8>) -> Result<Self, String> {
        let found = onnx::footprint(model)?;
        Ok(Self {
            // Weights are outside the arena, and so belong to the process.
            fixed: (found.fixed - found.weights) / 100 * HELD,
            per_group: found.per_sample * HELD / 100,
            base: BARE + found.weights,
            loading: BARE + LOADING * found.weights,
            pixels: (found.channels * found.n * found.n) as u64,
            measured: false,
        })
    }

    /// What was learnt of the model earlier, under a key of [`key`].
    pub fn recall(facts: &BTreeMap<String, Value>, key: &str) -> Option<Self> {
        serde_json::from_value(facts.get(key)?.clone()).ok()
    }

    /// The session's memory for chunks of that size out of `groups`.
    pub fn session(&self, chunk: usize, groups: usize) -> u64 {
        let batch = super::session::batch(chunks::at_once(chunk, groups));
        self.fixed.saturating_add(self.per_group.saturating_mul(batch as u64))
    }

    /// What the stage holds itself for chunks of that size out of `groups`.
    pub fn buffers(&self, chunk: usize, groups: usize) -> u64 {
        stream::buffer_bytes(chunk, groups, self.pixels as usize)
    }

    /// The process's resident peak for chunks of that size out of `groups`. On a CUDA device the session's
    /// own memory is there.
    pub fn peak(&self, chunk: usize, groups: usize, device: Device) -> u64 {
        let session = if device == Device::Cpu { self.session(chunk, groups) } else { 0 };
        self.base.saturating_add(session).saturating_add(self.buffers(chunk, groups)).max(self.loading)
    }
}

/// What there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Where it computes.
    pub device: Device,
    /// Most bytes that the process may hold; without a limit everything fits.
    pub host: Option<u64>,
    /// The same of the CUDA device.
    pub on_device: Option<u64>,
}

impl Room {
    /// What must stay free of the host's limit.
    fn margin(&self) -> u64 {
        self.host.map_or(0, |limit| limit / MARGIN)
    }

    fn holds(&self, appetite: &Appetite, chunk: usize, groups: usize) -> bool {
        let within = |need: u64, limit: Option<u64>| limit.is_none_or(|limit| need <= limit - limit / MARGIN);
        let on_device = self.device == Device::Cpu || within(appetite.session(chunk, groups), self.on_device);
        on_device && within(appetite.peak(chunk, groups, self.device), self.host)
    }
}

/// What inference will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Foresight {
    /// Groups at a time; 0 if not even one fits.
    pub chunk: usize,
    /// The process's resident peak with that chunk, bytes; with one group, if not even one fits.
    pub predicted_peak: u64,
    /// What must stay free of the limit, bytes.
    pub margin: u64,
    /// Whether the peak and the margin are within the limit.
    pub fits: bool,
    /// Whether the forecast rests on an earlier run and not on shapes alone.
    pub measured: bool,
}

/// The key under which [`Report::Learnt`](crate::stages::Report) remembers a model's [`Appetite`].
pub fn key(model: &Digest, library: &Path, device: Device, threads: usize) -> String {
    let provider = match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
    };
    format!("memory/{}/{provider}/{threads}/{}", model.short(), library::label(library))
}

/// Foresees the inference of `groups` groups, without running anything.
///
/// `asked` is what the study says, `most` what is left of it after earlier attempts ran out of memory.
pub fn foresee(appetite: &Appetite, groups: usize, room: Room, asked: Chunk, most: Option<u64>) -> Foresight {
    choose(appetite, groups, room, chunks::bounds(asked, most, groups, room.device))
}

/// The largest chunk for which there is room, within `bounds`.
pub(super) fn choose(appetite: &Appetite, groups: usize, room: Room, bounds: chunks::Bounds) -> Foresight {
    let fits = |chunk: usize| room.holds(appetite, chunk, groups);
    let most = bounds.most.max(1);
    let chunk = match bounds.shrinks {
        true if !fits(most) => {
            // What is needed grows with the chunk.
            let (mut low, mut high) = (0, most);
            while high - low > 1 {
                let middle = low.midpoint(high);
                if fits(middle) { low = middle } else { high = middle }
            }
            low
        }
        _ => most,
    };
    let chunk = chunks::even(groups, chunk);
    Foresight {
        chunk,
        predicted_peak: appetite.peak(chunk.max(1), groups, room.device),
        margin: room.margin(),
        fits: chunk > 0 && fits(chunk),
        measured: appetite.measured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Appetite =
        Appetite { fixed: 1000, per_group: 100, base: 5000, loading: 6500, pixels: 1, measured: true };

    fn chosen(groups: usize, budget: u64, asked: Chunk, most: Option<u64>) -> Foresight {
        let room = Room { device: Device::Cpu, host: Some(budget), on_device: None };
        choose(&SMALL, groups, room, chunks::bounds(asked, most, groups, Device::Cpu))
    }

    #[test]
    fn the_largest_chunk_that_fits_is_taken() {
        let auto = Chunk::default();
        let many: Chunk = serde_json::from_str("64").unwrap();
        // 20 in hand, 10 at once: 5000 + 1000 + 10·(100 + 4·6) = 7240 and a sixteenth to spare.
        let seen = chosen(1000, 7723, many, None);
        assert_eq!((seen.chunk, seen.predicted_peak, seen.margin, seen.fits), (20, 7240, 482, true));
        assert_eq!(chosen(1000, 7721, many, None).chunk, 18);
        assert_eq!(chosen(1000, u64::MAX, auto, None).chunk, 8);
        assert_eq!(chosen(1000, u64::MAX, auto, Some(4)).chunk, 4);
        assert_eq!(chosen(7, u64::MAX, auto, None).chunk, 7);
    }

    #[test]
    fn a_device_has_a_limit_of_its_own() {
        let room = Room { device: Device::Cuda(0), host: Some(9046), on_device: Some(2000) };
        let seen = choose(&SMALL, 1000, room, chunks::bounds(Chunk::default(), None, 1000, Device::Cuda(0)));
        // 1000 + 8·100 of 2000 less a sixteenth for 16 in hand; the host holds the buffers only.
        assert_eq!((seen.chunk, seen.predicted_peak, seen.fits), (16, 6500, true));
    }

    #[test]
    fn all_is_tried_unless_it_has_failed_before() {
        let all: Chunk = serde_json::from_str("\"all\"").unwrap();
        let seen = chosen(1000, 9046, all, None);
        assert_eq!((seen.chunk, seen.fits), (1000, false));
        assert_eq!(chosen(1000, 9046, all, Some(500)).chunk, 40);
    }

    #[test]
    fn loading_counts_and_nothing_fits_into_too_little() {
        let seen = chosen(10, 6600, Chunk::default(), None);
        assert_eq!((seen.chunk, seen.predicted_peak, seen.fits), (0, 6500, false));
        assert_eq!(chosen(10, 7000, Chunk::default(), None).chunk, 8);
    }
}
