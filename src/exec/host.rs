//! The machine a run happens on.

/// Its name, for journals and locks.
pub fn host() -> String {
    nix::unistd::gethostname().map_or_else(|_| "localhost".to_owned(), |n| n.to_string_lossy().into_owned())
}
