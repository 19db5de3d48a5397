//! Activations, number by number. ReLU is not here: it is fused into the convolution before it.

use super::conv::Shape;
use super::graph::Function;
use super::real::Real;

/// `to = unit · function(from)` inside the border, which stays zero.
pub fn activate<T: Real>(shape: Shape, function: Function, unit: T, from: &[T], to: &mut [T]) {
    let value = |z: T| match function {
        Function::Identity => unit * z,
        Function::Sigmoid => unit / (T::one() + (-z).exp()),
        Function::Tanh => unit * z.tanh(),
        Function::Swish => unit * (z / (T::one() + (-z).exp())),
    };
    for (out, row) in shape.interior_mut(to).zip(shape.interior(from)) {
        out.iter_mut().zip(row).for_each(|(out, &z)| *out = value(z));
    }
}

/// Both sides of an activation, as its forward pass left them.
#[derive(Clone, Copy)]
pub struct Sides<'a, T> {
    /// Its input.
    pub from: &'a [T],
    /// Its output.
    pub to: &'a [T],
}

/// Gradient of [`activate`], written to `gradient`, or added when `accumulate`.
pub fn activate_backward<T: Real>(
    shape: Shape,
    (function, unit): (Function, T),
    sides: Sides<'_, T>,
    upstream: &[T],
    gradient: &mut [T],
    accumulate: bool,
) {
    let one = T::one();
    let slope = |z: T, y: T| match function {
        Function::Identity => unit,
        // y = u·σ(z): dy/dz = y·(1 − y/u).
        Function::Sigmoid => y * (one - y / unit),
        // y = u·tanh(z): dy/dz = u·(1 − (y/u)²).
        Function::Tanh => unit * (one - (y / unit) * (y / unit)),
        // y = u·z·σ(z): dy/dz = u·σ·(1 + z·(1 − σ)).
        Function::Swish => {
            let sigma = one / (one + (-z).exp());
            unit * sigma * (one + z * (one - sigma))
        }
    };
    let values = shape.interior(sides.from).zip(shape.interior(sides.to));
    let gradients = shape.interior_mut(gradient).zip(shape.interior(upstream));
    for ((z, y), (out, g)) in values.zip(gradients) {
        for ((out, &g), (&z, &y)) in out.iter_mut().zip(g).zip(z.iter().zip(y)) {
            let through = g * slope(z, y);
            *out = if accumulate { *out + through } else { through };
        }
    }
}
