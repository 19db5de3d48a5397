//! Peak memory of this process, from `/proc`.

/// Forgets the peak so far, so that the next [`peak_memory`] is that of one job in a process that does
/// many. Says whether the system did.
pub fn reset_peak_memory() -> bool {
    // proc(5), /proc/pid/clear_refs: "5" resets the peak resident set size.
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Peak resident memory of this process (`VmHWM`), bytes; `None` where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    status("VmHWM:")
}

/// Resident memory of this process now (`VmRSS`), bytes.
pub fn resident_memory() -> Option<u64> {
    status("VmRSS:")
}

/// What counts against a limit on this process's data (`VmData`: what it may write, touched or not), bytes.
pub fn data_memory() -> Option<u64> {
    status("VmData:")
}

fn status(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(field))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// From now on, blocks from 256 KiB are given back to the system when they are freed, and what is free is given
/// back now. The C library would else keep more and more of them, and how much memory a process has would say
/// little about how much it uses.
pub fn give_back_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGE: nix::libc::c_int = 256 << 10;
        // SAFETY: both functions may be called at any time, from any thread; they change what the allocator
        // does with free blocks, and touch no block in use.
        unsafe {
            nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, LARGE);
            nix::libc::malloc_trim(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_follows_what_is_touched() {
        let before = peak_memory().unwrap();
        let block = vec![1u8; 64 << 20];
        assert!(std::hint::black_box(&block).iter().all(|b| *b == 1));
        assert!(peak_memory().unwrap() >= before + (48 << 20));
    }
}
