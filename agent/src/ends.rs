//! A container's end as the kernel tells it, at the moment when its main process has ended. The
//! engine says so only when it has cleaned up behind it: hundreds of milliseconds later on a busy
//! host. How it ended is still the engine's to tell.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use berth_common::ServerId;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

use crate::driver::Input;
use crate::gpu::owner::Owner;
use crate::runtime::Runtime;

/// Before an engine that did not name the main process is asked again.
const AGAIN: Duration = Duration::from_secs(30);

/// The containers whose ends are waited for.
#[derive(Debug, Default)]
pub struct Ends {
    tasks: BTreeMap<String, AbortHandle>,
}

impl Ends {
    /// Waits for the ends of these from now on, and of no others. One that has ended is not waited
    /// for again, whatever runs in it later.
    pub fn follow<R: Runtime>(
        &mut self,
        runtime: &R,
        inputs: &Sender<Input>,
        running: BTreeMap<ServerId, String>,
    ) {
        let ids: BTreeSet<&String> = running.values().collect();
        self.tasks.retain(|id, task| {
            let still = ids.contains(id);
            if !still {
                task.abort();
            }
            still
        });
        for (server, container) in running {
            self.tasks.entry(container.clone()).or_insert_with(|| {
                let (runtime, inputs) = (runtime.clone(), inputs.clone());
                tokio::spawn(async move {
                    if ended(runtime, &container).await.is_ok() {
                        // A closed channel means that the agent is ending.
                        let _ = inputs.send(Input::Ended(server, container)).await;
                    }
                })
                .abort_handle()
            });
        }
    }
}

/// Returns when the container's main process has ended.
///
/// # Errors
/// When the kernel cannot tell that: the engine will.
async fn ended<R: Runtime>(runtime: R, container: &str) -> io::Result<()> {
    let pid = loop {
        match runtime.process(container).await {
            Some(pid) => break pid,
            None => tokio::time::sleep(AGAIN).await,
        }
    };
    // Not to be found proves nothing: an engine in another namespace of processes counts otherwise
    // than we do.
    let process = open(pid)?;
    // For the same reason, or since it has ended already, the number may be another process's.
    if Owner::of(pid).and_then(|owner| owner.container).as_deref() != Some(container) {
        return Err(io::ErrorKind::NotFound.into());
    }
    #[expect(
        deprecated,
        reason = "unsound only for what may change its descriptor; the other is unsafe"
    )]
    let process = AsyncFd::with_interest(process, Interest::READABLE)?;
    process.readable().await?.retain_ready();
    Ok(())
}

/// A descriptor that becomes readable when the process ends.
fn open(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_to_be_found_has_not_ended() {
        // One more than the kernel ever gives.
        assert!(open(4_194_305).is_err());
    }
}
