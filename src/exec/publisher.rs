//! The thread that waits for the disk, so that the dispatcher need not: whatever has finished meanwhile is
//! published together.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::inbox::Message;
use crate::cache::{Intake, Publication};

/// Tasks published together at most.
const TOGETHER: usize = 256;

/// Takes finished tasks; what became of them arrives in the inbox.
#[derive(Debug)]
pub(super) struct Publisher {
    queue: Option<Sender<Publication>>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    pub(super) fn start(intake: Intake, inbox: Sender<Message>) -> std::io::Result<Self> {
        let (queue, finished) = channel();
        let thread = std::thread::Builder::new()
            .name("publisher".to_owned())
            .spawn(move || work(intake, &finished, &inbox))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) fn publish(&self, publication: Publication) {
        if let Some(queue) = &self.queue {
            // The thread lives as long as this sender.
            let _ = queue.send(publication);
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(mut intake: Intake, finished: &Receiver<Publication>, inbox: &Sender<Message>) {
    while let Ok(first) = finished.recv() {
        let mut batch = vec![first];
        while batch.len() < TOGETHER
            && let Ok(next) = finished.try_recv()
        {
            batch.push(next);
        }
        if inbox.send(Message::Published(intake.publish(batch))).is_err() {
            return;
        }
    }
}
