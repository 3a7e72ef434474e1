//! A person's HOME: found, or made where the site wants that.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use berth_common::link::{Account, Ending};
use rustix::fs::{CWD, FileType, RenameFlags};
use rustix::io::Errno;

use super::walk::{self, Trouble};
use super::{Answer, failed, unusable, within};

/// Finds a person's HOME: the real path to mount, below one of the allowed roots, a folder that
/// belongs to them. `None`: there is none. May hang for ever.
///
/// # Errors
/// `failed.mount` with a sentence that names the path, or `failed.policy` when a link leads out of
/// the allowed roots.
pub(super) fn find(account: &Account, roots: &[PathBuf]) -> Answer {
    let wanted = Path::new(&account.home);
    let walked = match walk::walk(wanted) {
        Ok(walked) => walked,
        Err(Trouble::Missing) => return Ok(None),
        Err(trouble) => return Err(unusable(wanted, &trouble)),
    };
    within(&walked.real, wanted, roots, false)?;
    if FileType::from_raw_mode(walked.stat.st_mode) != FileType::Directory {
        return Err(failed(format!("{} is not a folder", wanted.display())));
    }
    if walked.stat.st_uid != account.uid {
        return Err(failed(format!(
            "{} belongs to uid {}, not to {} (uid {}); ask the administrators to put it right",
            wanted.display(),
            walked.stat.st_uid,
            account.name,
            account.uid
        )));
    }
    Ok(Some(walked.real))
}

/// What to say of a HOME that is not there.
pub fn missing(account: &Account) -> Ending {
    let home = &account.home;
    failed(format!("{home} is not on this host; ask the administrators to make it or to mount it"))
}

/// Who makes which HOME; a file server that hangs must not keep anybody else from theirs.
static MAKING: LazyLock<Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>>> = LazyLock::new(Mutex::default);

/// Makes a HOME that is missing; the servers of one person that start at once make it once. May
/// hang for ever.
///
/// # Errors
/// As [`find`], and when it cannot be made.
pub fn make(account: &Account, roots: &[PathBuf]) -> Result<PathBuf, Ending> {
    let turn = {
        let mut making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        // Who holds a turn has a second reference.
        making.retain(|_, turn| Arc::strong_count(turn) > 1);
        making.entry(account.home.clone().into()).or_default().clone()
    };
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    match find(account, roots)? {
        Some(home) => Ok(home),
        None => make_alone(account, roots),
    }
}

fn make_alone(account: &Account, roots: &[PathBuf]) -> Result<PathBuf, Ending> {
    let wanted = Path::new(&account.home);
    let cannot = |error: io::Error| {
        failed(format!("{} cannot be made: {error}; ask the administrators", wanted.display()))
    };
    let (Some(parent), Some(name)) = (wanted.parent(), wanted.file_name()) else {
        return Err(failed(format!("{} cannot be made", wanted.display())));
    };
    let parent = walk::walk(parent).map_err(|trouble| cannot(io::Error::other(trouble)))?.real;
    let real = parent.join(name);
    within(&real, wanted, roots, false)?;
    // Under another name until it is the user's: an agent that dies here must not leave a HOME
    // that belongs to root. The host's name is in it, since the file server is shared.
    let host = berth_agent_sys::machine::host_name();
    let new = parent.join(format!(".{}.berth-new.{host}", name.to_string_lossy()));
    let _ = fs::remove_dir(&new);
    fs::DirBuilder::new().mode(0o700).create(&new).map_err(cannot)?;
    berth_process::crash_point!("mounts.home.made");
    // By descriptor and without following a link: what was just made, and nothing that somebody
    // has put in its place.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::DIRECTORY).bits();
    let folder = fs::File::options()
        .read(true)
        .custom_flags(i32::try_from(flags).unwrap_or_default())
        .open(&new)
        .map_err(cannot)?;
    fchown(&folder, Some(account.uid), Some(account.gid)).map_err(cannot)?;
    berth_process::crash_point!("mounts.home.given");
    match put(&new, &real) {
        // Another host was faster.
        Err(Errno::EXIST | Errno::NOTEMPTY) => {
            let _ = fs::remove_dir(&new);
        }
        renamed => renamed.map_err(|error| cannot(error.into()))?,
    }
    // What is there now is looked at like any other.
    find(account, roots)?.ok_or_else(|| missing(account))
}

