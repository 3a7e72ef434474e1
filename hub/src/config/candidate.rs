//! A file that is not in place yet: what Puppet asks about before it replaces one.

use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostics, Severity};

/// Codes that say what is missing in other files, which may come a moment later.
const OF_OTHER_FILES: [&str; 3] =
    ["config.unknown_name", "config.never_fits", "config.training_pool"];

/// A file that is about to be put into the configuration folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name there, relative to the folder, e.g. `hosts.d/10-cpu.toml`.
    pub name: String,
    /// Where its text is now.
    pub path: PathBuf,
}

/// Why something is no candidate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CandidateError {
    /// There is no `=` in it.
    #[error("write NAME=FILE: the name that the file will have, and where its text is now")]
    Form,
    /// The name lies elsewhere.
    #[error("{} is not in {}: the name must be one in the folder that is checked", .0.display(), .1.display())]
    Elsewhere(PathBuf, PathBuf),
}

impl Candidate {
    /// Reads `NAME=FILE`; the name may be relative to the folder or absolute in it.
    ///
    /// # Errors
    /// When it has another form or lies elsewhere.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, CandidateError> {
        let (name, path) = text.split_once('=').ok_or(CandidateError::Form)?;
        let inside = folder.join(name);
        let elsewhere = || CandidateError::Elsewhere(inside.clone(), folder.to_owned());
        let name = inside.strip_prefix(folder).map_err(|_| elsewhere())?;
        Ok(Self { name: name.display().to_string(), path: path.into() })
    }

    /// What of the findings speaks against putting this file in place: its own mistakes. What is
    /// wrong in other files was so before, and what is missing in them may be on its way.
    pub(super) fn judge(&self, mut found: Diagnostics) -> Diagnostics {
        for one in &mut found.0 {
            // Line 0: the file as a whole, whose name is its own mistake.
            let of_others = one.line > 0 && OF_OTHER_FILES.contains(&one.code);
            if one.file != self.name || of_others {
                one.weaken();
            }
        }
        found.0.sort_by_key(|one| one.severity == Severity::Warning);
        found
    }
}
