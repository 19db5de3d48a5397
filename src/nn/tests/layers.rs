//! Every layer: by its definition, and its gradients by finite differences.

use super::assert_gradient;
use super::fixture::random;
use crate::nn::conv::{Conv, Shape};
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
