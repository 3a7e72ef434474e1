//! The site's files: one subject each, also as `.d` folders, read and checked together and taken
//! over all or not at all.
//!
//! Each value keeps its place in its file, so that every error, now or in a later decision, can
//! say where the rule stands.

mod access;
mod beside;
mod candidate;
mod checks;
mod diagnostic;
pub mod directory;
mod draft;
pub mod farm;
mod files;
mod host_range;
mod hosts;
mod hub;
mod images;
mod lifecycle;
pub mod login;
mod mail;
mod mounts;
mod pools;
mod profiles;
mod quotas;
pub mod roles;
pub mod secret;
pub mod services;
mod sources;
mod support;
mod trainings;
mod value;
mod version;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use berth_common::{Seconds, Timestamp};
use berth_core::settings::Settings;
use berth_process::logging::Logs;
use berth_proto::guests::Guests;

pub use beside::{Beside, NEEDS_RESTART, Reported};
pub use candidate::{Candidate, CandidateError};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
use draft::Draft;
pub use files::{Files, Kept};
pub use hub::PerUser;
pub use mail::{MailConfig, MailTls};
use sources::Sources;
pub use support::Support;
pub use version::number as version_of;

/// Everything the files say.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the planner needs.
    pub settings: Settings,
    /// What `hub.toml` says of this process; of most of it a running hub keeps what it began with.
    pub hub: HubConfig,
    /// How people log in, whose word counts for their accounts, and where they find help.
    pub people: People,
    /// Programs beside the notebooks.
    pub services: services::Services,
    /// What is asked about work on the compute farm.
    pub farm: farm::Farm,
}

/// How people log in, whose word counts for their accounts, and where they find help.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// How they prove who they are.
    pub login: login::Login,
    /// Whether their accounts are valid, and their numbers on the hosts.
    pub directory: directory::Directory,
    /// What some of them may do beyond their own.
    pub roles: roles::Roles,
    /// Where they ask for help; `None`: nowhere that is known here.
    pub support: Option<Support>,
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
    /// What is logged, and how.
    pub logs: Logs,
    /// How mail leaves; `None`: none is sent.
    pub mail: Option<MailConfig>,
    /// How long decisions, and what they were made from, are kept.
    pub keep_decisions: Seconds,
    /// How long the audit is kept.
    pub keep_audit: Seconds,
    /// How long an ended server's card stays on its owner's page; `None`: until the server is removed.
    pub keep_ended_cards: Option<Seconds>,
    /// How far the metrics tell people apart.
    pub per_user: PerUser,
    /// Whose certificates prove a host's name when it joins without a token.
    pub puppet: Option<Guests>,
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
    understand(Sources::read(folder, None), now, &Beside::default())
}

/// Reads all files of a folder, with their texts as they were read.
pub fn read(
    folder: &Path,
    now: Timestamp,
    beside: &Beside,
) -> (Files, Result<(Config, Diagnostics), Diagnostics>) {
    let sources = Sources::read(folder, None);
    (sources.texts(), understand(sources, now, beside))
}

/// What these texts mean; the files that they name, such as those of secrets, lie beside `folder`.
///
/// # Errors
/// Those of [`load`].
pub fn of_files(
    files: &Files,
    folder: &Path,
    now: Timestamp,
    beside: &Beside,
) -> Result<(Config, Diagnostics), Diagnostics> {
    understand(Sources::of(files, folder), now, beside)
}

/// What is to be said of the files of a folder, also beside those that its hub has in force. With a
/// candidate: as if that were in place, and what speaks against putting it there; without errors
/// nothing does.
pub fn check(folder: &Path, now: Timestamp, candidate: Option<&Candidate>) -> Diagnostics {
    let beside = Beside::of_state(folder, now);
    let found = understand(Sources::read(folder, candidate), now, &beside);
    let found = found.map_or_else(|errors| errors, |(_, warnings)| warnings);
    match candidate {
        Some(candidate) => candidate.judge(found),
        None => found,
    }
}

/// What files mean that are not in force: nothing that they name, such as secrets, is opened.
///
/// # Errors
/// Those of [`load`].
pub fn try_settings(folder: &Path, now: Timestamp) -> Result<Settings, Diagnostics> {
    understand(Sources::read_alone(folder), now, &Beside::default())
        .map(|(config, _)| config.settings)
}

fn understand(
    sources: Sources,
    now: Timestamp,
    beside: &Beside,
) -> Result<(Config, Diagnostics), Diagnostics> {
    let mut draft = Draft::new(sources, now);
    let hub = hub::take(&mut draft);
    pools::take(&mut draft);
    images::take(&mut draft);
    mounts::take(&mut draft);
    profiles::take(&mut draft);
    hosts::take(&mut draft);
    quotas::take(&mut draft);
    access::take(&mut draft);
    trainings::take(&mut draft);
    let directory = directory::take(&mut draft);
    lifecycle::take(&mut draft);
    services::take(&mut draft);
    let farm = farm::take(&mut draft);
    let roles = roles::take(&mut draft);
    draft.check_names();
    if draft.sources.are_whole() {
        checks::check(&mut draft, &beside.hosts);
    }
    if let (Some(running), Some((fresh, ..))) = (&beside.running, &hub) {
        beside::warn_of_restart(&mut draft, running, fresh);
    }
    let (mut settings, services) = (draft.settings, draft.services);
    settings.version = version::number(&settings);
    let diagnostics = draft.sources.into_diagnostics();
    match hub {
        Some((hub, login, support)) if !diagnostics.has_errors() => {
            let people = People { login, directory, roles, support };
            Ok((Config { settings, hub, people, services, farm }, diagnostics))
        }
        _ => Err(diagnostics),
    }
}
