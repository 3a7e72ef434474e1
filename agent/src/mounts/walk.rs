//! Paths that only root can bend.
//!
//! The engine takes a path, not a descriptor, and looks at it later. So a path is walked from `/`, by
//! descriptors and without following anything by itself, and every folder on the way must be one
//! whose entries nobody but root can change. What is then given to the engine is the real path: it
//! holds no link, and nobody who is not root can put another thing in any of its places, now or when
//! the engine looks. A space below a folder that its users may change is refused.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// As many links as the kernel follows.
const LINKS_MAX: usize = 40;

/// Where a path leads.
#[derive(Debug)]
pub struct Walked {
    /// The real path, without links.
    pub real: PathBuf,
    /// What is there, by descriptor (`O_PATH`).
    pub found: OwnedFd,
    /// What it is.
    pub stat: Stat,
}

/// Why a path leads nowhere that could be mounted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Something on the way is not there.
    #[error("it does not exist")]
    Missing,
    /// Others than root may change what lies in a folder on the way.
    #[error("others than root can change {}, so that the path may lead elsewhere at any moment", .0.display())]
    Bendable(PathBuf),
    /// It is not absolute, or goes up.
    #[error("it is no plain absolute path")]
    NotPlain,
    /// The system's word.
    #[error("{0}")]
    System(Errno),
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR => Self::Missing,
            other => Self::System(other),
        }
    }
}

/// Walks a path. May hang for ever.
///
/// # Errors
/// Where it leads nowhere, or where others could bend it.
pub fn walk(path: &Path) -> Result<Walked, Trouble> {
    let plain =
        path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain {
        return Err(Trouble::NotPlain);
    }
    // The folders from `/` down to where the walk is, so that a link's `..` can go up.
    let mut way = vec![folder(None)?];
    let mut left = parts(path);
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            if way.len() > 1 {
                way.pop();
            }
            continue;
        }
        let Some(parent) = way.last() else { return Err(Trouble::NotPlain) };
        let (found, stat) = entry(parent, &part)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(Trouble::System(Errno::LOOP));
                }
                let target = rustix::fs::readlinkat(&found, "", Vec::new())?.into_bytes();
                let target = PathBuf::from(OsString::from_vec(target));
                if target.is_absolute() {
                    way.truncate(1);
                }
                for part in parts(&target).into_iter().rev() {
                    left.push_front(part);
                }
            }
            FileType::Directory => {
                let path = parent.path.join(&part);
                // Through the folder, not to it: what mounts by itself is mounted by this.
                let inner = Path::new(&part).join(".");
                let descriptor = rustix::fs::openat(
                    &parent.descriptor,
                    &inner,
                    OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                    Mode::empty(),
                )?;
                way.push(Folder { stat: rustix::fs::fstat(&descriptor)?, descriptor, path });
            }
            _ if left.is_empty() => {
                let real = parent.path.join(&part);
                return Ok(Walked { real, found, stat });
            }
            _ => return Err(Trouble::Missing),
        }
    }
    let Some(Folder { path, descriptor, stat }) = way.pop() else { return Err(Trouble::NotPlain) };
    Ok(Walked { real: path, found: descriptor, stat })
}

/// A folder on the way.
struct Folder {
    path: PathBuf,
    descriptor: OwnedFd,
    stat: Stat,
}

fn folder(path: Option<&Path>) -> Result<Folder, Trouble> {
    let path = path.unwrap_or(Path::new("/"));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let descriptor = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&descriptor)?;
    Ok(Folder { path: path.to_owned(), descriptor, stat })
}

/// An entry of a folder that nobody but root can exchange for another one.
fn entry(parent: &Folder, part: &OsStr) -> Result<(OwnedFd, Stat), Trouble> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = rustix::fs::openat(&parent.descriptor, part, flags, Mode::empty())?;
    let stat = rustix::fs::statat(&found, "", AtFlags::EMPTY_PATH)?;
    let mode = Mode::from_raw_mode(parent.stat.st_mode);
    // Members of the group of root are root as far as files are concerned.
    let group_writes = mode.contains(Mode::WGRP) && parent.stat.st_gid != 0;
    let writable = group_writes || mode.contains(Mode::WOTH);
    // In a sticky folder an entry is changed by its owner only.
    let sticky = mode.contains(Mode::SVTX) && is_ours(&stat);
    if is_ours(&parent.stat) && (!writable || sticky) {
        Ok((found, stat))
    } else {
        Err(Trouble::Bendable(parent.path.clone()))
    }
}

/// Whether something is root's, or this process's where it runs without being root.
fn is_ours(stat: &Stat) -> bool {
    stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw()
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    });
    parts.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn real(path: &Path) -> Result<PathBuf, Trouble> {
        walk(path).map(|walked| walked.real)
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn links_of_roots_folders_are_followed_to_the_real_path() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let at = |name: &str| root.join(name);
        fs::create_dir_all(at("data/alice")).unwrap();
        fs::write(at("data/file"), "").unwrap();
        symlink("data/../data", at("near")).unwrap();
        symlink(at("near"), at("far")).unwrap();
        symlink("../../../../../../../../../..", at("up")).unwrap();
        symlink("loop", at("loop")).unwrap();
        assert_eq!(real(&at("far/alice")), Ok(at("data/alice")));
        assert_eq!(real(&at("far/file")), Ok(at("data/file")));
        assert_eq!(real(&at("up")), Ok("/".into()), "never above the root");
        assert_eq!(real(&at("loop")), Err(Trouble::System(Errno::LOOP)));
        assert_eq!(real(&at("data/bob")), Err(Trouble::Missing));
        assert_eq!(real(&at("data/file/x")), Err(Trouble::Missing));
        assert_eq!(real(Path::new("relative")), Err(Trouble::NotPlain));
        assert_eq!(real(&at("data/../data")), Err(Trouble::NotPlain));
    }

    #[test]
    fn a_path_through_a_folder_that_others_can_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let (shared, inner) = (root.join("shared"), root.join("shared/inner"));
        fs::create_dir_all(&inner).unwrap();
        mode(&shared, 0o777);
        assert_eq!(real(&shared), Ok(shared.clone()), "itself may be anybody's");
        assert_eq!(real(&inner), Err(Trouble::Bendable(shared.clone())));
        mode(&shared, 0o1777);
        assert_eq!(real(&inner), Ok(inner.clone()), "sticky, and the entry is ours");
        mode(&shared, 0o755);
        assert_eq!(real(&inner), Ok(inner));
    }

    /// Somebody swaps the last folder for a link to a secret all the time. Whatever the moment, the
    /// walk gives the folder, or refuses; never where the link leads.
    #[test]
    fn a_swapped_link_never_wins() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let (users, secret) = (root.join("users"), root.join("secret"));
        let (mine, link) = (users.join("mine"), users.join("link"));
        fs::create_dir_all(&mine).unwrap();
        fs::create_dir_all(secret.join("deep")).unwrap();
        symlink(&secret, &link).unwrap();
        mode(&users, 0o777);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (cwd, exchange) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
                while !done.load(Ordering::Relaxed) {
                    rustix::fs::renameat_with(cwd, &mine, cwd, &link, exchange).unwrap();
                }
            });
            for _ in 0..20_000 {
                let found = real(&mine.join("deep"));
                assert_eq!(found, Err(Trouble::Bendable(users.clone())));
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
