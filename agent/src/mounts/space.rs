//! The folder of a space.

use std::path::{Path, PathBuf};

use berth_common::link::{Ending, Space};
use rustix::fs::FileType;

use super::walk::{self, Trouble};
use super::{Answer, failed, unusable, within};

/// Finds a space's real folder. Nothing is ever made.
pub(super) fn find(space: &Space, roots: &[PathBuf]) -> Answer {
    let wanted = Path::new(&space.source);
    let walked = match walk::walk(wanted) {
        Ok(walked) => walked,
        Err(Trouble::Missing) if space.only_if_exists => return Ok(None),
        Err(Trouble::Missing) => {
            let name = &space.name;
            return Err(failed(format!("{name}: {} is not on this host", wanted.display())));
        }
        Err(trouble) => return Err(named(space, unusable(wanted, &trouble))),
    };
    within(&walked.real, wanted, roots, true).map_err(|ending| named(space, ending))?;
    if FileType::from_raw_mode(walked.stat.st_mode) != FileType::Directory {
        return Err(failed(format!("{}: {} is not a folder", space.name, wanted.display())));
    }
    Ok(Some(walked.real))
}

fn named(space: &Space, ending: Ending) -> Ending {
    Ending { detail: format!("{}: {}", space.name, ending.detail), ..ending }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use berth_common::Reason;
    use std::fs;

    #[test]
    fn a_space_is_a_folder_in_the_policy_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let sps = root.join("sps");
        fs::create_dir_all(sps.join("atlas")).unwrap();
        fs::write(sps.join("file"), "").unwrap();
        std::os::unix::fs::symlink("/etc", sps.join("etc")).unwrap();
        let ask = |name: &str, only_if_exists| {
            let source = sps.join(name).display().to_string();
            let space = Space {
                name: "SPS".into(),
                target: source.clone(),
                source,
                read_only: false,
                follows: false,
                required: false,
                only_if_exists,
            };
            find(&space, std::slice::from_ref(&sps)).map_err(|it| (it.reason, it.detail))
        };
        assert_eq!(ask("atlas", false), Ok(Some(sps.join("atlas"))));
        assert_eq!(ask("", false), Ok(Some(sps.clone())), "a root itself may be one");
        assert_eq!(ask("lsst", true), Ok(None));
        let missing = format!("SPS: {} is not on this host", sps.join("lsst").display());
        assert_eq!(ask("lsst", false), Err((Reason::FailedMount, missing)));
        assert!(!sps.join("lsst").exists(), "never made");
        assert_eq!(ask("etc", true).unwrap_err().0, Reason::FailedPolicy);
        assert!(ask("file", true).unwrap_err().1.ends_with("is not a folder"));
    }
}
