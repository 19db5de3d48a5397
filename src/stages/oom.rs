//! Recognising memory that ran out, by what programs say.
//!
//! Error codes do not tell: ONNX Runtime reports the same exhaustion under several codes, and external
//! programs only leave text. The signatures were collected from the programs' own messages.

use std::fs;
use std::path::Path;

/// What a line must contain to be taken for memory that ran out: all fragments of one entry.
const SIGNATURES: &[&[&str]] = &[
    // ONNX Runtime: CPU arena; arena with a limit (CPU `max_mem`, CUDA `gpu_mem_limit`).
    &["Failed to allocate memory for requested buffer of size"],
    &["Available memory of", "is smaller than requested bytes of"],
    // C++ without an arena, ONNX Runtime's included.
    &["std::bad_alloc"],
    // CUDA, cuBLAS, cuDNN, through any program.
    &["CUDA failure 2:"],
    &["CUDA_ERROR_OUT_OF_MEMORY"],
    &["cudaErrorMemoryAllocation"],
    &["CUBLAS_STATUS_ALLOC_FAILED"],
    &["CUDNN_STATUS_ALLOC_FAILED"],
    // PyTorch.
    &["torch.OutOfMemoryError"],
    &["torch.cuda.OutOfMemoryError"],
    &["CUDA out of memory"],
    &["DefaultCPUAllocator", "can't allocate memory"],
    // TensorFlow.
    &["OOM when allocating tensor"],
    &["ResourceExhaustedError"],
    &["failed to allocate memory [Op:"],
    // JAX.
    &["RESOURCE_EXHAUSTED", "ut of memory"],
    // NumPy.
    &["MemoryError: Unable to allocate"],
    // Rust.
    &["memory allocation of", "bytes failed"],
    // The kernel and Slurm, where a program or its launcher repeats them.
    &["Out of memory: Killed process"],
    &["oom_kill event"],
    &["oom-kill event"],
    &["Exceeded job memory limit"],
];

/// The first line of `text` that says that memory ran out, if any.
pub fn evidence(text: &str) -> Option<&str> {
    text.lines().find(|line| {
        // Python's own allocator says nothing but the name, at the end of a traceback.
        line.trim_end() == "MemoryError"
            || SIGNATURES.iter().any(|fragments| fragments.iter().all(|fragment| line.contains(fragment)))
    })
}

/// How many processes the kernel has ended for want of memory: in this process's control group (version
/// 2) if that can be told, else on the whole machine. `None` where the system does not tell.
///
/// A program that was killed while this grew has most likely run out of memory.
pub fn kernel_kills() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| {
        let group = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let events = Path::new("/sys/fs/cgroup").join(group).join("memory.events");
        counter(&fs::read_to_string(events).ok()?)
    });
    own.or_else(|| counter(&fs::read_to_string("/proc/vmstat").ok()?))
}

/// The value on the line `oom_kill N`.
fn counter(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{counter, evidence};

    #[test]
    fn real_messages_are_recognised() {
        for message in [
            "Non-zero status code returned while running Conv node. Name:'c1' Status Message: \
             bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 1073741824",
            "running Relu node. Name:'r' Status Message: std::bad_alloc",
            "bfc_arena.cc:359 Available memory of 1048576 is smaller than requested bytes of 2097152",
            "CUDA failure 2: out of memory ; GPU=0 ; hostname=n1 ; file=cuda_allocator.cc ; line=48",
            "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
            "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB",
            "RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate \
             memory: you tried to allocate 400000000000 bytes. Error code 12 (Cannot allocate memory)",
            "tensorflow.python.framework.errors_impl.ResourceExhaustedError: {{function_node __wrapped__Cast}} OOM \
             when allocating tensor with shape[5216,128,128,4] and type complex64 [Op:Cast]",
            "failed to allocate memory [Op:Cast]",
            "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12 bytes",
            "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 11.9 GiB for an array with shape (1,)",
            "MemoryError: Unable to allocate 11.9 GiB for an array",
            "Traceback (most recent call last):\n  File \"a.py\", line 1\nMemoryError",
            "memory allocation of 17179869184 bytes failed",
            "slurmstepd: error: Detected 1 oom_kill event in StepId=12.0. Some of the step tasks have been OOM Killed.",
            "slurmstepd: error: Exceeded job memory limit",
        ] {
            assert!(evidence(message).is_some(), "{message}");
        }
    }

    #[test]
    fn other_failures_are_not() {
        for message in [
            "",
            "Traceback (most recent call last):\nValueError: shapes (4,) and (5,) not aligned",
            "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1",
            "CUDA failure 209: no kernel image is available",
            "RESOURCE_EXHAUSTED: quota of requests",
            "allocated memory: 4 GiB",
            "No space left on device",
            "warning: a MemoryError is possible with large scans",
        ] {
            assert_eq!(evidence(message), None);
        }
    }

    #[test]
    fn the_telling_line_is_returned() {
        assert_eq!(evidence("a\nstd::bad_alloc here\nb"), Some("std::bad_alloc here"));
    }

    #[test]
    fn the_kernels_counter_is_read_from_either_file() {
        assert_eq!(counter("low 0\nhigh 3\noom 5\noom_kill 4\noom_group_kill 9\n"), Some(4));
        assert_eq!(counter("nr_free_pages 12\noom_kill 0\n"), Some(0));
        assert_eq!(counter("oom 5\n"), None);
    }
}
