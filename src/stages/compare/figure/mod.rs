//! Figures of image tiles: rows that share a colour scale, columns with headings, captions, colour bars.

mod canvas;
mod colour;
mod tile;

use std::path::Path;

use ndarray::Array2;

use self::canvas::{Align, Canvas, Face};
pub(in crate::stages) use self::colour::{Map, Scale};
use crate::diag::{StageError, StageResult};
use crate::io::png;

/// A figure.
pub(in crate::stages) struct Figure {
    /// Line at the top.
    pub(in crate::stages) title: String,
    /// Headings of the columns.
    pub(in crate::stages) columns: Vec<String>,
    /// The rows.
    pub(in crate::stages) rows: Vec<Row>,
    /// Line at the bottom.
    pub(in crate::stages) note: String,
    /// Longer side of a tile, pixels.
    pub(in crate::stages) tile_px: usize,
}

/// A row of tiles on one colour scale.
pub(in crate::stages) struct Row {
    /// Lines to its left.
    pub(in crate::stages) label: Vec<String>,
    /// Scale of all its tiles.
    pub(in crate::stages) scale: Scale,
    /// One a column; none leaves the place empty.
    pub(in crate::stages) cells: Vec<Option<Cell>>,
}

/// A tile.
pub(in crate::stages) struct Cell {
    /// What it shows.
    pub(in crate::stages) image: Array2<f64>,
    /// Line below it.
    pub(in crate::stages) caption: String,
}

const MARGIN: usize = 12;
const GAP: usize = 10;
const BAR: usize = 14;
const WHITE: [u8; 3] = [255; 3];
const BLACK: [u8; 3] = [20; 3];
const FAINT: [u8; 3] = [110; 3];
const EMPTY: [u8; 3] = [235; 3];

impl Figure {
    /// Draws the figure and writes it as PNG.
    pub(in crate::stages) fn write(&self, path: &Path) -> StageResult {
        let canvas = self.draw();
        png::write_rgb(path, canvas.width() as u32, canvas.height() as u32, canvas.rgb()).map_err(|e| {
            let error = StageError::from(e);
            StageError { message: format!("{}: {}", path.display(), error.message), ..error }
        })
    }

    fn draw(&self) -> Canvas {
        let tiles: Vec<Vec<Option<tile::Raster>>> = self.rows.iter().map(|row| self.rasters(row)).collect();
        let line = Face::Small.height() + 2;
        let (tile_w, column_w) = self.column_width(&tiles);
        let label_w =
            self.rows.iter().flat_map(|r| &r.label).map(|l| Face::Small.width(l)).max().unwrap_or(0);
        let bars: Vec<[String; 2]> = self.rows.iter().map(|r| r.scale.ends()).collect();
        let bar_text = bars.iter().flatten().map(|l| Face::Small.width(l)).max().unwrap_or(0);
        let left = MARGIN + label_w + GAP;
        let bar_x = left + self.columns.len() * (column_w + GAP);
        let width = (bar_x + BAR + 4 + bar_text + MARGIN)
            .max(2 * MARGIN + Face::Bold.width(&self.title).max(Face::Small.width(&self.note)));
        let row_height =
            |row: &[Option<tile::Raster>]| row.iter().flatten().map(|t| t.height).max().unwrap_or(line);
        let top = MARGIN + Face::Bold.height() + GAP + line;
        let height = top
            + tiles.iter().map(|row| row_height(row) + line + GAP).sum::<usize>()
            + if self.note.is_empty() { 0 } else { line }
            + MARGIN / 2;

        let mut canvas = Canvas::new(width, height, WHITE);
        canvas.text([MARGIN, MARGIN], &self.title, Face::Bold, Align::Left, BLACK);
        let middle = |column: usize| left + column * (column_w + GAP) + column_w / 2;
        for (i, heading) in self.columns.iter().enumerate() {
            canvas.text([middle(i), top - line], heading, Face::SmallBold, Align::Centre, BLACK);
        }
        let mut y = top;
        for ((row, tiles), bar) in self.rows.iter().zip(&tiles).zip(&bars) {
            let height = row_height(tiles);
            for (i, label) in row.label.iter().enumerate() {
                let face = if i == 0 { Face::SmallBold } else { Face::Small };
                canvas.text([MARGIN, y + i * line], label, face, Align::Left, BLACK);
            }
            for (i, (raster, cell)) in tiles.iter().zip(&row.cells).enumerate() {
                match (raster, cell) {
                    (Some(raster), Some(cell)) => {
                        canvas.blit([middle(i) - raster.width / 2, y], raster.width, &raster.rgb);
                        let at = [middle(i), y + raster.height + 2];
                        canvas.text(at, &cell.caption, Face::Small, Align::Centre, FAINT);
                    }
                    _ => {
                        canvas.fill([middle(i) - tile_w / 2, y], [tile_w, height], EMPTY);
                        let at = [middle(i), y + height / 2 - line / 2];
                        canvas.text(at, "none", Face::Small, Align::Centre, FAINT);
                    }
                }
            }
            self.bar(&mut canvas, row, [bar_x, y], height, bar);
            y += height + line + GAP;
        }
        canvas.text([MARGIN, y - GAP / 2], &self.note, Face::Small, Align::Left, FAINT);
        canvas
    }

