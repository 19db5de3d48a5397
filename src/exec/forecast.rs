//! How much memory the tasks of a plan will take, foreseen from what is there: for `plan`, which runs nothing.
//!
//! Files are opened only for tasks that would run, and each only once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::job::merged;
use super::rescuing::Rescues;
use crate::cache::{Layout, StoreError};
use crate::io::digest::Digest;
use crate::os;
use crate::plan::{Basis, Foreseen, Need, Outlook, Plan, Source, Task};
use crate::ptycho::dataset::Dataset;
use crate::stages::infer::{self, Appetite, Chunk, Room, Word};
use crate::stages::{Device, simulate, train};
use crate::study::DeviceKind;

/// The kinds whose memory can be foreseen.
const INFER: &str = "infer";
const TRAIN: &str = "train";

/// Stands for a number of groups that is not known yet, but surely more than go through memory at a time.
const MANY: usize = 1 << 32;

/// The forecasts for all tasks that would run and whose memory can be foreseen.
///
/// `cores` is what a run would use; `runtime` finds the ONNX Runtime library, and is asked only if need be.
///
/// # Errors
/// If what earlier runs have learnt cannot be read. A model or dataset that cannot be read is a forecast
/// that is not known.
pub fn foresee(
    plan: &Plan,
    layout: &Layout,
    outlook: &[Outlook],
    cores: u32,
    runtime: impl FnOnce() -> Option<PathBuf>,
) -> Result<BTreeMap<usize, Need>, StoreError> {
    let tasks: Vec<usize> = (0..plan.tasks.len())
        .filter(|i| [INFER, TRAIN].contains(&&*plan.tasks[*i].kind) && outlook[*i].is_to_come())
        .collect();
    if tasks.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rescues = Rescues::load(layout, None)?;
    let mut foresight = Foresight {
        plan,
        layout,
        outlook,
        cores,
        runtime: runtime(),
        facts: rescues.facts.of_kind(INFER),
        rescues,
        free: os::free_memory(),
        digests: BTreeMap::new(),
        models: BTreeMap::new(),
        untrained: BTreeMap::new(),
        scans: BTreeMap::new(),
    };
    Ok(tasks.into_iter().map(|index| (index, foresight.need(index))).collect())
}

/// What a forecast needs, and what was read for others.
struct Foresight<'a> {
    plan: &'a Plan,
    layout: &'a Layout,
    outlook: &'a [Outlook],
    cores: u32,
    runtime: Option<PathBuf>,
    facts: BTreeMap<String, serde_json::Value>,
    rescues: Rescues,
    free: Option<u64>,
    digests: BTreeMap<PathBuf, Option<Digest>>,
    models: BTreeMap<PathBuf, Result<Appetite, String>>,
    /// By parameters of the training and side of the patterns.
    untrained: BTreeMap<(String, usize), Result<Appetite, String>>,
    scans: BTreeMap<PathBuf, Result<[usize; 2], String>>,
}

/// Where an input is.
enum Place {
    There(PathBuf),
    /// This task will make it.
    Coming(usize),
}

