//! What the agent remembers of GPUs over its own restarts and the host's: one file a GPU, with
//! what it is and, if it was set aside for good, why. Removing a file clears that GPU.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use berth_common::{BootId, ByteCount, GpuId, Timestamp};
use berth_process::file::{self, FileError};
use serde::{Deserialize, Serialize};

/// What is remembered of one GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo {
    /// The model.
    pub model: String,
    /// Its memory.
    pub memory: ByteCount,
    /// Why it is set aside, if it is.
    pub mark: Option<Mark>,
}

/// Why a GPU is set aside until somebody has seen to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// How sure it is.
    pub state: Marked,
    /// For people.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
    /// In which boot of the host. A later boot clears it, if the GPU is found well then.
    pub boot: BootId,
}

/// How sure it is that a marked GPU is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Marked {
    /// An error that may have no consequences: the mark ends by itself after a day.
    Suspect,
    /// It needs a reset or a reboot, or is broken.
    Failed,
}

/// The folder of the files.
#[derive(Debug, Clone)]
pub struct Memos {
    folder: PathBuf,
}

impl Memos {
    /// Below the agent's state folder.
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("gpus") }
    }

    /// All that is remembered. A file that cannot be read is told of and passed over: the GPU
    /// itself tells most of it anew.
    pub fn read(&self) -> BTreeMap<GpuId, Memo> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let named = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".json")?.parse::<GpuId>().ok()
        });
        let read = named.filter_map(|gpu| match self.read_one(&gpu) {
            Ok(memo) => Some((gpu, memo)),
            Err(error) => {
                tracing::warn!("{}: {error}; it is not used", self.file(&gpu).display());
                None
            }
        });
        read.collect()
    }

    fn read_one(&self, gpu: &GpuId) -> io::Result<Memo> {
        let text = std::fs::read_to_string(self.file(gpu))?;
        serde_json::from_str(&text).map_err(io::Error::other)
    }

    /// Whether a GPU's file is still there: an administrator may have removed it.
    pub fn has(&self, gpu: &GpuId) -> bool {
        self.file(gpu).exists()
    }

    /// Writes a GPU's file.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn write(&self, gpu: &GpuId, memo: &Memo) -> Result<(), FileError> {
        file::make_folder(&self.folder, 0o700)?;
        let text = serde_json::to_string_pretty(memo).unwrap_or_default();
        file::replace(&self.file(gpu), text.as_bytes(), 0o600)
    }

    /// Forgets a GPU: it is well again until it proves otherwise, or gone for good.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn clear(&self, gpu: &GpuId) -> io::Result<()> {
        std::fs::remove_file(self.file(gpu))
    }

    fn file(&self, gpu: &GpuId) -> PathBuf {
        // Whole GPUs only: their ids have no slash, those of instances on old drivers have.
        self.folder.join(format!("{}.json", gpu.as_str().replace('/', "_")))
    }
}
