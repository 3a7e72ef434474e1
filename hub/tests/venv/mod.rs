//! Python with programs from PyPI, for tests that run other people's programs unchanged.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python with these requirements in it, installed when the list of them has changed.
///
/// Tests that want the same one at the same time wait for the first of them to install it.
pub fn python(name: &str, requirements: &str) -> PathBuf {
    let made_here = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = made_here.join(name);
    let (venv, installed) = (folder.join("venv"), folder.join("installed.txt"));
    let python = venv.join("bin/python");
    let in_turn = File::create(made_here.join(format!("{name}.lock"))).unwrap();
    in_turn.lock().unwrap();
    if std::fs::read_to_string(&installed).ok().as_deref() != Some(requirements) {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        // The system's own: another one may stand first on PATH, and be without venv.
        run(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(&venv));
        let list = folder.join("requirements.txt");
        std::fs::write(&list, requirements).unwrap();
        let pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "-r"];
        run(Command::new(&python).args(pip).arg(&list));
        std::fs::write(&installed, requirements).unwrap();
    }
    python
}

fn run(command: &mut Command) {
    let done = command.output();
    let done = done.unwrap_or_else(|error| panic!("{command:?}: {error}; apt: python3-venv"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
