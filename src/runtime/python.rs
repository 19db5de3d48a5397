//! The library inside an installed Python package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::library;
use super::search::Search;
use crate::io::atomic;

/// What Python is asked, when the usual places know nothing: where the package is, without importing it.
const QUESTION: &str = "import importlib.util as u; s = u.find_spec('onnxruntime'); \
                        print(s.submodule_search_locations[0] if s else '')";

/// The library of an installed `onnxruntime`, if there is one of a usable version.
pub(super) fn find(search: &Search) -> Option<PathBuf> {
    let python = search.programs("python3").chain(search.programs("python")).next()?;
    packages(&python, search.home.as_deref())
        .into_iter()
        .find_map(|folder| library::in_folder(&folder.join("onnxruntime/capi")))
        .or_else(|| remembered(search, &python))
        .or_else(|| ask(search, &python))
}

/// Package folders that the usual layouts give a Python: virtual environments, conda, Homebrew, the
/// distributions' and the user's own. Those of the program as it was named come first; a link is followed
/// afterwards, since a virtual environment's Python is a link out of it.
fn packages(python: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    let mut prefixes = Vec::new();
    let resolved = python.canonicalize().ok();
    for program in [Some(python), resolved.as_deref()].into_iter().flatten() {
        if let Some(prefix) = program.parent().and_then(Path::parent) {
            prefixes.extend([prefix.to_path_buf(), prefix.join("local")]);
        }
        // An isolated environment does not see what lies outside it.
        if prefixes.first().is_some_and(|prefix| prefix.join("pyvenv.cfg").is_file()) {
            prefixes.truncate(1);
            break;
        }
    }
    if !prefixes.first().is_some_and(|prefix| prefix.join("pyvenv.cfg").is_file()) {
        prefixes.extend(home.map(|home| home.join(".local")));
    }
    let mut folders = Vec::new();
    for lib in prefixes.iter().flat_map(|prefix| [prefix.join("lib"), prefix.join("lib64")]) {
        let mut versions: Vec<_> = fs::read_dir(&lib)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("python3"))
            .collect();
        versions.sort();
        for version in versions {
            folders.extend(["site-packages", "dist-packages"].map(|kind| lib.join(&version).join(kind)));
        }
    }
    folders
}

/// Starts Python and asks; a positive answer is remembered.
fn ask(search: &Search, python: &Path) -> Option<PathBuf> {
    let output = Command::new(python)
        .args(["-c", QUESTION])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let package = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let package = Some(package.trim_end_matches('\n')).filter(|p| !p.is_empty())?;
    let library = library::in_folder(&Path::new(package).join("capi"))?;
    remember(search, python, &library);
    Some(library)
}

/// The file that remembers an answer: the Python that was asked, and the library, a line each.
fn memory(search: &Search) -> Option<PathBuf> {
    Some(search.folder()?.join("python.txt"))
}

fn remembered(search: &Search, python: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(memory(search)?).ok()?;
    let (asked, answer) = text.trim_end().split_once('\n')?;
    let answer = PathBuf::from(answer);
    (Path::new(asked) == python && answer.is_file()).then_some(answer)
}

/// Remembering only saves time, so it may fail.
fn remember(search: &Search, python: &Path, library: &Path) {
    let (Some(file), Some(python), Some(library)) = (memory(search), python.to_str(), library.to_str())
    else {
        return;
    };
    let answer = format!("{python}\n{library}\n");
    let _ = file
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| atomic::write(&file, answer.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn program(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn install(packages: &Path) -> PathBuf {
        let folder = packages.join("onnxruntime/capi");
        fs::create_dir_all(&folder).unwrap();
        let library = folder.join("libonnxruntime.so.1.32.0");
        fs::write(&library, b"x").unwrap();
        library
    }

    fn search(root: &Path) -> Search {
        Search {
            path: Some(root.join("bin").into()),
            home: Some(root.join("home")),
            cache_dir: Some(root.join("cache")),
            ..Search::default()
        }
    }

    /// Would fail if it were started: finding must not start it.
    const NEVER: &str = "#!/bin/sh\nexit 9\n";

    #[test]
    fn usual_places_are_seen_without_starting_python() {
        for packages in [
            "lib/python3.11/site-packages",
            "lib64/python3.12/site-packages",
            "lib/python3/dist-packages",
            "local/lib/python3.11/dist-packages",
            "home/.local/lib/python3.9/site-packages",
        ] {
            let root = tempfile::tempdir().unwrap();
            program(&root.path().join("bin/python3"), NEVER);
            let library = install(&root.path().join(packages));
            assert_eq!(find(&search(root.path())), Some(library), "{packages}");
        }
    }

    #[test]
    fn a_virtual_environment_hides_what_is_outside() {
        let root = tempfile::tempdir().unwrap();
        program(&root.path().join("base/bin/python3"), NEVER);
        install(&root.path().join("base/lib/python3.11/site-packages"));
        install(&root.path().join("home/.local/lib/python3.11/site-packages"));
        fs::create_dir(root.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(root.path().join("base/bin/python3"), root.path().join("bin/python3"))
            .unwrap();
        fs::write(root.path().join("pyvenv.cfg"), "").unwrap();
        assert_eq!(find(&search(root.path())), None);
        let library = install(&root.path().join("lib/python3.11/site-packages"));
        assert_eq!(find(&search(root.path())), Some(library));
    }

    #[test]
    fn python_is_asked_once() {
        let root = tempfile::tempdir().unwrap();
        let library = install(&root.path().join("odd"));
        let (package, asked) = (root.path().join("odd/onnxruntime"), root.path().join("asked"));
        let answer = format!("#!/bin/sh\necho x >> '{}'\necho '{}'\n", asked.display(), package.display());
        program(&root.path().join("bin/python3"), &answer);
        let search = search(root.path());
        assert_eq!(find(&search), Some(library.clone()));
        assert_eq!(find(&search), Some(library.clone()));
        assert_eq!(fs::read_to_string(&asked).unwrap(), "x\n");
        // Uninstalled: the memory is worthless, and Python now knows no package.
        fs::remove_file(library).unwrap();
        program(&root.path().join("bin/python3"), "#!/bin/sh\necho\n");
        assert_eq!(find(&search), None);
    }

    #[test]
    fn no_python_and_a_broken_python_are_no_library() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(find(&search(root.path())), None);
        program(&root.path().join("bin/python3"), NEVER);
        assert_eq!(find(&search(root.path())), None);
    }
}
