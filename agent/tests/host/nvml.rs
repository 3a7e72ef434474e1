//! A management library that is not NVIDIA's: a copy for each test, with a state of its own. What
//! the state may say stands in `tests/fake-nvml/README.md`.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// Which library.
#[derive(Clone, Copy)]
pub enum Flavour {
    /// Driver 470 with two K80 boards.
    K80,
    /// Driver 580 with an H200.
    H200,
}

pub struct Fake {
    folder: tempfile::TempDir,
}

impl Fake {
    pub fn new(flavour: Flavour) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let built = std::env::current_exe().unwrap();
        let name = match flavour {
            Flavour::K80 => "libfake_nvml.so",
            Flavour::H200 => "libfake_nvml_580.so",
        };
        let fake = Self { folder };
        fs::copy(built.with_file_name(name), fake.library()).unwrap();
        fake.says("");
        fake
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn library(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    /// Replaces the state as a whole.
    pub fn says(&self, state: &str) {
        let next = self.folder.path().join("next");
        fs::write(&next, state).unwrap();
        fs::rename(next, self.folder.path().join("libnvidia-ml.so.1.state")).unwrap();
    }

    pub fn unloads_the_driver(&self) {
        fs::remove_file(self.folder.path().join("libnvidia-ml.so.1.state")).unwrap();
    }
}
