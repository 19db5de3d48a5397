//! Properties of the training loop.

use proptest::prelude::*;

use super::fixture::{SIDE, network, samples};
use crate::nn::adam::{Plateau, Schedule};
use crate::nn::architecture::Field;
use crate::nn::network::Network;
use crate::nn::physics::Likelihood;
use crate::nn::samples::Learns;
use crate::nn::task::{LabelTask, PhysicsTask};
use crate::nn::train::{Diverged, Epoch, Progress, Settings, Shot, Slopes, Task, go_on, train};
use crate::nn::workspace::Workspace;

fn settings(epochs: u32, batch: usize, threads: usize) -> Settings {
    Settings {
        epochs,
        batch,
        micro_batch: batch,
        learning_rate: 3e-3,
        schedule: Schedule::Cosine,
        plateau: Plateau::default(),
        patience: None,
        clip: 10.0,
        seed: 11,
        threads,
    }
}

fn bits(network: &Network<f32>) -> Vec<u32> {
    network.parameters.iter().map(|p| p.to_bits()).collect()
}

#[test]
fn threads_do_not_change_a_bit() {
    let physics = PhysicsTask(samples::<f32>(28, 4, SIDE / 2, Likelihood::Poisson));
    let labels = LabelTask(samples::<f32>(7, 1, SIDE, Likelihood::Mae));
    let trained = |threads| {
        let (mut a, mut b) = (network(4, Field::Central), network(1, Field::Full));
        let first = train(&mut a, &physics, &settings(3, 3, threads), |_| ()).unwrap();
        let second = train(&mut b, &labels, &settings(3, 3, threads), |_| ()).unwrap();
        (bits(&a), bits(&b), first, second)
    };
    let one = trained(1);
    assert_ne!(one.0, bits(&network(4, Field::Central)), "nothing was learnt");
    assert_eq!(one, trained(1));
    assert_eq!(one, trained(2));
    assert_eq!(one, trained(3));
}

#[test]
fn short_trainings_reduce_the_loss() {
    for likelihood in [Likelihood::Mae, Likelihood::Poisson] {
        let task = PhysicsTask(samples::<f32>(32, 4, SIDE / 2, likelihood));
        let history = train(&mut network(4, Field::Central), &task, &settings(100, 4, 2), |_| ()).unwrap();
        let (first, last) = (history[0].loss, history[99].loss);
        assert!(last < 0.75 * first, "{likelihood:?}: {first} to {last}");
    }
    let task = LabelTask(samples::<f32>(32, 1, SIDE / 2, Likelihood::Mae));
    let mut seen = Vec::new();
    let history =
        train(&mut network(1, Field::Central), &task, &settings(30, 4, 2), |e| seen.push(*e)).unwrap();
    assert_eq!(seen, history);
    assert!(history[29].loss < 0.6 * history[0].loss, "{} to {}", history[0].loss, history[29].loss);
}

#[test]
fn divergence_is_told_with_its_place() {
    let mut broken = samples::<f32>(8, 1, SIDE / 2, Likelihood::Mae);
    broken.scans[0].patterns[[5, 3, 3]] = f32::NAN;
    let failure = train(&mut network(1, Field::Central), &PhysicsTask(broken), &settings(2, 4, 1), |_| ());
    let failure = failure.unwrap_err();
    assert_eq!(failure.epoch, 1);
    assert!(failure.to_string().contains("loss NaN of sample 5, whose patterns"), "{failure}");
    assert!(failure.data);
}

#[test]
fn a_network_that_explodes_is_told_from_bad_data_and_keeps_its_last_good_weights() {
    let task = PhysicsTask(samples::<f32>(8, 1, SIDE / 2, Likelihood::Mae));
    let mut network = network(1, Field::Full);
    let start = bits(&network);
    // Steps so large that products of weights overflow.
    let wild = Settings { learning_rate: 1e30, schedule: Schedule::Constant, ..settings(5, 2, 1) };
    let failure = train(&mut network, &task, &wild, |_| ()).unwrap_err();
    assert!(!failure.data, "{failure}");
    assert!(failure.to_string().contains("output is not finite"), "{failure}");
    assert_eq!((failure.epoch, bits(&network)), (1, start), "no epoch was good");
}

