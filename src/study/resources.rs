//! `resources:` of a stage: cores, memory, device, GPUs, time limit.

use super::fields::{Fields, integer, mismatch, text};
use super::model::{DeviceKind, Resources};
use super::node::{Content, Node};
use super::quantity;
use crate::diag::{Problem, Problems};
use crate::kind::Kind;

const KEYS: &[&str] = &["cores", "memory", "device", "gpus", "gpu_memory", "time"];

/// Reads `resources`; absent values have their defaults.
pub(super) fn read(node: &Node, stage: &str, kind: Option<&Kind>, problems: &mut Problems) -> Resources {
    let what = format!("`resources` of stage `{stage}`");
    let mut read = Resources::default();
    let Some(fields) = Fields::read(node, what, KEYS, problems) else {
        return read;
    };
    if let Some(node) = fields.get("cores") {
        read.cores = count(node, "cores", 1, problems).unwrap_or(1);
    }
    if let Some(node) = fields.get("device") {
        read.device = device(node, problems).unwrap_or_default();
    }
    read.memory = fields.get("memory").and_then(|node| quantity::size(node, "memory", problems));
    read.gpu_memory = fields.get("gpu_memory").and_then(|node| quantity::size(node, "gpu_memory", problems));
    read.time_s = fields
        .get("time")
        .and_then(|node| quantity::time(node, "time", "a time such as `90s`, `10min`, `2h`", problems));
    let on_gpu = read.device == DeviceKind::Cuda;
    read.gpus = u32::from(on_gpu);
    if let Some(node) = fields.get("gpus") {
        read.gpus = count(node, "gpus", read.gpus, problems).unwrap_or(read.gpus);
        // A program may use as many as it is given; what is built in would hold the others for nothing.
        if let Some(kind) = kind.filter(|kind| !kind.open && read.gpus > 1) {
            let message =
                format!("`gpus` is {}, but stages of kind `{}` compute on one", read.gpus, kind.name);
            problems.push(Problem::at(node.at.clone(), message).hint("leave `gpus` out"));
        }
    }
    for key in ["gpus", "gpu_memory"] {
        let asked = match fields.get(key) {
            Some(Node { content: Content::Int(0), .. }) | None => continue,
            Some(node) => node,
        };
        if !on_gpu {
            let message = format!("`{key}` is set, but the stage computes on the processor");
            problems.push(Problem::at(asked.at.clone(), message).hint("add `device: cuda`"));
        }
    }
    read
}

fn device(node: &Node, problems: &mut Problems) -> Option<DeviceKind> {
    match text(node, "`device`", problems)? {
        "cpu" => Some(DeviceKind::Cpu),
        "cuda" => Some(DeviceKind::Cuda),
        other => {
            let problem = mismatch(node, "`device`", "`cpu` or `cuda`");
            problems.push(match other {
                "gpu" | "GPU" => problem.hint("did you mean `cuda`?"),
                _ => problem.did_you_mean(other, ["cpu", "cuda"]),
            });
            None
        }
    }
}

fn count(node: &Node, key: &str, least: u32, problems: &mut Problems) -> Option<u32> {
    let expected = format!("an integer from {least} to 65536");
    let count: u32 = integer(node, &format!("`{key}`"), &expected, problems)?;
    if (least..=65536).contains(&count) {
        return Some(count);
    }
    problems.push(mismatch(node, &format!("`{key}`"), &expected));
    None
}
