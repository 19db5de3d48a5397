//! Parameters and references of a stage at its points.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::model::{Axis, AxisPoint, Point, Settings, StageDecl, Study};
use super::template::Scope;

/// What a stage is given, point by point. Most parameters depend on few axes, or on none, so points that
/// agree on those share them.
pub struct StageSettings<'a> {
    study: &'a Study,
    stage: &'a StageDecl,
    axes: Vec<&'a Axis>,
    /// Places in `axes` on which the parameters depend.
    decisive: Vec<usize>,
    made: BTreeMap<Vec<u32>, (Arc<Value>, Arc<Value>)>,
}

impl Study {
    /// The settings of a stage.
    pub fn settings<'a>(&'a self, stage: &'a StageDecl) -> StageSettings<'a> {
        let axes = self.axes_of(stage);
        let names = stage.params.axes();
        let decisive = (0..axes.len()).filter(|i| names.contains(axes[*i].name.as_str())).collect();
        StageSettings { study: self, stage, axes, decisive, made: BTreeMap::new() }
    }
}

impl StageSettings<'_> {
    /// Parameters and references at one of the stage's points.
    pub fn at(&mut self, point: &Point) -> Settings {
        let position = |axis: &&Axis| Some(*axis.by_label.get(point.get(&axis.name)?)?);
        let positions: Vec<Option<u32>> = self.axes.iter().map(position).collect();
        let values: Vec<(&str, &AxisPoint)> = self
            .axes
            .iter()
            .zip(&positions)
            .filter_map(|(axis, at)| Some((axis.name.as_str(), axis.points.get((*at)? as usize)?)))
            .collect();
        let scope = Scope { values, seed: self.study.seed };
        let key = self.decisive.iter().map(|i| positions[*i].unwrap_or(u32::MAX)).collect();
        let (params, tuning) = self.made.entry(key).or_insert_with(|| {
            let (params, tuning) = self.stage.params.split(&scope, self.stage.tuning);
            (Arc::new(params), Arc::new(tuning))
        });
        let inputs = self.stage.inputs.iter();
        let inputs = inputs.map(|input| (input.slot.clone(), input.resolve(&scope))).collect();
        Settings { params: Arc::clone(params), tuning: Arc::clone(tuning), inputs }
    }
}
