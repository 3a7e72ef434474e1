//! Does a space answer?

use std::fs;
use std::path::Path;

use berth_common::Reason;
use berth_common::link::Ending;

use super::walk::{self, Trouble};

/// Looks into a folder: finds it, asks its file system, reads its first entry. Whoever asks waits, if
/// need be for ever.
pub(super) fn probe(path: &Path) -> Result<(), Ending> {
    let sick = |what: String| Ending {
        reason: Reason::MountSick,
        detail: format!("{}: {what}", path.display()),
    };
    let walked = match walk::walk(path) {
        Ok(walked) => walked,
        Err(Trouble::Missing) => {
            let detail = format!("{} is not on this host", path.display());
            return Err(Ending { reason: Reason::MountAbsent, detail });
        }
        Err(trouble) => return Err(sick(trouble.to_string())),
    };
    rustix::fs::fstatfs(&walked.found).map_err(|error| sick(error.to_string()))?;
    // Many spaces let root enter and not read: that they say so is an answer.
    match fs::read_dir(&walked.real).map(|mut entries| entries.next().transpose()) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) | Err(error) if error.kind() != std::io::ErrorKind::PermissionDenied => {
            Err(sick(error.to_string()))
        }
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_answers_and_what_is_not_there_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        assert_eq!(probe(&root), Ok(()));
        let gone = probe(&root.join("gone")).unwrap_err();
        assert_eq!(gone.reason, Reason::MountAbsent);
        fs::write(root.join("file"), "").unwrap();
        assert_eq!(probe(&root.join("file")).unwrap_err().reason, Reason::MountSick);
    }
}
