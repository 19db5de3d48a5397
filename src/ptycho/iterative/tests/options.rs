//! What an algorithm may be told: batches, modes, masks, noise, positions, threads; and carrying on.

use ndarray::concatenate;

use super::*;

const RULES: [Rule; 4] = [Rule::Epie, Rule::Rpie, Rule::DifferenceMap, Rule::Lsqml];

/// The setting with which a batch of a dozen converges.
fn batched(rule: Rule) -> Settings {
    let step = if matches!(rule, Rule::Epie | Rule::Rpie) { 0.3 } else { 1.0 };
    Settings { step, ..Settings::new(rule) }
}

/// Epochs on a scan; batches of 12.
fn epochs(engine: &mut Engine, epochs: std::ops::Range<u64>, kind: Batching, learn: Learn) -> f64 {
    let mut residual = f64::NAN;
    for epoch in epochs {
        let batches = match kind {
            Batching::Random => Batches::random(epoch_order(5, epoch, engine.len()), 12),
            Batching::Compact => {
                let (x, y) = engine.positions();
                Batches::compact(x, y, 12, 5, epoch)
            }
        };
        residual = engine.epoch(&batches, Learn { probe: learn.probe && epoch > 0, ..learn });
    }
    residual
}

/// Object error within the scan after some epochs.
fn error(scan: &Scan, engine: &Engine) -> f64 {
    let frame = frame(&scan.x, &scan.y, scan.probe.nrows(), 1).unwrap();
    object_error(engine.object(), frame, &scan.object, 14)
}

#[test]
fn every_algorithm_finds_the_object_in_batches_of_either_kind() {
    let scan = scan(32, 5.0, 0.5);
    for (rule, subpixel) in [
        (Rule::Rpie, Subpixel::Bilinear),
        (Rule::DifferenceMap, Subpixel::Bilinear),
        (Rule::Lsqml, Subpixel::Bilinear),
        (Rule::Lsqml, Subpixel::ProbeShift),
    ] {
        for kind in [Batching::Random, Batching::Compact] {
            let mut engine = engine(&scan, Settings { subpixel, ..batched(rule) }, scan.probe.view());
            let first = epochs(&mut engine, 0..1, kind, BOTH);
            let last = epochs(&mut engine, 1..40, kind, BOTH);
            let error = error(&scan, &engine);
            println!("{rule:?} {subpixel:?} {kind:?}: {first:e} to {last:e}, error {error:e}");
            // The object's own bilinear blur is not there for shifted probes.
            assert!(error < if subpixel == Subpixel::Bilinear { 2e-3 } else { 4e-3 });
            // The difference map's residual is how much its waves still move.
            assert!(last < first / if rule == Rule::DifferenceMap { 5.0 } else { 20.0 });
        }
    }
}

#[test]
fn the_default_rule_gets_better_and_stays_so() {
    let scan = scan(32, 6.0, 0.0);
    let mut engine = engine(&scan, Settings::new(Rule::Rpie), scan.probe.view());
    let mut errors = Vec::new();
    for epoch in 0..60 {
        engine.epoch(&Batches::random(epoch_order(5, epoch, scan.x.len()), 1), BOTH);
        errors.push(error(&scan, &engine));
    }
    assert!(errors[59] <= errors[9] * 1.05 && errors[9] < errors[0], "{errors:?}");
}

#[test]
fn threads_and_interruptions_change_nothing() {
    let scan = scan(32, 7.0, 0.5);
    for rule in RULES {
        for kind in [Batching::Random, Batching::Compact] {
            for refine in [false, Engine::can_refine(&batched(rule))] {
                let learn = Learn { probe: true, positions: refine };
                let modes = starting_modes(scan.probe.view(), 2, 0.1);
                let new = || {
                    let frame = frame(&scan.x, &scan.y, 32, 4).unwrap();
                    Engine::new(measured(&scan), modes.view(), frame, batched(rule)).unwrap()
                };
                let on = |threads: usize| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    pool.install(|| {
                        let mut engine = new();
                        epochs(&mut engine, 0..4, kind, learn);
                        engine.snapshot()
                    })
                };
                let (alone, together) = (on(1), on(3));
                assert!(alone == together, "{rule:?} {kind:?}: threads");
                let mut engine = new();
                epochs(&mut engine, 0..2, kind, learn);
                let kept = engine.snapshot();
                let mut engine = new();
                engine.go_on_from(kept).unwrap();
                epochs(&mut engine, 2..4, kind, learn);
                assert!(engine.snapshot() == alone, "{rule:?} {kind:?}: carried on");
            }
        }
    }
}

