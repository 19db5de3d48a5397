//! Stage kind `split`: one scan into a training and a test part, by position.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, Stage};
use crate::diag::{StageError, StageResult};
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::dataset::{Dataset, DatasetWriter};

/// Parameters of `split`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Coordinate that decides: `y` (rows) or `x` (columns).
    #[serde(default)]
    pub axis: Axis,
    /// Where the split lies between the smallest (0) and the largest (1) coordinate.
    #[serde(default = "half")]
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub fraction: f64,
    /// Distance that images keep from the split on either side, pixels; those nearer are left out. Half
    /// the pattern side makes training and test patches disjoint. 0: no image is left out, and the object
    /// along the split is seen by both.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub guard: f64,
}

fn half() -> f64 {
    0.5
}

/// A coordinate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Columns.
    X,
    /// Rows.
    #[default]
    Y,
}

/// The `split` stage.
pub struct Split;

impl Stage for Split {
    fn kind(&self) -> Kind {
        Kind {
            name: "split",
            version: 1,
            summary: "Divide a dataset into training and test parts by position, with a guard band",
            inputs: &[Slot { name: "data", arity: Arity::One, doc: "dataset to divide" }],
            outputs: &[
                Output { name: "train", file: "train.npz", doc: "the part below the split" },
                Output { name: "test", file: "test.npz", doc: "the part above the split" },
            ],
            params: || schemars::schema_for!(Params),
            tuning: &[],
            seeded: false,
            needs_runtime: false,
            resumes: false,
            open: false,
        }
    }

    fn run(&self, cx: &mut Context<'_>) -> StageResult {
        let params: Params = cx.params()?;
        let path = cx.input("data")?;
        let (data, patterns) = Dataset::open(path, &cx.job().staging.join("patterns.f32"))?;
        let (axis, coordinates) = match params.axis {
            Axis::X => ("x", &data.x),
            Axis::Y => ("y", &data.y),
        };
        let parts = Parts::new(coordinates, params.fraction, params.guard);
        parts.check(coordinates, axis, &params)?;
        let gap = parts.gap(coordinates);
        // Patches reach half a side beyond their centres, so closer than one side they share pixels.
        if params.guard == 0.0 && gap < data.side() as f64 {
            cx.warn(format!(
                "no guard band: training and test patches come within {gap:.2} px of each other and overlap, \
                 so the test score is optimistic; `guard: {}` makes them disjoint",
                data.side() / 2
            ));
        }
        let begin =
            |name: &str, keep: &[usize]| DatasetWriter::create(&cx.output(name)?, keep.len(), data.side());
        let mut writers = [begin("train", &parts.train)?, begin("test", &parts.test)?];
        let goes_to = parts.of_every_image(data.len());
        let mut at = 0;
        // Patterns pass through one by one, and go where their image does, if anywhere.
        patterns.pass(path, |values| {
            let to = goes_to[at];
            at += 1;
            to.map_or(Ok(()), |part| writers[part].append(values))
        })?;
        for ((name, keep), writer) in
            [("train", &parts.train), ("test", &parts.test)].into_iter().zip(writers)
        {
            let mut part = data.select(keep);
            part.append_transformation(
                "split",
                "train_test_split",
                json!({
                    "part": name,
                    "split_axis": axis,
                    "split_fraction": params.fraction,
                    "split_point": parts.point,
                    "guard_px": params.guard,
                    "train_count": parts.train.len(),
                    "test_count": parts.test.len(),
                }),
            );
            writer.finish(&part)?;
        }
        cx.measure("split_point_px", parts.point);
        cx.measure("train_images", parts.train.len());
        cx.measure("test_images", parts.test.len());
        cx.measure("left_out_images", data.len() - parts.train.len() - parts.test.len());
        cx.measure("train_test_gap_px", gap);
        Ok(())
    }
}

/// Which images go where.
#[derive(Debug, Clone, PartialEq)]
struct Parts {
    /// The coordinate that divides.
    point: f64,
    /// Images of the training part, in file order.
    train: Vec<usize>,
    /// Images of the test part, in file order.
    test: Vec<usize>,
}

impl Parts {
    /// study.md §3.3: `point = min + (max − min)·fraction`; without a guard train `< point` and test
    /// `≥ point`; with a guard g train `≤ point − g` and test `≥ point + g`.
    fn new(coordinates: &[f64], fraction: f64, guard: f64) -> Self {
        let min = coordinates.iter().copied().fold(f64::INFINITY, f64::min);
        let max = coordinates.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let point = min + (max - min) * fraction;
        let indices = |keep: &dyn Fn(f64) -> bool| {
            coordinates.iter().enumerate().filter(|(_, c)| keep(**c)).map(|(i, _)| i).collect()
        };
        Self {
            point,
            train: indices(&|c| if guard > 0.0 { c <= point - guard } else { c < point }),
            test: indices(&|c| c >= point + guard),
        }
    }

    /// Number of the part that each image goes to: 0 training, 1 test.
    fn of_every_image(&self, images: usize) -> Vec<Option<usize>> {
        let mut parts = vec![None; images];
        for (part, keep) in [&self.train, &self.test].into_iter().enumerate() {
            keep.iter().for_each(|&image| parts[image] = Some(part));
        }
        parts
    }

