//! Stage kind `compare`: the scores of several models on one condition, side by side.

mod comparison;
pub(in crate::stages) mod csv;
pub(in crate::stages) mod figure;
#[cfg(test)]
pub(in crate::stages) mod harness;
mod params;
pub(in crate::stages) mod pictures;

pub use self::comparison::{Comparison, Model};
use self::figure::{Cell, Figure, Row};
pub use self::params::Params;
use self::pictures::Pictures;
use super::metrics::{Channel, pretty};
use super::{Context, JobInput, Stage};
use crate::diag::{StageError, StageResult};
use crate::io::atomic;
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::image::Pair;

/// The `compare` stage.
pub struct Compare;

impl Stage for Compare {
    fn kind(&self) -> Kind {
        Kind {
            name: "compare",
            version: 2,
            summary: "put the scores and pictures of several models side by side, in the reference study's table",
            inputs: &[
                Slot { name: "metrics", arity: Arity::Many, doc: "scores of each model, from `metrics`" },
                Slot {
                    name: "pairs",
                    arity: Arity::Many,
                    doc: "pair of each model, from `register`, for the figure",
                },
            ],
            outputs: &[
                Output {
                    name: "table",
                    file: "comparison_metrics.csv",
                    doc: "the reference study's table: model,metric,amplitude,phase,value",
                },
                Output {
                    name: "json",
                    file: "comparison.json",
                    doc: "all scores, curves and reasons for gaps",
                },
                Output {
                    name: "figure",
                    file: "comparison.png",
                    doc: "truth and models, amplitude and phase",
                },
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
        let comparison = Comparison::gather(cx.inputs("metrics"), &params)?;
        let pairs = pairs_of(&comparison, cx.inputs("pairs"))?;
        draw(&comparison, &pairs, params.tile_px as usize).write(&cx.output("figure")?)?;
        atomic::write(&cx.output("table")?, comparison.to_csv().as_bytes())?;
        atomic::write(&cx.output("json")?, pretty(&comparison).as_bytes())?;
        Ok(())
    }
}

/// The pair of every model, found by its point. All must show one truth: otherwise the models were
/// scored on different pixels and their numbers cannot be compared.
fn pairs_of(comparison: &Comparison, inputs: &[JobInput]) -> StageResult<Vec<Pair>> {
    let mut pairs: Vec<Pair> = Vec::with_capacity(comparison.models.len());
    for model in &comparison.models {
        let Some(input) = inputs.iter().find(|i| i.point == model.point) else {
            return Err(StageError::input(format!("no pair is given for the model `{}`", model.model))
                .hint("`pairs` and `metrics` must come from stages over the same axes"));
        };
        let pair = Pair::read(&input.path)?;
        if let Some(first) = pairs.first()
            && (pair.origin_yx != first.origin_yx || pair.truth != first.truth)
        {
            return Err(StageError::check(format!(
                    "the models `{}` and `{}` were compared with different truths: {:?} pixels from {:?} and {:?} from {:?}",
                    comparison.models[0].model,
                    model.model,
                    first.truth.dim(),
                    first.origin_yx,
                    pair.truth.dim(),
                    pair.origin_yx
                ))
                .hint("register all of them with one reference, one scan and one set of parameters"));
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

/// Truth and every model; amplitudes in the first row, phases in the second.
fn draw(comparison: &Comparison, pairs: &[Pair], tile_px: usize) -> Figure {
    let mut columns = vec!["truth".to_owned()];
    let mut rows = [Vec::new(), Vec::new()];
    let mut scales = None;
    for (model, pair) in comparison.models.iter().zip(pairs) {
        let pictures = Pictures::of(pair);
        if scales.is_none() {
            scales = Some(pictures.scales());
            for (row, image) in rows.iter_mut().zip([&pictures.true_amplitude, &pictures.true_phase]) {
                let (h, w) = image.dim();
                row.push(Some(Cell { image: image.clone(), caption: format!("{h} × {w} px") }));
            }
        }
        columns.push(model.model.clone());
        let scores = &model.scores;
        let shown = [(pictures.amplitude, &scores.amplitude), (pictures.phase, &scores.phase)];
        for (row, (image, channel)) in rows.iter_mut().zip(shown) {
            row.push(Some(Cell { image, caption: caption(channel) }));
        }
    }
    let labels = [["amplitude", ""], ["phase", "(rad)"]];
    let rows = scales.into_iter().flatten().zip(rows).zip(labels);
    let rows =
        rows.map(|((scale, cells), label)| Row { label: label.map(str::to_owned).to_vec(), scale, cells });
    let blank = comparison.models.first().and_then(|m| m.scores.blank_phase_mae);
    let note = blank.map(|b| format!("A blank guess has phase MAE {b:.4} rad.")).unwrap_or_default();
    Figure { title: comparison.title(), columns, rows: rows.collect(), note, tile_px }
}

/// `MAE 0.0123  SSIM 0.912`.
pub(in crate::stages) fn caption(channel: &Channel) -> String {
    let text = |v: Option<f64>, digits: usize| v.map_or("none".to_owned(), |v| format!("{v:.digits$}"));
    format!("MAE {}  SSIM {}", text(channel.mae, 4), text(channel.ssim, 3))
}

#[cfg(test)]
mod tests;