#[test]
fn micro_batches_do_not_change_a_bit() {
    let mut samples = samples::<f32>(28, 4, SIDE / 2, Likelihood::Poisson);
    samples.beam = Learns { scale: true, probe: true };
    let task = PhysicsTask(samples);
    let trained = |micro_batch, threads| {
        let mut network = network(4, Field::Central).with_physical(task.0.physical(), true);
        let settings = Settings { micro_batch, ..settings(2, 5, threads) };
        let history = train(&mut network, &task, &settings, |_| ()).unwrap();
        assert!(network.parameters[network.graph.parameters..].iter().all(|p| p.is_finite()));
        assert_ne!(network.parameters[network.graph.parameters], 0.0, "the scale was learnt");
        (bits(&network), history.iter().map(|e| e.loss.to_bits()).collect::<Vec<_>>())
    };
    let whole = trained(5, 1);
    for (micro, threads) in [(1, 1), (2, 1), (2, 2), (3, 3), (4, 2), (64, 2)] {
        assert!(trained(micro, threads) == whole, "micro-batches of {micro} on {threads} threads");
    }
}

/// Interrupted after any step, even in the middle of an epoch, and gone on with: the same bits.
#[test]
fn going_on_from_any_step_gives_the_same() {
    let mut samples = samples::<f32>(20, 1, SIDE / 2, Likelihood::Mae);
    samples.held_out = 4;
    let task = PhysicsTask(samples);
    let plan = Settings { schedule: Schedule::Plateau, patience: Some(2), ..settings(3, 5, 2) };
    let mut undisturbed = network(1, Field::Central);
    let history = train(&mut undisturbed, &task, &plan, |_| ()).unwrap();
    assert!(history.iter().all(|epoch| epoch.validation.is_some()));
    for stop in 1..12 {
        let (mut network, mut steps, mut kept) = (network(1, Field::Central), 0, None);
        let start = Progress::new(network.parameters.len());
        let ended = go_on(&mut network, &task, &plan, start, |network, progress| {
            steps += 1;
            kept = Some((network.clone(), progress.clone()));
            if steps == stop { Err(Ended::Asked) } else { Ok(()) }
        });
        let Some((mut network, progress)) = kept else { panic!("no step was taken") };
        if matches!(ended, Err(Ended::Asked)) {
            let again = go_on(&mut network, &task, &plan, progress, |_, _| Ok::<(), Ended>(()));
            assert_eq!(again.unwrap(), history, "stopped after step {stop}");
            assert!(bits(&network) == bits(&undisturbed), "stopped after step {stop}");
        }
    }
}

#[derive(Debug)]
enum Ended {
    Asked,
    #[allow(dead_code)] // told by `unwrap`
    Diverged(Diverged),
}

impl From<Diverged> for Ended {
    fn from(diverged: Diverged) -> Self {
        Self::Diverged(diverged)
    }
}

