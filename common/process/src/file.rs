//! Files that are either the old or the new one, never half of each.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A failed file operation, with the file it was about.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}: {source}", path.display())]
pub struct FileError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    /// Names the act and the file that failed.
    pub fn new(verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self { verb, path: path.to_owned(), source }
    }
}

/// Replaces `path` by `content`: new file, fsync, rename, fsync of the folder. `mode` is the new
/// file's permission bits.
///
/// # Errors
/// Names the file and the system's reason; the old file is then still whole.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    let fail = |source| FileError { verb: "write", path: path.to_owned(), source };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let write = || -> io::Result<()> {
        let _ = fs::remove_file(&temporary);
        let mut file = File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
        let (first, second) = content.split_at(content.len() / 2);
        file.write_all(first)?;
        crate::crash_point!("file.inside");
        file.write_all(second)?;
        file.sync_all()?;
        crate::crash_point!("file.before_rename");
        fs::rename(&temporary, path)?;
        crate::crash_point!("file.after_rename");
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(fail)
}

/// Reads a text file; `None` when there is none.
///
/// # Errors
/// Names the file and the system's reason.
pub fn read_if_there(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError { verb: "read", path: path.to_owned(), source }),
    }
}

/// Makes a folder with its parents; the last one gets the permission bits `mode`.
///
/// # Errors
/// Names the folder and the system's reason.
pub fn make_folder(path: &Path, mode: u32) -> Result<(), FileError> {
    use std::os::unix::fs::PermissionsExt;
    let make = || -> io::Result<()> {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    make().map_err(|source| FileError { verb: "make the folder", path: path.to_owned(), source })
}
