//! Where to look, and looking.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::RuntimeError;
use super::library::{Found, Origin};
use super::pins::{self, Pin};
use super::python;

/// Where to look for ONNX Runtime, and whether it may be fetched. The program fills it in from its
/// environment and arguments; the library reads neither.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// ORT_DYLIB_PATH.
    pub ort_dylib_path: Option<PathBuf>,
    /// phasegraph's folder in the user's cache.
    pub cache_dir: Option<PathBuf>,
    /// PATH, to find Python, pip and uv.
    pub path: Option<OsString>,
    /// The user's home folder, where pip puts packages without a virtual environment.
    pub home: Option<PathBuf>,
    /// Whether fetching is forbidden.
    pub offline: bool,
}

impl Search {
    /// A search from environment variables, which `var` looks up by name; empty counts as unset.
    pub fn from_vars(var: impl Fn(&str) -> Option<OsString>, offline: bool) -> Self {
        let var = |name| var(name).filter(|value| !value.is_empty());
        let home = var("HOME").map(PathBuf::from);
        // The XDG specification has relative paths ignored.
        let cache = var("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
        Self {
            ort_dylib_path: var("ORT_DYLIB_PATH").map(PathBuf::from),
            cache_dir: cache.or_else(|| Some(home.as_ref()?.join(".cache"))).map(|c| c.join("phasegraph")),
            path: var("PATH"),
            home,
            offline,
        }
    }

    /// The folder that holds everything about ONNX Runtime.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        Some(self.cache_dir.as_ref()?.join("onnxruntime"))
    }

    /// All executables of that name on PATH, in order.
    pub(super) fn programs<'a>(&'a self, name: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
        let folders = self.path.iter().flat_map(std::env::split_paths);
        folders.filter(|f| f.is_absolute()).map(move |f| f.join(name)).filter(|p| is_executable(p))
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Looks for the library: ORT_DYLIB_PATH, then phasegraph's cache, then installed Python packages.
///
/// The cache comes before Python because looking there is free and its version is the tested one. Only if
/// no usual place has it, Python itself is asked, and its answer remembered.
pub fn locate(search: &Search) -> Result<Option<Found>, RuntimeError> {
    if let Some(path) = &search.ort_dylib_path {
        return match path.is_file() {
            true => Found::new(path.clone(), Origin::EnvVar).map(Some),
            false => Err(RuntimeError::NoSuchFile { path: path.clone() }),
        };
    }
    if let Some(found) = in_cache(search)? {
        return Ok(Some(found));
    }
    python::find(search).map(|path| Found::new(path, Origin::Python)).transpose()
}

/// The fetched library, if it is there and whole.
pub(super) fn in_cache(search: &Search) -> Result<Option<Found>, RuntimeError> {
    match (search.folder(), pins::pin()) {
        (Some(folder), Some(pin)) if is_whole(&cached(&folder, pin), pin) => {
            Found::new(cached(&folder, pin).join(pin.library), Origin::Cache).map(Some)
        }
        _ => Ok(None),
    }
}

/// The folder of one fetched version.
pub(super) fn cached(folder: &Path, pin: &Pin) -> PathBuf {
    folder.join(format!("{}-{}", pins::PINNED_VERSION, pin.platform))
}

pub(super) fn is_whole(folder: &Path, pin: &Pin) -> bool {
    folder.join(pin.library).metadata().is_ok_and(|m| m.is_file() && m.len() == pin.library_size)
        && pin.companions.iter().all(|name| folder.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn vars(pairs: &[(&str, &str)]) -> Search {
        let map: BTreeMap<String, OsString> = pairs.iter().map(|(k, v)| (k.to_string(), v.into())).collect();
        Search::from_vars(|name| map.get(name).cloned(), false)
    }

    #[test]
    fn variables_say_where_to_look() {
        let both =
            vars(&[("HOME", "/home/a"), ("XDG_CACHE_HOME", "/scratch/a"), ("ORT_DYLIB_PATH", "/o.so")]);
        assert_eq!(both.cache_dir, Some("/scratch/a/phasegraph".into()));
        assert_eq!(both.ort_dylib_path, Some("/o.so".into()));
        for xdg in ["", "relative"] {
            let search = vars(&[("HOME", "/home/a"), ("XDG_CACHE_HOME", xdg), ("ORT_DYLIB_PATH", "")]);
            assert_eq!(search.cache_dir, Some("/home/a/.cache/phasegraph".into()));
            assert_eq!(search.ort_dylib_path, None);
        }
        assert_eq!(vars(&[]), Search::default());
    }

    #[test]
    fn a_named_library_wins_and_a_wrong_name_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so.1.31.1");
        let search = Search { ort_dylib_path: Some(path.clone()), ..Search::default() };
        let error = locate(&search).unwrap_err();
        assert!(matches!(&error, RuntimeError::NoSuchFile { path: p } if *p == path), "{error}");
        std::fs::write(&path, b"x").unwrap();
        let found = locate(&search).unwrap().unwrap();
        assert_eq!(found, Found { path, version: "1.31.1".into(), origin: Origin::EnvVar });
    }

    #[test]
    fn a_torn_library_in_the_cache_does_not_count() {
        let Some(pin) = pins::pin() else { return };
        let home = tempfile::tempdir().unwrap();
        let search = Search { cache_dir: Some(home.path().into()), ..Search::default() };
        let folder = cached(&search.folder().unwrap(), pin);
        std::fs::create_dir_all(&folder).unwrap();
        let library = std::fs::File::create(folder.join(pin.library)).unwrap();
        for name in pin.companions {
            std::fs::write(folder.join(name), b"x").unwrap();
        }
        library.set_len(pin.library_size - 1).unwrap();
        assert_eq!(locate(&search).unwrap(), None);
        library.set_len(pin.library_size).unwrap();
        let found = locate(&search).unwrap().unwrap();
        assert_eq!((found.origin, found.version.as_str()), (Origin::Cache, pins::PINNED_VERSION));
    }
}
