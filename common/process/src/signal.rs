//! Signals that end a process.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT. They are heard from the moment this is made; before, one of them ends the
/// process where it stands. So it is made before anybody is told that the process serves.
#[derive(Debug)]
pub struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// Hears them from now on.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    pub fn hear() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Completes when the process has been asked to end. May be given up without losing anything.
    pub async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
