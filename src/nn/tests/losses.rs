//! The losses, alone and behind whole networks.

use num_complex::Complex;

use super::assert_gradient;
use super::fixture::{SIDE, network, of_design, random, samples};
use crate::nn::architecture::{Design, Field};
use crate::nn::network::Network;
use crate::nn::physics::{Beam, BeamGradient, Likelihood, Physics};
use crate::nn::samples::Learns;
use crate::nn::task::{LabelTask, PhysicsTask};
use crate::nn::train::{Shot, Slopes, Task};
use crate::nn::workspace::{Patches, Workspace};

const BOTH: [Likelihood; 2] = [Likelihood::Mae, Likelihood::Poisson];

/// Patches of amplitude 0.2 to 1.2 and phase −1 to 1.
fn patches(len: usize) -> Patches<f64> {
    let amplitude = random("amplitude", len).into_iter().map(|v| 0.7 + 0.5 * v).collect();
    Patches { amplitude, phase: random("phase", len) }
}

#[test]
fn physics_gradient() {
    for (likelihood, drawn) in BOTH.into_iter().flat_map(|l| [(l, SIDE / 2), (l, SIDE)]) {
        let samples = samples::<f64>(4, 4, drawn, likelihood);
        let scan = &samples.scans[0];
        let positions: Vec<(f64, f64)> =
            (0..4).map(|i| (scan.y[i] - scan.y[0], scan.x[i] - scan.x[0])).collect();
        let mut measured = vec![0.0; 4 * SIDE * SIDE];
        let task = PhysicsTask(samples.clone());
        task.input(0, 0, &mut measured);
        let mut physics = Physics::new(SIDE, drawn);
        let len = 4 * drawn * drawn;
        let (at, mut gradient) = (patches(len), Patches::zeros(len));
        // Some pixels were not measured.
        let mask: Vec<f64> = (0..SIDE * SIDE).map(|i| f64::from(u8::from(i % 5 != 0))).collect();
        let mask = Some(&mask[..]);
        let given = Beam { probe: &scan.optics.probe, mask, scale: 1.2 };
        let images = (&positions[..], &measured[..]);
        let mut to_probe = vec![Complex::new(0.0, 0.0); SIDE * SIDE];
        let mut to = BeamGradient { probe: &mut to_probe, log_scale: 0.0 };
        physics.loss((&scan.optics, given), images, &at, &mut gradient, Some(&mut to));
        let log_scale = to.log_scale;
        let mut ignored = Patches::zeros(len);
        let mut value =
            |beam: Beam<'_, f64>, at: &_| physics.loss((&scan.optics, beam), images, at, &mut ignored, None);
        let some = || (0..len).step_by(7);
        assert_gradient(&mut at.amplitude.clone(), some(), &gradient.amplitude, 1e-6, |a| {
            value(given, &Patches { amplitude: a.to_vec(), ..at.clone() })
        });
        assert_gradient(&mut at.phase.clone(), some(), &gradient.phase, 1e-6, |p| {
            value(given, &Patches { phase: p.to_vec(), ..at.clone() })
        });
        assert_gradient(&mut [1.2f64.ln()], [0], &[log_scale], 1e-6, |w| {
            value(Beam { scale: w[0].exp(), ..given }, &at)
        });
        let flat = |of: &[Complex<f64>]| of.iter().flat_map(|p| [p.re, p.im]).collect::<Vec<f64>>();
        let bright = (0..2 * SIDE * SIDE).step_by(9);
        assert_gradient(&mut flat(&scan.optics.probe), bright, &flat(&to_probe), 1e-6, |p| {
            let probe: Vec<_> = p.as_chunks::<2>().0.iter().map(|[re, im]| Complex::new(*re, *im)).collect();
            value(Beam { probe: &probe, ..given }, &at)
        });
    }
}

/// The true object's patches explain noiseless patterns: the loss is next to nothing, and any symmetry of
/// the probe applied to patterns, positions and patches alike leaves it so.
#[test]
fn truth_explains_the_patterns_in_every_orientation() {
    for channels in [1, 4] {
        let task = PhysicsTask(samples::<f64>(channels, channels, SIDE, Likelihood::Mae));
        let labels = LabelTask(task.0.clone());
        let (n, mut scratch, mut label) = (SIDE * SIDE, task.scratch(), labels.scratch());
        let mut input = vec![0.0; channels * n];
        for draw in 0..8 {
            // Follow the labels' own gradient to read the truth out of them: MAE slopes are ± weight.
            let mut low = Patches::zeros(channels * n);
            let mut truth = Patches::zeros(channels * n);
            low.phase.fill(-4.0);
            truth.phase.fill(4.0);
            truth.amplitude.fill(2.0);
            let mut slope = Patches::zeros(channels * n);
            for _ in 0..50 {
                let middle = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a + b) / 2.0).collect();
                let half: Patches<f64> = Patches {
                    amplitude: middle(&low.amplitude, &truth.amplitude),
                    phase: middle(&low.phase, &truth.phase),
                };
                shot(&labels, draw, &input, &half, &mut slope, &mut label);
                let narrow = |low: &mut [f64], high: &mut [f64], half: &[f64], slope: &[f64]| {
                    for i in 0..half.len() {
                        *(if slope[i] > 0.0 { &mut high[i] } else { &mut low[i] }) = half[i];
                    }
                };
                narrow(&mut low.amplitude, &mut truth.amplitude, &half.amplitude, &slope.amplitude);
                narrow(&mut low.phase, &mut truth.phase, &half.phase, &slope.phase);
            }
            task.input(0, draw, &mut input);
            let loss = shot(&task, draw, &input, &truth, &mut slope, &mut scratch);
            // Cutting from a canvas of averaged sub-pixel patches blurs; a single image is exact but for
            // the background's weight and the probe's tail at the window's edge.
            let limit = if channels == 1 { 2e-3 } else { 1.5e-2 };
            assert!(loss < limit, "{channels} images, orientation {draw}: {loss}");
            truth.phase.iter_mut().for_each(|p| *p = -*p);
            let wrong = shot(&task, draw, &input, &truth, &mut slope, &mut scratch);
            assert!(wrong > 4.0 * loss, "conjugate object: {wrong} against {loss}");
        }
    }
}

