//! The site's files: one subject each, also as `.d` folders, read and checked together and taken
//! over all or not at all.
//!
//! Each value keeps its place in its file, so that every error, now or in a later decision, can
//! say where the rule stands.

mod diagnostic;
mod files;
mod hosts;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use berth_common::{HostId, Seconds};
use berth_core::settings::{HostSettings, Image, Pool, Profile, Settings};

pub use diagnostic::{Diagnostic, Diagnostics};
use files::{HubToml, ImageToml, ProfileToml, Sources};

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
}

impl HubConfig {
    /// Whether people reach the site over TLS.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

/// Defaults of the seed's site: silence for three heartbeats.
const LOST_AFTER: Seconds = Seconds(15);
/// Default number of servers a person may have at a time.
const SERVERS_PER_PERSON: u32 = 5;
/// The tunnel's port where a host's address names none.
const TUNNEL_PORT: u16 = 8444;

/// Reads and checks all files of a configuration folder.
///
/// # Errors
/// All that is wrong, each with file, line and what to do.
pub fn load(folder: &Path) -> Result<Config, Diagnostics> {
    let mut sources = Sources::read(folder);
    let hub = sources.one::<HubToml>("hub");
    let mut settings = Settings {
        lost_after: LOST_AFTER,
        servers_per_person: SERVERS_PER_PERSON,
        ..Settings::default()
    };
    take_pools(&mut sources, &mut settings);
    take_images(&mut sources, &mut settings);
    take_profiles(&mut sources, &mut settings);
    take_hosts(&mut sources, &mut settings);
    take_quotas(&mut sources, &mut settings);
    let hub = hub.and_then(|(file, hub)| {
        if let Some(after) =
            hub.agents.lost_after.as_ref().and_then(|text| sources.duration(file, text))
        {
            settings.lost_after = after;
        }
        hub_config(&mut sources, file, &hub)
    });
    check_names(&mut sources, &settings);
    sources.refuse_strangers();
    match (hub, sources.into_diagnostics()) {
        (Some(hub), None) => Ok(Config { settings, hub }),
        (_, Some(diagnostics)) => Err(diagnostics),
        (None, None) => Err(Diagnostics::missing(folder, "hub.toml")),
    }
}

fn hub_config(sources: &mut Sources, file: usize, toml: &HubToml) -> Option<HubConfig> {
    let public_url = toml.hub.public_url.get_ref().trim_end_matches('/').to_owned();
    if !(public_url.starts_with("http://") || public_url.starts_with("https://")) {
        sources.report(
            file,
            toml.hub.public_url.span(),
            "config.bad_value",
            "public_url must begin with https:// or http://".into(),
        );
    }
    let listen = sources.address(file, &toml.hub.listen)?;
    let agents_listen = sources.address(file, &toml.agents.listen)?;
    let api_url = toml.hub.api_url.clone().unwrap_or_else(|| format!("{public_url}/hub/api"));
    Some(HubConfig {
        listen,
        agents_listen,
        api_url: api_url.trim_end_matches('/').to_owned(),
        public_url,
        state: toml.hub.state.clone(),
        admin_socket: toml.hub.admin_socket.clone(),
        insecure_cookies: toml.hub.insecure_cookies,
        proxy_api: toml.proxy.api.clone(),
    })
}

fn take_pools(sources: &mut Sources, settings: &mut Settings) {
    for (file, toml) in sources.all::<files::PoolsToml>("pools") {
        for (name, pool) in toml.pool {
            let key = name.get_ref().clone();
            if settings.pools.insert(key.clone(), Pool { strategy: pool.strategy }).is_some() {
                sources.duplicate(file, name.span(), "pool", &key);
            }
        }
    }
}

fn take_images(sources: &mut Sources, settings: &mut Settings) {
    for (file, toml) in sources.all::<files::ImagesToml>("images") {
        for (name, ImageToml { reference, title }) in toml.image {
            let key = name.get_ref().clone();
            let title = title.unwrap_or_else(|| key.clone());
            let image = Image { reference, title, cite: sources.cite(file, name.span()) };
            if settings.images.insert(key.clone(), image).is_some() {
                sources.duplicate(file, name.span(), "image", &key);
            }
        }
    }
}

fn take_profiles(sources: &mut Sources, settings: &mut Settings) {
    for (file, toml) in sources.all::<files::ProfilesToml>("profiles") {
        for (name, profile) in toml.profile {
            let key = name.get_ref().clone();
            let Some(profile) = read_profile(sources, file, &name, profile) else { continue };
            if settings.profiles.insert(key.clone(), profile).is_some() {
                sources.duplicate(file, name.span(), "profile", &key);
            }
        }
    }
}

fn read_profile(
    sources: &mut Sources,
    file: usize,
    name: &toml::Spanned<String>,
    toml: ProfileToml,
) -> Option<Profile> {
    let default = sources.bytes(file, &toml.memory.default);
    let max = match &toml.memory.max {
        Some(max) => sources.bytes(file, max),
        None => default,
    };
    let choices: Vec<_> =
        toml.memory.choices.iter().filter_map(|text| sources.bytes(file, text)).collect();
    let (default, max) = (default?, max?);
    for (text, choice) in toml.memory.choices.iter().zip(&choices) {
        if *choice > max {
            sources.report(
                file,
                text.span(),
                "config.bad_value",
                format!("more than max = \"{max}\""),
            );
        }
    }
    if default > max {
        let message = format!("the default is more than max = \"{max}\"");
        sources.report(file, toml.memory.default.span(), "config.bad_value", message);
    }
    if toml.images.get_ref().is_empty() {
        let message = "a profile needs at least one image".to_owned();
        sources.report(file, toml.images.span(), "config.bad_value", message);
    }
    for image in toml.images.get_ref() {
        sources.expect_name("image", image.get_ref(), file, image.span());
    }
    sources.expect_name("pool", toml.pool.get_ref(), file, toml.pool.span());
    Some(Profile {
        title: toml.title.unwrap_or_else(|| name.get_ref().clone()),
        use_case: toml.use_case.unwrap_or_default(),
        pool: toml.pool.into_inner(),
        memory_default: default,
        memory_choices: if choices.is_empty() { vec![default] } else { choices },
        memory_max: max,
        images: toml.images.into_inner().into_iter().map(toml::Spanned::into_inner).collect(),
        default: toml.default,
        cite: sources.cite(file, name.span()),
    })
}

fn take_hosts(sources: &mut Sources, settings: &mut Settings) {
    for (file, toml) in sources.all::<files::HostsToml>("hosts") {
        for entry in toml.host {
            let memory = entry.memory.as_ref().and_then(|text| sources.bytes(file, text));
            let keep_free = entry.keep_free.as_ref().and_then(|text| sources.bytes(file, text));
            sources.expect_name("pool", entry.pool.get_ref(), file, entry.pool.span());
            let names = match hosts::expand(entry.names.get_ref()) {
                Ok(names) => names,
                Err(why) => {
                    sources.report(file, entry.names.span(), "config.bad_value", why);
                    continue;
                }
            };
            let cite = sources.cite(file, entry.names.span());
            for name in names {
                let address = hosts::address(entry.address.as_deref(), &name, TUNNEL_PORT);
                let host = HostSettings {
                    pool: entry.pool.get_ref().clone(),
                    memory,
                    keep_free: keep_free.unwrap_or_default(),
                    address,
                    cite: cite.clone(),
                };
                declare(sources, settings, file, entry.names.span(), name, host);
            }
        }
    }
}

fn declare(
    sources: &mut Sources,
    settings: &mut Settings,
    file: usize,
    span: std::ops::Range<usize>,
    name: HostId,
    host: HostSettings,
) {
    if let Some(other) = settings.hosts.get(&name) {
        let message = format!("host {name} is declared twice; first in {}", other.cite);
        return sources.report(file, span, "config.duplicate", message);
    }
    settings.hosts.insert(name, host);
}

fn take_quotas(sources: &mut Sources, settings: &mut Settings) {
    for (_, toml) in sources.all::<files::QuotasToml>("quotas") {
        if let Some(servers) = toml.default.and_then(|default| default.servers) {
            settings.servers_per_person = servers;
        }
    }
}

/// Names used in one file must be defined in some file.
fn check_names(sources: &mut Sources, settings: &Settings) {
    let known = BTreeMap::from([
        ("pool", settings.pools.keys().cloned().collect::<Vec<_>>()),
        ("image", settings.images.keys().cloned().collect()),
    ]);
    sources.check_expected(&known);
}
