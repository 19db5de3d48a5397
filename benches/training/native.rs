//! Steps of training on random patterns: time does not depend on what they show.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

use ndarray::{Array2, Array3};
use num_complex::Complex32;
use phasegraph::nn::adam::{Plateau, Schedule};
use phasegraph::nn::architecture::{Architecture, Design, Field};
use phasegraph::nn::graph::Graph;
use phasegraph::nn::network::Network;
use phasegraph::nn::physics::{Likelihood, Optics};
use phasegraph::nn::samples::{Group, Labels, Learns, Samples, Scan};
use phasegraph::nn::symmetry::Symmetry;
use phasegraph::nn::task::{LabelTask, PhysicsTask};
use phasegraph::nn::train::{Diverged, Progress, Settings, go_on};

pub fn train(rest: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut keys: BTreeMap<&str, &str> = rest.iter().filter_map(|a| a.split_once('=')).collect();
    let mut word =
        |key: &str, default: &'static str| keys.remove(key).map_or(default.to_owned(), str::to_owned);
    let (name, task, out) = (word("network", "compact"), word("task", "labels"), word("out", ""));
    let mut number = |key: &str, default: usize| keys.remove(key).map_or(Ok(default), str::parse::<usize>);
    let (side, channels) = (number("side", 64)?, number("channels", 1)?);
    let (width, depth) = (number("width", 32)?, number("depth", 3)?);
    let (batch, threads, steps) = (number("batch", 16)?, number("threads", 2)?, number("steps", 8)?);
    if let Some(unknown) = keys.keys().next() {
        return Err(format!("there is no key `{unknown}`").into());
    }
    let design = match name.as_str() {
        "compact" => Design::Compact { width, depth, field: Field::Central },
        "full" => Design::Compact { width, depth, field: Field::Full },
        "ptychopinn" => Design::Ptychopinn { width, depth },
        "ptychonn" => Design::Ptychonn { width, depth },
        other => return Err(format!("there is no network `{other}`").into()),
    };
    let graph = Graph::new(Architecture { side, channels, design })?;
    if !out.is_empty() {
        std::fs::write(&out, graph.describe(2.5).to_string())?;
    }
    let samples = samples(side, graph.drawn(), channels, batch);
    let mut network = Network::<f32>::new(graph, 1, 1.0, 2.5);
    let settings = Settings {
        epochs: steps as u32 + 1,
        batch,
        micro_batch: batch,
        learning_rate: 1e-3,
        schedule: Schedule::Constant,
        plateau: Plateau::default(),
        patience: None,
        clip: f64::INFINITY,
        seed: 1,
        threads,
    };
    // As many samples as a step takes: an epoch is a step. The first one makes buffers.
    let (mut last, mut times) = (Instant::now(), Vec::new());
    let progress = Progress::new(network.parameters.len());
    let after = |_: &Network<f32>, _: &Progress<f32>| -> Result<(), Diverged> {
        times.push(last.elapsed().as_secs_f64());
        last = Instant::now();
        Ok(())
    };
    match task.as_str() {
        "labels" => go_on(&mut network, &LabelTask(samples), &settings, progress, after)?,
        "physics" => go_on(&mut network, &PhysicsTask(samples), &settings, progress, after)?,
        other => return Err(format!("there is no task `{other}`").into()),
    };
    let mut times = times.split_off(1);
    times.sort_by(f64::total_cmp);
    let rate = |seconds: f64| batch as f64 / seconds;
    let figures = serde_json::json!({
        "engine": "native", "network": network.graph.name(), "parameters": network.graph.parameters, "task": task,
        "side": side, "channels": channels, "batch": batch, "threads": threads, "steps": steps,
        "samples_per_s_best": times.first().map(|t| rate(*t)),
        "samples_per_s_median": times.get(times.len() / 2).map(|t| rate(*t)),
    });
    println!("{figures}");
    Ok(())
}

/// Groups of images two pixels apart.
fn samples(side: usize, drawn: usize, channels: usize, groups: usize) -> Samples<f32> {
    let images = groups * channels;
    let noise = |i: usize| ((i * 2_654_435_761) % 1009) as f32 / 1009.0;
    let place = |i: usize| side as f64 + 2.0 * (i % channels) as f64;
    let scan = Scan {
        patterns: Array3::from_shape_fn((images, side, side), |(i, r, c)| noise((i * side + r) * side + c)),
        normalisation: 1.0,
        y: (0..images).map(place).collect(),
        x: (0..images).map(place).collect(),
        symmetries: vec![Symmetry::IDENTITY],
        optics: Optics {
            probe: (0..side * side).map(|i| Complex32::new(noise(i), 0.1)).collect(),
            mask: None,
            background: 1.0,
            likelihood: Likelihood::Mae,
            floor: 1e-3,
        },
        labels: Some(Labels {
            object: Array2::from_elem((3 * side, 3 * side), Complex32::new(1.0, 0.2)),
            weights: vec![1.0 / (drawn * drawn) as f32; drawn * drawn],
        }),
    };
    let group = |g: usize| Group { scan: 0, images: (g * channels..(g + 1) * channels).collect() };
    Samples {
        side,
        drawn,
        scans: vec![scan],
        groups: (0..groups).map(group).collect(),
        held_out: 0,
        beam: Learns::default(),
    }
}
