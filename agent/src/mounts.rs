//! Are the user's spaces there, and theirs? A dead file server must neither block the agent nor leave
//! an empty folder in place of a HOME: every question here may hang for ever, so each is asked in a
//! process of its own ([`crate::helper`]), or at least on a thread that may block, with a limit.
//!
//! Nobody can bend a path between the answer and the mount: see [`walk`].

use std::path::{Path, PathBuf};

use berth_common::Reason;
use berth_common::link::{Account, Ending, Space};
use serde::{Deserialize, Serialize};

use crate::gpu::access;

mod full;
pub mod home;
mod kernels;
mod probe;
mod space;
pub mod walk;

pub use kernels::Mounted;

/// One question about a path of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Find a person's HOME.
    Home {
        /// Whose.
        account: Account,
        /// Below one of these.
        roots: Vec<PathBuf>,
    },
    /// Find the folder of a space.
    Space {
        /// Which.
        space: Space,
        /// One of these, or below one.
        roots: Vec<PathBuf>,
    },
    /// Look whether a folder answers.
    Probe {
        /// Which.
        path: PathBuf,
    },
    /// Look through the kernels that a person has made, as the person.
    Kernels {
        /// Whose.
        account: Account,
        /// The spaces of the server.
        mounted: Vec<Mounted>,
        /// Where the site keeps its spaces.
        roots: Vec<PathBuf>,
    },
    /// Look whether a container's processes may use a device.
    Devices {
        /// The container's cgroup: where its rules of devices are.
        cgroup: PathBuf,
        /// Which.
        device: PathBuf,
    },
}

/// What was found: the real path, or `None` where nothing is and that is all right.
pub type Answer = Result<Option<PathBuf>, Ending>;

impl Question {
    /// Asks the host. May hang for ever.
    ///
    /// # Errors
    /// A sentence that names the path, under `failed.mount`, `failed.policy`, `mount.absent` or
    /// `mount.sick`.
    pub fn ask(&self) -> Answer {
        match self {
            Self::Home { account, roots } => home::find(account, roots),
            Self::Space { space, roots } => space::find(space, roots),
            Self::Probe { path } => probe::probe(path).map(|()| None),
            Self::Devices { cgroup, device } => access::ask(cgroup, device).map(|()| None),
            Self::Kernels { account, mounted, roots } => {
                let found = kernels::troubles(Path::new(&account.home), mounted, roots);
                match found.is_empty() {
                    true => Ok(None),
                    // A line each.
                    false => Err(failed(found.join("\n"))),
                }
            }
        }
    }

    /// Asks the host as [`Question::ask`] does, in a process of its own, which is then not needed any
    /// more: it becomes the person whose HOME was asked for, and tries to write there.
    ///
    /// # Errors
    /// As [`Question::ask`], and `failed.home.full`.
    pub fn ask_and_become(&self) -> Answer {
        // What a person has made is read as the person, or not at all.
        if let Self::Kernels { account, .. } = self
            && !full::becomes(account)
        {
            return Ok(None);
        }
        let answer = self.ask()?;
        if let (Self::Home { account, .. }, Some(home)) = (self, &answer) {
            full::check(account, home)?;
        }
        Ok(answer)
    }

    /// What to say when the host did not answer in time.
    pub fn unanswered(&self) -> Ending {
        let (path, reason) = match self {
            Self::Home { account, .. } => (Path::new(&account.home), Reason::FailedMount),
            Self::Space { space, .. } => (Path::new(&space.source), Reason::FailedMount),
            Self::Probe { path } => (path.as_path(), Reason::MountSick),
            Self::Kernels { account, .. } => (Path::new(&account.home), Reason::MountSick),
            Self::Devices { device, .. } => (device.as_path(), Reason::MountSick),
        };
        let path = path.display();
        let detail = match self {
            Self::Probe { .. } | Self::Devices { .. } => format!("{path} does not answer"),
            _ => format!(
                "the host gets no answer about {path}: its file server is slow or away; tell the administrators"
            ),
        };
        Ending { reason, detail }
    }
}

/// After links are followed the path must still lie in one of the allowed roots, or be one where
/// that is allowed.
fn within(real: &Path, wanted: &Path, roots: &[PathBuf], root_itself: bool) -> Result<(), Ending> {
    let mut real_roots = roots.iter().filter_map(|root| walk::walk(root).ok());
    let inside = |root: walk::Walked| {
        crate::policy::is_below(real, &root.real) || root_itself && real == root.real
    };
    if real_roots.any(inside) {
        return Ok(());
    }
    let detail =
        format!("{} leads to {}, outside of mount_sources", wanted.display(), real.display());
    Err(Ending { reason: Reason::FailedPolicy, detail })
}

fn unusable(path: &Path, trouble: &walk::Trouble) -> Ending {
    failed(format!("{} cannot be used: {trouble}; tell the administrators", path.display()))
}

fn failed(detail: String) -> Ending {
    Ending { reason: Reason::FailedMount, detail }
}
