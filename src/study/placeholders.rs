//! Placeholders of a stage against the axes it goes over.

use super::input::Origin;
use super::node::shorten;
use super::stage::{Context, StageDraft};
use super::template::{axes_in, visit_texts};
use crate::diag::{Location, Problem, Problems};

impl Context<'_, '_> {
    /// Every placeholder must name an axis that the stage goes over.
    pub(super) fn check_placeholders(&self, stage: &mut StageDraft<'_>, problems: &mut Problems) {
        let mut sound = true;
        let mut check = |name: &str, at: &Location| {
            let id = &stage.decl.id;
            match self.axes.find(name) {
                Some(axis) if stage.axes.contains(&axis) => {}
                Some(_) => {
                    sound = false;
                    let message = format!("`{{axis.{name}}}` needs axis `{name}` in `over`");
                    problems.push(
                        Problem::at(at.clone(), message)
                            .hint(format!("add `{name}` to `over` of stage `{id}`")),
                    );
                }
                None => {
                    sound = false;
                    let place = format!("`{{axis.{}}}`", shorten(name));
                    problems.push(self.axes.unknown(name, at, &place));
                }
            }
        };
        let params = &stage.decl.params;
        for node in params.trees() {
            visit_texts(node, &mut |node, text| {
                axes_in(text).for_each(|name| check(name, &node.at));
            });
        }
        for source in stage.decl.inputs.iter().flat_map(|input| &input.sources) {
            match &source.from {
                Origin::File { path } => axes_in(path).for_each(|name| check(name, &source.at)),
                Origin::Stage { target, filter } => {
                    axes_in(target).for_each(|name| check(name, &source.at));
                    for (_, node) in filter {
                        visit_texts(node, &mut |node, text| {
                            axes_in(text).for_each(|name| check(name, &node.at));
                        });
                    }
                }
            }
        }
        stage.sound &= sound;
    }
}