    fn rasters(&self, row: &Row) -> Vec<Option<tile::Raster>> {
        row.cells
            .iter()
            .map(|c| c.as_ref().map(|c| tile::raster(c.image.view(), self.tile_px, row.scale)))
            .collect()
    }

    /// Width of the widest tile, and of a column: no narrower than its heading and captions.
    fn column_width(&self, tiles: &[Vec<Option<tile::Raster>>]) -> (usize, usize) {
        let tile = tiles.iter().flatten().flatten().map(|t| t.width).max().unwrap_or(self.tile_px);
        let captions =
            self.rows.iter().flat_map(|r| &r.cells).flatten().map(|c| Face::Small.width(&c.caption));
        let headings = self.columns.iter().map(|c| Face::SmallBold.width(c));
        (tile, captions.chain(headings).max().unwrap_or(0).max(tile))
    }

    /// The colour bar of a row, largest value at the top.
    fn bar(&self, canvas: &mut Canvas, row: &Row, at: [usize; 2], height: usize, ends: &[String; 2]) {
        for i in 0..height {
            let t = 1.0 - i as f64 / (height - 1).max(1) as f64;
            canvas.fill([at[0], at[1] + i], [BAR, 1], row.scale.map.colour(t));
        }
        let x = at[0] + BAR + 4;
        canvas.text([x, at[1]], &ends[1], Face::Small, Align::Left, BLACK);
        canvas.text([x, at[1] + height - Face::Small.height()], &ends[0], Face::Small, Align::Left, BLACK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure() -> Figure {
        let image = Array2::from_shape_fn((30, 40), |(r, c)| (r * c) as f64);
        let cell = || Some(Cell { image: image.clone(), caption: "MAE 0.1".into() });
        let scale = Scale::spanning(Map::Grey, image.view());
        Figure {
            title: "a title".into(),
            columns: vec!["truth".into(), "model".into()],
            rows: vec![Row { label: vec!["amplitude".into()], scale, cells: vec![cell(), None] }],
            note: "a note".into(),
            tile_px: 80,
        }
    }

    #[test]
    fn draws_the_same_bytes_and_something_everywhere() {
        let (a, b) = (figure().draw(), figure().draw());
        assert_eq!(a.rgb(), b.rgb());
        assert_eq!(a.rgb().len(), 3 * a.width() * a.height());
        let dark = a.rgb().chunks_exact(3).filter(|p| *p != WHITE).count();
        assert!(dark > 60 * 80, "{dark}");
    }

    #[test]
    fn writes_a_png() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.png");
        figure().write(&path).unwrap();
        assert!(std::fs::read(path).unwrap().starts_with(b"\x89PNG"));
    }
}