impl Foresight<'_> {
    fn need(&mut self, index: usize) -> Need {
        let seen = match &*self.plan.tasks[index].kind {
            TRAIN => self.foresee_training(index),
            _ => self.foresee(index),
        };
        match seen {
            Ok(foreseen) => Need::Foreseen(foreseen),
            Err(why) => Need::Unknown { why },
        }
    }

    fn foresee(&mut self, index: usize) -> Result<Foreseen, String> {
        let plan = self.plan;
        let task = &plan.tasks[index];
        let params: infer::Params =
            serde_json::from_value(merged(&task.params, &task.tuning)).map_err(|e| e.to_string())?;
        let device = match task.resources.device {
            DeviceKind::Cpu => Device::Cpu,
            DeviceKind::Cuda => Device::Cuda(0),
        };
        let data = source(task, "data")?;
        let groups = match self.place(data) {
            Place::There(path) => self.scan(path)?[0],
            Place::Coming(up) if params.chunk == Chunk::Word(Word::All) => {
                return Err(self.awaits(up, "tells how many groups there are"));
            }
            Place::Coming(_) => MANY,
        };
        let threads = task.resources.cores.clamp(1, self.cores.max(1)) as usize;
        let (appetite, basis) = match self.place(source(task, "model")?) {
            Place::There(model) => self.appetite(&model, device, threads)?,
            Place::Coming(up) => (self.untrained(up, data)?, Basis::Parameters),
        };
        let measure = self.rescues.measure(index, task);
        let promised = measure.memory.or(task.resources.memory);
        let room = Room { device, host: promised.or(self.free), on_device: task.resources.gpu_memory };
        let seen = infer::foresee(&appetite, groups, room, params.chunk, measure.chunk);
        Ok(Foreseen {
            chunk: seen.chunk as u64,
            unit: "groups",
            predicted_peak: seen.predicted_peak,
            limit: room.host,
            promised: promised.is_some(),
            margin: seen.margin,
            fits: seen.fits,
            basis,
        })
    }

    /// A training: what its parameters and the sizes of its datasets tell.
    fn foresee_training(&mut self, index: usize) -> Result<Foreseen, String> {
        let plan = self.plan;
        let task = &plan.tasks[index];
        let params: train::Params =
            serde_json::from_value(merged(&task.params, &task.tuning)).map_err(|e| e.to_string())?;
        let mut sizes = Vec::new();
        for (_, sources) in task.inputs.iter().filter(|(slot, _)| *slot == "data") {
            for source in sources {
                sizes.push(match self.place(source) {
                    Place::There(path) => self.scan(path)?,
                    Place::Coming(up) => return Err(self.awaits(up, "tells how many patterns there are")),
                });
            }
        }
        let threads = task.resources.cores.clamp(1, self.cores.max(1)) as usize;
        let measure = self.rescues.measure(index, task);
        let promised = measure.memory.or(task.resources.memory);
        let limit = promised.or(self.free);
        let seen = train::foresee(&params, &sizes, threads, limit, measure.chunk).map_err(|e| e.message)?;
        Ok(Foreseen {
            chunk: seen.micro_batch as u64,
            unit: "groups",
            predicted_peak: seen.peak,
            limit,
            promised: promised.is_some(),
            margin: seen.margin,
            fits: seen.fits,
            basis: Basis::Parameters,
        })
    }

    /// A task's result counts only if the task would not run again.
    fn place(&self, source: &Source) -> Place {
        match source {
            Source::File { path } => Place::There(self.plan.base.join(path)),
            Source::Task { task, output } => {
                let producer = &self.plan.tasks[*task];
                let file = producer.outputs.get(&**output).map_or("", String::as_str);
                let path = self.layout.results().join(&producer.folder).join(file);
                match self.outlook[*task] == Outlook::Cached && path.is_file() {
                    true => Place::There(path),
                    false => Place::Coming(*task),
                }
            }
        }
    }

    fn awaits(&self, task: usize, what: &str) -> String {
        format!("{} {what}", self.plan.tasks[task].id)
    }

    /// Images (as many as groups) of a dataset, and side of its patterns.
    fn scan(&mut self, path: PathBuf) -> Result<[usize; 2], String> {
        let read = |path: &PathBuf| Dataset::shape(path).map_err(|e| e.message);
        self.scans.entry(path).or_insert_with_key(read).clone()
    }

    /// Side of the patterns of a dataset that may not be there yet, as far as parameters tell it.
    fn side(&mut self, data: &Source) -> Result<usize, String> {
        let up = match self.place(data) {
            Place::There(path) => return Ok(self.scan(path)?[1]),
            Place::Coming(up) => up,
        };
        let plan = self.plan;
        let producer = &plan.tasks[up];
        match &*producer.kind {
            "simulate" => {
                let params: simulate::Params =
                    serde_json::from_value((*producer.params).clone()).map_err(|e| e.to_string())?;
                Ok(params.patch_px as usize)
            }
            // Patterns stay as they are.
            "thin" | "split" => self.side(source(producer, "data")?),
            _ => Err(self.awaits(up, "tells the size of the patterns")),
        }
    }

    fn appetite(
        &mut self,
        model: &Path,
        device: Device,
        threads: usize,
    ) -> Result<(Appetite, Basis), String> {
        if let (false, Some(library)) = (self.facts.is_empty(), &self.runtime) {
            let digest = |path: &PathBuf| Digest::of_file(path).ok();
            let digest = *self.digests.entry(model.to_owned()).or_insert_with_key(digest);
            let key = digest.map(|digest| infer::key(&digest, library, device, threads));
            if let Some(known) = key.and_then(|key| Appetite::recall(&self.facts, &key)) {
                return Ok((known, Basis::Measured));
            }
        }
        let read = |path: &PathBuf| Appetite::of_model(path).map_err(|e| e.message);
        let guess = self.models.entry(model.to_owned()).or_insert_with_key(read).clone()?;
        Ok((guess, Basis::Model))
    }

    /// The appetite of the network that a training will give for patterns like those of `data`.
    fn untrained(&mut self, up: usize, data: &Source) -> Result<Appetite, String> {
        let plan = self.plan;
        let producer = &plan.tasks[up];
        if &*producer.kind != "train" {
            return Err(self.awaits(up, "makes the model"));
        }
        let side = self.side(data)?;
        let guess = |(_, side): &(String, usize)| {
            let params: train::Params =
                serde_json::from_value((*producer.params).clone()).map_err(|e| e.to_string())?;
            Appetite::of_bytes(train::untrained(&params, *side).map_err(|e| e.message)?)
        };
        self.untrained.entry((producer.params.to_string(), side)).or_insert_with_key(guess).clone()
    }
}

fn source<'p>(task: &'p Task, slot: &str) -> Result<&'p Source, String> {
    let found = task.inputs.iter().find(|(name, _)| *name == slot).and_then(|(_, sources)| sources.first());
    found.ok_or_else(|| format!("it has no input `{slot}`"))
}
