//! What the environment and the machine say. The only file that reads them.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use phasegraph::exec::{Gpu, installed_gpus, visible_gpus};
use phasegraph::plan::Plan;
use phasegraph::runtime::Search;

/// Where to look for ONNX Runtime.
pub fn search(offline: bool) -> Search {
    Search::from_vars(|name| std::env::var_os(name), offline)
}

/// Values of the environment variables that tasks of this plan name.
pub fn named_variables(plan: &Plan) -> BTreeMap<String, Option<String>> {
    let names = plan.tasks.iter().flat_map(|t| t.env.iter());
    names.map(|n| (n.clone(), std::env::var_os(n).map(|v| v.to_string_lossy().into_owned()))).collect()
}

/// Cores that this process may use.
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

/// The GPUs that CUDA shows: those of the machine, or those that CUDA_VISIBLE_DEVICES leaves.
pub fn gpus() -> Vec<Gpu> {
    let mask = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    let installed = installed_gpus(Path::new("nvidia-smi"), Duration::from_secs(10));
    if !installed.is_empty() || mask.is_some() {
        return visible_gpus(&installed, mask.as_deref());
    }
    // Containers often have the devices without the program.
    let there = |n: &u32| Path::new(&format!("/dev/nvidia{n}")).exists();
    (0..64).take_while(there).map(Gpu::numbered).collect()
}

/// Where all phasegraph processes of this machine keep their leases on GPUs.
pub fn leases() -> PathBuf {
    let named = std::env::var_os("PHASEGRAPH_LEASES").map(PathBuf::from);
    named.unwrap_or_else(|| {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() {
            memory.join("phasegraph-leases")
        } else {
            std::env::temp_dir().join("phasegraph-leases")
        }
    })
}

/// This program, to be started again as a worker.
pub fn program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// Whether progress bars can be drawn: standard error is a terminal that understands them.
pub fn draws() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// Lets the disk fail as PHASEGRAPH_FAULTS says, in builds for tests only.
#[cfg(debug_assertions)]
pub fn arm_faults() -> Result<(), String> {
    match std::env::var("PHASEGRAPH_FAULTS") {
        Ok(faults) => phasegraph::io::disk::faults::arm(&faults),
        Err(_) => Ok(()),
    }
}

/// Seconds since 1970-01-01 UTC.
pub fn now() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}
