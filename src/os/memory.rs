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