#[test]
fn a_second_mode_explains_partial_coherence() {
    let coherent = scan(32, 5.0, 0.0);
    // A second, incoherent illumination as vibration along a slant gives it, with about a seventh of the power.
    let second = Array2::from_shape_fn((32, 32), |(r, c)| {
        coherent.probe[[r, c]] * (0.08 * (c as f32 - 16.0) + 0.05 * (r as f32 - 16.0))
    });
    let power = |probe: &Array2<Complex32>| probe.iter().map(|p| p.norm_sqr()).sum::<f32>();
    println!("power of the second: {}", power(&second) / power(&coherent.probe));
    let mut other = coherent.diffraction.clone();
    crate::ptycho::forward::diffract(&coherent.object, &second, &coherent.x, &coherent.y, other.view_mut());
    let mut blurred = scan(32, 5.0, 0.0);
    blurred.diffraction.zip_mut_with(&other, |a, b| *a = a.hypot(*b));
    for rule in RULES {
        let [one, two] = [1, 2].map(|count| {
            let modes = starting_modes(blurred.probe.view(), count, 0.1);
            let frame = frame(&blurred.x, &blurred.y, 32, 1).unwrap();
            let mut engine = Engine::new(measured(&blurred), modes.view(), frame, batched(rule)).unwrap();
            epochs(&mut engine, 0..40, Batching::Random, BOTH);
            (error(&blurred, &engine), engine)
        });
        println!("{rule:?}: error {:e} with one mode, {:e} with two", one.0, two.0);
        // ePIE's steep weights learn a weak mode slowly.
        let gain = if rule == Rule::Epie { 1.5 } else { 2.5 };
        assert!(two.0 < one.0 / gain, "{rule:?}: {:e} with one mode, {:e} with two", one.0, two.0);
        // Orthogonal, the stronger first.
        let probe = two.1.probe();
        let inner = |a: usize, b: usize| -> Complex32 {
            let modes = probe.index_axis(Axis(0), a).into_iter().zip(probe.index_axis(Axis(0), b));
            modes.map(|(a, b)| a.conj() * b).sum()
        };
        assert!(inner(0, 0).re > inner(1, 1).re && inner(0, 1).norm() < 1e-3 * inner(0, 0).re);
    }
}

#[test]
fn masked_pixels_do_not_matter() {
    let whole = scan(32, 5.0, 0.0);
    let mut mask = Array2::from_shape_fn((32, 32), |(r, c)| (r, c) != (14, 17) && (r, c) != (9, 20));
    mask.slice_mut(s![24..26, ..]).fill(false);
    let damaged = |value: f32| {
        let mut scan = scan(32, 5.0, 0.0);
        for mut pattern in scan.diffraction.outer_iter_mut() {
            pattern.zip_mut_with(&mask, |a, ok| *a = if *ok { *a } else { value });
        }
        scan
    };
    for (rule, noise) in [
        (Rule::Rpie, Noise::Gaussian),
        (Rule::DifferenceMap, Noise::Gaussian),
        (Rule::Lsqml, Noise::Gaussian),
        (Rule::Lsqml, Noise::Poisson),
    ] {
        let run = |scan: &Scan, masked: bool| {
            let data = Measured { mask: masked.then(|| mask.view()), ..measured(scan) };
            let frame = frame(&scan.x, &scan.y, 32, 1).unwrap();
            let settings = Settings { noise, ..batched(rule) };
            let modes = scan.probe.view().insert_axis(Axis(0));
            let mut engine = Engine::new(data, modes, frame, settings).unwrap();
            epochs(&mut engine, 0..25, Batching::Random, BOTH);
            (error(scan, &engine), engine.object().to_owned())
        };
        let (sound, _) = run(&whole, false);
        let (with, object) = run(&damaged(0.0), true);
        let (without, _) = run(&damaged(0.0), false);
        println!("{rule:?} {noise:?}: sound {sound:e}, masked {with:e}, not masked {without:e}");
        assert!(with < 3.0 * sound + 1e-4 && without > 3.0 * with, "{rule:?}: {with:e} {without:e}");
        assert_eq!(run(&damaged(50.0), true).1, object, "{rule:?}: a hot pixel behind the mask");
    }
}

