//! Which hub and which token: from the command line, the environment, or what `berth login` left.
//! A token is only ever read from a file, so none is in an environment or a process list.

use std::io;
use std::path::{Path, PathBuf};

use berth_process::file::{self, FileError};

use crate::connection::{BadUrl, Connection, HubUrl};
use crate::problem::{Exit, Problem};

/// Where the hub lets the machine's administrators in.
const ADMIN_SOCKET: &str = "/run/berth/admin.sock";

const WHICH_HUB: &str = "cannot tell which hub to ask";

/// What is known before anything is asked.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--url` or `BERTH_URL`.
    pub url: Option<String>,
    /// `--token-file` or `BERTH_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// The folder of `berth login`.
    pub folder: Option<PathBuf>,
    /// The hub's own socket, for root on the hub's machine.
    pub socket: Option<PathBuf>,
}

/// Why it is not known whom to ask.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Nothing says where the hub is.
    #[error("no hub is known here")]
    NoHub,
    /// The address.
    #[error("\"{text}\" is no hub: {error}")]
    Url {
        /// As it was given.
        text: String,
        /// What is wrong with it.
        error: BadUrl,
    },
    /// The token's file.
    #[error("{0}")]
    Token(io::Error),
    /// There is nothing in it.
    #[error("{}: there is no token in it", .0.display())]
    NoToken(PathBuf),
    /// A file of `berth login`.
    #[error("{0}")]
    File(#[from] FileError),
    /// Nowhere to keep it.
    #[error("neither HOME nor XDG_CONFIG_HOME is set")]
    NoHome,
}

impl SettingsError {
    /// For people.
    pub fn problem(self) -> Problem {
        let (exit, what, advice) = match &self {
            Self::NoHub => (Exit::Usage, WHICH_HUB, "Log in first: berth login https://HUB"),
            Self::Url { .. } => (Exit::Usage, WHICH_HUB, "Write e.g. https://notebook.example.org"),
            Self::Token(_) | Self::NoToken(_) => {
                (Exit::Usage, "cannot read the token", "Name another file with --token-file.")
            }
            Self::File(_) => {
                (Exit::Failed, "cannot use the last login", "Make the file yours, or log in anew.")
            }
            Self::NoHome => {
                (Exit::Usage, "cannot keep the login", "Set HOME, or use --url and --token-file.")
            }
        };
        Problem::new(exit, what, self, advice)
    }
}

impl Sources {
    /// With what this machine and this user have.
    pub fn here(url: Option<String>, token_file: Option<PathBuf>) -> Self {
        let root = rustix::process::geteuid().is_root();
        let socket = root.then(|| PathBuf::from(ADMIN_SOCKET)).filter(|socket| socket.exists());
        Self { url, token_file, folder: folder(), socket }
    }

    /// The hub and the token, by the first source that names a hub: the command line or the
    /// environment, the local socket for root, the last login.
    ///
    /// # Errors
    /// When no hub is named, or the token named cannot be read.
    pub fn connection(&self) -> Result<Connection, SettingsError> {
        let saved = self.saved()?;
        let url = match (&self.url, &self.socket, &saved) {
            (Some(url), _, _) => hub_url(url)?,
            (None, Some(socket), _) => HubUrl::Unix(socket.clone()),
            (None, None, Some(saved)) => saved.url.clone(),
            (None, None, None) => return Err(SettingsError::NoHub),
        };
        let token = match &self.token_file {
            Some(path) => Some(token_in(path)?),
            // The token of one hub is never shown to another.
            None => saved.filter(|saved| saved.url == url).and_then(|saved| saved.token),
        };
        Ok(Connection { url, token })
    }

