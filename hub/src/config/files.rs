//! The texts of a configuration folder, apart from the folder: what was in force can be kept, shown
//! beside what is on disk, and be in force again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use berth_process::file::{self, FileError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Where the state lies if `hub.toml` does not say or cannot be read.
const USUAL_STATE: &str = "/var/lib/berth";

/// Texts by their names in the folder, e.g. `hosts.d/10-cpu.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Files(pub BTreeMap<String, String>);

impl Files {
    /// The state folder that `hub.toml` names, also when the files as a whole cannot be used.
    pub fn state(&self) -> PathBuf {
        let text = self.0.get("hub.toml").map_or("", String::as_str);
        let table: toml::Table = text.parse().unwrap_or_default();
        let state = table.get("hub").and_then(|hub| hub.get("state")?.as_str());
        state.unwrap_or(USUAL_STATE).into()
    }

    /// Two sets with the same number say the same.
    pub fn number(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(json).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Files that were in force, as the state folder keeps them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The newest files that were good.
    pub files: Files,
    /// The number of the files on disk that they replace, if somebody went back to them: as long as
    /// the disk says that, they stay in force.
    #[serde(default)]
    pub instead_of: Option<String>,
    /// The files that were in force before, if there were other ones.
    #[serde(default)]
    pub before: Option<Files>,
}

const NAME: &str = "config.json";

impl Kept {
    /// Reads what a state folder keeps; `None` when it keeps nothing that can be read.
    pub fn read(state: &Path) -> Option<Self> {
        let text = file::read_if_there(&state.join(NAME)).ok()??;
        serde_json::from_str(&text).ok()
    }

    /// Keeps files that have come into force; those before them stay at hand.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(state: &Path, files: &Files, instead_of: Option<String>) -> Result<(), FileError> {
        let former = Self::read(state);
        let before = match former {
            Some(former) if former.files != *files => Some(former.files),
            Some(former) => former.before,
            None => None,
        };
        let kept = Self { files: files.clone(), instead_of, before };
        let json = serde_json::to_vec(&kept).unwrap_or_default();
        file::replace(&state.join(NAME), &json, 0o600)
    }
}
