//! The state of a task, and the only function that changes it.

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Waits for producers.
    Waiting,
    /// Its inputs are known and it must run; waits for free slots.
    Ready,
    /// A worker has it.
    Running,
    /// An attempt failed; waits for the next.
    Delayed,
    /// Its worker has finished; its outputs are being made durable.
    Publishing,
    /// Its outputs were in the store.
    Cached,
    /// Its outputs are in the store now.
    Succeeded,
    /// It failed.
    Failed,
    /// A task before it failed.
    Blocked,
    /// The run was stopped before it was done.
    Cancelled,
}

/// What may happen to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// The store has its outputs.
    Hit,
    /// It must run.
    Miss,
    /// A worker took it.
    Start,
    /// Its worker finished.
    Produce,
    /// Its outputs were published.
    Finish,
    /// An attempt failed and there will be another.
    Retry,
    /// The wait before the next attempt is over.
    Due,
    /// It failed, or its inputs cannot be read.
    Fail,
    /// A producer failed or is blocked.
    Block,
    /// The run is being stopped.
    Cancel,
}

impl TaskState {
    /// The next state, or `None` if `change` cannot happen in this one.
    pub fn next(self, change: Change) -> Option<Self> {
        use Change as C;
        use TaskState as S;
        Some(match (self, change) {
            (S::Waiting, C::Hit) => S::Cached,
            (S::Waiting, C::Miss) => S::Ready,
            (S::Waiting, C::Fail) => S::Failed,
            (S::Waiting, C::Block) => S::Blocked,
            (S::Ready, C::Start) => S::Running,
            (S::Ready, C::Fail) => S::Failed,
            (S::Running, C::Produce) => S::Publishing,
            (S::Running, C::Retry) => S::Delayed,
            (S::Running, C::Fail) => S::Failed,
            (S::Delayed, C::Due) => S::Ready,
            (S::Publishing, C::Finish) => S::Succeeded,
            (S::Publishing, C::Fail) => S::Failed,
            (S::Waiting | S::Ready | S::Running | S::Delayed, C::Cancel) => S::Cancelled,
            _ => return None,
        })
    }

    /// Whether its outputs are in the store.
    pub fn is_done(self) -> bool {
        matches!(self, TaskState::Cached | TaskState::Succeeded)
    }

    /// Whether nothing can happen to it any more.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Ready | Self::Running | Self::Delayed | Self::Publishing)
    }
}

#[cfg(test)]
mod tests {
    use super::{Change as C, TaskState as S};

    const STATES: [S; 10] = [
        S::Waiting,
        S::Ready,
        S::Running,
        S::Delayed,
        S::Publishing,
        S::Cached,
        S::Succeeded,
        S::Failed,
        S::Blocked,
        S::Cancelled,
    ];
    const CHANGES: [C; 10] =
        [C::Hit, C::Miss, C::Start, C::Produce, C::Finish, C::Retry, C::Due, C::Fail, C::Block, C::Cancel];

    #[test]
    fn final_states_never_change_and_others_can_always_end() {
        for state in STATES {
            let exits = CHANGES.iter().filter(|c| state.next(**c).is_some()).count();
            assert_eq!(exits == 0, state.is_final(), "{state:?}");
        }
    }

    #[test]
    fn nothing_is_done_without_a_hit_or_a_publication() {
        for state in STATES {
            for change in CHANGES {
                if let Some(next) = state.next(change)
                    && next.is_done()
                {
                    assert!(matches!((state, change), (S::Waiting, C::Hit) | (S::Publishing, C::Finish)));
                }
            }
        }
    }
}