/// What is held out is looked at, never learnt from; training ends when it gets no better, with the best weights.
#[test]
fn early_stopping_gives_the_best_epoch() {
    let mut samples = samples::<f32>(24, 1, SIDE / 2, Likelihood::Mae);
    samples.held_out = 8;
    let task = PhysicsTask(samples.clone());
    // A learning rate at which the loss soon goes up and down.
    let plan = Settings {
        learning_rate: 0.05,
        schedule: Schedule::Constant,
        patience: Some(2),
        ..settings(60, 4, 2)
    };
    let mut network = network(1, Field::Central);
    let history = train(&mut network, &task, &plan, |_| ()).unwrap();
    assert!(history.len() < 60, "it never stopped");
    let best = history.iter().map(Epoch::watched).fold(f64::INFINITY, f64::min);
    let place = history.iter().position(|epoch| epoch.watched() == best).unwrap();
    assert_eq!(place + 3, history.len(), "two epochs without a smaller loss");
    // The network's own loss on what was held out is that of the best epoch.
    let mut held = task;
    held.0.groups.drain(..16);
    held.0.held_out = 0;
    let (mut workspace, mut scratch) = (Workspace::new(&network.graph), held.scratch());
    let (mut x, mut slope) = (vec![0.0; SIDE * SIDE], workspace.output.clone());
    let mut sum = 0.0;
    for sample in 0..8 {
        held.input(sample, 0, &mut x);
        workspace.forward(&network, &x);
        let prediction = &workspace.output;
        let shot = Shot { sample, draw: 0, input: &x, prediction, physical: &[] };
        sum += held.loss(shot, Slopes { patches: &mut slope, physical: &mut [] }, &mut scratch);
    }
    assert!((sum / 8.0 - best).abs() < 1e-12 * best, "{} and {best}", sum / 8.0);
    // Other data held out, the same steps.
    let mut other = samples;
    other.scans[0].patterns.slice_mut(ndarray::s![16.., .., ..]).mapv_inplace(|v| 2.0 * v);
    let mut same = super::fixture::network(1, Field::Central);
    let again = train(&mut same, &PhysicsTask(other), &plan, |_| ()).unwrap();
    let shared = again.len().min(history.len());
    assert!(
        (0..shared).all(|i| again[i].loss == history[i].loss && again[i].validation != history[i].validation)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The batch collapse of the reference, made impossible: one step on a batch is the mean of the steps'
    /// gradients of its samples alone, whatever their number; each group keeps its own object.
    #[test]
    fn a_batch_never_merges_groups(batch in 1usize..9, threads in 1usize..4) {
        let all = samples::<f64>(32, 4, SIDE / 2, Likelihood::Mae);
        let start = network::<f64>(4, Field::Central);
        let mut together = PhysicsTask(all);
        together.0.groups.truncate(batch);

        // The gradient of each group by itself, in its orientation of the first epoch.
        let mut workspace = Workspace::new(&start.graph);
        let mut scratch = together.scratch();
        let (mut turned, mut upstream) = (Vec::new(), workspace.output.clone());
        start.turn(&mut turned);
        let mut mean = vec![0.0; start.parameters.len()];
        let mut losses = 0.0;
        let mut x = vec![0.0; 4 * SIDE * SIDE];
        let mut own = vec![0.0; start.parameters.len()];
        together.0.scans[0].symmetries.truncate(1);
        for sample in 0..batch {
            together.input(sample, 0, &mut x);
            workspace.forward(&start, &x);
            prop_assert_eq!(workspace.output.amplitude.len(), 4 * (SIDE / 2) * (SIDE / 2));
            let prediction = &workspace.output;
            let shot = Shot { sample, draw: 0, input: &x, prediction, physical: &[] };
            losses += together.loss(shot, Slopes { patches: &mut upstream, physical: &mut [] }, &mut scratch);
            workspace.backward(&start, &turned, &upstream, &mut own);
            mean.iter_mut().zip(&own).for_each(|(m, g)| *m += g / batch as f64);
        }
        let norm = mean.iter().map(|g| g * g).sum::<f64>().sqrt();

        let mut trained = start.clone();
        let settings = Settings { clip: f64::INFINITY, ..settings(1, batch, threads) };
        let history = train(&mut trained, &together, &settings, |_| ()).unwrap();
        prop_assert!((history[0].loss - losses / batch as f64).abs() < 1e-12);
        prop_assert!((history[0].gradient_norm - norm).abs() < 1e-9 * norm);
        // Adam's first step is the learning rate times the sign of the mean gradient.
        for ((after, before), g) in trained.parameters.iter().zip(&start.parameters).zip(&mean) {
            if g.abs() > 1e-5 {
                prop_assert!((after - before + 3e-3 * g.signum()).abs() < 1e-5);
            }
        }
    }
}
