use ndarray::Array3;
use serde_json::{Value, json};

use super::*;
use crate::ptycho::dataset::{Dataset, new_metadata};
use crate::stages::Report;
use crate::stages::compare::harness::{Files, texture};

/// A scan whose positions span rows 20..=59 and columns 25..=74, of an object of 100 × 110.
fn scan(object: Option<Array2<Complex32>>) -> Dataset {
    let x = vec![24.5, 74.25, 40.0];
    let y = vec![19.1, 59.9, 30.0];
    Dataset {
        diffraction: Array3::zeros((3, 16, 16)),
        x_start: x.clone(),
        y_start: y.clone(),
        x,
        y,
        probe: Array2::from_elem((16, 16), Complex32::new(1.0, 0.0)),
        object,
        scan_index: vec![0; 3],
        dose_scale: None,
        measured_photons: None,
        mask: None,
        metadata: new_metadata(json!({}), json!({})),
    }
}

/// The object moved by (dy, dx), cut to rows 10..80 and columns 12..90, turned and scaled.
fn moved(object: &Array2<Complex32>, by: [f64; 2]) -> Image {
    let factor = Complex32::from_polar(0.5, 2.9);
    let part = fourier_shift(object.view(), by).slice(s![10..80, 12..90]).mapv(|v| v * factor);
    Image { object: part, origin_yx: [10.0, 12.0], coverage: None }
}

fn run(
    image: &Image,
    reference: &dyn Fn(&std::path::Path) -> StageResult,
    params: Value,
) -> (StageResult<Pair>, Vec<Report>) {
    let mut files = Files::new();
    files.input("image", |path| image.write(path));
    files.input("reference", reference);
    files.input("scan", |path| scan(None).write(path));
    let (result, reports) = files.run(&Register, params, 0);
    (result.and_then(|()| Pair::read(&files.output("pair.npz"))), reports)
}

#[test]
fn a_moved_and_turned_image_comes_back() {
    let object = texture(100, 110);
    let data = scan(Some(object.clone()));
    for on in ["amplitude", "phase"] {
        let (pair, reports) = run(&moved(&object, [0.6, -1.2]), &|path| data.write(path), json!({"on": on}));
        let pair = pair.unwrap();
        assert_eq!(pair.origin_yx, [22.0, 27.0]);
        assert_eq!(pair.truth.dim(), (36, 46));
        assert_eq!(pair.truth[[0, 0]], object[[22, 27]]);
        let [dy, dx] = pair.shift_yx;
        assert!((dy + 0.6).abs() < 0.1 && (dx - 1.2).abs() < 0.1, "{on}: {dy}, {dx}");
        // Edges of the periodic shift apart, the prediction is now the truth at half its modulus.
        let off =
            (&pair.prediction.mapv(|v| v * 2.0) - &pair.truth).slice(s![6..30, 6..40]).mapv(|v| v.norm());
        assert!(off.iter().all(|v| *v < 0.1), "{on}: {:?}", off.iter().fold(0.0f32, |m, v| m.max(*v)));
        let turn = reports.iter().find_map(|r| match r {
            Report::Measure { name, value } if name == "global_phase_rad" => value.as_f64(),
            _ => None,
        });
        assert!((turn.unwrap() + 2.9).abs() < 0.05);
    }
}

#[test]
fn the_truth_itself_needs_no_shift_whatever_file_it_comes_from() {
    let object = texture(100, 110);
    let image =
        Image { object: object.slice(s![5..90, 3..100]).to_owned(), origin_yx: [5.0, 3.0], coverage: None };
    let data = scan(Some(object));
    let writers: [&dyn Fn(&std::path::Path) -> StageResult; 2] =
        [&|path| data.write(path), &|path| image.write(path)];
    for reference in writers {
        let pair = run(&image, reference, json!({})).0.unwrap();
        assert_eq!(pair.shift_yx, [0.0; 2]);
        let off = (&pair.prediction - &pair.truth).iter().fold(0.0f32, |m, v| m.max(v.norm()));
        assert!(off < 1e-5, "{off}");
    }
}

#[test]
fn one_box_for_every_model_or_an_error() {
    let object = texture(100, 110);
    let data = scan(Some(object.clone()));
    let part =
        Image { object: object.slice(s![25..90, 3..100]).to_owned(), origin_yx: [25.0, 3.0], coverage: None };
    let error = run(&part, &|path| data.write(path), json!({})).0.unwrap_err();
    assert!(
        error.message.contains(
            "covers rows 25..90, columns 3..100 but the scanned box is rows 20..60, columns 25..75"
        ),
        "{error}"
    );
    let error = run(&part, &|path| data.write(path), json!({"margin_px": -20})).0.unwrap_err();
    assert!(error.message.contains("has no pixels left"), "{error}");
    let error = run(&part, &|path| scan(None).write(path), json!({})).0.unwrap_err();
    assert!(error.message.contains("objectGuess") && error.hint.is_some(), "{error}");
    let between = Image { origin_yx: [25.5, 3.0], ..part };
    let error = run(&between, &|path| data.write(path), json!({})).0.unwrap_err();
    assert!(error.message.contains("`origin_yx` is (25.5, 3), expected whole pixels"), "{error}");
}

#[test]
fn a_blank_model_stays_and_says_so_but_a_blank_truth_fails() {
    let object = texture(100, 110);
    let data = scan(Some(object.clone()));
    let blank = Image {
        object: Array2::from_elem((100, 110), Complex32::new(0.3, 0.1)),
        origin_yx: [0.0; 2],
        coverage: Some(Array2::zeros((100, 110))),
    };
    let (pair, reports) = run(&blank, &|path| data.write(path), json!({}));
    assert_eq!(pair.unwrap().shift_yx, [0.0; 2]);
    let warnings: Vec<_> = reports
        .iter()
        .filter_map(|r| if let Report::Warning { message } = r { Some(message) } else { None })
        .collect();
    assert!(warnings.iter().any(|w| w.contains("constant")));
    assert!(
        warnings.iter().any(|w| w.contains("2000 of the 2000 compared pixels have no data")),
        "{warnings:?}"
    );
    let (pair, _) = run(&blank, &|path| blank.write(path), json!({}));
    assert!(pair.unwrap_err().hint.unwrap().contains("on: phase"));
}