    /// What `berth login` left.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn saved(&self) -> Result<Option<Connection>, SettingsError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let Some(url) = file::read_if_there(&folder.join("url"))? else { return Ok(None) };
        let token = file::read_if_there(&folder.join("token"))?;
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        Ok(Some(Connection { url: hub_url(url.trim())?, token }))
    }

    /// Keeps a hub and its token for the next commands, readable by this user only.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn save(&self, url: &HubUrl, token: &str) -> Result<(), SettingsError> {
        let folder = self.folder.as_ref().ok_or(SettingsError::NoHome)?;
        file::make_folder(folder, 0o700)?;
        // The former hub's token must never stand beside the new hub's address.
        remove(&folder.join("token"))?;
        file::replace(&folder.join("url"), format!("{url}\n").as_bytes(), 0o600)?;
        file::replace(&folder.join("token"), format!("{token}\n").as_bytes(), 0o600)?;
        Ok(())
    }

    /// Forgets hub and token.
    ///
    /// # Errors
    /// When the files cannot be removed.
    pub fn forget(&self) -> Result<(), SettingsError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        remove(&folder.join("token"))?;
        remove(&folder.join("url"))
    }
}

/// The address of a hub.
///
/// # Errors
/// When it is none.
pub fn hub_url(text: &str) -> Result<HubUrl, SettingsError> {
    text.parse().map_err(|error| SettingsError::Url { text: text.to_owned(), error })
}

/// `~/.config/berth`.
fn folder() -> Option<PathBuf> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config =
        named("XDG_CONFIG_HOME").or_else(|| named("HOME").map(|home| home.join(".config")));
    config.filter(|config| config.is_absolute()).map(|config| config.join("berth"))
}

/// The token in a file, or in what comes by standard input.
///
/// # Errors
/// When it cannot be read, or there is none.
pub fn token_in(path: &Path) -> Result<String, SettingsError> {
    let read = match path == Path::new("-") {
        true => io::read_to_string(io::stdin()),
        false => std::fs::read_to_string(path),
    };
    let token = read.map_err(|error| {
        SettingsError::Token(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    })?;
    let token = token.trim();
    if token.is_empty() {
        Err(SettingsError::NoToken(path.to_owned()))
    } else {
        Ok(token.to_owned())
    }
}

fn remove(path: &Path) -> Result<(), SettingsError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::new("remove", path, error).into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which hub and token, with a login to `https://saved` in the folder.
    fn check(url: Option<&str>, token_file: bool, socket: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("berth");
        let named = folder.path().join("named");
        std::fs::write(&named, "named-token\n").unwrap();
        let sources = Sources {
            url: url.map(str::to_owned),
            token_file: token_file.then_some(named),
            folder: Some(path.clone()),
            socket: socket.then(|| "/s".into()),
        };
        sources.save(&"https://saved".parse().unwrap(), "saved-token").unwrap();
        match sources.connection() {
            Ok(connection) => {
                format!("{} {}", connection.url, connection.token.as_deref().unwrap_or("-"))
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_first_source_that_names_a_hub_wins() {
        assert_eq!(check(None, false, false), "https://saved saved-token");
        assert_eq!(check(None, false, true), "unix:/s -");
        assert_eq!(check(None, true, false), "https://saved named-token");
        assert_eq!(check(Some("http://other"), true, true), "http://other named-token");
    }

    #[test]
    fn a_token_is_never_shown_to_another_hub() {
        assert_eq!(check(Some("https://other"), false, false), "https://other -");
        assert_eq!(check(Some("http://saved"), false, false), "http://saved -");
        assert_eq!(check(Some("https://saved/"), false, false), "https://saved saved-token");
    }

    #[test]
    fn what_is_saved_is_for_the_user_alone_and_can_be_forgotten() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("berth");
        let sources = Sources { folder: Some(path.clone()), ..Sources::default() };
        sources.save(&"https://hub".parse().unwrap(), "t").unwrap();
        for (name, mode) in [("url", 0o600), ("token", 0o600), ("", 0o700)] {
            let found = std::fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{name}");
        }
        sources.forget().unwrap();
        assert!(matches!(sources.connection(), Err(SettingsError::NoHub)));
        sources.forget().unwrap();
    }
}
