//! Recognising memory that ran out, by what programs say.
//!
//! Error codes do not tell: ONNX Runtime reports the same exhaustion under several codes, and external
//! programs only leave text. The signatures were collected from the programs' own messages.

/// What a line contains that tells of memory that ran out.
struct Signature {
    /// Whose message it is.
    #[cfg_attr(not(test), expect(dead_code, reason = "names the row, for readers and tests"))]
    of: &'static str,
    /// All of these.
    fragments: &'static [&'static str],
}

const fn says(of: &'static str, fragments: &'static [&'static str]) -> Signature {
    Signature { of, fragments }
}

const SIGNATURES: &[Signature] = &[
    says("ONNX Runtime, CPU arena", &["Failed to allocate memory for requested buffer of size"]),
    says("ONNX Runtime, limited arena", &["Available memory of", "is smaller than requested bytes of"]),
    says("ONNX Runtime, threads", &["pthread_create failed", "Cannot allocate memory"]),
    // ONNX Runtime without an arena, too.
    says("C++", &["std::bad_alloc"]),
    says("ONNX Runtime, CUDA", &["CUDA failure 2:"]),
    says("CUDA driver", &["CUDA_ERROR_OUT_OF_MEMORY"]),
    says("CUDA runtime", &["cudaErrorMemoryAllocation"]),
    says("CUDA runtime, in words", &["CUDA error: out of memory"]),
    says("cuBLAS", &["CUBLAS_STATUS_ALLOC_FAILED"]),
    says("cuDNN", &["CUDNN_STATUS_ALLOC_FAILED"]),
    says("cuFFT", &["CUFFT_ALLOC_FAILED"]),
    says("PyTorch", &["torch.OutOfMemoryError"]),
    says("PyTorch before 2.5", &["torch.cuda.OutOfMemoryError"]),
    says("PyTorch before 1.13", &["CUDA out of memory"]),
    says("PyTorch, CPU", &["DefaultCPUAllocator", "can't allocate memory"]),
    says("TensorFlow, allocator", &["OOM when allocating tensor"]),
    says("TensorFlow, exception", &["ResourceExhaustedError"]),
    says("TensorFlow, operation", &["failed to allocate memory [Op:"]),
    says("JAX", &["RESOURCE_EXHAUSTED", "ut of memory"]),
    says("NumPy", &["MemoryError: Unable to allocate"]),
    says("Python, system call", &["[Errno 12] Cannot allocate memory"]),
    says("OpenBLAS", &["OpenBLAS error: Memory allocation still failed"]),
    says("Rust", &["memory allocation of", "bytes failed"]),
    // The kernel and Slurm, where a program or its launcher repeats them.
    says("kernel", &["Out of memory: Killed process"]),
    says("Slurm, step", &["oom_kill event"]),
    says("Slurm, job", &["oom-kill event"]),
    says("Slurm, without control groups", &["Exceeded job memory limit"]),
];

fn tells(line: &str) -> bool {
    // Python's own allocator says nothing but the name, at the end of a traceback.
    let python = line.trim_end() == "MemoryError" || line.starts_with("MemoryError:");
    python || SIGNATURES.iter().any(|s| s.fragments.iter().all(|fragment| line.contains(fragment)))
}

/// The first line of `text` that says that memory ran out, if any.
pub fn evidence(text: &str) -> Option<&str> {
    text.lines().find(|line| tells(line))
}

/// The last of a failed program's last lines that says that memory ran out, unless the program went on after
/// that and a later Python traceback tells of something else.
pub fn last_evidence<'l>(lines: impl DoubleEndedIterator<Item = &'l str>) -> Option<&'l str> {
    let mut traceback = false;
    for line in lines.rev() {
        if tells(line) {
            return (!traceback).then_some(line);
        }
        traceback |= line.starts_with("Traceback (most recent call last)");
        // Of an exception that another one led to, the traceback comes first.
        let led_to = line.starts_with("During handling of the above exception")
            || line.starts_with("The above exception was the direct cause");
        traceback &= !led_to;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{SIGNATURES, evidence, last_evidence};

    /// Whose message, and the message as it appeared.
    const MESSAGES: &[(&str, &str)] = &[
        (
            "ONNX Runtime, CPU arena",
            "Non-zero status code returned while running Conv node. Name:'c1' Status Message: \
             bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 1073741824",
        ),
        (
            "ONNX Runtime, limited arena",
            "bfc_arena.cc:359 Available memory of 1048576 is smaller than requested bytes of 2097152",
        ),
        ("ONNX Runtime, threads", "pthread_create failed, error code: 12 error msg: Cannot allocate memory"),
        ("C++", "running Relu node. Name:'r' Status Message: std::bad_alloc"),
        (
            "ONNX Runtime, CUDA",
            "CUDA failure 2: out of memory ; GPU=0 ; hostname=n1 ; file=cuda_allocator.cc ; line=48",
        ),
        ("CUDA driver", "failed call to cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY"),
        ("CUDA runtime", "cupy error: cudaErrorMemoryAllocation: out of memory"),
        ("CUDA runtime, in words", "torch.AcceleratorError: CUDA error: out of memory"),
        ("cuBLAS", "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0"),
        ("cuDNN", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        ("cuFFT", "cupy.cuda.cufft.CuFFTError: CUFFT_ALLOC_FAILED"),
        ("PyTorch", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."),
        (
            "PyTorch before 2.5",
            "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB",
        ),
        ("PyTorch before 1.13", "RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0)"),
        (
            "PyTorch, CPU",
            "RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate \
             memory: you tried to allocate 400000000000 bytes. Error code 12 (Cannot allocate memory)",
        ),
        (
            "TensorFlow, exception",
            "tensorflow.python.framework.errors_impl.ResourceExhaustedError: {{function_node __wrapped__Cast}}",
        ),
        (
            "TensorFlow, allocator",
            "OOM when allocating tensor with shape[5216,128,128,4] and type complex64 [Op:Cast]",
        ),
        ("TensorFlow, operation", "failed to allocate memory [Op:Cast]"),
        (
            "JAX",
            "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12 bytes",
        ),
        ("NumPy", "MemoryError: Unable to allocate 11.9 GiB for an array"),
        ("NumPy", "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 11.9 GiB for an array"),
        ("Python, system call", "OSError: [Errno 12] Cannot allocate memory"),
        ("OpenBLAS", "OpenBLAS error: Memory allocation still failed after 10 retries, giving up."),
        ("Rust", "memory allocation of 17179869184 bytes failed"),
        ("kernel", "Out of memory: Killed process 4711 (python3) total-vm:9000kB"),
        (
            "Slurm, step",
            "slurmstepd: error: Detected 1 oom_kill event in StepId=12.0. Some of the step tasks have been OOM Killed.",
        ),
        ("Slurm, job", "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=12.batch."),
        ("Slurm, without control groups", "slurmstepd: error: Exceeded job memory limit"),
    ];

    #[test]
    fn every_signature_recognises_its_message() {
        for signature in SIGNATURES {
            let mut messages = MESSAGES.iter().filter(|(of, _)| *of == signature.of).peekable();
            assert!(messages.peek().is_some(), "{} has no message", signature.of);
            for (of, message) in messages {
                assert!(signature.fragments.iter().all(|f| message.contains(f)), "{of}: {message}");
                assert_eq!(evidence(message), Some(*message));
            }
        }
        for bare in
            ["Traceback (most recent call last):\n  File \"a.py\", line 1\nMemoryError", "MemoryError: no"]
        {
            assert!(evidence(bare).is_some(), "{bare}");
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
            "memory: 3.2 GiB of 16 GiB used, 12.8 GiB available",
            "No space left on device",
            "warning: a MemoryError is possible with large scans",
        ] {
            assert_eq!(evidence(message), None);
        }
    }

    #[test]
    fn what_a_program_survived_is_not_why_it_failed() {
        let last = |text: &'static str| last_evidence(text.lines());
        let survived = "torch.OutOfMemoryError: CUDA out of memory\ngoing on with half\n\
                        Traceback (most recent call last):\n  File \"a.py\"\nKeyError: 'diff3d'";
        assert_eq!(last(survived), None);
        let led_to = "Traceback (most recent call last):\nMemoryError\n\n\
                      During handling of the above exception, another exception occurred:\n\n\
                      Traceback (most recent call last):\n  File \"a.py\"\nRuntimeError: inference failed";
        assert_eq!(last(led_to), Some("MemoryError"));
        let launched = "a\nstd::bad_alloc here\nrank 0 failed\nelapsed 3 s";
        assert_eq!(last(launched), Some("std::bad_alloc here"));
        assert_eq!(last("Traceback (most recent call last):\n  x\nMemoryError"), Some("MemoryError"));
    }

    #[test]
    fn the_telling_line_is_returned() {
        assert_eq!(evidence("a\nstd::bad_alloc here\nb"), Some("std::bad_alloc here"));
    }
}
