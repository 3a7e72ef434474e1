//! How fast a body must come, so that nobody holds a server's connection by a byte now and then.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// The time over which the speed is measured.
const WINDOW: Duration = Duration::from_secs(30);

/// A longer time in which the upstream took nothing is not the client's fault.
const HELD_UP: Duration = Duration::from_secs(1);

/// Measures one body.
#[derive(Debug)]
pub struct Pace {
    window: Duration,
    /// Bytes that must come within a window; 0 for no limit.
    least: u64,
    /// Bytes that came in this window.
    came: u64,
    /// Runs while the client is waited for.
    ends: Option<Pin<Box<Sleep>>>,
    /// When the last piece was taken.
    last: Option<Instant>,
}

impl Pace {
    /// At least so many bytes a second; 0 for any.
    pub fn new(least_per_second: u64) -> Self {
        Self::within(WINDOW, least_per_second.saturating_mul(WINDOW.as_secs()))
    }

    fn within(window: Duration, least: u64) -> Self {
        Self { window, least, came: 0, ends: None, last: None }
    }

    /// A piece of so many bytes was taken.
    pub fn came(&mut self, count: usize) {
        self.came = self.came.saturating_add(count as u64);
        if self.came >= self.least {
            (self.ends, self.came) = (None, 0);
        }
        self.last = self.ends.is_some().then(Instant::now);
    }

    /// The client is waited for. Ready when a window ends in which too little came.
    pub fn poll_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.least == 0 {
            return Poll::Pending;
        }
        let window = self.window;
        let ends = self.ends.get_or_insert_with(|| Box::pin(sleep(window)));
        let held_up = self.last.take().map(|last| last.elapsed()).unwrap_or_default();
        if held_up > HELD_UP {
            let later = ends.deadline() + held_up;
            ends.as_mut().reset(later);
        }
        ends.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SHORT: Duration = Duration::from_millis(300);

    /// Whether a body of these pieces is found slow when nothing more comes.
    fn slow(least: u64, pieces: &[usize]) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.is_ok_and(|runtime| {
            runtime.block_on(async {
                let mut pace = Pace::within(SHORT, least);
                for piece in pieces {
                    let waited = poll_fn(|cx| Poll::Ready(pace.poll_slow(cx))).await;
                    if waited.is_ready() {
                        return true;
                    }
                    pace.came(*piece);
                }
                // A window is open only while it lacks bytes.
                match pace.ends.is_some() {
                    true => poll_fn(|cx| pace.poll_slow(cx).map(|()| true)).await,
                    false => false,
                }
            })
        })
    }

    #[test]
    fn a_window_without_its_bytes_is_slow() {
        assert!(slow(100, &[99]));
        assert!(slow(100, &[100, 1]));
        assert!(slow(100, &[0, 0, 0]));
        assert!(!slow(100, &[100]));
        assert!(!slow(100, &[60, 40]));
        assert!(!slow(0, &[0]));
    }
}
