//! CPU seconds of native numerics on a dataset, to be put beside those of other tools.
//!
//!     cargo bench --bench native -- reconstruct DATA.npz lsqml [key=value …]
//!
//! `reconstruct` runs `rpie`, `epie`, `dm` or `lsqml` from an object of ones and the file's `probeGuess` on
//! whole-pixel positions and prints one JSON line: seconds of processor time per epoch, of all threads together.
//! `train` takes steps on random patterns and prints one JSON line: samples per second, best and median step.
//! Keys: `network` (`compact`, `ptychopinn`, `ptychonn`), `side` (64), `channels` (1), `width` (32), `depth` (3),
//! `task` (`labels`, `physics`), `batch` (16), `threads` (2), `steps` (8), `out`: file for the network's description.
//!
//! Keys of `reconstruct`: `epochs` (6), `batch` (1; 100 for lsqml), `alpha` (0.5), `modes` (1), `threads` (1), `noise` (`gaussian` or
//! `poisson`), `subpixel` (`nearest`, `bilinear`, `probe_shift`), `step` (1), `out`: file for the object.

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "training/native.rs"]
mod training;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use phasegraph::ptycho::dataset::Dataset;
use phasegraph::ptycho::image::Image;
use phasegraph::ptycho::iterative::{
    Batches, Engine, Learn, Measured, Noise, Rule, Settings, Subpixel, epoch_order, frame, starting_modes,
};

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["reconstruct", data, rule, rest @ ..] => reconstruct(Path::new(data), rule, rest),
        ["train", rest @ ..] => training::train(rest),
        _ => {
            println!(
                "usage: native reconstruct DATA.npz rpie|epie|dm|lsqml [key=value …]\n       native train [key=value …]"
            );
            return ExitCode::SUCCESS;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Processor seconds of this process so far.
fn cpu() -> Result<f64, nix::Error> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 * 1e-6)
}

fn reconstruct(path: &Path, name: &str, rest: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut keys: BTreeMap<&str, &str> = rest.iter().filter_map(|a| a.split_once('=')).collect();
    let mut number = |key: &str, default: f64| keys.remove(key).map_or(Ok(default), str::parse::<f64>);
    let rule = match name {
        "rpie" => Rule::Rpie,
        "epie" => Rule::Epie,
        "dm" => Rule::DifferenceMap,
        "lsqml" => Rule::Lsqml,
        other => return Err(format!("there is no algorithm `{other}`").into()),
    };
    let (epochs, modes, threads) = (number("epochs", 6.0)?, number("modes", 1.0)?, number("threads", 1.0)?);
    let batch = number("batch", if rule == Rule::Lsqml { 100.0 } else { 1.0 })? as usize;
    let alpha = number("alpha", 0.5)? as f32;
    let step = number("step", 1.0)? as f32;
    let subpixel = match keys.remove("subpixel") {
        None | Some("nearest") => Subpixel::Nearest,
        Some("bilinear") => Subpixel::Bilinear,
        Some("probe_shift") => Subpixel::ProbeShift,
        Some(other) => return Err(format!("there is no subpixel treatment `{other}`").into()),
    };
    let noise = match keys.remove("noise") {
        None | Some("gaussian") => Noise::Gaussian,
        Some("poisson") => Noise::Poisson,
        Some(other) => return Err(format!("there is no noise model `{other}`").into()),
    };
    let out = keys.remove("out");
    if let Some(unknown) = keys.keys().next() {
        return Err(format!("there is no key `{unknown}`").into());
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build_global()?;

    let data = Dataset::read(path).map_err(|e| e.message)?;
    let (count, scale) = (data.len(), data.scale());
    let settings = Settings { alpha, beta: alpha, step, subpixel, noise, ..Settings::new(rule) };
    let probe = starting_modes(data.probe.view(), modes as usize, 0.05);
    let frame = frame(&data.x, &data.y, data.side(), 8)?;
    let mask = data.mask.as_ref().map(|mask| mask.view());
    let measured =
        Measured { diffraction: data.diffraction, mask, x: &data.x, y: &data.y, dose_scale: scale };
    let mut engine = Engine::new(measured, probe.view(), frame, settings)?;
    let (mut cpus, mut walls, mut residual) = (Vec::new(), Vec::new(), 0.0);
    for epoch in 0..epochs as u64 {
        let (cpu_before, wall_before) = (cpu()?, Instant::now());
        let batches = Batches::random(epoch_order(0, epoch, count), batch);
        residual = engine.epoch(&batches, Learn { probe: epoch > 0, positions: false });
        // The first epoch makes buffers, and is another with lsqml.
        if epoch > 0 || epochs == 1.0 {
            cpus.push(cpu()? - cpu_before);
            walls.push(wall_before.elapsed().as_secs_f64());
        }
    }
    if let Some(out) = out {
        let image = Image {
            object: engine.object().to_owned(),
            origin_yx: frame.origin.map(|v| v as f64),
            coverage: Some(engine.coverage()),
        };
        image.write(Path::new(out)).map_err(|e| e.message)?;
    }
    let figures = serde_json::json!({
        "algorithm": name, "patterns": count, "side": data.probe.nrows(),
        "batch": batch, "threads": threads, "epochs": epochs,
        "cpu_s_per_epoch": median(&mut cpus), "cpu_s_per_epoch_min": cpus.first(),
        "wall_s_per_epoch": median(&mut walls), "residual": residual,
    });
    println!("{figures}");
    Ok(())
}

/// The middle one; leaves the values sorted.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
