//! Why a stage failed, in one vocabulary for native stages, ONNX Runtime and external programs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The class of a failure. Retry policies and reports decide on the class, never on the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// An input does not hold what the stage needs (wrong key, shape, NaN, unreadable).
    Input,
    /// Memory ran out, on the host or on a device.
    OutOfMemory,
    /// The time limit of the task passed.
    Timeout,
    /// The worker was ended by a signal.
    Signal,
    /// An external program exited with a code other than 0.
    ExitCode,
    /// ONNX Runtime or one of its providers could not be had.
    Runtime,
    /// A check of the result failed: the stage ran but its output cannot be trusted.
    Check,
    /// Reading or writing files failed (disk full, permissions).
    Io,
    /// Anything else.
    Other,
}

impl FailureClass {
    /// All classes.
    pub const ALL: [Self; 9] = [
        Self::Input,
        Self::OutOfMemory,
        Self::Timeout,
        Self::Signal,
        Self::ExitCode,
        Self::Runtime,
        Self::Check,
        Self::Io,
        Self::Other,
    ];

    /// Its name in study files, journals and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::OutOfMemory => "out_of_memory",
            Self::Timeout => "timeout",
            Self::Signal => "signal",
            Self::ExitCode => "exit_code",
            Self::Runtime => "runtime",
            Self::Check => "check",
            Self::Io => "io",
            Self::Other => "other",
        }
    }

    /// The class of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A stage's failure: class, message naming the thing and place, and a hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StageError {
    /// What kind of failure.
    pub class: FailureClass,
    /// What happened, where, what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Result of a stage.
pub type StageResult<T = ()> = Result<T, StageError>;

impl StageError {
    /// A failure of a class.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), hint: None }
    }

    /// An input that cannot be used.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Input, message)
    }

    /// A result that failed its check.
    pub fn check(message: impl Into<String>) -> Self {
        Self::new(FailureClass::Check, message)
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<std::io::Error> for StageError {
    fn from(error: std::io::Error) -> Self {
        let class = match error.kind() {
            std::io::ErrorKind::OutOfMemory => FailureClass::OutOfMemory,
            _ => FailureClass::Io,
        };
        Self::new(class, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::FailureClass;

    #[test]
    fn names_are_those_of_the_journal() {
        for (i, class) in FailureClass::ALL.into_iter().enumerate() {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
            assert_eq!(FailureClass::from_name(class.name()), Some(class));
            assert_eq!(class as usize, i, "`ALL` has every class, in order");
        }
        assert_eq!(FailureClass::from_name("oom"), None);
    }
}
