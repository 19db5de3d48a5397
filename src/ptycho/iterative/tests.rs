mod options;

use ndarray::{Array2, Array3, ArrayView2, Axis, s};
use num_complex::Complex32;

use super::*;
use crate::ptycho::fft::{Fft2, fftshift2};

/// A scan of a smooth object, simulated here in f64-free but independent code: whole-pixel windows, or
/// bilinear samples when positions have fractions.
struct Scan {
    object: Array2<Complex32>,
    probe: Array2<Complex32>,
    x: Vec<f64>,
    y: Vec<f64>,
    diffraction: Array3<f32>,
}

fn scan(side: usize, step: f64, jitter: f64) -> Scan {
    let (rows, cols) = (96, 100);
    let object = Array2::from_shape_fn((rows, cols), |(r, c)| {
        let (y, x) = (r as f32, c as f32);
        let amplitude = 0.8 + 0.15 * (0.31 * x).sin() * (0.27 * y + 0.05 * x).cos();
        Complex32::from_polar(amplitude, 0.6 * (0.19 * y - 0.11 * x).sin() + 0.3 * (0.4 * x).cos())
    });
    let probe = Array2::from_shape_fn((side, side), |(r, c)| {
        let (y, x) = (r as f32 - side as f32 / 2.0, c as f32 - side as f32 / 2.0);
        let radius = (y * y + x * x) / (side * side) as f32;
        Complex32::from_polar((-radius * 14.0).exp(), 18.0 * radius)
    });
    let (mut x, mut y) = (Vec::new(), Vec::new());
    let half = side as f64 / 2.0 + 2.0;
    let mut at = half;
    while at < rows as f64 - half {
        let mut across = half;
        while across < cols as f64 - half {
            let wobble = |k: f64| (k * 12.9898).sin();
            y.push(at + jitter * wobble(at + 3.0 * across));
            x.push(across + jitter * wobble(7.0 * at - across));
            across += step;
        }
        at += step;
    }
    let mut diffraction = Array3::zeros((x.len(), side, side));
    let mut fft = Fft2::<f32>::new(side, side);
    for (i, mut pattern) in diffraction.outer_iter_mut().enumerate() {
        let (top, left) = (y[i] - (side / 2) as f64, x[i] - (side / 2) as f64);
        let mut wave: Vec<Complex32> = (0..side * side)
            .map(|k| {
                probe[[k / side, k % side]]
                    * bilinear(&object, top + (k / side) as f64, left + (k % side) as f64)
            })
            .collect();
        fft.forward(&mut wave);
        let amplitude: Vec<f32> = wave.iter().map(|v| v.norm() / side as f32).collect();
        pattern.iter_mut().zip(fftshift2(&amplitude, side, side)).for_each(|(to, from)| *to = from);
    }
    Scan { object, probe, x, y, diffraction }
}

fn bilinear(object: &Array2<Complex32>, y: f64, x: f64) -> Complex32 {
    let (r, c) = (y.floor() as usize, x.floor() as usize);
    let (fy, fx) = ((y - y.floor()) as f32, (x - x.floor()) as f32);
    let at = |r: usize, c: usize| object.get([r, c]).copied().unwrap_or_default();
    (at(r, c) * (1.0 - fx) + at(r, c + 1) * fx) * (1.0 - fy)
        + (at(r + 1, c) * (1.0 - fx) + at(r + 1, c + 1) * fx) * fy
}

/// Relative squared error inside the scan, the global factor removed.
fn object_error(
    found: ArrayView2<'_, Complex32>,
    frame: Frame,
    truth: &Array2<Complex32>,
    border: usize,
) -> f64 {
    let [top, left] = frame.origin;
    let (rows, cols) = frame.shape;
    let mut overlap = num_complex::Complex64::default();
    let (mut own, mut other) = (0.0, 0.0);
    for r in border..rows - border {
        for c in border..cols - border {
            let f = found[[r, c]];
            let t = truth[[(r as i64 + top) as usize, (c as i64 + left) as usize]];
            let wide = |v: Complex32| num_complex::Complex64::new(v.re.into(), v.im.into());
            overlap += wide(t) * wide(f).conj();
            own += f64::from(f.norm_sqr());
            other += f64::from(t.norm_sqr());
        }
    }
    1.0 - overlap.norm_sqr() / (own * other)
}

