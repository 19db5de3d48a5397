//! Loading the ONNX Runtime library: once per process, from a path that was decided elsewhere.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ort::session::Session;
use ort::session::builder::SessionBuilder;

use super::arena;
use crate::diag::{FailureClass, StageError, StageResult};

/// The library of this process. ONNX Runtime allows one environment per process, and `ort` one library.
static LOADED: Mutex<Option<Loaded>> = Mutex::new(None);

/// Oldest minor version (of 1.x) that can be loaded.
pub const OLDEST_MINOR: u32 = ort::MINOR_VERSION;

struct Loaded {
    path: PathBuf,
    environment: Environment,
    /// Whether its memory arena is registered.
    arena: bool,
}

/// An execution provider that the library was built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// ONNX Runtime's name, for example `CUDAExecutionProvider`.
    pub name: &'static str,
    /// Why it cannot be used here, if it cannot. Being built in says nothing about that: the CUDA
    /// provider is listed without a driver and without CUDA's libraries.
    pub problem: Option<String>,
}

/// What a loaded library says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Providers {
    /// Build information, verbatim.
    pub build_info: String,
    /// The providers built in, in order of preference; the last is the CPU.
    pub providers: Vec<Provider>,
}

/// Loads the library and asks which execution providers it has and which of them can be used.
pub fn providers(library: &Path) -> StageResult<Providers> {
    let environment = environment(library)?;
    let mut providers = Vec::new();
    if ep::CUDA::is_available().unwrap_or(false) {
        providers.push(Provider {
            name: ep::CUDA::NAME,
            problem: probe(&environment, ep::CUDA::default().build()),
        });
    }
    providers.push(Provider { name: ep::CPU::NAME, problem: None });
    Ok(Providers { build_info: ort::info().to_owned(), providers })
}

/// Registers the provider with a throw-away session, which loads its library.
fn probe(environment: &Environment, provider: ExecutionProviderDispatch) -> Option<String> {
    Session::builder(environment)
        .and_then(|builder| Ok(builder.with_execution_providers([provider.error_on_failure()])?))
        .err()
        .map(|e| say(&e))
}

/// An error's text without the place in ONNX Runtime's sources, which is of no use to users.
pub(super) fn say<R>(error: &ort::Error<R>) -> String {
    shorten(error.message())
}

/// `…/file.cc:12 function [ONNXRuntimeError] : 1 : FAIL : why` becomes `why`.
fn shorten(text: &str) -> String {
    let why = text.rsplit_once("[ONNXRuntimeError] : ").and_then(|(_, rest)| rest.splitn(3, " : ").nth(2));
    why.unwrap_or(text).trim().to_owned()
}

/// Makes a session in the process's environment, loading `library` if nothing is loaded yet. The session's
/// host memory comes from an arena of its own, of at most `limit` bytes.
pub(super) fn with_builder<T>(
    library: &Path,
    limit: Option<u64>,
    make: impl FnOnce(SessionBuilder) -> StageResult<T>,
) -> StageResult<T> {
    let environment = environment(library)?;
    // Held until the session is there: it takes whichever arena is registered then.
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let again = loaded.as_ref().is_some_and(|loaded| loaded.arena);
    arena::register(&environment, limit, again)
        .map_err(|e| failure(format!("ONNX Runtime's memory arena: {}", say(&e))))?;
    if let Some(loaded) = loaded.as_mut() {
        loaded.arena = true;
    }
    let builder = Session::builder(&environment)
        .map_err(|e| failure(format!("ONNX Runtime gave no session options: {}", say(&e))))?;
    make(builder)
}

/// Which library that is, without loading it: the name of its file, which tells the version, and its size.
pub(super) fn label(library: &Path) -> String {
    let path = library.canonicalize().unwrap_or_else(|_| library.to_owned());
    let size = path.metadata().map_or(0, |m| m.len());
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{name}:{size}")
}

/// The environment of `library`.
///
/// No `ort::Error` may exist before `init_from` has succeeded: its constructor would try to load a
/// library by name, and panic when there is none. Everything before that line reports by other means.
fn environment(library: &Path) -> StageResult<Environment> {
    // Resolved, because `ort` would look for a relative path beside the executable.
    let path = library.canonicalize().map_err(|e| {
        failure(format!("ONNX Runtime library {} cannot be opened: {e}", library.display()))
            .hint("`phasegraph runtime` shows where it is looked for")
    })?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = loaded.as_ref() {
        if loaded.path != path {
            return Err(failure(format!(
                "ONNX Runtime {} was asked for, but this process has already loaded {}",
                path.display(),
                loaded.path.display()
            )));
        }
        return Ok(loaded.environment.clone());
    }
    let builder = ort::init_from(&path).map_err(|e| {
        failure(format!("ONNX Runtime: {e}")).hint(format!(
            "ONNX Runtime 1.{} or newer is needed, for this machine's architecture",
            ort::MINOR_VERSION
        ))
    })?;
    let environment = builder
        .with_name("phasegraph")
        .with_telemetry(false)
        .build()
        .map_err(|e| failure(format!("ONNX Runtime did not start: {}", say(&e))))?;
    *loaded = Some(Loaded { path, environment: environment.clone(), arena: false });
    Ok(environment)
}

fn failure(message: String) -> StageError {
    StageError::new(FailureClass::Runtime, message)
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn only_the_reason_is_kept() {
        let long = "/src/provider_bridge_ort.cc:2043 Provider& Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load \
                    library x.so with error: a : b\n";
        assert_eq!(shorten(long), "Failed to load library x.so with error: a : b");
        assert_eq!(shorten("not enabled in this build."), "not enabled in this build.");
    }
}
