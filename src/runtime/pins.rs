//! The wheels that a fetch accepts.
//!
//! The library inside is independent of Python, so one wheel per platform is pinned, for CPython 3.12,
//! whatever Python the user has. Digests are those that PyPI publishes.

/// Version of ONNX Runtime that a fetch gives.
pub const PINNED_VERSION: &str = "1.32.0";

/// One platform's wheel.
#[derive(Debug)]
pub(super) struct Pin {
    /// pip's platform tag.
    pub platform: &'static str,
    /// File name of the wheel.
    pub wheel: &'static str,
    /// SHA-256 of the wheel, hexadecimal.
    pub sha256: &'static str,
    /// Bytes to download.
    pub size: u64,
    /// File name of the library, in [`LIBRARY_FOLDER`] of the wheel and in the cache.
    pub library: &'static str,
    /// Size of the library, bytes: tells a whole file from a torn one at a glance.
    pub library_size: u64,
    /// Files of the same folder that must lie beside the library.
    pub companions: &'static [&'static str],
}

/// Python version and ABI of the pinned wheels, as pip's options name them.
pub(super) const PYTHON_VERSION: &str = "3.12";
pub(super) const ABI: &str = "cp312";
/// Folder of the libraries inside every wheel.
pub(super) const LIBRARY_FOLDER: &str = "onnxruntime/capi";
/// The licence inside every wheel, kept beside the library.
pub(super) const LICENCE: &str = "onnxruntime/LICENSE";

/// The wheel for the machine that this program was built for.
pub(super) fn pin() -> Option<&'static Pin> {
    if cfg!(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64")) {
        Some(&LINUX_X86_64)
    } else if cfg!(all(target_os = "linux", target_env = "gnu", target_arch = "aarch64")) {
        Some(&LINUX_AARCH64)
    } else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
        Some(&MACOS_ARM64)
    } else {
        None
    }
}

static LINUX_X86_64: Pin = Pin {
    platform: "manylinux_2_28_x86_64",
    wheel: "onnxruntime-1.32.0-cp312-cp312-manylinux_2_28_x86_64.whl",
    sha256: "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
    size: 27_780_211,
    library: "libonnxruntime.so.1.32.0",
    library_size: 34_824_680,
    companions: &["libonnxruntime_providers_shared.so"],
};

static LINUX_AARCH64: Pin = Pin {
    platform: "manylinux_2_28_aarch64",
    wheel: "onnxruntime-1.32.0-cp312-cp312-manylinux_2_28_aarch64.whl",
    sha256: "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
    size: 23_196_724,
    library: "libonnxruntime.so.1.32.0",
    library_size: 27_165_936,
    companions: &["libonnxruntime_providers_shared.so"],
};

static MACOS_ARM64: Pin = Pin {
    platform: "macosx_14_0_arm64",
    wheel: "onnxruntime-1.32.0-cp312-cp312-macosx_14_0_arm64.whl",
    sha256: "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e",
    size: 22_519_308,
    library: "libonnxruntime.1.32.0.dylib",
    library_size: 35_272_344,
    companions: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_of_the_pinned_version() {
        for pin in [&LINUX_X86_64, &LINUX_AARCH64, &MACOS_ARM64] {
            assert_eq!(pin.wheel, format!("onnxruntime-{PINNED_VERSION}-{ABI}-{ABI}-{}.whl", pin.platform));
            assert!(pin.library.contains(PINNED_VERSION));
            assert_eq!(pin.sha256.len(), 64);
        }
    }
}
