//! The host memory arena, growing by exactly what is asked for.
//!
//! By default the arena doubles: memory in use then says little about memory needed, and a run may be
//! refused although it would fit. With "same as requested" the peak is linear in the batch size (measured
//! to 0.0 % on a U-Net). It may have a limit, beyond which a run fails with a clean error. `ort` has no safe
//! call for any of this, hence the few foreign calls here.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::str::FromStr;

use ort::AsPointer;
use ort::environment::Environment;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;
use ort::sys::{OrtArenaCfg, OrtKeyValuePairs};

use crate::stages::Device;

/// `kSameAsRequested` in ONNX Runtime's `OrtArenaCfg`.
const SAME_AS_REQUESTED: usize = 1;
const EXTEND_STRATEGY: &CStr = c"arena_extend_strategy";

const LIMIT: &CStr = c"max_mem";

/// Registers the arena that every session with `with_env_allocators` shares from now on; `again` if there is
/// one, which sessions made before keep. It never holds more than `limit` bytes.
pub(super) fn register(environment: &Environment, limit: Option<u64>, again: bool) -> ort::Result<()> {
    let memory = host()?;
    let config = ArenaConfig::new(limit)?;
    if again {
        // SAFETY: environment and memory description are live objects of this library for the whole call;
        // sessions share the arena by a counted pointer, so none loses it.
        let status = unsafe { (ort::api().UnregisterAllocator)(environment.ptr().cast_mut(), memory.ptr()) };
        // SAFETY: the status was returned by the call above and is handed over exactly once.
        unsafe { ort::Error::result_from_status(status) }?;
    }
    // SAFETY: the environment, the memory description and the configuration are live objects of this
    // library for the whole call; ONNX Runtime copies the latter two, and locks the environment itself,
    // which is why its pointer may come from a shared reference (as in `ort`'s own methods).
    let status = unsafe {
        (ort::api().CreateAndRegisterAllocator)(environment.ptr().cast_mut(), memory.ptr(), config.0)
    };
    // SAFETY: the status was returned by the call above and is handed over exactly once.
    unsafe { ort::Error::result_from_status(status) }
}

fn host() -> ort::Result<MemoryInfo<'static>> {
    MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Arena, MemoryType::Default)
}

/// What an arena has handed out, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stats {
    /// In use now.
    pub in_use: u64,
    /// Most that ever was in use.
    pub max_in_use: u64,
    /// Taken from the system, used or not.
    pub held: u64,
}

/// Asks the arena that `session` computes in.
pub(super) fn stats(session: &Session, device: Device) -> ort::Result<Stats> {
    let memory = match device {
        Device::Cpu => host()?,
        Device::Cuda(index) => {
            let index = i32::try_from(index).unwrap_or(0);
            MemoryInfo::new(AllocationDevice::CUDA, index, AllocatorType::Device, MemoryType::Default)?
        }
    };
    let allocator = Allocator::new(session, memory)?;
    let mut pairs: *mut OrtKeyValuePairs = ptr::null_mut();
    // SAFETY: the allocator is live for the whole call and `pairs` is a place for the pointer it returns.
    let status = unsafe { (ort::api().AllocatorGetStats)(allocator.ptr(), &raw mut pairs) };
    // SAFETY: the status was returned by the call above and is handed over exactly once.
    unsafe { ort::Error::result_from_status(status) }?;
    let pairs = Pairs(pairs);
    let (in_use, max_in_use) = (pairs.number(c"InUse"), pairs.number(c"MaxInUse"));
    Ok(Stats { in_use, max_in_use, held: pairs.number(c"TotalAllocated") })
}

/// Owned key-value pairs.
struct Pairs(*mut OrtKeyValuePairs);

impl Pairs {
    /// The number under a key; 0 if there is none.
    fn number(&self, key: &CStr) -> u64 {
        // SAFETY: the pairs are live and the key is NUL-terminated.
        let text = unsafe { (ort::api().GetKeyValue)(self.0, key.as_ptr()) };
        if text.is_null() {
            return 0;
        }
        // SAFETY: not null, so a NUL-terminated text that the pairs own, which live longer than this borrow.
        let text = unsafe { CStr::from_ptr(text) };
        text.to_str().ok().and_then(|t| u64::from_str(t).ok()).unwrap_or(0)
    }
}

impl Drop for Pairs {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `AllocatorGetStats`, is owned by this value, and is released once.
        unsafe { (ort::api().ReleaseKeyValuePairs)(self.0) }
    }
}

/// An owned `OrtArenaCfg`.
struct ArenaConfig(*mut OrtArenaCfg);

impl ArenaConfig {
    fn new(limit: Option<u64>) -> ort::Result<Self> {
        // 0 means no limit.
        let limit = limit.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX).max(1));
        let keys: [*const c_char; 2] = [EXTEND_STRATEGY.as_ptr(), LIMIT.as_ptr()];
        let values = [SAME_AS_REQUESTED, limit];
        let mut config = ptr::null_mut();
        // SAFETY: both arrays hold `keys.len()` elements and outlive the call; the keys are NUL-terminated.
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
