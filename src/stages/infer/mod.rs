//! Stage kind `infer`: a trained network predicts object patches from diffraction patterns.
//!
//! The order matters: the normalisation comes from the whole dataset, groups are formed over the whole
//! scan, and only then the groups are cut into chunks. A chunk size therefore changes memory and time and
//! not one bit of the result. (Chunking images before grouping would join images that are far apart.)
//!
//! Neither the scan nor the result is ever held: patterns are read and patches written as chunks pass through
//! (`stream`), as large as memory allows (`foresight`), and what is finished outlives the process
//! (`checkpoint`).

mod adapted;
mod arena;
mod checkpoint;
mod chunks;
mod contract;
mod foresight;
mod landing;
mod library;
mod normalise;
mod probe;
mod session;
mod stream;
mod verdict;

use std::path::Path;
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use chunks::{Chunk, Word};
pub use contract::{ModelMeta, Normalisation, check_file};
pub use foresight::{Appetite, Foresight, LOADING_BARE, Room, foresee, key};
pub use library::{OLDEST_MINOR, Provider, Providers, providers};
pub use normalise::rms_factor;
pub use session::{Limits, Model};

use super::{Context, Device, Stage};
use crate::diag::{FailureClass, StageError, StageResult};
use crate::io::digest::Digest;
use crate::kind::{Arity, Kind, Output, Slot};
use crate::nn::onnx::Adapter;
use crate::os;
use crate::ptycho::dataset::{Dataset, Patterns};
use crate::ptycho::groups;
use checkpoint::Origin;
use normalise::Energy;
use stream::Source;

/// The `infer` stage.
pub struct Infer;

/// Parameters of `infer`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Groups in hand at a time, of which one half goes through the network while the other is written: a
    /// number, fewer where memory is short; `auto`, as many as are of use and fit; or `all` through the network
    /// at once, whether they fit or not. Never changes the result; a process that is killed has at most one
    /// chunk to do again.
    #[serde(default)]
    pub chunk: Chunk,
    /// How a model that was trained elsewhere is laid out, for one that does not fit the contract of
    /// `docs/models.md` by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<Adapter>,
}

/// A scan, its patterns on disk, and what holds for all of it.
struct Scan {
    about: Dataset,
    patterns: Patterns,
    energy: Energy,
}

impl Stage for Infer {
    fn kind(&self) -> Kind {
        Kind {
            name: "infer",
            version: 2,
            summary: "predict object patches from diffraction patterns with a trained network",
            inputs: &[
                Slot { name: "data", arity: Arity::One, doc: "dataset (NPZ)" },
                Slot { name: "model", arity: Arity::One, doc: "trained network (ONNX)" },
            ],
            outputs: &[Output {
                name: "patches",
                file: "patches.npz",
                doc: "complex object patches with the absolute centre of each",
            }],
            params: || schemars::schema_for!(Params),
            tuning: &["chunk"],
            seeded: false,
            needs_runtime: true,
            resumes: true,
            open: false,
        }
    }

