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
    let fault = |e: png::EncodingError| match e {
        png::EncodingError::IoError(e) => e,
        e => io::Error::new(io::ErrorKind::InvalidInput, e.to_string()),
    };
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    let mut writer = encoder.write_header().map_err(fault)?;
    writer.write_image_data(rgb).map_err(fault)?;
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
    fn wrong_lengths_are_refused() {
        assert_eq!(encode_rgb(5, 4, &[0; 59]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(encode_rgb(0, 4, &[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
