//! Who uses the memory of a GPU, as the driver's management library (NVML) tells. The library is loaded when
//! it is first asked, and there need be none.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use nvml_wrapper::Nvml;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;

use crate::events::{GpuProcess, GpuRoom};
use crate::os;

/// As the driver installs it; the name without a version belongs to its developer's package.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// A driver that hangs must not hang a run.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at the GPU of an [`id`](super::Gpu::id).
pub type Look = Arc<dyn Fn(&str) -> Option<GpuRoom> + Send + Sync>;

/// How a run looks at GPUs.
#[derive(Clone)]
pub struct GpuWatch {
    /// Asks for memory and processes.
    pub look: Look,
    /// How long to wait the first time for others to give memory back.
    pub wait: Duration,
}

impl Default for GpuWatch {
    fn default() -> Self {
        Self { look: Arc::new(look_at_gpu), wait: Duration::from_secs(15) }
    }
}

/// Memory of the GPU with that [`id`](super::Gpu::id) and the processes that use it; `None` where the
/// driver does not tell, or not in time.
pub fn look_at_gpu(id: &str) -> Option<GpuRoom> {
    static HANGS: AtomicBool = AtomicBool::new(false);
    if HANGS.load(Ordering::Relaxed) {
        return None;
    }
    let (sender, answer) = mpsc::channel();
    let gpu = id.to_owned();
    // In a thread, which may be left behind.
    let ask = move || {
        let _ = sender.send(look(&gpu));
    };
    std::thread::Builder::new().name("nvml".to_owned()).spawn(ask).ok()?;
    answer.recv_timeout(PATIENCE).inspect_err(|_| HANGS.store(true, Ordering::Relaxed)).ok()?
}

fn look(id: &str) -> Option<GpuRoom> {
    static NVML: OnceLock<Option<Nvml>> = OnceLock::new();
    let nvml = NVML.get_or_init(|| Nvml::builder().lib_path(LIBRARY.as_ref()).init().ok()).as_ref()?;
    let device = match id.parse::<u32>() {
        Ok(index) => nvml.device_by_index(index),
        Err(_) => nvml.device_by_uuid(id),
    };
    let device = device.ok()?;
    let memory = device.memory_info().ok()?;
    let mut processes: Vec<GpuProcess> = Vec::new();
    let listed = [device.running_compute_processes(), device.running_graphics_processes()];
    for ProcessInfo { pid, used_gpu_memory, .. } in listed.into_iter().flatten().flatten() {
        // One may be in both lists, with the same memory.
        if let UsedGpuMemory::Used(bytes) = used_gpu_memory
            && processes.iter().all(|known| known.pid != pid)
        {
            processes.push(GpuProcess { pid, bytes, ours: os::is_descendant(pid) });
        }
    }
    Some(GpuRoom { gpu: id.to_owned(), total: memory.total, used: memory.used, free: memory.free, processes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_the_driver_tells_nothing() {
        // Where there is one, what it tells agrees with itself.
        if let Some(room) = look_at_gpu("0") {
            assert!(room.free <= room.total && room.used <= room.total, "{room:?}");
        }
        assert_eq!(look_at_gpu("GPU-of-nobody"), None);
    }
}