    fn run(&self, cx: &mut Context<'_>) -> StageResult {
        let params: Params = cx.params()?;
        let job = cx.job();
        let runtime = job.runtime.as_deref().ok_or_else(|| {
            StageError::new(FailureClass::Runtime, "the task was given no ONNX Runtime library")
        })?;
        // From the beginning, so that a forecast can tell what will be resident.
        os::give_back_freed_memory();
        let (data, given) = (cx.input("data")?, cx.input("model")?);
        let scan = Scan::open(data, &job.staging)?;
        let write = |a: &Adapter| adapted::write(a, given, scan.patterns.side(), &job.staging);
        let own = params.adapter.as_ref().map(write);
        let own = own.transpose()?;
        let model_path = own.as_deref().unwrap_or(given);
        let images = scan.about.len();
        let digests = Digests::of(data, model_path)?;
        let key = key(&digests.model, runtime, job.device, job.threads);

        let room = room(cx);
        let bounds = chunks::bounds(params.chunk, job.chunk, images, job.device);
        // A file that tells no shapes is refused by name when it is loaded.
        let known = Appetite::recall(&job.facts, &key);
        let guess = known.or_else(|| Appetite::of_model(model_path).ok());
        let limits = probe::limits(guess.as_ref(), images, room, bounds).inspect_err(|_| {
            // Told even so: a later attempt is given less.
            cx.chunk(bounds.most as u64, "groups", guess.map(|g| g.peak(bounds.most, images, job.device)));
        })?;
        let start = Instant::now();
        let mut model = Model::load_within(runtime, model_path, job.threads, job.device, limits)?;
        cx.measure("model_load_s", start.elapsed().as_secs_f64());
        scan.check_fits(data, model.meta())?;
        // One group around every image.
        let members = groups::around_every_image(&scan.about.x, &scan.about.y, model.meta().channels)?;
        let factor = match model.meta().normalisation {
            Normalisation::Rms => scan.energy.factor(scan.patterns.side())?,
            Normalisation::None => 1.0,
        };
        cx.measure("images", images);
        cx.measure("groups", members.nrows());
        cx.measure("normalisation_factor", factor);
        let source = Source { patterns: &scan.patterns, members: members.view(), factor: factor as f32 };
        let appetite = match known {
            Some(known) => probe::now(known, &model)?,
            None => {
                let measured = probe::measure(&mut model, &source)?;
                cx.learnt(key, serde_json::to_value(measured).unwrap_or_default());
                measured
            }
        };

        let origin = origin(cx, digests, runtime, &source);
        let mut output = checkpoint::Output::open(&cx.output("patches")?, &origin)?;
        if output.done() > 0 {
            cx.log(format!("{} of {images} groups are there already", output.done()));
        }
        let chunk = decide(cx, &appetite, images - output.done(), room, limits, bounds)?;
        let start = Instant::now();
        let verdict = stream::run(cx, &mut model, &source, chunk, &mut output)
            .and_then(|()| output.verdict().report(cx));
        cx.measure("inference_s", start.elapsed().as_secs_f64());
        match verdict {
            Ok(()) => {}
            Err(error) if error.class == FailureClass::Check => {
                output.discard()?;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        let place =
            |centres: &[f64]| members.iter().map(|&image| centres[image as usize]).collect::<Vec<f64>>();
        output.finish(&place(&scan.about.x), &place(&scan.about.y))?;
        if let Some(own) = &own {
            crate::io::disk::remove_file(own)?;
        }
        Ok(())
    }
}

/// What the two inputs are.
struct Digests {
    data: Digest,
    model: Digest,
}

impl Digests {
    fn of(data: &Path, model: &Path) -> StageResult<Self> {
        let model = Digest::of_file(model)
            .map_err(|e| StageError::input(format!("model {}: {e}", model.display())))?;
        Ok(Self { data: Digest::of_file(data)?, model })
    }
}

impl Scan {
    /// Opens a dataset and looks at all its values once.
    fn open(path: &Path, staging: &Path) -> StageResult<Self> {
        let (about, patterns) = Dataset::open(path, &staging.join("patterns.f32"))?;
        let mut energy = Energy::default();
        patterns.check(path, |image| energy.add(image.iter()))?;
        Ok(Self { about, patterns, energy })
    }

    /// Whether its patterns are those of the network.
    fn check_fits(&self, path: &Path, meta: &ModelMeta) -> StageResult {
        let (side, n) = (self.patterns.side(), meta.n);
        if side == n {
            return Ok(());
        }
        Err(StageError::input(format!(
            "{} holds patterns of {side}×{side} pixels, but the model was made for {n}×{n}",
            path.display()
        )))
    }
}

/// The memory there is: what the task was promised, else what is free.
fn room(cx: &Context<'_>) -> Room {
    let job = cx.job();
    let free = || Some(os::free_memory()?.saturating_add(os::resident_memory()?));
    Room { device: job.device, host: job.memory.or_else(free), on_device: job.gpu_memory }
}

fn origin(cx: &Context<'_>, digests: Digests, runtime: &Path, source: &Source<'_>) -> Origin {
    let Digests { data, model } = digests;
    let device = if cx.job().device == Device::Cpu { "cpu" } else { "cuda" }.to_owned();
    let (groups, channels) = source.members.dim();
    Origin {
        data,
        model,
        runtime: library::label(runtime),
        device,
        factor: source.factor.to_bits(),
        shape: [groups, channels, source.patterns.side()],
    }
}

/// Groups at a time, told before they are held; an error if not even one fits.
fn decide(
    cx: &mut Context<'_>,
    appetite: &Appetite,
    groups: usize,
    room: Room,
    limits: Limits,
    bounds: chunks::Bounds,
) -> StageResult<usize> {
    let bounds = probe::within(appetite, bounds, groups, limits);
    let seen = foresight::choose(appetite, groups, probe::without_stacks(room), bounds);
    if bounds.shrinks && !seen.fits && groups > 0 {
        return Err(probe::too_little(appetite, groups, 1, room));
    }
    let told = os::peak_memory().map_or(seen.predicted_peak, |peak| peak.max(seen.predicted_peak));
    cx.chunk(seen.chunk as u64, "groups", Some(told));
    cx.measure("chunk", seen.chunk);
    cx.measure("predicted_peak_bytes", told);
    Ok(seen.chunk)
}