    fn check(&self, coordinates: &[f64], axis: &str, params: &Params) -> StageResult {
        let empty = match (self.train.is_empty(), self.test.is_empty()) {
            (false, false) => return Ok(()),
            (true, true) => "both parts are",
            (true, false) => "the training part is",
            (false, true) => "the test part is",
        };
        let message = format!(
            "{empty} empty: {} images, {axis} split at {:.2} with a guard of {} px",
            coordinates.len(),
            self.point,
            params.guard
        );
        Err(StageError::input(message).hint("choose a smaller `guard`, or a `fraction` nearer to 0.5"))
    }

    /// Distance between the last training and the first test image along the axis.
    fn gap(&self, coordinates: &[f64]) -> f64 {
        let last = self.train.iter().map(|&i| coordinates[i]).fold(f64::NEG_INFINITY, f64::max);
        let first = self.test.iter().map(|&i| coordinates[i]).fold(f64::INFINITY, f64::min);
        first - last
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3};
    use num_complex::Complex32;
    use serde_json::Value;

    use super::*;
    use crate::ptycho::dataset::new_metadata;
    use crate::ptycho::rng::Mt19937;
    use crate::stages::import::testing::{self, Run};

    #[test]
    fn the_references_positions_split_as_recorded() {
        // study.md §3.1 and §3.3: 10 304 positions in [64, 400)², all x drawn before all y.
        let mut random = Mt19937::new(42);
        let mut draw = || (0..10_304).map(|_| random.uniform(64.0, 400.0)).collect::<Vec<f64>>();
        let (_x, y) = (draw(), draw());
        for (guard, train, test) in [(0.0, 5088, 5216), (64.0, 3096, 3257), (32.0, 4091, 4235)] {
            let parts = Parts::new(&y, 0.5, guard);
            assert_eq!((parts.train.len(), parts.test.len()), (train, test), "guard {guard}");
            assert_eq!(parts.point, 232.01387199708716);
        }
    }

    #[test]
    fn borders_belong_where_the_definition_says() {
        // Point 5. Without a guard the image on it is test; with one, both borders are kept.
        let coordinates = [0.0, 3.0, 5.0, 7.0, 10.0];
        let none = Parts::new(&coordinates, 0.5, 0.0);
        assert_eq!((none.train, none.test), (vec![0, 1], vec![2, 3, 4]));
        let two = Parts::new(&coordinates, 0.5, 2.0);
        assert_eq!((two.train, two.test), (vec![0, 1], vec![3, 4]));
        let three = Parts::new(&coordinates, 0.5, 2.5);
        assert_eq!((three.train, three.test), (vec![0], vec![4]));
    }

    fn dataset() -> Dataset {
        let y: Vec<f64> = (0..20).map(|i| f64::from((i * 7) % 20) * 3.0).collect();
        let x: Vec<f64> = (0..20).map(f64::from).collect();
        Dataset {
            diffraction: Array3::from_shape_fn((20, 4, 4), |(i, _, _)| i as f32),
            x: x.clone(),
            y: y.clone(),
            x_start: x,
            y_start: y,
            probe: Array2::from_elem((4, 4), Complex32::new(1.0, 0.0)),
            object: Some(Array2::from_elem((64, 64), Complex32::new(1.0, 0.0))),
            scan_index: vec![0; 20],
            dose_scale: Some(2.0),
            measured_photons: Some((0..20).map(f64::from).collect()),
            mask: None,
            metadata: new_metadata(json!({}), json!({})),
        }
    }

    fn run(params: Value) -> StageResult<Run> {
        testing::run(&Split, params, 1, |dir| {
            let path = dir.join("in.npz");
            dataset().write(&path).unwrap();
            vec![("data", path)]
        })
    }

    #[test]
    fn files_hold_the_parts_in_file_order_with_provenance() {
        let done = run(json!({ "axis": "y", "guard": 6.0 })).unwrap();
        let train = Dataset::read(&done.output("train")).unwrap();
        let test = Dataset::read(&done.output("test")).unwrap();
        // Rows 0, 3, …, 57: the split is at 28.5; up to 22.5 and from 34.5.
        assert!(train.y.iter().all(|y| *y <= 22.5) && test.y.iter().all(|y| *y >= 34.5));
        assert_eq!((train.len(), test.len()), (8, 8));
        assert!(train.x.is_sorted() && test.x.is_sorted());
        assert!(train.x.iter().zip(train.diffraction.outer_iter()).all(|(x, d)| d[[0, 0]] == *x as f32));
        assert_eq!((train.object.clone(), train.dose_scale), (dataset().object, Some(2.0)));
        let entry = &test.metadata["data_transformations"][0];
        assert_eq!(
            (&entry["operation"], &entry["parameters"]["part"]),
            (&json!("train_test_split"), &json!("test"))
        );
        assert_eq!(done.measured("left_out_images"), json!(4));
        assert_eq!(done.measured("train_test_gap_px"), json!(15.0));
        assert!(done.warnings().is_empty());
    }

    #[test]
    fn patches_across_the_split_are_told_and_emptiness_is_an_error() {
        let done = run(json!({})).unwrap();
        assert_eq!(done.warnings().len(), 1);
        assert!(done.warnings()[0].contains("within 3.00 px") && done.warnings()[0].contains("`guard: 2`"));
        let error = run(json!({ "guard": 100.0 })).unwrap_err();
        assert_eq!(error.message, "both parts are empty: 20 images, y split at 28.50 with a guard of 100 px");
    }
}
