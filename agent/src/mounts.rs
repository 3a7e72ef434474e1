//! Are the user's spaces there, and theirs? A dead file server must neither block the agent nor
//! leave an empty folder in place of a HOME: every question may hang, so callers ask on a
//! blocking thread and with a limit.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use berth_common::Reason;
use berth_common::link::{Account, Ending};

use crate::config::CreateHome;
use crate::policy::is_below;

/// Finds a user's HOME: the real path to mount, below one of the allowed roots, a folder that
/// belongs to the user.
///
/// # Errors
/// `failed.mount` with a sentence that names the path, or `failed.policy` when a link leads out
/// of the allowed roots.
pub fn home(account: &Account, roots: &[PathBuf], create: CreateHome) -> Result<PathBuf, Ending> {
    let wanted = Path::new(&account.home);
    let real = match fs::canonicalize(wanted) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => match create {
            CreateHome::Never => {
                return Err(failed(format!(
                    "{} is not on this host; ask the administrators to make it or to mount it",
                    wanted.display()
                )));
            }
            CreateHome::Missing => make(wanted, account, roots)?,
        },
        Err(error) => return Err(unusable(wanted, &error)),
    };
    below(&real, wanted, roots)?;
    let found = fs::metadata(&real).map_err(|error| unusable(wanted, &error))?;
    if !found.is_dir() {
        return Err(failed(format!("{} is not a folder", wanted.display())));
    }
    if found.uid() != account.uid {
        return Err(failed(format!(
            "{} belongs to uid {}, not to {} (uid {}); ask the administrators to put it right",
            wanted.display(),
            found.uid(),
            account.name,
            account.uid
        )));
    }
    Ok(real)
}

/// After links are followed the path must still lie below an allowed root.
fn below(real: &Path, wanted: &Path, roots: &[PathBuf]) -> Result<(), Ending> {
    let inside = roots
        .iter()
        .filter_map(|root| fs::canonicalize(root).ok())
        .any(|root| is_below(real, &root));
    if inside {
        return Ok(());
    }
    let detail =
        format!("{} leads to {}, outside of mount_sources", wanted.display(), real.display());
    Err(Ending { reason: Reason::FailedPolicy, detail })
}

fn make(wanted: &Path, account: &Account, roots: &[PathBuf]) -> Result<PathBuf, Ending> {
    let cannot = |error: io::Error| {
        failed(format!("{} cannot be made: {error}; ask the administrators", wanted.display()))
    };
    let (Some(parent), Some(name)) = (wanted.parent(), wanted.file_name()) else {
        return Err(failed(format!("{} cannot be made", wanted.display())));
    };
    let parent = fs::canonicalize(parent).map_err(cannot)?;
    let real = parent.join(name);
    below(&real, wanted, roots)?;
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
    match fs::rename(&new, &real) {
        // Another host was faster, and something is in it already.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            let _ = fs::remove_dir(&new);
            Ok(real)
        }
        renamed => renamed.map(|()| real).map_err(cannot),
    }
}

/// What to say when the host did not answer in time about a path.
pub fn hangs(account: &Account) -> Ending {
    failed(format!(
        "the host gets no answer about {}: its file server is slow or away; tell the administrators",
        account.home
    ))
}

fn unusable(path: &Path, error: &io::Error) -> Ending {
    failed(format!("{} cannot be used: {error}; tell the administrators", path.display()))
}

fn failed(detail: String) -> Ending {
    Ending { reason: Reason::FailedMount, detail }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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
