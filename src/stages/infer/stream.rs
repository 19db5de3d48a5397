//! Groups through the network: while some compute, the next are read, the ones before them written, and what was
//! written made durable, each by a thread of its own. Two buffers each way are all the memory it takes, however many groups there are.
//!
//! A chunk is what is in hand and not on record yet, so that a process killed at any moment has no more than one
//! chunk to do again: one half computes while the other is written. To write a chunk as a whole before the next is
//! begun would promise the same and leave a fast device idle meanwhile.

use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

use ndarray::{ArrayView2, ArrayView4, s};

use super::checkpoint::{FLUSH, Files, Output};
use super::chunks::{at_once, split};
use super::landing::Landing;
use super::session::{self, Model};
use crate::diag::{FailureClass, StageError, StageResult};
use crate::ptycho::dataset::Patterns;
use crate::stages::Context;

/// Buffers of patterns: one in use, one being filled.
const BUFFERS: usize = 2;

/// What flows: patterns, by group.
pub(super) struct Source<'a> {
    /// The scan's patterns.
    pub patterns: &'a Patterns,
    /// (G, C): image indices of each group.
    pub members: ArrayView2<'a, u32>,
    /// Factor on the amplitudes, of the whole dataset.
    pub factor: f32,
}

/// What the network says of some groups.
struct Predicted {
    groups: Range<usize>,
    outputs: Landing,
}

/// Bytes that buffers take for chunks of that many groups out of `left`, each group `pixels` = C·N² pixels.
pub(super) fn buffer_bytes(chunk: usize, left: usize, pixels: usize) -> u64 {
    let (inputs, outputs) = buffers(chunk, left);
    let values = session::batch(at_once(chunk, left)) * pixels;
    ((inputs + 2 * outputs) * values * size_of::<f32>()) as u64
}

/// Buffers for patterns and for what becomes of them. A chunk of a single group has no halves: the next is not
/// begun before it is on record.
fn buffers(chunk: usize, left: usize) -> (usize, usize) {
    let inputs = if chunk < left { BUFFERS } else { 1 };
    (inputs, inputs.min(chunk).max(1))
}

/// Runs the groups that `output` lacks, `chunk` in hand at a time, and appends their patches.
pub(super) fn run(
    cx: &mut Context<'_>,
    model: &mut Model,
    source: &Source<'_>,
    chunk: usize,
    output: &mut Output,
) -> StageResult {
    let groups = output.done()..source.members.nrows();
    let (total, left) = (groups.end as u64, groups.len());
    let at_once = at_once(chunk, left);
    let values = session::batch(at_once) * source.pixels();
    let (inputs, outputs) = buffers(chunk, left);
    let ranges = split(groups, at_once);
    // Each way the full buffers travel and the empty ones come back; nobody waits for room.
    let channel = || sync_channel::<Gathered>(BUFFERS);
    let ((to_model, gathered), (give_input, spare_inputs)) = (channel(), channel());
    let channel = || sync_channel::<Predicted>(BUFFERS);
    let ((to_disk, predicted), (give_output, spare_outputs)) = (channel(), channel());
    // A channel with room and both ends here takes what it is given.
    for _ in 0..inputs {
        let _ = give_input.send((0..0, reserve(values)?));
    }
    for _ in 0..outputs {
        let outputs = Landing::new(at_once, model.meta())?;
        let _ = give_output.send(Predicted { groups: 0..0, outputs });
    }
    thread::scope(|scope| {
        let (plan, files) = (ranges.clone(), output.files());
        let (ended, end) = sync_channel::<()>(0);
        let reader = spawn(scope, "read", move || read(source, plan, spare_inputs, to_model))?;
        let writer = spawn(scope, "write", move || write(source, output, predicted, give_output))?;
        let syncer = spawn(scope, "sync", move || sync(&files, end))?;
        let computed = (|| {
            for range in ranges {
                // It comes back when its groups are on record. If one of the others has ended instead, its own
                // error says why.
                let Ok(mut to) = spare_outputs.recv() else { break };
                if syncer.is_finished() {
                    break;
                }
                cx.progress(range.start as u64, total, "groups", None);
                if cx.is_stopping() {
                    return Err(StageError::new(
                        FailureClass::Signal,
                        format!("asked to end after {} of {total} groups, which are kept", range.start),
                    ));
                }
                let Ok((groups, input)) = gathered.recv() else { break };
                // Memory that runs out here is of class `OutOfMemory`: the place where smaller chunks help.
                model.run_into(&input, &mut to.outputs)?;
                to.groups = groups.clone();
                let _ = give_input.send((groups, input));
                if to_disk.send(to).is_err() {
                    break;
                }
            }
            Ok(())
        })();
        // All end when there is nothing more to come or to give to.
        drop((gathered, give_input, to_disk, spare_outputs, ended));
        let (read, written, synced) = (join(reader), join(writer), join(syncer));
        computed.and(written).and(read).and(synced)
    })?;
    cx.progress(total, total, "groups", None);
    Ok(())
}

