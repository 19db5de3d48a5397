//! Line plots as SVG. The only file that knows the `plotters` crate.
//!
//! Colours are those of a light page. The page's style sheet knows each of them and puts others in their place
//! when the page is dark.

use std::ops::Range;

use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

/// Ink of axes and labels.
const INK: RGBColor = RGBColor(0x3d, 0x45, 0x4f);
/// Lines of the grid.
const GRID: RGBColor = RGBColor(0xe3, 0xe7, 0xec);
/// Lines that are no data: thresholds.
const RULE: RGBColor = RGBColor(0x8a, 0x93, 0x9e);
/// Okabe and Ito's colours, told apart by the colour-blind; darkened where they would be too faint for lines.
pub(super) const SERIES: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x8f, 0x68),
    RGBColor(0xb5, 0x52, 0x8c),
    RGBColor(0x9c, 0x6f, 0x00),
    RGBColor(0x2b, 0x87, 0xc4),
    RGBColor(0x55, 0x55, 0x55),
];

/// An axis.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    /// What it shows, with unit.
    pub label: String,
    /// Ends; positive if logarithmic.
    pub range: Range<f64>,
    /// Whether equal steps are equal factors.
    pub log: bool,
}

/// A line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Place in [`SERIES`], which also chooses the marker.
    pub colour: usize,
    /// Whether it is broken: a second way to tell lines apart.
    pub dashed: bool,
    /// Whether points are marked.
    pub marked: bool,
    /// Pieces: a line is broken where there is no value.
    pub pieces: Vec<Vec<(f64, f64)>>,
    /// Points with how far they reach up and down.
    pub errors: Vec<(f64, f64, f64)>,
}

/// A plot.
#[derive(Debug, Clone)]
pub(super) struct Plot {
    pub x: Scale,
    pub y: Scale,
    pub lines: Vec<Line>,
    /// Thresholds, each a line of dashes of some length.
    pub rules: Vec<(i32, Vec<(f64, f64)>)>,
    /// Pixels.
    pub size: (u32, u32),
}

impl Plot {
    /// Its SVG; an error only if there is no room for the axes.
    pub(super) fn svg(&self) -> Result<String, String> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, self.size).into_drawing_area();
            let (x, y) = (self.x.range.clone(), self.y.range.clone());
            match (self.x.log, self.y.log) {
                (false, false) => self.draw(&area, x, y),
                (true, false) => self.draw(&area, x.log_scale(), y),
                (false, true) => self.draw(&area, x, y.log_scale()),
                (true, true) => self.draw(&area, x.log_scale(), y.log_scale()),
            }?;
            area.present().map_err(text)?;
        }
        Ok(svg)
    }

    fn draw<'a, X, Y>(
        &self,
        area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
        x: X,
        y: Y,
    ) -> Result<(), String>
    where
        X: plotters::coord::ranged1d::AsRangedCoord<Value = f64>,
        Y: plotters::coord::ranged1d::AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let mut builder = ChartBuilder::on(area);
        builder.margin(6).margin_right(14).x_label_area_size(40).y_label_area_size(58);
        let mut chart = builder.build_cartesian_2d(x, y).map_err(text)?;
        let font = |size: i32| ("sans-serif", size).into_font().color(&INK);
        let (in_x, in_y) = (|v: &f64| number(*v, self.x.log), |v: &f64| number(*v, self.y.log));
        chart
            .configure_mesh()
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .x_labels(6)
            .y_labels(6)
            .x_label_formatter(&in_x)
            .y_label_formatter(&in_y)
            .label_style(font(12))
            .axis_desc_style(font(13))
            .draw()
            .map_err(text)?;
        for (dash, rule) in &self.rules {
            let dashes = DashedLineSeries::new(rule.iter().copied(), *dash, 3, RULE.stroke_width(1));
            chart.draw_series(dashes).map_err(text)?;
        }
        for line in &self.lines {
            let colour = SERIES[line.colour % SERIES.len()];
            for piece in &line.pieces {
                let points = piece.iter().copied();
                if line.dashed {
                    let dashes = DashedLineSeries::new(points, 7, 4, colour.stroke_width(2));
                    chart.draw_series(dashes).map_err(text)?;
                } else {
                    chart.draw_series(LineSeries::new(points, colour.stroke_width(2))).map_err(text)?;
                }
            }
            let bar = |(x, y, reach): &(f64, f64, f64)| {
                ErrorBar::new_vertical(*x, y - reach, *y, y + reach, colour.stroke_width(1), 8)
            };
            chart.draw_series(line.errors.iter().map(bar)).map_err(text)?;
            if line.marked {
                let points: Vec<(f64, f64)> = line.pieces.iter().flatten().copied().collect();
                let filled = colour.filled();
                match line.colour % 3 {
                    0 => chart.draw_series(points.iter().map(|p| Circle::new(*p, 4, filled))),
                    1 => chart.draw_series(points.iter().map(|p| TriangleMarker::new(*p, 5, filled))),
                    _ => chart.draw_series(points.iter().map(|p| Cross::new(*p, 4, colour.stroke_width(2)))),
                }
                .map_err(text)?;
            }
        }
        Ok(())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A tick: short, and in powers of ten on logarithmic axes.