/// Gives the new folder its name, unless one of that name is there: a server on another host may
/// have it mounted already, and would write into a folder that nobody finds again.
fn put(new: &Path, real: &Path) -> Result<(), Errno> {
    match rustix::fs::renameat_with(CWD, new, CWD, real, RenameFlags::NOREPLACE) {
        // NFS cannot promise it; what is there is at least looked at.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if real.exists() => Err(Errno::EXIST),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => rustix::fs::rename(new, real),
        renamed => renamed,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use berth_common::Reason;
    use std::os::unix::fs::MetadataExt;

    #[derive(Clone, Copy)]
    enum CreateHome {
        Never,
        Missing,
    }

    /// What the agent does: looks, and makes what is missing if that is wanted.
    fn home(account: &Account, roots: &[PathBuf], create: CreateHome) -> Result<PathBuf, Ending> {
        match (find(account, roots)?, create) {
            (Some(found), _) => Ok(found),
            (None, CreateHome::Never) => Err(missing(account)),
            (None, CreateHome::Missing) => make(account, roots),
        }
    }

    fn me(home: &Path) -> Account {
        Account {
            name: "alice".parse().unwrap(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            groups: Vec::new(),
            home: home.to_str().unwrap().into(),
        }
    }

    #[test]
    fn a_home_is_a_folder_of_its_owner_below_a_root() {
        let folder = tempfile::tempdir().unwrap();
        let roots = [folder.path().to_owned()];
        let path = folder.path().join("alice");
        let ask = |create| home(&me(&path), &roots, create).map_err(|ending| ending.detail);

        let missing = format!(
            "{} is not on this host; ask the administrators to make it or to mount it",
            path.display()
        );
        assert_eq!(ask(CreateHome::Never), Err(missing));

        assert_eq!(ask(CreateHome::Missing), Ok(fs::canonicalize(&path).unwrap_or_default()));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert!(ask(CreateHome::Never).is_ok());

        let other = Account { uid: 4242, ..me(&path) };
        let wrong = home(&other, &roots, CreateHome::Never).unwrap_err();
        assert!(wrong.detail.contains("not to alice (uid 4242)"), "{}", wrong.detail);

        fs::remove_dir(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(ask(CreateHome::Never), Err(format!("{} is not a folder", path.display())));
    }

    /// A person's two servers start at once on a host that has not seen them: neither fails, and
    /// none is left with a folder that the other has replaced.
    #[test]
    fn a_home_that_many_make_at_once_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let roots = [folder.path().to_owned()];
        for round in 0..100 {
            let path = folder.path().join(format!("alice{round}"));
            let gate = std::sync::Barrier::new(4);
            let seen = std::thread::scope(|scope| {
                let one = || {
                    gate.wait();
                    let made = home(&me(&path), &roots, CreateHome::Missing)?;
                    Ok(fs::metadata(made).unwrap().ino())
                };
                let all = [(); 4].map(|()| scope.spawn(one));
                all.map(|one| one.join().unwrap().map_err(|ending: Ending| ending.detail))
            });
            let there = fs::metadata(&path).unwrap().ino();
            assert_eq!(seen, [(); 4].map(|()| Ok(there)), "round {round}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 100, "nothing is left behind");
    }

    #[test]
    fn a_link_must_not_lead_out() {
        let folder = tempfile::tempdir().unwrap();
        let (roots, outside) = ([folder.path().join("home")], folder.path().join("etc"));
        fs::create_dir(&roots[0]).unwrap();
        fs::create_dir(&outside).unwrap();
        let path = roots[0].join("alice");
        std::os::unix::fs::symlink(&outside, &path).unwrap();
        let refused = home(&me(&path), &roots, CreateHome::Missing).unwrap_err();
        assert_eq!(refused.reason, Reason::FailedPolicy, "{}", refused.detail);

        std::os::unix::fs::symlink(&outside, roots[0].join("sub")).unwrap();
        let below = roots[0].join("sub/alice");
        let refused = home(&me(&below), &roots, CreateHome::Missing).unwrap_err();
        assert_eq!(refused.reason, Reason::FailedPolicy, "{}", refused.detail);
        assert!(!outside.join("alice").exists());
    }

    #[test]
    fn a_root_given_by_a_link_is_the_folder_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        fs::create_dir_all(real.join("alice")).unwrap();
        let root = folder.path().join("home");
        std::os::unix::fs::symlink(&real, &root).unwrap();
        let path = root.join("alice");
        let found = home(&me(&path), &[root], CreateHome::Never).unwrap();
        assert_eq!(found, fs::canonicalize(real.join("alice")).unwrap());
    }
}
