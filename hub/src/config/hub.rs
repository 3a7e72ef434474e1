//! `hub.toml`: addresses and folders of this process.

use std::path::PathBuf;

use berth_common::Seconds;
use berth_process::logging::Logs;
use berth_proto::guests::Guests;
use jiff::tz::TimeZone;
use serde::Deserialize;
use toml::Spanned;

use super::HubConfig;
use super::draft::Draft;
use super::login::{self, Login, LoginSection};
use super::mail::{self, MailToml};
use super::sources::{File, Version};
use super::support::Support;
use super::value::Written;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HubToml {
    #[serde(rename = "version")]
    _version: Version,
    hub: HubSection,
    #[serde(default)]
    agents: AgentsSection,
    #[serde(default)]
    proxy: ProxySection,
    #[serde(default)]
    login: LoginSection,
    mail: Option<Spanned<MailToml>>,
    #[serde(default)]
    keep: KeepSection,
    #[serde(default)]
    metrics: MetricsSection,
    #[serde(default)]
    logs: Logs,
}

/// What the metrics tell.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricsSection {
    #[serde(default)]
    per_user: PerUser,
}

/// How far the series of single servers and people tell whose they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PerUser {
    /// There are none.
    None,
    /// A server's id, the beginning of a hash for a name.
    #[default]
    Hashed,
    /// Names.
    Name,
}

/// How long records are kept.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeepSection {
    decisions: Option<Spanned<Written>>,
    audit: Option<Spanned<Written>>,
    ended_cards: Option<Spanned<Written>>,
}

/// How long decisions, and what they were made from, are kept where nothing is said.
const KEEP_DECISIONS: Seconds = Seconds(90 * 86_400);
/// How long the audit is kept where nothing is said: three years.
const KEEP_AUDIT: Seconds = Seconds(1_095 * 86_400);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HubSection {
    public_url: Spanned<String>,
    #[serde(default = "default_listen")]
    listen: Spanned<String>,
    #[serde(default = "default_state")]
    state: PathBuf,
    #[serde(default = "default_admin_socket")]
    admin_socket: PathBuf,
    api_url: Option<String>,
    #[serde(default)]
    insecure_cookies: bool,
    timezone: Option<Spanned<String>>,
    support: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentsSection {
    #[serde(default = "default_agents_listen")]
    listen: Spanned<String>,
    lost_after: Option<Spanned<Written>>,
    puppet_ca: Option<PathBuf>,
    puppet_crl: Option<PathBuf>,
}

impl Default for AgentsSection {
    fn default() -> Self {
        Self {
            listen: default_agents_listen(),
            lost_after: None,
            puppet_ca: None,
            puppet_crl: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProxySection {
    api: String,
}

impl Default for ProxySection {
    fn default() -> Self {
        Self { api: "unix:/run/berth/proxy.sock".into() }
    }
}

fn default_listen() -> Spanned<String> {
    Spanned::new(0..0, "127.0.0.1:8081".into())
}

fn default_agents_listen() -> Spanned<String> {
    Spanned::new(0..0, "0.0.0.0:8443".into())
}

fn default_state() -> PathBuf {
    "/var/lib/berth".into()
}

fn default_admin_socket() -> PathBuf {
    "/run/berth/admin.sock".into()
}

/// Reads `hub.toml`; if it is not good, that is noted.
pub fn take(draft: &mut Draft) -> Option<(HubConfig, Login, Option<Support>)> {
    let (file, mut toml) = draft.sources.one::<HubToml>("hub")?;
    let support = toml.hub.support.as_ref();
    let support = support
        .and_then(|it| draft.sources.parsed(file.at(it), it.get_ref(), str::parse::<Support>));
    let section = std::mem::take(&mut toml.login);
    let login = login::take(&mut draft.sources, file, section);
    if let Some(text) = &toml.hub.timezone {
        let zone = draft.sources.parsed(file.at(text), text.get_ref(), zone);
        draft.zone = zone.unwrap_or(TimeZone::UTC);
    }
    if let Some(text) = &toml.agents.lost_after
        && let Some(after) = draft.sources.duration(file, text)
    {
        draft.settings.lost_after = after;
    }
    let mut keep = |written: Option<&Spanned<Written>>, usual| {
        written.and_then(|text| draft.sources.duration(file, text)).unwrap_or(usual)
    };
    let keep_decisions = keep(toml.keep.decisions.as_ref(), KEEP_DECISIONS);
    let keep_audit = keep(toml.keep.audit.as_ref(), KEEP_AUDIT);
    let cards = toml.keep.ended_cards.as_ref();
    let keep_ended_cards = cards.and_then(|text| draft.sources.duration(file, text));
    let per_user = toml.metrics.per_user;
    let (ca, revoked) = (toml.agents.puppet_ca.clone(), toml.agents.puppet_crl.clone());
    let puppet = ca.map(|ca| Guests { ca, revoked });
    let mail = toml.mail.as_ref().and_then(|toml| mail::take(draft, file, toml));
    let addresses = addresses(draft, file, toml)?;
    let hub = HubConfig {
        mail,
        keep_decisions,
        keep_audit,
        keep_ended_cards,
        per_user,
        puppet,
        ..addresses
    };
    Some((hub, login, support))
}

/// A time zone by name.
pub fn zone(name: &str) -> Result<TimeZone, &'static str> {
    match name {
        // Known without the system's database.
        "UTC" => Ok(TimeZone::UTC),
        name => {
            TimeZone::get(name).map_err(|_| "no such time zone here, write e.g. \"Europe/Paris\"")
        }
    }
}

fn addresses(draft: &mut Draft, file: File, toml: HubToml) -> Option<HubConfig> {
    let public_url = toml.hub.public_url.get_ref().trim_end_matches('/').to_owned();
    if !(public_url.starts_with("http://") || public_url.starts_with("https://")) {
        let message = "public_url must begin with https:// or http://".to_owned();
        draft.sources.bad_value(&file.at(&toml.hub.public_url), message);
    }
    let mut address = |text: &Spanned<String>| {
        draft.sources.parsed(file.at(text), text.get_ref(), |text| {
            text.parse().map_err(|_| "not an address, write e.g. \"127.0.0.1:8081\"")
        })
    };
    let (listen, agents_listen) = (address(&toml.hub.listen), address(&toml.agents.listen));
    let api_url = toml.hub.api_url.unwrap_or_else(|| format!("{public_url}/hub/api"));
    Some(HubConfig {
        listen: listen?,
        agents_listen: agents_listen?,
        api_url: api_url.trim_end_matches('/').to_owned(),
        public_url,
        state: toml.hub.state,
        admin_socket: toml.hub.admin_socket,
        insecure_cookies: toml.hub.insecure_cookies,
        proxy_api: toml.proxy.api,
        logs: toml.logs,
        mail: None,
        keep_decisions: KEEP_DECISIONS,
        keep_audit: KEEP_AUDIT,
        keep_ended_cards: None,
        per_user: PerUser::default(),
        puppet: None,
    })
}
