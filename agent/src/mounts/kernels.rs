//! The kernels that a person has made, looked at before the server starts: JupyterLab says of a broken
//! one no more than that it died. Nothing of the person's is ever executed; it is read as the person.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where Jupyter keeps a person's kernels, below HOME.
const KERNELS: &str = ".local/share/jupyter/kernels";

/// More are not looked at, and not more bytes of one.
const KERNELS_MAX: usize = 32;
const SPEC_MAX: u64 = 64 << 10;

/// A folder beside HOME as the container has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounted {
    /// Inside.
    pub target: PathBuf,
    /// On the host; `None`: the server starts without it.
    pub source: Option<PathBuf>,
}

/// A kernel as its `kernel.json` says.
#[derive(Debug, Deserialize)]
struct Spec {
    #[serde(default)]
    argv: Vec<String>,
    #[serde(default)]
    display_name: String,
}

/// What is wrong with the kernels in this HOME, a sentence each. `roots` are the folders in which the
/// site keeps its spaces.
pub(super) fn troubles(home: &Path, mounted: &[Mounted], roots: &[PathBuf]) -> Vec<String> {
    let Ok(entries) = fs::read_dir(home.join(KERNELS)) else { return Vec::new() };
    let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let look = |folder: &PathBuf| {
        let name = folder.file_name()?.to_string_lossy().into_owned();
        let text = read(&folder.join("kernel.json"))?;
        let spec: Spec = match serde_json::from_slice(&text) {
            Ok(spec) => spec,
            Err(error) => {
                return Some(sentence(&name, &format!("its kernel.json is broken, {error}")));
            }
        };
        let shown = if spec.display_name.is_empty() { &name } else { &spec.display_name };
        let found = View { home, mounted, roots }.trouble(&spec.argv);
        found.map(|trouble| sentence(shown, &trouble))
    };
    folders.iter().take(KERNELS_MAX).filter_map(look).collect()
}

fn sentence(name: &str, trouble: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    let trouble: String = trouble.chars().filter(|c| !c.is_control()).take(300).collect();
    format!("The kernel \"{name}\" will not start: {trouble}.")
}

/// An ordinary file, and not all of a large one.
fn read(path: &Path) -> Option<Vec<u8>> {
    // Without waiting: somebody may have put a pipe there.
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    let mut options = fs::File::options();
    let options = options.read(true).custom_flags(i32::try_from(flags).ok()?);
    let file = options.open(path).ok()?;
    let mut text = Vec::new();
    file.metadata().ok()?.is_file().then_some(())?;
    file.take(SPEC_MAX).read_to_end(&mut text).ok()?;
    Some(text)
}

/// The container's files as far as they can be seen from here: HOME and the spaces. What is in the
/// image is not.
struct View<'a> {
    home: &'a Path,
    mounted: &'a [Mounted],
    roots: &'a [PathBuf],
}

impl View<'_> {
    fn trouble(&self, argv: &[String]) -> Option<String> {
        let Some(program) = argv.first().filter(|program| !program.is_empty()) else {
            return Some("its kernel.json names no program (argv)".into());
        };
        let path = Path::new(program);
        if !path.is_absolute() {
            return None; // looked for in the image
        }
        let here = match self.on_host(path) {
            Place::Image => return None,
            Place::Here(here) => here,
            Place::Away(space) => {
                let space = space.display();
                return Some(format!("{program} lies in {space}, which the server is without"));
            }
        };
        let found = match fs::symlink_metadata(&here) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Some(format!("there is no {program}"));
            }
            // Here the person is without the other groups, so a refusal says little.
            Err(_) => return None,
        };
        // A link leads where the container says, not this host.
        if found.is_file() && found.permissions().mode() & 0o111 == 0 {
            return Some(format!("{program} may not be executed"));
        }
        let wants = argv.iter().any(|word| word == "ipykernel_launcher" || word == "ipykernel");
        let prefix = here.parent().and_then(Path::parent).filter(|_| wants)?;
        lacks_ipykernel(prefix).then(|| {
            format!("its Python has no ipykernel; run: {program} -m pip install ipykernel")
        })
    }

    fn on_host(&self, path: &Path) -> Place {
        if path.starts_with(self.home) {
            return Place::Here(path.to_owned());
        }
        // The innermost one counts.
        let covering = self.mounted.iter().filter(|mounted| path.starts_with(&mounted.target));
        let nearest = covering.max_by_key(|mounted| mounted.target.components().count());
        if let Some(Mounted { target, source }) = nearest {
            let rest = path.strip_prefix(target).unwrap_or(path);
            return match source {
                Some(source) => Place::Here(source.join(rest)),
                None => Place::Away(target.clone()),
            };
        }
        match self.roots.iter().find(|root| path.starts_with(root)) {
            Some(root) => Place::Away(root.clone()),
            None => Place::Image,
        }
    }
}

