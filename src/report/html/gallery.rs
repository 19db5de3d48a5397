//! Pictures side by side.

use super::image;
use super::scan_plot::ruler;
use crate::dossier::{Dossier, Gallery, ModelPictures, Overview, Scale};

/// A choice of what is shown, with its colours.
pub(super) struct Quantity {
    pub id: &'static str,
    pub title: &'static str,
    pub unit: &'static str,
    pub map: &'static str,
    pub lo: String,
    pub hi: String,
    pub bar: String,
}

/// One picture.
pub(super) struct Panel {
    pub model: String,
    pub alt: String,
    /// None where there is nothing to show: the truth has no error.
    pub source: Option<String>,
    pub width: u32,
    pub height: u32,
}

/// Pictures of one condition and quantity.
pub(super) struct Row {
    pub quantity: &'static str,
    pub title: &'static str,
    pub panels: Vec<Panel>,
}

/// One condition.
pub(super) struct Condition {
    pub title: String,
    pub about: String,
    pub columns: usize,
    pub rows: Vec<Row>,
    /// The scale bar, per cent of a picture's width, and its words.
    pub ruler: (f64, String),
}

/// What was compared.
pub(super) struct Box {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    pub title: String,
}

/// The whole truth.
pub(super) struct Whole {
    pub source: String,
    pub width: usize,
    pub height: usize,
    pub boxes: Vec<Box>,
    pub alt: String,
}

pub(super) fn quantities(dossier: &Dossier) -> Vec<Quantity> {
    let quantity = |scale: &Scale| Quantity {
        id: scale.quantity,
        title: scale.title,
        unit: scale.unit,
        map: scale.map,
        lo: format!("{:.2}", scale.lo),
        hi: format!("{:.2}", scale.hi),
        bar: image(&scale.bar),
    };
    dossier.pictures.scales.iter().map(quantity).collect()
}

pub(super) fn conditions(dossier: &Dossier) -> Vec<Condition> {
    dossier.pictures.galleries.iter().map(|gallery| condition(gallery, &dossier.pictures.scales)).collect()
}

fn condition(gallery: &Gallery, scales: &[Scale]) -> Condition {
    let title = gallery.title();
    let row = |scale: &Scale| {
        let panels = gallery.models.iter().map(|model| panel(scale, model, &title)).collect();
        Row { quantity: scale.quantity, title: scale.title, panels }
    };
    let [rows, columns] = gallery.shape;
    let [top, left] = gallery.origin_yx;
    let trial = gallery.trial.as_ref().map(|(t, n)| format!(", trial {t}, one of {n}")).unwrap_or_default();
    let length = ruler(columns as f64 / 3.0);
    let about = format!("{rows} × {columns} px from row {top:.0}, column {left:.0} of the object{trial}");
    Condition {
        about,
        columns: gallery.models.len(),
        rows: scales.iter().map(row).collect(),
        ruler: (100.0 * length / columns.max(1) as f64, format!("{length} px")),
        title,
    }
}

fn panel(scale: &Scale, model: &ModelPictures, condition: &str) -> Panel {
    let raster = model.pictures.get(scale.quantity);
    Panel {
        model: model.model.clone(),
        alt: format!("{} of {}, {condition}", scale.title, model.model),
        source: raster.map(image),
        width: raster.map_or(1, |r| r.width),
        height: raster.map_or(1, |r| r.height),
    }
}

pub(super) fn wholes(dossier: &Dossier) -> Vec<Whole> {
    dossier.pictures.overviews.iter().map(whole).collect()
}

fn whole(overview: &Overview) -> Whole {
    let [height, width] = overview.shape;
    let [top, left] = overview.origin_yx;
    let one = |(conditions, corner, size): &(Vec<String>, [f64; 2], [usize; 2])| {
        let title = match conditions.as_slice() {
            [one] => one.clone(),
            more => format!("{} conditions", more.len()),
        };
        let (x, y) = (corner[1] - left, corner[0] - top);
        Box { x, y, width: size[1] as f64, height: size[0] as f64, title }
    };
    let boxes: Vec<Box> = overview.boxes.iter().map(one).collect();
    let alt =
        format!("The whole object, {height} × {width} px, with {} boxes of what was compared", boxes.len());
    Whole { source: image(&overview.picture), width, height, boxes, alt }
}
