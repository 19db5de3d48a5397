//! Python packages for programs that tests run.

use std::path::PathBuf;
use std::process::Command;

use super::shared_cache;

/// A folder with NumPy in it, installed once under the build folder.
pub fn numpy() -> PathBuf {
    let site = shared_cache().with_file_name("numpy");
    if !site.join("numpy").is_dir() {
        let output = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
            .arg(&site)
            .arg("numpy")
            .output()
            .unwrap();
        assert!(output.status.success(), "pip: {}", String::from_utf8_lossy(&output.stderr));
    }
    site
}
