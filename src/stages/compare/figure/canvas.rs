//! RGB pixels to draw on. The only file that knows `embedded-graphics`.

use embedded_graphics::Drawable;
use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::iso_8859_1::{FONT_7X13, FONT_7X13_BOLD, FONT_9X15_BOLD};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};

/// A typeface.
#[derive(Debug, Clone, Copy)]
pub(super) enum Face {
    Small,
    SmallBold,
    Bold,
}

impl Face {
    fn font(self) -> &'static MonoFont<'static> {
        match self {
            Self::Small => &FONT_7X13,
            Self::SmallBold => &FONT_7X13_BOLD,
            Self::Bold => &FONT_9X15_BOLD,
        }
    }

    /// Height of a line, pixels.
    pub(super) fn height(self) -> usize {
        self.font().character_size.height as usize
    }

    /// Width of a text, pixels.
    pub(super) fn width(self, text: &str) -> usize {
        let font = self.font();
        text.chars().count() * (font.character_size.width + font.character_spacing) as usize
    }
}

/// Where a text's point lies in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Align {
    Left,
    Centre,
}

/// A picture. What is drawn outside is dropped.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self { width, height, rgb: colour.repeat(width * height) }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }

    /// Pixels, row by row, three bytes each.
    pub(super) fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        if x < self.width && y < self.height {
            let at = 3 * (y * self.width + x);
            self.rgb[at..at + 3].copy_from_slice(&colour);
        }
    }

    /// Fills a rectangle, given its left upper corner and its width and height.
    pub(super) fn fill(&mut self, [x, y]: [usize; 2], [width, height]: [usize; 2], colour: [u8; 3]) {
        for row in y..y + height {
            (x..x + width).for_each(|column| self.set(column, row, colour));
        }
    }

    /// Copies a picture of that width with its left upper corner at (x, y).
    pub(super) fn blit(&mut self, [x, y]: [usize; 2], width: usize, rgb: &[u8]) {
        for (row, line) in rgb.chunks_exact(3 * width.max(1)).enumerate() {
            for (column, p) in line.chunks_exact(3).enumerate() {
                self.set(x + column, y + row, [p[0], p[1], p[2]]);
            }
        }
    }

    /// Draws a line of text whose upper edge is at y. Letters the font lacks appear as question marks.
    pub(super) fn text(&mut self, [x, y]: [usize; 2], text: &str, face: Face, align: Align, colour: [u8; 3]) {
        let style = MonoTextStyle::new(face.font(), Rgb888::new(colour[0], colour[1], colour[2]));
        let alignment = match align {
            Align::Left => Alignment::Left,
            Align::Centre => Alignment::Center,
        };
        let layout = TextStyleBuilder::new().alignment(alignment).baseline(Baseline::Top).build();
        let at = Point::new(x as i32, y as i32);
        match Text::with_text_style(text, at, style, layout).draw(self) {
            Ok(_) => {}
            Err(never) => match never {},
        }
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = core::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Self::Error> {
        for Pixel(at, colour) in pixels {
            if let (Ok(x), Ok(y)) = (usize::try_from(at.x), usize::try_from(at.y)) {
                self.set(x, y, [colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}
