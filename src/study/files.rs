//! Files that the study names.

use std::path::Path;

/// What is wrong with a file, if anything.
pub(super) fn look_at(dir: &Path, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some("is no path".into());
    }
    match std::fs::metadata(dir.join(path)) {
        Ok(found) if found.is_file() => None,
        Ok(found) if found.is_dir() => Some("is a folder".into()),
        Ok(_) => Some("is no regular file".into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some("does not exist".into()),
        Err(error) => Some(format!("cannot be read: {error}")),
    }
}

/// A file of a similar name in the same folder.
pub(super) fn near(dir: &Path, path: &str) -> Option<String> {
    let whole = dir.join(path);
    let name = whole.file_name()?.to_str()?.to_owned();
    let entries = std::fs::read_dir(whole.parent()?).ok()?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|other| *other != name)
        .collect();
    names.sort_unstable();
    let near = crate::diag::nearest(&name, names.iter().map(String::as_str))?;
    Path::new(path).with_file_name(near).to_str().map(str::to_owned)
}
