//! What a session's memory really is: asked of its arena after two small runs.

use super::chunks::Bounds;
use super::foresight::{Appetite, Room, choose};
use super::session::{self, Limits, Model};
use super::stream::{Source, reserve};
use crate::diag::{FailureClass, StageError, StageResult};
use crate::os;
use crate::stages::Device;

/// Groups of the two runs: the memory in use at the peak is linear in between and beyond.
const PROBES: [usize; 2] = [2, 8];

/// Room for thread stacks that do not exist yet, bytes of address space.
const STACKS: u64 = 8 << 20;

/// Least memory for a session: anything less is an error of the estimate.
const LEAST: u64 = 16 << 20;

/// Memory limits for a session, before it exists: what the room leaves beside the process and its buffers.
pub(super) fn limits(
    guess: Option<&Appetite>,
    groups: usize,
    room: Room,
    bounds: Bounds,
) -> StageResult<Limits> {
    let Some(guess) = guess else { return Ok(Limits { host: room.host, device: room.on_device }) };
    // With one at least: whether that fits is known better when the session is there.
    let chunk = choose(guess, groups, room, bounds).chunk.max(1);
    let beside = guess.base.max(os::resident_memory().unwrap_or(0)) + guess.buffers(chunk, groups);
    // A model that took more than the limit while it was loaded will do so again.
    let loading = if guess.measured { guess.loading } else { 0 };
    let least = if bounds.shrinks { loading } else { beside.max(loading) };
    if room.host.is_some_and(|limit| least >= limit) {
        return Err(too_little(guess, groups, chunk, room));
    }
    let host = room.host.map(|limit| limit.saturating_sub(beside).max(LEAST));
    Ok(Limits { host: host.filter(|_| room.device == Device::Cpu), device: room.on_device })
}

/// Runs the model on the first groups and tells what it takes.
///
/// # Errors
/// `OutOfMemory` if not even the smallest run succeeds.
pub(super) fn measure(model: &mut Model, source: &Source<'_>) -> StageResult<Appetite> {
    let loading = os::peak_memory().unwrap_or(0);
    let (groups, channels) = source.members.dim();
    let pixels = channels * source.patterns.side() * source.patterns.side();
    let [few, many] = PROBES;
    let mut input = reserve(many * pixels)?;
    let mut bytes = Vec::new();
    for (i, group) in input.chunks_exact_mut(pixels).enumerate() {
        let at = i % groups.max(1);
        source.gather(at..at + 1, &mut bytes, group)?;
    }
    // What the arena holds, not what is in use: blocks that fit nobody stay held. All is given back in between, so
    // that the second run finds nothing of the first to use.
    let held = |model: &Model| Ok::<u64, StageError>(model.memory()?.held);
    let empty = held(model)?;
    model.probe(few, &input, false)?;
    let first = held(model)? - empty;
    model.probe(few, &input, true)?;
    let left = held(model)?;
    let (fixed, per_group) = match model.probe(many, &input, false) {
        Ok(()) => {
            let second = held(model)?.saturating_sub(left);
            let per_group = second.saturating_sub(first).div_ceil((many - few) as u64);
            (first.saturating_sub(per_group * few as u64), per_group)
        }
        // What is left is little: a line from nothing is steeper than the true one.
        Err(e) if e.class == FailureClass::OutOfMemory => (0, first.div_ceil(few as u64)),
        Err(e) => return Err(e),
    };
    model.probe(few, &input, true)?;
    drop(input);
    let appetite = Appetite { fixed, per_group, base: 0, loading, pixels: pixels as u64, measured: true };
    now(appetite, model)
}

/// The same appetite in this process: what is resident beside the session is looked up.
pub(super) fn now(appetite: Appetite, model: &Model) -> StageResult<Appetite> {
    os::give_back_freed_memory();
    let held = if model.is_on_host() { model.memory()?.held } else { 0 };
    let base = os::resident_memory().map_or(appetite.base, |resident| resident.saturating_sub(held));
    Ok(Appetite { base, ..appetite })
}

/// The chunks for which the session's limit, set before its appetite was known, leaves room.
pub(super) fn within(appetite: &Appetite, bounds: Bounds, groups: usize, limits: Limits) -> Bounds {
    let Some(limit) = limits.host.filter(|_| bounds.shrinks) else { return bounds };
    let at_once = limit.saturating_sub(appetite.fixed) / appetite.per_group.max(1);
    let at_once = usize::try_from(at_once).unwrap_or(usize::MAX);
    // All at once, or half of a chunk that is not all.
    let most = if at_once >= groups { groups } else { (2 * at_once).min(groups - 1) };
    Bounds { most: bounds.most.min(most), ..bounds }
}

/// A limit may count what may be written rather than what was (stacks, above all): the room without that.
pub(super) fn without_stacks(room: Room) -> Room {
    let resident = os::resident_memory().unwrap_or(0);
    let beyond = os::data_memory().unwrap_or(0).saturating_add(STACKS).saturating_sub(resident);
    Room { host: room.host.map(|limit| limit.saturating_sub(beyond)), ..room }
}

/// The error for a chunk that cannot fit: what it needs, and what there is.
pub(super) fn too_little(appetite: &Appetite, groups: usize, chunk: usize, room: Room) -> StageError {
    let mib = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
    let there =
        room.host.map_or("the device has too little".to_owned(), |limit| format!("there are {}", mib(limit)));
    let need = mib(appetite.peak(chunk, groups, room.device));
    let what =
        if chunk == 1 { "a single group at a time".to_owned() } else { format!("{chunk} groups at once") };
    session::out_of_memory(format!("inference of {what} needs {need}, and {there}"))
}