#[test]
fn perturbed_positions_are_found_again() {
    let truth = scan(32, 5.0, 0.5);
    let off = |k: f64| 1.2 * (k * 78.233).sin();
    let mut wrong = scan(32, 5.0, 0.5);
    wrong.x.iter_mut().enumerate().for_each(|(i, x)| *x += off(i as f64 + 0.3));
    wrong.y.iter_mut().enumerate().for_each(|(i, y)| *y += off(2.0 * i as f64));
    // A common shift cannot be known; what counts is the scatter around it.
    let scatter = |x: &[f64], y: &[f64]| {
        let spread = |a: &[f64], b: &[f64]| {
            let d: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            let mean = d.iter().sum::<f64>() / d.len() as f64;
            d.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / d.len() as f64
        };
        (spread(x, &truth.x) + spread(y, &truth.y)).sqrt()
    };
    let before = scatter(&wrong.x, &wrong.y);
    for (rule, subpixel) in [
        (Rule::Lsqml, Subpixel::Bilinear),
        (Rule::Lsqml, Subpixel::ProbeShift),
        (Rule::Rpie, Subpixel::Bilinear),
    ] {
        let frame = frame(&wrong.x, &wrong.y, 32, 6).unwrap();
        let settings = Settings { subpixel, ..batched(rule) };
        let modes = wrong.probe.view().insert_axis(Axis(0));
        let mut engine = Engine::new(measured(&wrong), modes, frame, settings).unwrap();
        epochs(&mut engine, 0..5, Batching::Random, BOTH);
        let refine = Learn { probe: true, positions: true };
        let residual = epochs(&mut engine, 5..100, Batching::Random, refine);
        let (x, y) = engine.positions();
        let after = scatter(x, y);
        println!("{rule:?} {subpixel:?}: {before:.3} to {after:.3} px, residual {residual:e}");
        assert!(after < before / 5.0, "{rule:?} {subpixel:?}: {before:.3} to {after:.3} px");
    }
}

#[test]
fn the_poisson_model_fits_counts_as_poisson_does() {
    let mut noisy = scan(32, 5.0, 0.0);
    let powers: Vec<f64> =
        noisy.diffraction.outer_iter().map(|p| p.iter().map(|a| f64::from(*a).powi(2)).sum()).collect();
    let scale = (3000.0 * powers.len() as f64 / powers.iter().sum::<f64>()).sqrt();
    crate::ptycho::forward::poisson(noisy.diffraction.view_mut(), 0, scale, 3000.0, 1).unwrap();
    // Deviance 2·Σ(y − I + I·ln(I/y)) per pixel, in counts, of the model that each noise model ends with.
    let deviance = |noise: Noise| {
        let mut engine = engine(&noisy, Settings { noise, ..batched(Rule::Lsqml) }, noisy.probe.view());
        epochs(&mut engine, 0..60, Batching::Random, BOTH);
        let frame = frame(&noisy.x, &noisy.y, 32, 1).unwrap();
        let mut object = Array2::zeros((100, 104));
        let corner = [frame.origin[0] as usize, frame.origin[1] as usize];
        let place = s![corner[0]..corner[0] + frame.shape.0, corner[1]..corner[1] + frame.shape.1];
        object.slice_mut(place).assign(&engine.object());
        let mut model = noisy.diffraction.clone();
        let probe = engine.probe().index_axis(Axis(0), 0).to_owned();
        crate::ptycho::forward::diffract(&object, &probe, &noisy.x, &noisy.y, model.view_mut());
        let pixel = |(a, m): (&f32, &f32)| {
            let [i, y] = [a, m].map(|v| (f64::from(*v) * scale).powi(2));
            let y = y.max(1e-6);
            2.0 * (y - i + if i > 0.0 { i * (i / y).ln() } else { 0.0 })
        };
        let sum: f64 = noisy.diffraction.iter().zip(&model).map(pixel).sum();
        (sum / model.len() as f64, error(&noisy, &engine))
    };
    let (gaussian, poisson) = (deviance(Noise::Gaussian), deviance(Noise::Poisson));
    println!("deviance and error: gaussian {gaussian:?}, poisson {poisson:?}");
    assert!(poisson.0 < gaussian.0, "{gaussian:?} {poisson:?}");
    assert!(poisson.1 < 2.0 * gaussian.1, "{gaussian:?} {poisson:?}");
}

#[test]
fn coverage_counts_every_mode() {
    let scan = scan(32, 8.0, 0.0);
    let one = scan.probe.view().insert_axis(Axis(0));
    let both = concatenate(Axis(0), &[one, one]).unwrap();
    let frame = frame(&scan.x, &scan.y, 32, 1).unwrap();
    let coverage = |modes: ndarray::ArrayView3<'_, Complex32>| {
        Engine::new(measured(&scan), modes, frame, Settings::new(Rule::Rpie)).unwrap().coverage()
    };
    let (single, double) = (coverage(one), coverage(both.view()));
    // Twice the light, but also twice the peak.
    assert!(single.iter().zip(&double).all(|(a, b)| (a - b).abs() < 1e-5));
    assert!(single.iter().fold(0.0f32, |m, v| m.max(*v)) >= 1.0 && single[[0, 0]] < 1e-3);
}
