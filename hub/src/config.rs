//! The site's files: one subject each, also as `.d` folders, read and checked together and taken
//! over all or not at all.
//!
//! Each value keeps its place in its file, so that every error, now or in a later decision, can
//! say where the rule stands.

mod access;
mod checks;
mod diagnostic;
mod draft;
mod host_range;
mod hosts;
mod hub;
mod images;
mod pools;
mod profiles;
mod quotas;
mod sources;
mod trainings;
mod value;
mod version;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use berth_common::{Seconds, Timestamp};
use berth_core::settings::Settings;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
use draft::Draft;
use sources::Sources;

/// Everything the files say.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the planner needs.
    pub settings: Settings,
    /// What only a restart can change.
    pub hub: HubConfig,
}

/// Addresses and folders of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubConfig {
    /// What people type, e.g. `https://notebook.example.org`; no slash at the end.
    pub public_url: String,
    /// Pages and API, reached through the proxy.
    pub listen: SocketAddr,
    /// Database, CA and keys.
    pub state: PathBuf,
    /// The administrators' way in when login is down.
    pub admin_socket: PathBuf,
    /// The API as containers reach it.
    pub api_url: String,
    /// Cookies without the `__Host-` prefix also on plain http addresses other than loopback.
    pub insecure_cookies: bool,
    /// Where agents dial.
    pub agents_listen: SocketAddr,
    /// The proxy's route API: `unix:PATH` or `IP:PORT`.
    pub proxy_api: String,
    /// How long decisions, and what they were made from, are kept.
    pub keep_decisions: Seconds,
}

impl HubConfig {
    /// Whether people reach the site over TLS.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

/// Reads and checks all files of a configuration folder; `now` tells which rules have ended. What
/// is good comes with its warnings.
///
/// # Errors
/// All that is wrong, each with file, line and what to do.
pub fn load(folder: &Path, now: Timestamp) -> Result<(Config, Diagnostics), Diagnostics> {
    let mut draft = Draft::new(Sources::read(folder), now);
    let hub = hub::take(&mut draft);
    pools::take(&mut draft);
    images::take(&mut draft);
    profiles::take(&mut draft);
    hosts::take(&mut draft);
    quotas::take(&mut draft);
    access::take(&mut draft);
    trainings::take(&mut draft);
    draft.check_names();
    if draft.sources.are_whole() {
        checks::check(&mut draft);
    }
    let mut settings = draft.settings;
    settings.version = version::number(&settings);
    let diagnostics = draft.sources.into_diagnostics();
    match hub {
        Some(hub) if !diagnostics.has_errors() => Ok((Config { settings, hub }, diagnostics)),
        _ => Err(diagnostics),
    }
}
