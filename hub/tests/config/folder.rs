//! The sample site in a folder of its own, for tests to change.

use std::fs;
use std::path::Path;

use berth_common::Timestamp;
use berth_core::settings::Settings;
use berth_hub::config::{self, Diagnostics};

/// When the files are read: before the sample's course.
pub const NOW: &str = "2026-05-04T09:00:00Z";

/// A configuration folder.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// The sample site.
    pub fn sample() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for name in names() {
            folder.write(&name, &sample(&name));
        }
        folder
    }

    /// A site of these files, and the smallest `hub.toml`.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let hub = "[hub]\npublic_url = \"https://notebook.example.org\"\ntimezone = \"UTC\"\n";
        folder.write("hub.toml", &format!("version = 1\n{hub}"));
        for (name, text) in files {
            folder.write(name, &format!("version = 1\n{text}"));
        }
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes `to` in the place of `from`, which must be there once.
    pub fn change(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {name}");
        self.write(name, &text.replace(from, to));
    }

    pub fn load(&self) -> Result<(Settings, Diagnostics), Diagnostics> {
        self.load_at(NOW)
    }

    pub fn load_at(&self, now: &str) -> Result<(Settings, Diagnostics), Diagnostics> {
        let now: Timestamp = now.parse().unwrap();
        config::load(self.path(), now).map(|(config, warnings)| (config.settings, warnings))
    }

    /// What is said about the files, good or not.
    pub fn told(&self) -> Diagnostics {
        self.load().map_or_else(|errors| errors, |(_, warnings)| warnings)
    }
}

/// The files of the sample, relative to its folder, in order.
pub fn names() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/site");
    let mut names = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                names.push(entry.path().strip_prefix(&root).unwrap().display().to_string());
            }
        }
    }
    names.sort();
    names
}

/// The text of a file of the sample.
pub fn sample(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/site");
    fs::read_to_string(root.join(name)).unwrap()
}
