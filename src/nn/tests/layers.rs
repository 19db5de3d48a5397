//! Every layer: by its definition, and its gradients by finite differences.

use super::assert_gradient;
use super::fixture::random;
use crate::nn::conv::{Conv, Shape};
use crate::nn::graph::Function;
use crate::nn::pointwise::{Sides, activate, activate_backward};
use crate::nn::rearrange::{inlay, inlay_backward_inner, inlay_backward_outer, slice, slice_backward};
use crate::nn::resample::{pool, pool_backward, upsample, upsample_backward};

/// A map with random interior and zero border.
fn map(shape: Shape, purpose: &str) -> Vec<f64> {
    let (mut map, mut values) = (vec![0.0; shape.len()], random(purpose, shape.len()).into_iter());
    for row in shape.interior_mut(&mut map) {
        row.iter_mut().zip(&mut values).for_each(|(v, r)| *v = r);
    }
    map
}

/// Indices of the interior.
fn interior(shape: Shape) -> Vec<usize> {
    let all: Vec<usize> = (0..shape.len()).collect();
    shape.interior(&all).flatten().copied().collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn convolution_follows_its_definition() {
    let conv = Conv { inputs: 3, outputs: 2, offset: 4 };
    let (from, to) = (Shape { side: 5, channels: 3 }, Shape { side: 5, channels: 2 });
    let parameters = random("weights", 4 + conv.len());
    let x = map(from, "input");
    for relu in [false, true] {
        let mut y = vec![0.0; to.len()];
        conv.forward(&parameters, 5, &x, &mut y, relu);
        for r in 0..7 {
            for c in 0..7 {
                for o in 0..2 {
                    let mut expected = 0.0;
                    if (1..6).contains(&r) && (1..6).contains(&c) {
                        expected = parameters[4 + conv.weights() + o];
                        for at in 0..9 {
                            for i in 0..3 {
                                let pixel = x[((r + at / 3 - 1) * 7 + c + at % 3 - 1) * 3 + i];
                                expected += parameters[conv.index(at / 3, at % 3, i, o)] * pixel;
                            }
                        }
                        expected = if relu { expected.max(0.0) } else { expected };
                    }
                    assert!((y[(r * 7 + c) * 2 + o] - expected).abs() < 1e-13, "[{r}, {c}, {o}]");
                }
            }
        }
    }
}

#[test]
fn convolution_gradients() {
    let conv = Conv { inputs: 3, outputs: 2, offset: 4 };
    let (from, to) = (Shape { side: 5, channels: 3 }, Shape { side: 5, channels: 2 });
    let mut parameters = random("weights", 4 + conv.len());
    let (mut x, upstream) = (map(from, "input"), map(to, "upstream"));
    let value = |parameters: &[f64], x: &[f64]| {
        let mut y = vec![0.0; to.len()];
        conv.forward(parameters, 5, x, &mut y, false);
        dot(&y, &upstream)
    };
    let mut gradient = vec![0.0; parameters.len()];
    conv.backward_parameters(5, &x, &upstream, &mut gradient);
    assert_eq!(gradient[..4], [0.0; 4], "another layer's gradient");
    assert_gradient(&mut parameters, 4..4 + conv.len(), &gradient, 1e-8, |p| value(p, &x));

    let mut turned = vec![0.0; parameters.len()];
    conv.turn(&parameters, &mut turned);
    let mut to_input = vec![0.0; from.len()];
    conv.backward_input(&turned, 5, &upstream, &mut to_input, false);
    assert_gradient(&mut x, interior(from), &to_input, 1e-8, |x| value(&parameters, x));
    let once = to_input.clone();
    conv.backward_input(&turned, 5, &upstream, &mut to_input, true);
    assert!(to_input.iter().zip(&once).all(|(two, one)| (two - 2.0 * one).abs() < 1e-13));
}

#[test]
fn pooling_takes_the_largest_and_sends_the_gradient_there() {
    let (large, small) = (Shape { side: 6, channels: 2 }, Shape { side: 3, channels: 2 });
    let (mut x, upstream) = (map(large, "input"), map(small, "upstream"));
    let run = |x: &[f64]| {
        let mut y = vec![0.0; small.len()];
        pool(large, x, &mut y);
        y
    };
    let y = run(&x);
    let block = [(1, 3), (1, 4), (2, 3), (2, 4)].map(|(r, c)| x[(r * 8 + c) * 2 + 1]);
    assert_eq!(y[(5 + 2) * 2 + 1], block.into_iter().fold(f64::MIN, f64::max));
    let mut gradient = vec![0.0; large.len()];
    pool_backward(large, &x, &upstream, &mut gradient, false);
    assert_gradient(&mut x, interior(large), &gradient, 1e-8, |x| dot(&run(x), &upstream));
    let once = gradient.clone();
    pool_backward(large, &x, &upstream, &mut gradient, true);
    assert!(gradient.iter().zip(&once).all(|(two, one)| *two == 2.0 * one));
    // Equal values: the gradient goes to one of them, once.
    pool_backward(large, &vec![1.0; large.len()], &upstream, &mut gradient, false);
    assert!((gradient.iter().sum::<f64>() - upstream.iter().sum::<f64>()).abs() < 1e-13);
}

#[test]
fn upsampling_repeats_and_its_gradient_sums() {
    let (small, large) = (Shape { side: 3, channels: 2 }, Shape { side: 6, channels: 2 });
    let (mut x, upstream) = (map(small, "input"), map(large, "upstream"));
    let run = |x: &[f64]| {
        let mut y = vec![0.0; large.len()];
        upsample(small, x, &mut y);
        y
    };
    let y = run(&x);
    for (r, row) in large.interior(&y).enumerate() {
        for (c, pixel) in row.chunks(2).enumerate() {
            let from = ((r / 2 + 1) * 5 + c / 2 + 1) * 2;
            assert_eq!(pixel, &x[from..from + 2]);
        }
    }
    let mut gradient = vec![0.0; small.len()];
    upsample_backward(small, &upstream, &mut gradient, false);
    assert_gradient(&mut x, interior(small), &gradient, 1e-8, |x| dot(&run(x), &upstream));
    let once = gradient.clone();
    upsample_backward(small, &upstream, &mut gradient, true);
    assert!(gradient.iter().zip(&once).all(|(two, one)| (two - 2.0 * one).abs() < 1e-13));
}

#[test]
fn activations_and_their_gradients() {
    let shape = Shape { side: 3, channels: 2 };
    let (mut z, upstream) = (map(shape, "input"), map(shape, "upstream"));
    z.iter_mut().for_each(|z| *z *= 3.0);
    let unit = 1.7;
    let value = |function, z: f64| match function {
        Function::Identity => z,
        Function::Sigmoid => 1.0 / (1.0 + (-z).exp()),
        Function::Tanh => z.tanh(),
        Function::Swish => z / (1.0 + (-z).exp()),
    };
    for function in [Function::Identity, Function::Sigmoid, Function::Tanh, Function::Swish] {
        let run = |z: &[f64]| {
            let mut y = vec![0.0; shape.len()];
            activate(shape, function, unit, z, &mut y);
            y
        };
        let y = run(&z);
        let inside = interior(shape);
        for i in 0..shape.len() {
            let expected = if inside.contains(&i) { unit * value(function, z[i]) } else { 0.0 };
            assert!((y[i] - expected).abs() < 1e-14, "{function:?} of {}", z[i]);
        }
        let mut gradient = vec![0.0; shape.len()];
        let sides = Sides { from: &z.clone(), to: &y };
        activate_backward(shape, (function, unit), sides, &upstream, &mut gradient, false);
        assert_gradient(&mut z, interior(shape), &gradient, 1e-7, |z| dot(&run(z), &upstream));
        let once = gradient.clone();
        activate_backward(shape, (function, unit), sides, &upstream, &mut gradient, true);
        assert!(gradient.iter().zip(&once).all(|(two, one)| (two - 2.0 * one).abs() < 1e-13));
    }
}

#[test]
fn slices_take_channels_and_their_gradient_goes_back_there() {
    let (whole, part) = (Shape { side: 3, channels: 5 }, Shape { side: 3, channels: 2 });
    let (mut x, upstream) = (map(whole, "input"), map(part, "upstream"));
    let run = |x: &[f64]| {
        let mut y = vec![0.0; part.len()];
        slice([whole, part], 2, x, &mut y);
        y
    };
    let y = run(&x);
    let at = |r: usize, c: usize| (r * 5 + c, (r + 1) * 5 + c);
    assert_eq!(y[at(1, 2).0 * 2..at(1, 2).0 * 2 + 2], x[at(1, 2).0 * 5 + 2..at(1, 2).0 * 5 + 4]);
    // Written over what was there, then added.
    let mut gradient = vec![9.0; whole.len()];
    slice_backward([whole, part], 2, &upstream, &mut gradient, false);
    assert_gradient(&mut x, interior(whole), &gradient, 1e-8, |x| dot(&run(x), &upstream));
    let once = gradient.clone();
    slice_backward([whole, part], 2, &upstream, &mut gradient, true);
    assert!(interior(whole).into_iter().all(|i| (gradient[i] - 2.0 * once[i]).abs() < 1e-13));
}

#[test]
fn an_inlay_covers_the_centre_and_splits_the_gradient() {
    let (inner, outer) = (Shape { side: 4, channels: 2 }, Shape { side: 8, channels: 2 });
    let (mut centre, mut around) = (map(inner, "input"), map(outer, "around"));
    let upstream = map(outer, "upstream");
    let run = |centre: &[f64], around: &[f64]| {
        let mut y = vec![0.0; outer.len()];
        inlay([inner, outer], centre, around, &mut y);
        y
    };
    let y = run(&centre, &around);
    for (r, row) in outer.interior(&y).enumerate() {
        for (c, pixel) in row.chunks(2).enumerate() {
            let covered = (2..6).contains(&r) && (2..6).contains(&c);
            let expected = match covered {
                true => &centre[((r - 1) * 6 + c - 1) * 2..][..2],
                false => &around[((r + 1) * 10 + c + 1) * 2..][..2],
            };
            assert_eq!(pixel, expected, "[{r}, {c}]");
        }
    }
    let (mut to_centre, mut to_around) = (vec![0.0; inner.len()], vec![0.0; outer.len()]);
    inlay_backward_inner([inner, outer], &upstream, &mut to_centre, false);
    inlay_backward_outer([inner, outer], &upstream, &mut to_around, false);
    let (c, a) = (centre.clone(), around.clone());
    assert_gradient(&mut centre, interior(inner), &to_centre, 1e-8, |x| dot(&run(x, &a), &upstream));
    assert_gradient(&mut around, interior(outer), &to_around, 1e-8, |x| dot(&run(&c, x), &upstream));
    let (once, around_once) = (to_centre.clone(), to_around.clone());
    inlay_backward_inner([inner, outer], &upstream, &mut to_centre, true);
    inlay_backward_outer([inner, outer], &upstream, &mut to_around, true);
    assert!(to_centre.iter().zip(&once).all(|(two, one)| *two == 2.0 * one));
    assert!(to_around.iter().zip(&around_once).all(|(two, one)| *two == 2.0 * one));
}
