//! The growing output of `infer` with a record of which groups are in it, so that an attempt goes on where
//! the one before it was ended.
//!
//! The record names what it belongs to and, per chunk, the checksum of its values: whatever a crash left of
//! either file, only what is really there counts. Both files are made durable every two seconds, values
//! first, while others compute; of what a killed process wrote before that, nothing is lost either.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use num_complex::Complex32;
use serde::{Deserialize, Serialize};

use super::verdict::Verdict;
use crate::diag::StageResult;
use crate::io::digest::Digest;
use crate::io::lines::{self, Appender};
use crate::io::npz::GrowingNpz;
use crate::io::{Fault, FileError, disk};
use crate::ptycho::polar;

/// Time between two flushes to disk. More often would cost much where chunks are tiny.
pub(super) const FLUSH: Duration = Duration::from_secs(2);

/// What the groups in a record were computed from. Another network, scan, library or device gives other bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// Content of the dataset.
    pub data: Digest,
    /// Content of the model file.
    pub model: Digest,
    /// Build of the ONNX Runtime library.
    pub runtime: String,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Factor on the amplitudes, its bits.
    pub factor: u32,
    /// Groups in all, images of a group, side of a patch.
    pub shape: [usize; 3],
}

/// A line of the record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    For(Origin),
    /// Groups that were computed together; they begin where the ones before them end.
    Done {
        /// Groups up to this one are there.
        to: usize,
        /// CRC-32 of their values.
        crc: u32,
        /// What was seen in all patches up to here.
        verdict: Verdict,
    },
}

/// Where the output and its record are.
pub(super) struct Files {
    patches: PathBuf,
    record: PathBuf,
}

impl Files {
    /// Makes durable what has been written so far: patches before the record, whose checksums tell if a power cut
    /// came in between.
    pub fn sync(&self) -> StageResult {
        for path in [&self.patches, &self.record] {
            let synced = File::open(path).and_then(|file| disk::sync(&file));
            synced.map_err(|e| FileError::new(path, Fault::from(e)))?;
        }
        Ok(())
    }
}

/// The output on its way.
pub(super) struct Output {
    npz: GrowingNpz,
    record: Appender,
    done: usize,
    verdict: Verdict,
    bytes: Vec<u8>,
}

impl Output {
    /// Begins `path`, or goes on with what an earlier attempt on the same `origin` left of it.
    pub fn open(path: &Path, origin: &Origin) -> StageResult<Self> {
        let [groups, channels, n] = origin.shape;
        let group = (channels * n * n * size_of::<Complex32>()) as u64;
        let total = groups as u64 * group;
        let mut npz = GrowingNpz::open(path, "patches", "<c8", &[groups * channels, n, n], total)?;
        let record = record(path);
        let fault = |e: std::io::Error| FileError::new(&record, Fault::from(e));
        let (mut done, mut verdict) = (0, Verdict::default());
        for (to, crc, seen) in read(&record, origin).map_err(fault)? {
            let known = done < to && to <= groups;
            if !known || npz.checksum(done as u64 * group, to as u64 * group).map_err(fault)? != Some(crc) {
                break;
            }
            (done, verdict) = (to, seen);
        }
        npz.keep(done as u64 * group)?;
        let mut lines = Appender::new(&record);
        if done == 0 {
            forget(&record).map_err(fault)?;
            lines.push(&Line::For(origin.clone())).and_then(|()| lines.flush()).map_err(fault)?;
        }
        Ok(Self { npz, record: lines, done, verdict, bytes: Vec::new() })
    }

    /// Groups that are there.
    pub fn done(&self) -> usize {
        self.done
    }

    /// What was seen in them.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Appends one patch of the groups that follow.
    pub fn patch(&mut self, amplitude: &[f32], phase: &[f32]) -> StageResult {
        self.bytes.clear();
        polar::append(amplitude, phase, &mut self.bytes);
        Ok(self.npz.append(&self.bytes)?)
    }

    /// Records that the groups before `to` are there.
    pub fn are_whole(&mut self, to: usize, verdict: Verdict) -> StageResult {
        (self.done, self.verdict) = (to, verdict);
        self.record.push(&Line::Done { to, crc: self.npz.take_checksum(), verdict })?;
        Ok(self.record.flush()?)
    }

    /// The files, for a thread that makes them durable while others go on writing.
    pub fn files(&self) -> Files {
        Files { patches: self.npz.part().to_owned(), record: self.record.path().to_owned() }
    }

    /// Completes the file with the places of the patches.
    pub fn finish(mut self, x: &[f64], y: &[f64]) -> StageResult {
        self.npz.vector("xcoords", x)?;
        self.npz.vector("ycoords", y)?;
        self.npz.finish()?;
        Ok(forget(self.record.path())?)
    }

    /// Removes what is there: it cannot be used.
    pub fn discard(self) -> StageResult {
        self.npz.discard()?;
        Ok(forget(self.record.path())?)
    }
}

/// The record beside an output.
fn record(output: &Path) -> PathBuf {
    output.with_added_extension("done")
}

fn forget(record: &Path) -> std::io::Result<()> {
    match disk::remove_file(record) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The chunks of a record that belongs to `origin`; none if it belongs to another.
fn read(record: &Path, origin: &Origin) -> std::io::Result<Vec<(usize, u32, Verdict)>> {
    let (mut ours, mut chunks) = (false, Vec::new());
    lines::each(record, |json| match serde_json::from_slice(json) {
        Ok(Line::For(other)) => ours = other == *origin,
        Ok(Line::Done { to, crc, verdict }) if ours => chunks.push((to, crc, verdict)),
        _ => {}
    })?;
    Ok(chunks)
}