fn settings(rule: Rule, alpha: f32, subpixel: Subpixel) -> Settings {
    Settings { alpha, beta: alpha, subpixel, ..Settings::new(rule) }
}

fn measured(scan: &Scan) -> Measured<'_> {
    Measured { diffraction: scan.diffraction.clone(), mask: None, x: &scan.x, y: &scan.y, dose_scale: 1.0 }
}

fn engine(scan: &Scan, settings: Settings, start: ArrayView2<'_, Complex32>) -> Engine {
    let frame = frame(&scan.x, &scan.y, scan.probe.nrows(), 1).unwrap();
    Engine::new(measured(scan), start.insert_axis(Axis(0)), frame, settings).unwrap()
}

const BOTH: Learn = Learn { probe: true, positions: false };

fn run(
    scan: &Scan,
    settings: Settings,
    batch: usize,
    epochs: u64,
    start: ArrayView2<'_, Complex32>,
) -> (Engine, f64) {
    let mut engine = engine(scan, settings, start);
    let mut residual = f64::NAN;
    for epoch in 0..epochs {
        let batches = Batches::random(epoch_order(5, epoch, scan.x.len()), batch);
        residual = engine.epoch(&batches, Learn { probe: epoch > 0, ..BOTH });
    }
    (engine, residual)
}

#[test]
fn converges_with_a_wrong_probe_and_fractional_positions() {
    let scan = scan(32, 5.0, 0.5);
    // 15 % weaker and with another curvature than the true one.
    let wrong = Array2::from_shape_fn(scan.probe.dim(), |(r, c)| {
        let (y, x) = (r as f32 - 16.0, c as f32 - 16.0);
        scan.probe[[r, c]] * Complex32::from_polar(0.85, 2.0 * (y * y + x * x) / 1024.0)
    });
    let frame = frame(&scan.x, &scan.y, 32, 1).unwrap();
    let (engine, residual) = run(&scan, settings(Rule::Rpie, 0.5, Subpixel::Bilinear), 1, 30, wrong.view());
    let error = object_error(engine.object(), frame, &scan.object, 14);
    assert!(residual < 2e-4 && error < 5e-4, "residual {residual:e}, object error {error:e}");
    let blank = Array2::from_elem(frame.shape, Complex32::new(1.0, 0.0));
    assert!(error < object_error(blank.view(), frame, &scan.object, 14) / 50.0);
}

#[test]
fn every_rule_and_subpixel_treatment_lowers_the_residual() {
    let scan = scan(32, 5.0, 0.5);
    for rule in [Rule::Epie, Rule::Rpie] {
        // Rounded positions cannot explain the data as well as the others; the bounds tell them apart.
        for (subpixel, limit) in
            [(Subpixel::Bilinear, 2e-3), (Subpixel::ProbeShift, 2e-3), (Subpixel::Nearest, 4e-3)]
        {
            for batch in [1, 4] {
                let (engine, residual) =
                    run(&scan, settings(rule, 0.5, subpixel), batch, 8, scan.probe.view());
                assert!(residual < limit, "{rule:?} {subpixel:?} batch {batch}: {residual:e}");
                assert!(engine.object().iter().all(|v| v.re.is_finite() && v.im.is_finite()));
            }
        }
    }
}

#[test]
fn the_true_solution_stays_put() {
    let scan = scan(32, 6.0, 0.0);
    let frame = Frame { origin: [0, 0], shape: scan.object.dim() };
    for subpixel in [Subpixel::Bilinear, Subpixel::ProbeShift, Subpixel::Nearest] {
        let settings = settings(Rule::Rpie, 0.5, subpixel);
        let mut engine =
            Engine::new(measured(&scan), scan.probe.view().insert_axis(Axis(0)), frame, settings).unwrap();
        engine.start_from(scan.object.view()).unwrap();
        let residual = engine.epoch(&Batches::random(epoch_order(1, 0, scan.x.len()), 1), BOTH);
        assert!(residual < 1e-10, "{subpixel:?}: {residual:e}");
        let moved = (&engine.object() - &scan.object).iter().fold(0.0f32, |m, v| m.max(v.norm()));
        assert!(moved < 1e-3, "{subpixel:?}: {moved:e}");
    }
}

