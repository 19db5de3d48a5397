//! What is tried after memory has run out. Pure: what an attempt had and what the study allows give the next
//! attempt, or none.

use std::fmt::Write;

use super::facts::Measure;
use crate::diag::memory;
use crate::events::Had;
use crate::study::{DeviceKind, Rescue};

/// The next attempt after one that ran out of memory on the device `on`: less at a time, down to the floor; then more
/// memory, up to what the study and the machine allow; then another device, if the study allows one, where it begins
/// with as much at a time as the study says. `None` if there is nothing left to try.
pub(super) fn next(policy: &Rescue, had: &Had, on: DeviceKind, machine: Option<u64>) -> Option<Measure> {
    // Having moved there, it stays there.
    let device = policy.device.filter(|device| *device == on);
    let elsewhere = policy.device.filter(|device| *device != on);
    let elsewhere = elsewhere.map(|device| Measure { chunk: None, memory: None, device: Some(device) });
    here(policy, had, machine).map(|measure| Measure { device, ..measure }).or(elsewhere)
}

/// The same without leaving the device.
fn here(policy: &Rescue, had: &Had, machine: Option<u64>) -> Option<Measure> {
    if let (Some(halve), Some(chunk)) = (&policy.halve, had.chunk) {
        let smaller = (chunk / 2).max(halve.floor).max(1);
        if smaller < chunk {
            return Some(Measure { chunk: Some(smaller), memory: had.memory, device: None });
        }
    }
    let (grow, limit) = (policy.memory?, had.memory?);
    let most = grow.most.into_iter().chain(machine).min().unwrap_or(u64::MAX);
    // Saturates: no limit is that large.
    let larger = ((limit as f64 * grow.factor) as u64).min(most);
    (larger > limit).then_some(Measure { chunk: had.chunk, memory: Some(larger), device: None })
}

/// What was tried, a line for each attempt.
pub(super) fn tried(attempts: &[(u32, Had)]) -> String {
    let mut text = String::new();
    let moved = attempts.iter().any(|(_, had)| had.device != attempts[0].1.device);
    for (number, had) in attempts {
        let unit = had.unit.as_deref().unwrap_or("units");
        let chunk = had.chunk.map(|chunk| format!("{chunk} {unit} at a time"));
        let limit = had.memory.map(|bytes| format!("limit {}", memory(bytes)));
        let peak = had.peak.map(|bytes| format!("peak {}", memory(bytes)));
        let device = had.device.as_ref().filter(|_| moved).map(|device| format!("on {device}"));
        let words: Vec<String> = chunk.into_iter().chain(limit).chain(peak).chain(device).collect();
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  attempt {number}: {}", words.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Grow, Halve};
    use proptest::prelude::*;

    fn had(chunk: Option<u64>, memory: Option<u64>) -> Had {
        Had { chunk, memory, ..Had::default() }
    }

    fn policy(floor: u64, grow: Option<(f64, Option<u64>)>) -> Rescue {
        let memory = grow.map(|(factor, most)| Grow { factor, most });
        Rescue { halve: Some(Halve { name: "chunk".into(), floor }), memory, device: None }
    }

    /// All attempts, the first among them.
    fn attempts(policy: &Rescue, first: Had, machine: Option<u64>) -> Vec<(Option<u64>, Option<u64>)> {
        let mut found = vec![(first.chunk, first.memory)];
        let mut last = first;
        while let Some(next) = next(policy, &last, DeviceKind::Cpu, machine) {
            last = had(next.chunk, next.memory);
            found.push((last.chunk, last.memory));
        }
        found
    }

    #[test]
    fn chunks_are_halved_to_the_floor_and_then_memory_grows() {
        let found = attempts(&policy(3, Some((2.0, Some(70)))), had(Some(13), Some(20)), None);
        let told = [(13, 20), (6, 20), (3, 20), (3, 40), (3, 70)];
        assert_eq!(found, told.map(|(chunk, memory)| (Some(chunk), Some(memory))));
    }

    #[test]
    fn another_device_comes_last_and_begins_afresh() {
        let policy = Rescue { device: Some(DeviceKind::Cpu), ..policy(4, Some((2.0, Some(40)))) };
        let (mut on, mut last, mut found) = (DeviceKind::Cuda, had(Some(8), Some(20)), Vec::new());
        while let Some(next) = next(&policy, &last, on, None) {
            on = next.device.unwrap_or(on);
            found.push((next.device.is_some(), next.chunk, next.memory));
            // What the study says, where nothing else is said.
            last = had(next.chunk.or(Some(8)), next.memory.or(Some(20)));
        }
        let (four, more) = (Some(4), Some(40));
        let gpu = [(false, four, Some(20)), (false, four, more)];
        let processor = [(true, None, None), (true, four, Some(20)), (true, four, more)];
        assert_eq!(found, [&gpu[..], &processor].concat());
    }

    #[test]
    fn the_machine_bounds_what_a_study_leaves_open() {
        let grow = policy(1, Some((3.0, None)));
        assert_eq!(attempts(&grow, had(None, Some(20)), Some(100)).len(), 3, "20, 60, 100");
        assert_eq!(attempts(&policy(1, None), had(None, Some(20)), Some(100)).len(), 1);
        assert_eq!(attempts(&Rescue::none(), had(Some(512), Some(20)), Some(100)).len(), 1);
        // No limit is as much as the machine has.
        assert_eq!(attempts(&grow, had(None, None), Some(100)).len(), 1);
        assert_eq!(attempts(&Rescue::usual(), had(Some(512), None), None).len(), 10);
        assert_eq!(attempts(&Rescue::usual(), had(Some(1), None), None).len(), 1);
    }

    #[test]
    fn attempts_are_told_with_what_is_known_of_them() {
        let first = Had {
            chunk: Some(512),
            unit: Some("groups".into()),
            memory: Some(1 << 30),
            peak: Some(900 << 20),
            device: None,
        };
        let second = Had { chunk: Some(256), peak: None, ..first.clone() };
        assert_eq!(
            tried(&[(1, first), (3, second)]),
            "\n  attempt 1: 512 groups at a time, limit 1.0 GiB, peak 900 MiB\
             \n  attempt 3: 256 groups at a time, limit 1.0 GiB"
        );
    }

    proptest! {
        #[test]
        fn it_always_ends(
            chunk in prop::option::of(0_u64..1 << 40),
            memory in prop::option::of(1_u64..1 << 53),
            floor in 1_u64..1 << 20,
            factor in 1.0001_f64..100.0,
            most in prop::option::of(1_u64..1 << 53),
        ) {
            let found = attempts(&policy(floor, Some((factor, most))), had(chunk, memory), Some(1 << 45));
            prop_assert!(found.len() < 400_000);
            prop_assert!(found.windows(2).all(|w| w[1].0 < w[0].0 || w[1].1 > w[0].1));
        }
    }
}
