//! What the dispatcher hears, and the handle by which others speak to it.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::mpsc::Sender;

use crate::cache::{Hashed, Published, StoreError, ToHash};
use crate::diag::StageError;
use crate::worker::FromWorker;

/// What arrives in the inbox.
#[derive(Debug)]
pub(super) enum Message {
    /// A worker says something.
    Said { worker: u64, said: Box<FromWorker> },
    /// A worker has ended; `peak` is the peak resident memory of it and its children, bytes.
    Ended { worker: u64, status: Result<ExitStatus, String>, peak: Option<u64> },
    /// A file was hashed, or cannot be read.
    Hashed { file: ToHash, hashed: Result<Hashed, StoreError> },
    /// Finished tasks are in the store, or the disk has failed.
    Published(Result<Vec<Published>, StoreError>),
    /// ONNX Runtime was found or fetched, or could not be.
    Runtime(Result<PathBuf, StageError>),
    /// The user wants an end.
    Interrupt(Interrupt),
}

/// How urgently to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Ask running tasks to end, and wait for the grace period.
    Gently,
    /// Now.
    Now,
}

/// Interrupts a run from another thread.
#[derive(Debug, Clone)]
pub struct Handle(pub(super) Sender<Message>);

impl Handle {
    /// Stops the run. Finished work is kept.
    pub fn interrupt(&self, how: Interrupt) {
        // A closed inbox means that the run is over.
        let _ = self.0.send(Message::Interrupt(how));
    }
}