struct One<'a>(scan::Place, &'a [Complex32]);

impl grid::Rows<Complex32> for One<'_> {
    fn len(&self) -> usize {
        1
    }
    fn place(&self, _: usize) -> scan::Place {
        self.0
    }
    fn row(&self, _: usize, r: usize, line: &mut [Complex32]) {
        line.copy_from_slice(&self.1[4 * r..4 * (r + 1)]);
    }
}

#[test]
fn spreading_is_the_adjoint_of_gathering() {
    let width = 9;
    let object: Vec<Complex32> = (0..81).map(|i| Complex32::new((i % 7) as f32, (i % 5) as f32)).collect();
    let patch: Vec<Complex32> = (0..16).map(|i| Complex32::new((i % 3) as f32, -(i as f32))).collect();
    for fraction in [[0.0, 0.0], [0.25, 0.0], [0.0, 0.75], [0.5, 0.125]] {
        let place = scan::Place { corner: [2, 3], fraction };
        let mut cut = vec![Complex32::default(); 16];
        grid::gather(&object, width, place, 4, &mut cut);
        let mut spread = vec![Complex32::default(); 81];
        grid::spread(&mut spread, width, 4, &One(place, &patch));
        let inner =
            |a: &[Complex32], b: &[Complex32]| a.iter().zip(b).map(|(a, b)| a.conj() * b).sum::<Complex32>();
        assert!((inner(&cut, &patch) - inner(&object, &spread)).norm() < 1e-3, "{fraction:?}");
    }
}

#[test]
fn refuses_what_does_not_fit() {
    let scan = scan(32, 12.0, 0.0);
    let frame = frame(&scan.x, &scan.y, 32, 0).unwrap();
    let settings = settings(Rule::Rpie, 0.5, Subpixel::Bilinear);
    let new = |data: &Array3<f32>, x: &[f64], probe: &Array2<Complex32>, frame| {
        let measured = Measured { diffraction: data.clone(), x, ..measured(&scan) };
        Engine::new(measured, probe.view().insert_axis(Axis(0)), frame, settings).err()
    };
    let (data, probe) = (&scan.diffraction, &scan.probe);
    assert_eq!(new(data, &scan.x, probe, frame), None);
    let small = probe.slice(s![..16, ..16]).to_owned();
    assert!(matches!(new(data, &scan.x, &small, frame), Some(SetupError::Shape { what: "probe", .. })));
    assert!(matches!(
        new(data, &scan.x[1..], probe, frame),
        Some(SetupError::Shape { what: "positions", .. })
    ));
    let narrow = Frame { shape: (frame.shape.0, frame.shape.1 - 1), ..frame };
    assert!(matches!(new(data, &scan.x, probe, narrow), Some(SetupError::Outside { .. })));
    assert_eq!(new(&(data * 0.0), &scan.x, probe, frame), Some(SetupError::Dark("the data")));
    let dark = probe.mapv(|_| Complex32::default());
    assert_eq!(new(data, &scan.x, &dark, frame), Some(SetupError::Dark("the probe")));
    let mask = Array2::from_elem((31, 32), true);
    let masked = Measured { mask: Some(mask.view()), ..measured(&scan) };
    let modes = probe.view().insert_axis(Axis(0));
    let error = Engine::new(masked, modes, frame, settings).err();
    assert!(matches!(error, Some(SetupError::Shape { what: "mask", .. })));
    let shifted = Settings { subpixel: Subpixel::ProbeShift, ..Settings::new(Rule::DifferenceMap) };
    assert!(matches!(
        Engine::new(measured(&scan), modes, frame, shifted).err(),
        Some(SetupError::Unsupported(_))
    ));
}
