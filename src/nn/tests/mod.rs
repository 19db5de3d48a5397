//! Gradients against finite differences in `f64`, and properties of training.

mod fixture;
mod layers;
mod losses;
mod training;

/// Checks a gradient: moves each of the chosen numbers a little both ways and compares the change of
/// `value` with what `gradient` says, relative to the largest component.
///
/// ReLU, maximum and absolute value have kinks; a step of 1e-7 meets one so rarely that the fixed seeds
/// of the tests avoid them.
fn assert_gradient(
    numbers: &mut [f64],
    chosen: impl IntoIterator<Item = usize>,
    gradient: &[f64],
    tolerance: f64,
    mut value: impl FnMut(&[f64]) -> f64,
) {
    const STEP: f64 = 1e-7;
    let scale = gradient.iter().fold(0.0f64, |m, g| m.max(g.abs()));
    assert!(scale > 0.0, "the gradient is zero everywhere");
    for i in chosen {
        let at = numbers[i];
        numbers[i] = at + STEP;
        let above = value(numbers);
        numbers[i] = at - STEP;
        let below = value(numbers);
        numbers[i] = at;
        let slope = (above - below) / (2.0 * STEP);
        let off = (slope - gradient[i]).abs();
        assert!(
            off <= tolerance * scale,
            "component {i}: gradient {}, finite difference {slope}, off by {:.1e} of {scale:.1e}",
            gradient[i],
            off / scale
        );
    }
}
