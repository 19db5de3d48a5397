//! Single files out of a ZIP archive (a Python wheel is one).

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

/// Bytes copied between two reports.
const STEP: usize = 1 << 20;

/// Unpacks `member` of `archive` to the new file `to` and flushes it to disk. `on_bytes(done, total)` is
/// called as it goes, first with 0. The archive's checksum of the member is verified.
///
/// A member that is not there is `NotFound`; an archive that is none, `InvalidData`.
pub fn unpack(archive: &Path, member: &str, to: &Path, on_bytes: &mut dyn FnMut(u64, u64)) -> io::Result<()> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(archive)?)).map_err(into_io)?;
    let mut source = archive.by_name(member).map_err(into_io)?;
    let total = source.size();
    let mut target = File::create_new(to)?;
    let mut buffer = vec![0; STEP];
    let mut done = 0;
    loop {
        on_bytes(done, total);
        let read = source.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        target.write_all(&buffer[..read])?;
        done += read as u64;
    }
    target.sync_all()
}

fn into_io(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        ZipError::FileNotFound => io::Error::new(io::ErrorKind::NotFound, "no such member in the archive"),
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    #[test]
    fn members_come_out_whole_and_others_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.whl");
        let content: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        writer.start_file("package/lib/a.so", SimpleFileOptions::default()).unwrap();
        writer.write_all(&content).unwrap();
        writer.finish().unwrap();

        let to = folder.path().join("a.so");
        let mut seen = Vec::new();
        unpack(&path, "package/lib/a.so", &to, &mut |done, total| seen.push((done, total))).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), content);
        assert_eq!((seen[0], *seen.last().unwrap()), ((0, 3_000_000), (3_000_000, 3_000_000)));

        let absent = unpack(&path, "a.so", &folder.path().join("b"), &mut |_, _| {}).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
        let none = unpack(&to, "a.so", &folder.path().join("c"), &mut |_, _| {}).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_damaged_member_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.whl");
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        writer.start_file("a", stored).unwrap();
        writer.write_all(&[7; 4096]).unwrap();
        writer.finish().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[2000] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(unpack(&path, "a", &folder.path().join("a"), &mut |_, _| {}).is_err());
    }
}
