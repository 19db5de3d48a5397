//! The host memory arena, growing by exactly what is asked for.
//!
//! By default the arena doubles: memory in use then says little about memory needed, and a run may be
//! refused although it would fit. With "same as requested" the peak is linear in the batch size (measured
//! to 0.0 % on a U-Net). `ort` has no safe call for it, hence the few foreign calls here.

use std::ffi::{CStr, c_char};
use std::ptr;

use ort::AsPointer;
use ort::environment::Environment;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::sys::OrtArenaCfg;

/// `kSameAsRequested` in ONNX Runtime's `OrtArenaCfg`.
const SAME_AS_REQUESTED: usize = 1;
const EXTEND_STRATEGY: &CStr = c"arena_extend_strategy";

/// Registers the arena that every session with `with_env_allocators` shares.
pub(super) fn register(environment: &Environment) -> ort::Result<()> {
    let memory = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Arena, MemoryType::Default)?;
    let config = ArenaConfig::new()?;
    // SAFETY: the environment, the memory description and the configuration are live objects of this
    // library for the whole call; ONNX Runtime copies the latter two, and locks the environment itself,
    // which is why its pointer may come from a shared reference (as in `ort`'s own methods).
    let status = unsafe {
        (ort::api().CreateAndRegisterAllocator)(environment.ptr().cast_mut(), memory.ptr(), config.0)
    };
    // SAFETY: the status was returned by the call above and is handed over exactly once.
    unsafe { ort::Error::result_from_status(status) }
}

/// An owned `OrtArenaCfg`.
struct ArenaConfig(*mut OrtArenaCfg);

impl ArenaConfig {
    fn new() -> ort::Result<Self> {
        let keys: [*const c_char; 1] = [EXTEND_STRATEGY.as_ptr()];
        let values = [SAME_AS_REQUESTED];
        let mut config = ptr::null_mut();
        // SAFETY: both arrays hold `keys.len()` elements and outlive the call; the key is NUL-terminated.
        let status = unsafe {
            (ort::api().CreateArenaCfgV2)(keys.as_ptr(), values.as_ptr(), keys.len(), &raw mut config)
        };
        // SAFETY: the status was returned by the call above and is handed over exactly once.
        unsafe { ort::Error::result_from_status(status) }?;
        Ok(Self(config))
    }
}

impl Drop for ArenaConfig {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `CreateArenaCfgV2`, is owned by this value, and is released once.
        unsafe { (ort::api().ReleaseArenaCfg)(self.0) }
    }
}
