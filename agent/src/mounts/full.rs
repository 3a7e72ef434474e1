//! A HOME without room: JupyterLab starts in it and then fails at everything. Found by writing, as the
//! person, since no file server tells root about a person's quota.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use berth_common::Reason;
use berth_common::link::{Account, Ending};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// As much as a notebook's first checkpoint takes, roughly: a file server counts in blocks of this
/// size or less.
const ROOM: usize = 64 << 10;

/// Becomes the person, for good, and writes a file without a name into their HOME. What else may be
/// wrong with it JupyterLab says better.
pub(super) fn check(account: &Account, home: &Path) -> Result<(), Ending> {
    if !becomes(account) {
        return Ok(()); // as somebody else nothing would be learned
    }
    match write(home) {
        Err(error) if is_full(&error) => Err(Ending {
            reason: Reason::FailedHomeFull,
            detail: format!("{} has no room for {} KB: {error}", account.home, ROOM >> 10),
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Becomes the person, for good. Whether that was possible.
pub(super) fn becomes(account: &Account) -> bool {
    if !rustix::process::geteuid().is_root() {
        return false;
    }
    let person = berth_agent_sys::account::Account {
        uid: account.uid,
        gid: account.gid,
        home: account.home.clone(),
    };
    berth_agent_sys::account::become_account(&person).is_ok()
}

fn is_full(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    [Errno::NOSPC, Errno::DQUOT].iter().any(|full| errno == Some(full.raw_os_error()))
}

fn write(home: &Path) -> io::Result<()> {
    let mut file = File::from(nameless(home)?);
    file.write_all(&[0; ROOM])?;
    // A file server may say so only now.
    file.sync_all()
}

/// A file that is gone with its descriptor.
fn nameless(home: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    match rustix::fs::open(home, flags | OFlags::TMPFILE, mode) {
        // NFS has none: under a name, for a moment.
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
            let path = home.join(format!(".berth-{}", std::process::id()));
            let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let file = rustix::fs::open(&path, flags, mode)?;
            rustix::fs::unlink(&path)?;
            Ok(file)
        }
        opened => opened,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_room_is_written_to_and_nothing_stays() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(
            is_full(&io::Error::from(Errno::DQUOT)) && !is_full(&io::Error::from(Errno::ACCESS))
        );
    }
}