/// Loss of sample 0, nothing learnt beside the network.
fn shot<K: Task<f64>>(
    task: &K,
    draw: u64,
    input: &[f64],
    prediction: &Patches<f64>,
    slope: &mut Patches<f64>,
    scratch: &mut K::Scratch,
) -> f64 {
    let shot = Shot { sample: 0, draw, input, prediction, physical: &[] };
    task.loss(shot, Slopes { patches: slope, physical: &mut [] }, scratch)
}

/// Gradient of the loss of sample 0 with respect to all parameters, checked at every 11th of them.
fn whole<K: Task<f64>>(network: &Network<f64>, task: &K) {
    let mut workspace = Workspace::new(&network.graph);
    let mut scratch = task.scratch();
    let input = network.graph.maps[0];
    let mut x = vec![0.0; input.channels * SIDE * SIDE];
    task.input(0, 5, &mut x);
    let mut upstream = workspace.output.clone();
    let mut turned = Vec::new();
    network.turn(&mut turned);
    let mut gradient = vec![0.0; network.parameters.len()];
    let own = network.graph.parameters;
    let mut loss = |network: &Network<f64>, workspace: &mut Workspace<f64>, to: &mut [f64]| {
        workspace.forward(network, &x);
        let (prediction, physical) = (&workspace.output, &network.parameters[own..]);
        let shot = Shot { sample: 0, draw: 5, input: &x, prediction, physical };
        task.loss(shot, Slopes { patches: &mut upstream, physical: &mut to[own..] }, &mut scratch)
    };
    loss(network, &mut workspace, &mut gradient);
    let mut ignored = gradient.clone();
    let slope = {
        let mut upstream = workspace.output.clone();
        let shot = Shot {
            sample: 0,
            draw: 5,
            input: &x,
            prediction: &workspace.output,
            physical: &network.parameters[own..],
        };
        let slopes = Slopes { patches: &mut upstream, physical: &mut ignored[own..] };
        task.loss(shot, slopes, &mut task.scratch());
        upstream
    };
    workspace.backward(network, &turned, &slope, &mut gradient);
    let mut moved = network.clone();
    // All that is learnt of the beam's scale, some of the rest.
    let some = (0..gradient.len()).filter(|i| i % 11 == 0 || *i == own);
    assert_gradient(&mut network.parameters.clone(), some, &gradient, 1e-6, |p| {
        moved.parameters.copy_from_slice(p);
        loss(&moved, &mut workspace, &mut ignored)
    });
}

#[test]
fn physics_informed_network_gradient() {
    for (likelihood, field, drawn) in
        BOTH.into_iter().flat_map(|l| [(l, Field::Central, SIDE / 2), (l, Field::Full, SIDE)])
    {
        whole(&network(4, field), &PhysicsTask(samples(4, 4, drawn, likelihood)));
    }
    whole(&network(1, Field::Central), &PhysicsTask(samples(1, 1, SIDE / 2, Likelihood::Mae)));
}

/// Probe and intensity scale are learnt with the network, the scale through the input, too.
#[test]
fn beam_gradient_behind_a_network() {
    for likelihood in BOTH {
        let mut samples = samples(4, 4, SIDE / 2, likelihood);
        samples.beam = Learns { scale: true, probe: true };
        let mut network = network(4, Field::Central).with_physical(samples.physical(), true);
        let own = network.graph.parameters;
        assert_eq!(network.parameters.len() - own, 1 + 2 * SIDE * SIDE);
        network.parameters[own..].iter_mut().zip(random("beam", 600)).for_each(|(p, r)| *p = 0.2 * r);
        whole(&network, &PhysicsTask(samples));
    }
}

#[test]
fn supervised_network_gradient() {
    for (channels, field, drawn) in
        [(1, Field::Central, SIDE / 2), (1, Field::Full, SIDE), (4, Field::Central, SIDE / 2)]
    {
        whole(&network(channels, field), &LabelTask(samples(channels, channels, drawn, Likelihood::Mae)));
    }
}

/// The published networks at a small size, with either loss.
#[test]
fn published_networks_gradient() {
    let pinn = Design::Ptychopinn { width: 6, depth: 2 };
    whole(&of_design(4, pinn), &PhysicsTask(samples(4, 4, SIDE, Likelihood::Poisson)));
    whole(&of_design(1, pinn), &LabelTask(samples(1, 1, SIDE, Likelihood::Mae)));
    let supervised = Design::Ptychonn { width: 3, depth: 2 };
    whole(&of_design(1, supervised), &LabelTask(samples(1, 1, SIDE, Likelihood::Mae)));
    whole(&of_design(1, supervised), &PhysicsTask(samples(1, 1, SIDE, Likelihood::Mae)));
}
