//! Stage kind `summary`: all comparisons of a study in one table, one text and one figure.

mod table;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::table::Summary as Whole;
use super::compare::figure::{Cell, Figure, Row};
use super::compare::pictures::Pictures;
use super::compare::{Comparison, Model, caption};
use super::metrics::pretty;
use super::{Context, JobInput, Stage};
use crate::diag::{StageError, StageResult};
use crate::io::atomic;
use crate::kind::{Arity, Kind, Output, Slot};
use crate::ptycho::image::Pair;

/// The `summary` stage.
pub struct Summary;

/// Parameters of `summary`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What the figure shows.
    #[serde(default)]
    pub show: Show,
    /// Longer side of a picture in the figure, pixels.
    #[serde(default = "tile_px")]
    #[schemars(range(min = 32, max = 2048))]
    pub tile_px: u32,
}

fn tile_px() -> u32 {
    192
}

/// What the figure shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    /// Phases.
    #[default]
    Phase,
    /// Amplitudes.
    Amplitude,
}

impl Stage for Summary {
    fn kind(&self) -> Kind {
        Kind {
            name: "summary",
            version: 2,
            summary: "gather all comparisons of a study: one table, one text, one figure",
            inputs: &[
                Slot { name: "comparisons", arity: Arity::Many, doc: "`json` of `compare`, one a condition" },
                Slot {
                    name: "pairs",
                    arity: Arity::Many,
                    doc: "pairs of all models, from `register`, for the figure",
                },
            ],
            outputs: &[
                Output {
                    name: "table",
                    file: "summary.csv",
                    doc: "a row for each condition, model and metric",
                },
                Output { name: "json", file: "summary.json", doc: "the comparisons, in order" },
                Output {
                    name: "text",
                    file: "summary.txt",
                    doc: "the main scores, aligned, the best marked",
                },
                Output {
                    name: "figure",
                    file: "overview.png",
                    doc: "truth and models, a row for each condition",
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
        let comparisons: Vec<Comparison> =
            cx.inputs("comparisons").iter().map(|i| Comparison::read(&i.path)).collect::<StageResult<_>>()?;
        let whole = Whole::new(comparisons);
        whole.check_conditions()?;
        overview(&whole, cx.inputs("pairs"), &params)?.write(&cx.output("figure")?)?;
        atomic::write(&cx.output("table")?, whole.to_csv().as_bytes())?;
        atomic::write(&cx.output("text")?, whole.to_text().as_bytes())?;
        atomic::write(&cx.output("json")?, pretty(&whole).as_bytes())?;
        Ok(())
    }
}

/// The figure: a row for each condition, columns truth and models. One pair is in memory at a time.
fn overview(whole: &Whole, inputs: &[JobInput], params: &Params) -> StageResult<Figure> {
    let models = whole.models();
    let mut rows = Vec::with_capacity(whole.comparisons.len());
    for comparison in &whole.comparisons {
        let mut cells: Vec<Option<Cell>> = Vec::with_capacity(1 + models.len());
        cells.push(None);
        let mut scale = None;
        for name in &models {
            let Some(model) = comparison.models.iter().find(|m| m.model == *name) else {
                cells.push(None);
                continue;
            };
            let pictures = Pictures::of(&pair_of(model, inputs)?);
            let [amplitudes, phases] = pictures.scales();
            let (truth, image, own, channel) = match params.show {
                Show::Phase => (pictures.true_phase, pictures.phase, phases, &model.scores.phase),
                Show::Amplitude => {
                    (pictures.true_amplitude, pictures.amplitude, amplitudes, &model.scores.amplitude)
                }
            };
            if scale.is_none() {
                let (h, w) = truth.dim();
                cells[0] = Some(Cell { image: truth, caption: format!("{h} × {w} px") });
                scale = Some(own);
            }
            cells.push(Some(Cell { image, caption: caption(channel) }));
        }
        let label = comparison.condition.iter().map(|(axis, label)| format!("{axis}={label}")).collect();
        // A comparison holds at least one model, or it would not have been made.
        rows.extend(scale.map(|scale| Row { label, scale, cells }));
    }
    let shown = match params.show {
        Show::Phase => "phase (rad), each image without its plane",
        Show::Amplitude => "amplitude, means matched to the truth's",
    };
    let mut columns = vec!["truth".to_owned()];
    columns.extend(models.iter().map(|m| (*m).to_owned()));
    Ok(Figure {
        title: shown.to_owned(),
        columns,
        rows,
        note: String::new(),
        tile_px: params.tile_px as usize,
    })
}

/// The pair that a model's scores were taken from.
fn pair_of(model: &Model, inputs: &[JobInput]) -> StageResult<Pair> {
    match inputs.iter().find(|i| i.point == model.point) {
        Some(input) => Pair::read(&input.path),
        None => {
            let point: Vec<String> = model.point.iter().map(|(a, l)| format!("{a}={l}")).collect();
            Err(StageError::input(format!("no pair is given for {} ({})", model.model, point.join(", ")))
                .hint("`pairs` must come from the stage whose pairs were scored"))
        }
    }
}

#[cfg(test)]
mod tests;
