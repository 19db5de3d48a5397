//! A dossier as one HTML file that needs nothing else: no network, no other file. The same dossier gives the
//! same bytes.

mod charts;
mod dag;
mod gallery;
mod gantt;
mod page;
mod plots;
mod scan_plot;
mod table;
mod trust;

pub use page::{HtmlError, html};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::dossier::Raster;

/// A picture as the address of an image.
fn image(raster: &Raster) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(&raster.png))
}

/// A text as the address of a file to be saved.
fn file(kind: &str, text: &str) -> String {
    format!("data:{kind};charset=utf-8;base64,{}", STANDARD.encode(text))
}