fn number(value: f64, log: bool) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e5).contains(&size) || (log && size >= 1e3) {
        let exponent = size.log10().floor();
        let mantissa = value / 10f64.powf(exponent);
        return format!("{}e{exponent}", trimmed(mantissa, 1));
    }
    trimmed(value, (2.0 - size.log10().floor()).clamp(0.0, 5.0) as usize)
}

fn trimmed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The ends of an axis that shows all values with some room; `log` keeps them positive. None without values.
pub(super) fn range(values: impl Iterator<Item = f64>, log: bool) -> Option<Range<f64>> {
    let values = values.filter(|v| v.is_finite() && (!log || *v > 0.0));
    let ends = values.fold(None, |ends: Option<(f64, f64)>, v| {
        Some(ends.map_or((v, v), |(lo, hi)| (lo.min(v), hi.max(v))))
    });
    let (lo, hi) = ends?;
    Some(match log {
        true if hi / lo < 1.5 => lo / 2.0..hi * 2.0,
        true => {
            let room = (hi / lo).powf(0.08);
            lo / room..hi * room
        }
        false if hi - lo < 1e-12 => {
            let reach = (hi.abs() * 0.1).max(1e-6);
            lo - reach..hi + reach
        }
        false => lo - 0.06 * (hi - lo)..hi + 0.06 * (hi - lo),
    })
}

/// Pieces of a line with holes.
pub(super) fn pieces(points: impl Iterator<Item = (f64, Option<f64>)>) -> Vec<Vec<(f64, f64)>> {
    let mut pieces = vec![Vec::new()];
    for (x, y) in points {
        match (y.filter(|y| y.is_finite()), pieces.last_mut()) {
            (Some(y), Some(piece)) => piece.push((x, y)),
            (None, Some(piece)) if !piece.is_empty() => pieces.push(Vec::new()),
            _ => {}
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short() {
        let told = |log: bool, values: &[f64]| values.iter().map(|v| number(*v, log)).collect::<Vec<_>>();
        assert_eq!(
            told(false, &[0.0, 0.05, 0.125, 20.0, 1e-5, 250_000.0]),
            ["0", "0.05", "0.125", "20", "1e-5", "2.5e5"]
        );
        assert_eq!(told(true, &[1e4, 1e6, 0.1]), ["1e4", "1e6", "0.1"]);
    }

    #[test]
    fn ends_have_room_and_holes_break_lines() {
        assert_eq!(range([1.0, 2.0].into_iter(), false), Some(0.94..2.06));
        let log = range([1e4, 1e6, 0.0].into_iter(), true).unwrap();
        assert!(log.start > 5e3 && log.start < 1e4 && log.end > 1e6);
        assert!(range([3.0].into_iter(), false).is_some_and(|r| r.start < 3.0 && r.end > 3.0));
        assert_eq!(range([].into_iter(), false), None);
        let points = [(0.0, Some(1.0)), (1.0, None), (2.0, None), (3.0, Some(2.0))];
        assert_eq!(pieces(points.into_iter()), [vec![(0.0, 1.0)], vec![(3.0, 2.0)]]);
    }

    #[test]
    fn plots_are_drawn_and_do_not_change() {
        let scale = |log, range| Scale { label: "x".to_owned(), range, log };
        let pieces = vec![vec![(1e4, 0.1), (1e6, 0.2)]];
        let line = Line { colour: 1, dashed: true, marked: true, pieces, errors: vec![(1e4, 0.1, 0.01)] };
        let (x, y) = (scale(true, 5e3..2e6), scale(false, 0.0..0.3));
        let plot = Plot {
            x,
            y,
            lines: vec![line],
            rules: vec![(2, vec![(1e4, 0.15), (1e6, 0.15)])],
            size: (360, 240),
        };
        let svg = plot.svg().unwrap();
        assert!(
            svg.starts_with("<svg") && svg.contains("#D55E00") && svg.contains(">1e4<")
                || svg.contains("1e4"),
            "{svg}"
        );
        assert_eq!(svg, plot.svg().unwrap());
    }
}