enum Place {
    /// In the image, as far as is known.
    Image,
    /// There, on this host.
    Here(PathBuf),
    /// In a space that the server has not.
    Away(PathBuf),
}

/// Whether a Python installation has libraries of its own, and no ipykernel among them.
fn lacks_ipykernel(prefix: &Path) -> bool {
    let inherits = fs::read_to_string(prefix.join("pyvenv.cfg")).is_ok_and(|text| {
        text.lines().any(|line| line.replace(' ', "") == "include-system-site-packages=true")
    });
    let libraries = fs::read_dir(prefix.join("lib")).into_iter().flatten().flatten();
    let mut libraries = libraries.map(|entry| entry.path().join("site-packages"));
    let mut any = false;
    let has = libraries.any(|packages| {
        any |= packages.is_dir();
        packages.join("ipykernel").is_dir()
    });
    any && !has && !inherits
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &str, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn kernels_each_with_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let (home, sps) = (folder.path().join("home"), folder.path().join("sps-here"));
        put(&home.join("bare/bin/python"), "", 0o755);
        fs::create_dir_all(home.join("bare/lib/python3.11/site-packages")).unwrap();
        put(&home.join("good/bin/python"), "", 0o755);
        fs::create_dir_all(home.join("good/lib/python3.11/site-packages/ipykernel")).unwrap();
        put(&home.join("shares/bin/python"), "", 0o755);
        put(&home.join("shares/pyvenv.cfg"), "include-system-site-packages = true\n", 0o644);
        fs::create_dir_all(home.join("shares/lib/python3.11/site-packages")).unwrap();
        put(&home.join("locked/bin/python"), "", 0o644);
        put(&sps.join("tools/python"), "", 0o755);
        let at = |path: &str| home.join(path).display().to_string();
        let argv = |program: &str| {
            format!(
                "{{\"argv\": [\"{program}\", \"-m\", \"ipykernel_launcher\"], \"display_name\": \"\"}}"
            )
        };
        let cases = [
            ("a-broken", "{\"argv\": [".to_owned(), "its kernel.json is broken, EOF"),
            ("b-text", "\"argv\"".into(), "its kernel.json is broken"),
            ("c-no-argv", "{}".into(), "its kernel.json names no program"),
            ("d-gone", argv(&at("gone/bin/python")), "there is no "),
            ("e-locked", argv(&at("locked/bin/python")), "may not be executed"),
            ("f-bare", argv(&at("bare/bin/python")), "its Python has no ipykernel; run: "),
            (
                "g-away",
                argv("/sps/away/bin/python"),
                "lies in /sps/away, which the server is without",
            ),
            (
                "h-no-space",
                argv("/sps/other/bin/python"),
                "lies in /sps, which the server is without",
            ),
            ("i-gone-there", argv("/sps/lsst/none/python"), "there is no /sps/lsst/none/python"),
            ("j-good", argv(&at("good/bin/python")), ""),
            ("k-shares", argv(&at("shares/bin/python")), ""),
            ("l-there", argv("/sps/lsst/tools/python"), ""),
            ("m-image", argv("/opt/jupyter/bin/python3"), ""),
            ("n-path", argv("python3"), ""),
        ];
        for (name, text, _) in &cases {
            put(&home.join(KERNELS).join(name).join("kernel.json"), text, 0o644);
        }
        rustix::fs::mkfifoat(rustix::fs::CWD, home.join(KERNELS).join("pipe"), 0o644.into())
            .unwrap();
        let mounted = [
            Mounted { target: "/sps/lsst".into(), source: Some(sps.clone()) },
            Mounted { target: "/sps/away".into(), source: None },
        ];
        let found = troubles(&home, &mounted, &["/sps".into()]);
        for (name, _, why) in cases {
            let said =
                found.iter().find(|said| said.starts_with(&format!("The kernel \"{name}\"")));
            match said {
                Some(said) => assert!(!why.is_empty() && said.contains(why), "{name}: {said}"),
                None => assert!(why.is_empty(), "nothing is said of {name}: {found:#?}"),
            }
        }
        assert_eq!(troubles(folder.path(), &[], &[]), [] as [&str; 0], "no kernels, no trouble");
    }
}
