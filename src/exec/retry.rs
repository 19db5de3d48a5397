//! Whether and when a failed task is tried again. Pure: the same study gives the same waits.
//!
//! There is no jitter. It would spread clients that fall upon one server at the same moment; tasks of a
//! run are spread by their slots already, and a schedule that can be told beforehand is worth more.

use std::time::Duration;

use crate::diag::FailureClass;
use crate::study::Retries;

/// Nothing waits longer, whatever a policy says: clocks can always add this much.
const MOST_S: f64 = 30.0 * 86_400.0;

/// How long to wait before a task is tried again, or `None` to let its failure stand.
///
/// `failures` counts the attempts of this task that ended with a failure of `class`, the latest among
/// them: 1 after the first. Classes are counted apart, so that a task that once ran out of time keeps its
/// attempts after a signal.
pub fn wait_before_retry(retries: &Retries, class: FailureClass, failures: u32) -> Option<Duration> {
    let retry = retries.get(class)?;
    if failures > retry.times {
        return None;
    }
    let before = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
    // May be infinite, or not a number for 0 × ∞; `min` takes the other side then.
    let grown = retry.wait_s * retry.factor.powi(before);
    let seconds = grown.min(retry.longest_s).min(MOST_S);
    let wait = if retry.wait_s > 0.0 && seconds > 0.0 { seconds } else { 0.0 };
    Some(Duration::from_secs_f64(wait))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Retry;
    use proptest::prelude::*;

    const CLASS: FailureClass = FailureClass::Io;

    fn one(retry: Retry) -> Retries {
        Retries([(CLASS, retry)].into())
    }

    fn policy() -> impl Strategy<Value = Retry> {
        (1_u32..=100, 0.0..100_000.0_f64, 1.0..=100.0_f64, 0.0..100_000.0_f64).prop_map(
            |(times, wait_s, factor, more)| Retry { times, wait_s, factor, longest_s: wait_s + more },
        )
    }

    #[test]
    fn waits_grow_to_the_longest_and_then_it_is_over() {
        let retries = one(Retry { times: 5, wait_s: 10.0, factor: 3.0, longest_s: 100.0 });
        let waits: Vec<_> = (1..=7).map(|n| wait_before_retry(&retries, CLASS, n)).collect();
        let told = [Some(10), Some(30), Some(90), Some(100), Some(100), None, None];
        assert_eq!(waits, told.map(|s| s.map(Duration::from_secs)));
        assert_eq!(wait_before_retry(&retries, FailureClass::Timeout, 1), None);
        assert_eq!(wait_before_retry(&Retries::default(), CLASS, 1), None);
    }

    #[test]
    fn without_a_wait_it_is_at_once() {
        let retries = one(Retry { times: 3, wait_s: 0.0, factor: 1.0, longest_s: 0.0 });
        assert_eq!(wait_before_retry(&retries, CLASS, 3), Some(Duration::ZERO));
    }

    #[test]
    fn policies_that_no_study_can_name_are_survived() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e300, 2.0];
        for wait_s in odd {
            for factor in odd {
                for longest_s in odd {
                    let retries = one(Retry { times: u32::MAX, wait_s, factor, longest_s });
                    for failures in [0, 1, 2, 1000, u32::MAX] {
                        let wait = wait_before_retry(&retries, CLASS, failures);
                        assert!(wait.is_some_and(|w| w.as_secs_f64() <= MOST_S));
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn waits_never_shrink_and_never_pass_the_longest(retry in policy()) {
            let retries = one(retry);
            let waits: Vec<Duration> =
                (1..=retry.times).filter_map(|n| wait_before_retry(&retries, CLASS, n)).collect();
            prop_assert_eq!(waits.len(), retry.times as usize);
            prop_assert!(waits.is_sorted());
            prop_assert_eq!(waits[0], Duration::from_secs_f64(retry.wait_s));
            prop_assert!(waits.iter().all(|wait| *wait <= Duration::from_secs_f64(retry.longest_s)));
        }

        #[test]
        fn a_task_that_always_fails_is_tried_once_and_each_class_so_often_more(
            policies in prop::collection::btree_map(0_usize..9, policy(), 0..9),
            order in prop::collection::vec(0_usize..9, 1000),
        ) {
            let class = |i: usize| FailureClass::ALL[i];
            let retries = Retries(policies.into_iter().map(|(i, retry)| (class(i), retry)).collect());
            let mut failures = std::collections::BTreeMap::new();
            let mut attempts = 0;
            for next in order {
                attempts += 1;
                let seen = failures.entry(class(next)).or_insert(0);
                *seen += 1;
                if wait_before_retry(&retries, class(next), *seen).is_none() {
                    break;
                }
            }
            let most: u32 = retries.0.values().map(|retry| retry.times).sum();
            prop_assert!(attempts <= most + 1);
        }
    }
}
