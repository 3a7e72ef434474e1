//! The sign of life that systemd's watchdog hears: it comes from the loop that accepts users'
//! connections, and only if every worker has come round since the last one. A process that draws
//! breath but carries nobody gives none.

use berth_process::systemd::Watchdog;
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::worker::Workers;

/// See above. Without a watchdog it wakes nobody.
#[derive(Debug)]
pub struct Pulse(Option<Watched>);

#[derive(Debug)]
struct Watched {
    watchdog: Watchdog,
    workers: Workers,
    due: Interval,
    /// Of the workers that have not come round yet.
    answers: Vec<Receiver<()>>,
}

impl Pulse {
    /// Of the loop that gives work to these.
    pub fn new(watchdog: Watchdog, workers: Workers) -> Self {
        Self(watchdog.every().map(|every| {
            // Not at once: a successor is believed when the process before has named it.
            let mut due = interval_at(Instant::now() + every, every);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Watched { watchdog, workers, due, answers: Vec::new() }
        }))
    }

    /// Of a loop that nobody watches.
    pub fn none() -> Self {
        Self(None)
    }

    /// Completes when the loop has to come round. May be given up without losing anything.
    pub async fn due(&mut self) {
        match &mut self.0 {
            Some(watched) => {
                watched.due.tick().await;
            }
            None => std::future::pending().await,
        }
    }

    /// The loop has come round.
    pub fn beat(&mut self) {
        let Some(watched) = &mut self.0 else { return };
        watched.answers.retain_mut(|answer| answer.try_recv() == Err(TryRecvError::Empty));
        if watched.answers.is_empty() {
            watched.watchdog.alive();
            watched.answers = watched.workers.ask();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::ErrorKind;
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use super::*;

    fn said(systemd: &UnixDatagram) -> bool {
        let mut heard = [0; 64];
        match systemd.recv(&mut heard) {
            Ok(length) => {
                assert_eq!(&heard[..length], b"WATCHDOG=1\n");
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
        }
    }

    #[tokio::test]
    async fn a_worker_that_hangs_silences_the_pulse() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        systemd.set_nonblocking(true).unwrap();
        let watchdog = Watchdog::new(path.as_os_str(), Duration::from_secs(30)).unwrap();
        let (workers, mut queue) = Workers::by_hand();
        let mut pulse = Pulse::new(watchdog, workers);
        pulse.beat();
        assert!(said(&systemd));
        for _ in 0..3 {
            pulse.beat();
            assert!(!said(&systemd), "the worker has not come round");
        }
        for _ in 0..3 {
            queue.recv().await.unwrap().run();
            pulse.beat();
            assert!(said(&systemd));
        }
    }

    #[tokio::test]
    async fn every_worker_answers() {
        let workers = Workers::start().unwrap();
        for _ in 0..2 {
            for answer in workers.ask() {
                answer.await.unwrap();
            }
        }
    }
}