impl Source<'_> {
    /// C·N².
    fn pixels(&self) -> usize {
        self.members.ncols() * self.patterns.side() * self.patterns.side()
    }

    /// The network's input for some groups: amplitudes times the factor, [group, member, row, col].
    ///
    /// The factor is rounded to f32 first, as in training.
    pub fn gather(&self, groups: Range<usize>, bytes: &mut Vec<u8>, to: &mut [f32]) -> StageResult {
        let image = self.patterns.side() * self.patterns.side();
        let members = self.members.slice_move(s![groups, ..]);
        for (&member, plane) in members.iter().zip(to.chunks_exact_mut(image)) {
            self.patterns.read(member as usize, bytes, plane)?;
            plane.iter_mut().for_each(|value| *value *= self.factor);
        }
        Ok(())
    }
}

/// Memory for so many values, all of it touched, or an error that says that there is none.
pub(super) fn reserve(values: usize) -> StageResult<Vec<f32>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(values).map_err(|_| {
        session::out_of_memory(format!("{} bytes for a chunk cannot be had", values * size_of::<f32>()))
    })?;
    // By hand: zeros from the system would come page by page, and perhaps too late.
    buffer.resize(values, 0.0);
    Ok(buffer)
}

type Gathered = (Range<usize>, Vec<f32>);

// Both threads own their ends of the channels, so that whoever fails is noticed by the others.
#[allow(clippy::needless_pass_by_value)]
fn read(
    source: &Source<'_>,
    ranges: Vec<Range<usize>>,
    spare: Receiver<Gathered>,
    to: SyncSender<Gathered>,
) -> StageResult {
    let mut bytes = Vec::new();
    for range in ranges {
        let Ok((_, mut input)) = spare.recv() else { break };
        source.gather(range.clone(), &mut bytes, &mut input)?;
        if to.send((range, input)).is_err() {
            break;
        }
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value)]
fn write(
    source: &Source<'_>,
    output: &mut Output,
    from: Receiver<Predicted>,
    spare: SyncSender<Predicted>,
) -> StageResult {
    let (channels, n) = (source.members.ncols(), source.patterns.side());
    let mut verdict = output.verdict();
    for predicted in from {
        let Predicted { groups, outputs } = &predicted;
        let [amplitude, phase] = outputs.values();
        let shape = (groups.len(), channels, n, n);
        let values = groups.len() * source.pixels();
        // The network saw a whole batch, with whatever was there behind the last groups.
        let [amplitude, phase] = [amplitude, phase].map(|all| &all[..values.min(all.len())]);
        let view = |values| {
            ArrayView4::from_shape(shape, values)
                .map_err(|e| StageError::check(format!("a chunk's output: {e}")))
        };
        verdict.add(groups.start, view(amplitude)?, view(phase)?)?;
        let patch = n * n;
        for (amplitude, phase) in amplitude.chunks_exact(patch).zip(phase.chunks_exact(patch)) {
            output.patch(amplitude, phase)?;
        }
        output.are_whole(groups.end, verdict)?;
        let _ = spare.send(predicted);
    }
    Ok(())
}

/// Makes the output durable now and then, until the other end of `end` is dropped. A disk takes its time over it,
/// in which the next groups can be written.
#[allow(clippy::needless_pass_by_value)]
fn sync(files: &Files, end: Receiver<()>) -> StageResult {
    while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(FLUSH) {
        files.sync()?;
    }
    Ok(())
}

fn spawn<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> StageResult + Send + 'scope,
) -> StageResult<thread::ScopedJoinHandle<'scope, StageResult>> {
    Ok(thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work)?)
}

fn join(thread: thread::ScopedJoinHandle<'_, StageResult>) -> StageResult {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
