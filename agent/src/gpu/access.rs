//! Whether a running container can still use its GPUs. NVIDIA's hook lets a container at them behind
//! the engine's back, and where systemd keeps the cgroups, `systemctl daemon-reload` takes that away
//! again: programs then say "Failed to initialize NVML: Unknown Error", and nothing else shows it.
//!
//! The question is put to the kernel as a program in the container would: a short process of the
//! agent enters the container's cgroup and opens the driver's control device. That is the same for
//! both versions of cgroups, and for every way of giving GPUs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_common::Reason;
use berth_common::link::Ending;
use tokio::task::AbortHandle;

use crate::helper::Helper;
use crate::mounts::Question;
use crate::runtime::Runtime;

/// Whoever has any GPU may open it; it asks no GPU for anything.
const CONTROL: &str = "/dev/nvidiactl";

/// What the owner reads.
pub const LOST: &str =
    "It has lost its GPUs: programs that use them fail from now on; start the server again";

/// A container is asked about so often.
const EVERY: Duration = Duration::from_secs(10);

/// Who does not answer by then tells nothing.
const LIMIT: Duration = Duration::from_secs(5);

/// The containers with GPUs that are looked at.
#[derive(Debug, Default)]
pub struct Access {
    tasks: BTreeMap<String, AbortHandle>,
    lost: Arc<Mutex<BTreeSet<String>>>,
}

impl Access {
    /// Looks at these from now on, and at no others.
    pub fn follow<R: Runtime>(
        &mut self,
        runtime: &R,
        helper: &Helper,
        containers: BTreeSet<String>,
    ) {
        self.tasks.retain(|id, task| {
            let still = containers.contains(id);
            if !still {
                task.abort();
                lock(&self.lost).remove(id);
            }
            still
        });
        for container in containers {
            let (runtime, helper, lost) = (runtime.clone(), helper.clone(), self.lost.clone());
            self.tasks.entry(container.clone()).or_insert_with(|| {
                tokio::spawn(look_for_ever(runtime, helper, container, lost)).abort_handle()
            });
        }
    }

    /// Whether a container is known to have lost its GPUs.
    pub fn is_lost(&self, container: &str) -> bool {
        lock(&self.lost).contains(container)
    }
}

fn lock(lost: &Mutex<BTreeSet<String>>) -> MutexGuard<'_, BTreeSet<String>> {
    lost.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn look_for_ever<R: Runtime>(
    runtime: R,
    helper: Helper,
    container: String,
    lost: Arc<Mutex<BTreeSet<String>>>,
) {
    loop {
        if let Some(pid) = runtime.process(&container).await
            && let Some(cgroup) = of_devices(pid)
        {
            let question = Question::Devices { cgroup, device: CONTROL.into() };
            let refused =
                helper.ask(question, LIMIT).await.is_err_and(|it| it.reason == Reason::FailedGpu);
            let changed = match refused {
                true => lock(&lost).insert(container.clone()),
                false => lock(&lost).remove(&container),
            };
            if changed && refused {
                tracing::warn!(
                    "container {container} has lost its GPUs: the rules that NVIDIA's hook made are \
                     gone, mostly by systemctl daemon-reload; see packaging/README.md"
                );
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The cgroup of a process that says which devices it may use.
fn of_devices(pid: u32) -> Option<PathBuf> {
    find(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?, Path::new("/sys/fs/cgroup"))
}

fn find(text: &str, root: &Path) -> Option<PathBuf> {
    let lines = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let mut unified = None;
    for (controllers, path) in lines {
        let path = path.trim_start_matches('/');
        if controllers.split(',').any(|it| it == "devices") {
            return Some(root.join("devices").join(path));
        }
        if controllers.is_empty() {
            unified = Some(root.join(path));
        }
    }
    unified
}

/// Enters the cgroup and opens the device: for a process that ends with this.
///
/// # Errors
/// `failed.gpu` when processes of that cgroup may not use the device.
pub fn ask(cgroup: &Path, device: &Path) -> Result<(), Ending> {
    if fs::write(cgroup.join("cgroup.procs"), "0").is_err() {
        // It has just ended, or has cgroups of its own inside: nothing is known.
        return Ok(());
    }
    match fs::File::open(device) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Ending { reason: Reason::FailedGpu, detail: LOST.into() })
        }
        // Whatever the driver itself says, the kernel let it through to it.
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_that_rules_devices_is_found_in_both_versions() {
        let root = Path::new("/c");
        let first = "5:memory:/docker/a\n4:devices:/docker/a\n0::/other\n";
        assert_eq!(find(first, root), Some("/c/devices/docker/a".into()));
        let second = "0::/system.slice/docker-a.scope\n";
        assert_eq!(find(second, root), Some("/c/system.slice/docker-a.scope".into()));
        assert_eq!(find("", root), None);
    }
}
