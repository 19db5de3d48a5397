//! PNG pictures. The only file that knows the `png` crate.

use std::io;
use std::path::Path;

use png::{BitDepth, ColorType, Compression, Encoder};

use super::atomic;

/// Writes 8-bit RGB pixels, row by row; the file appears whole or not at all. Equal pixels give equal
/// bytes: no time stamp, no text.
///
/// # Errors
/// `InvalidInput` if `rgb` is not 3·width·height long or a side is 0; otherwise what the disk says.
pub fn write_rgb(path: &Path, width: u32, height: u32, rgb: &[u8]) -> io::Result<()> {
    atomic::write(path, &encode_rgb(width, height, rgb)?)
}

/// The bytes that [`write_rgb`] writes.
///
/// # Errors
/// `InvalidInput` if `rgb` is not 3·width·height long or a side is 0.
pub fn encode_rgb(width: u32, height: u32, rgb: &[u8]) -> io::Result<Vec<u8>> {
    encode(width, height, (ColorType::Rgb, BitDepth::Eight), rgb)
}

/// Writes 16-bit grey pixels, row by row; the file appears whole or not at all. Equal pixels give equal bytes.
///
/// # Errors
/// `InvalidInput` if `grey` is not width·height long or a side is 0; otherwise what the disk says.
pub fn write_grey16(path: &Path, width: u32, height: u32, grey: &[u16]) -> io::Result<()> {
    // PNG is big-endian.
    let bytes: Vec<u8> = grey.iter().flat_map(|v| v.to_be_bytes()).collect();
    atomic::write(path, &encode(width, height, (ColorType::Grayscale, BitDepth::Sixteen), &bytes)?)
}

/// The bytes of a picture of palette indices, row by row. `palette` holds 256 colours, RGB. Equal pixels give
/// equal bytes.
///
/// # Errors
/// `InvalidInput` if `indices` is not width·height long, a side is 0, or there are not 256 colours.
pub fn encode_indexed(width: u32, height: u32, palette: &[u8], indices: &[u8]) -> io::Result<Vec<u8>> {
    if palette.len() != 768 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a palette has 256 colours"));
    }
    encode_with(width, height, (ColorType::Indexed, BitDepth::Eight), Some(palette), indices)
}

fn encode(width: u32, height: u32, kind: (ColorType, BitDepth), pixels: &[u8]) -> io::Result<Vec<u8>> {
    encode_with(width, height, kind, None, pixels)
}

fn encode_with(
    width: u32,
    height: u32,
    kind: (ColorType, BitDepth),
    palette: Option<&[u8]>,
    pixels: &[u8],
) -> io::Result<Vec<u8>> {
    let fault = |e: png::EncodingError| match e {
        png::EncodingError::IoError(e) => e,
        e => io::Error::new(io::ErrorKind::InvalidInput, e.to_string()),
    };
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height);
    if let Some(palette) = palette {
        encoder.set_palette(palette.to_vec());
    }
    encoder.set_color(kind.0);
    encoder.set_depth(kind.1);
    encoder.set_compression(Compression::Balanced);
    let mut writer = encoder.write_header().map_err(fault)?;
    writer.write_image_data(pixels).map_err(fault)?;
    writer.finish().map_err(fault)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_come_back() {
        let rgb: Vec<u8> = (0..5 * 4 * 3).map(|i| (i * 37 % 256) as u8).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        write_rgb(&path, 5, 4, &rgb).unwrap();
        let file = io::BufReader::new(std::fs::File::open(&path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut back = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut back).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (5, 4, ColorType::Rgb));
        assert_eq!(back, rgb);
        assert_eq!(encode_rgb(5, 4, &rgb).unwrap(), std::fs::read(&path).unwrap());
    }

    #[test]
    fn sixteen_bits_come_back() {
        let grey: Vec<u16> = (0..12).map(|i| i * 5461).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        write_grey16(&path, 4, 3, &grey).unwrap();
        let file = io::BufReader::new(std::fs::File::open(&path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut back = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut back).unwrap();
        let back: Vec<u16> = back.chunks_exact(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect();
        assert_eq!(back, grey);
        assert!(write_grey16(&path, 4, 4, &grey).is_err());
    }

    #[test]
    fn indices_take_the_colours_of_the_palette() {
        let palette: Vec<u8> = (0..=255u8).flat_map(|i| [i, 255 - i, 7]).collect();
        let bytes = encode_indexed(2, 1, &palette, &[3, 250]).unwrap();
        let mut decoder = png::Decoder::new(io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut back = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut back).unwrap();
        assert_eq!(back, [3, 252, 7, 250, 5, 7]);
        assert!(encode_indexed(2, 1, &palette[3..], &[3, 250]).is_err());
    }

    #[test]
    fn wrong_lengths_are_refused() {
        assert_eq!(encode_rgb(5, 4, &[0; 59]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(encode_rgb(0, 4, &[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
