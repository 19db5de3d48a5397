//! Properties of the training loop.

use proptest::prelude::*;

use super::fixture::{SIDE, network, samples};
use crate::nn::adam::Schedule;
use crate::nn::architecture::Field;
use crate::nn::network::Network;
use crate::nn::physics::Likelihood;
use crate::nn::task::{LabelTask, PhysicsTask};
use crate::nn::train::{Settings, Task, train};
use crate::nn::workspace::Workspace;

fn settings(epochs: u32, batch: usize, threads: usize) -> Settings {
    Settings { epochs, batch, learning_rate: 3e-3, schedule: Schedule::Cosine, clip: 10.0, seed: 11, threads }
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
    assert!(failure.to_string().contains("loss NaN of sample 5"), "{failure}");
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
            losses += together.loss(sample, 0, &x, &workspace.output, &mut upstream, &mut scratch);
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
