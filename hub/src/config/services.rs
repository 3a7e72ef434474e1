//! `services.toml`: programs beside the notebooks, in JupyterHub's words.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use berth_core::settings::Cite;
use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::draft::Draft;
use super::secret::{self, Secret, SecretFile};
use super::sources::{File, Version};
use crate::auth::scopes;

/// JupyterHub refuses shorter tokens, and longer ones unhashed.
pub const TOKEN_LENGTHS: std::ops::RangeInclusive<usize> = 8..=64;

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name, one segment of a path.
    pub name: String,
    /// Where it answers; the proxy leads `/services/NAME/` there.
    pub url: Option<Url>,
    /// The only paths below its own that the proxy leads there, each with a slash at both ends;
    /// empty: all.
    pub only: Vec<String>,
    /// The program that the hub starts and keeps alive; empty: somebody else does.
    pub command: Vec<String>,
    /// Where it is started.
    pub folder: Option<PathBuf>,
    /// What it finds in its environment beside what the hub says.
    pub environment: BTreeMap<String, String>,
    /// Its token, which is the secret of its OAuth client too; `None`: the hub's own.
    pub token: Option<Secret>,
    /// SHA-256 of the token of a service that the API made, which is not kept.
    pub token_hash: Option<[u8; 32]>,
    /// Whether it may do all that administrators may.
    pub admin: bool,
    /// What it may do beside what its roles allow.
    pub scopes: Vec<String>,
    /// The id of its OAuth client.
    pub client_id: String,
    /// The one address to which its visitors come back from a login.
    pub redirect: String,
    /// What its visitors' tokens may allow beside their identity and access to it.
    pub visitor_scopes: Vec<String>,
    /// Whether visitors are not asked if it may know who they are.
    pub no_confirm: bool,
    /// Whether people should see it in lists.
    pub display: bool,
    /// Whatever else the site says about it.
    pub info: serde_json::Value,
    /// Where it is written.
    pub cite: Cite,
}

impl Service {
    /// Its path at the site.
    pub fn prefix(&self) -> String {
        prefix(&self.name)
    }

    /// Whether it has a token: one that is written down, or that the hub hands to what it starts.
    pub fn has_token(&self) -> bool {
        self.token.is_some() || self.token_hash.is_some() || !self.command.is_empty()
    }

    /// Whether a process of the one would do for the other: the same command in the same
    /// environment.
    pub fn runs_like(&self, other: &Self) -> bool {
        fn what(it: &Service) -> impl PartialEq + '_ {
            let oauth = (&it.client_id, &it.redirect, &it.visitor_scopes);
            (&it.command, &it.folder, &it.environment, &it.token, &it.url, oauth)
        }
        what(self) == what(other)
    }

    /// The scope that lets people in.
    pub fn access_scope(&self) -> String {
        format!("access:services!service={}", self.name)
    }
}

/// The path of the service of this name.
pub fn prefix(name: &str) -> String {
    format!("/services/{name}/")
}

/// All services, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services(pub BTreeMap<String, Arc<Service>>);

impl Services {
    /// The service with this OAuth client, if it can prove itself.
    pub fn by_client(&self, id: &str) -> Option<&Arc<Service>> {
        self.0.values().find(|service| service.client_id == id && service.has_token())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServicesToml {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    service: BTreeMap<Spanned<String>, Spanned<ServiceToml>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServiceToml {
    url: Option<Spanned<String>>,
    #[serde(default)]
    only: Vec<Spanned<String>>,
    #[serde(default)]
    command: Vec<String>,
    cwd: Option<PathBuf>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    api_token: Option<Spanned<SecretFile>>,
    #[serde(default)]
    admin: bool,
    #[serde(default)]
    scopes: Vec<Spanned<String>>,
    oauth_client_id: Option<Spanned<String>>,
    oauth_redirect_uri: Option<Spanned<String>>,
    #[serde(default)]
    oauth_client_allowed_scopes: Vec<Spanned<String>>,
    #[serde(default)]
    oauth_no_confirm: bool,
    #[serde(default = "yes")]
    display: bool,
    #[serde(default)]
    info: toml::Table,
}

fn yes() -> bool {
    true
}

/// Reads all services.
pub(super) fn take(draft: &mut Draft) {
    for (file, toml) in draft.sources.all::<ServicesToml>("services") {
        for (name, service) in toml.service {
            take_service(draft, file, &name, service);
        }
    }
}

fn take_service(
    draft: &mut Draft,
    file: File,
    written_name: &Spanned<String>,
    entry: Spanned<ServiceToml>,
) {
    let (place, entry_place) = (file.at(written_name), file.at(&entry));
    let (name, toml) = (written_name.get_ref().clone(), entry.into_inner());
    if !is_service_name(&name) {
        let message = format!(
            "\"{name}\" is no service's name: 1 to 64 of a-z, A-Z, 0-9, - and _, a letter or digit \
             first"
        );
        draft.sources.bad_value(&place, message);
    }
    if toml.url.is_none() && toml.command.is_empty() && toml.api_token.is_none() {
        let message = "does nothing: write url = \"http://...\" of what runs elsewhere, command = \
                       [...] for what the hub starts, or at least api_token = { file = \"...\" }";
        draft.sources.bad_value(&entry_place, message.into());
    }
    if toml.command.first().is_some_and(String::is_empty) {
        draft.sources.bad_value(&entry_place, "the program of command has no name".into());
    }
    let url = toml
        .url
        .as_ref()
        .and_then(|text| draft.sources.parsed(file.at(text), text.get_ref(), target));
    let token = toml.api_token.as_ref().and_then(|written| {
        let token = secret::read(&mut draft.sources, file, written)?;
        let length = token.reveal().len();
        // Files that are only tried are read without their secrets.
        if length != 0 && !TOKEN_LENGTHS.contains(&length) {
            let message = format!("a token has 8 to 64 characters, this one {length}");
            draft.sources.bad_value(&file.at(written), message);
        }
        Some(token)
    });
    let client_id = match &toml.oauth_client_id {
        None => format!("service-{name}"),
        Some(id)
            if id.get_ref().len() > "service-".len() && id.get_ref().starts_with("service-") =>
        {
            id.get_ref().clone()
        }
        Some(id) => {
            let message = "must begin with service-, so that it is never a server's".to_owned();
            draft.sources.bad_value(&file.at(id), message);
            String::new()
        }
    };
    let redirect = toml.oauth_redirect_uri.as_ref().map_or_else(
        || Some(format!("{}oauth_callback", prefix(&name))),
        |text| draft.sources.parsed(file.at(text), text.get_ref(), redirect),
    );
    let no_user = "in its own right a service is no person: name one, user=NAME, or a group=NAME";
    let mut read_scopes = |list: Vec<Spanned<String>>, has_visitor: bool| -> Vec<String> {
        let texts = list.into_iter().map(|scope| {
            let text = of_this_service(scope.get_ref(), &name);
            let known = match text.as_str() {
                "inherit" | "self" if has_visitor => Ok(()),
                text => scopes::check_text(text),
            };
            if let Err(error) = known {
                draft.sources.bad_value(&file.at(&scope), error.to_string());
            } else if !has_visitor && text.ends_with("!user") {
                draft.sources.bad_value(&file.at(&scope), no_user.into());
            }
            text
        });
        texts.collect()
    };
    let own_scopes = read_scopes(toml.scopes, false);
    let visitor_scopes = read_scopes(toml.oauth_client_allowed_scopes, true);
    let same_client = |other: &&Arc<Service>| other.client_id == client_id;
    if let Some(first) = draft.services.0.get(&name).map(|first| first.cite.clone()) {
        draft.sources.duplicate(&place, &format!("service \"{name}\""), &first);
    } else if let Some(first) = draft.services.0.values().find(same_client).cloned() {
        draft.sources.duplicate(&place, &format!("client \"{client_id}\""), &first.cite);
    }
    for path in &toml.only {
        if let Err(why) = path_below(path.get_ref()) {
            draft.sources.bad_value(&file.at(path), why.to_owned());
        }
    }
    let service = Service {
        url,
        only: toml.only.into_iter().map(Spanned::into_inner).collect(),
        command: toml.command,
        folder: toml.cwd,
        environment: toml.environment,
        token,
        token_hash: None,
        admin: toml.admin,
        scopes: own_scopes,
        client_id,
        redirect: redirect.unwrap_or_default(),
        visitor_scopes,
        no_confirm: toml.oauth_no_confirm,
        display: toml.display,
        info: serde_json::to_value(toml.info).unwrap_or_default(),
        cite: draft.sources.cite(&place),
        name: name.clone(),
    };
    draft.services.0.insert(name, Arc::new(service));
}

/// A scope in which a bare `!service` means this service.
pub fn of_this_service(scope: &str, name: &str) -> String {
    match scope.strip_suffix("!service") {
        Some(scope) => format!("{scope}!service={name}"),
        None => scope.to_owned(),
    }
}

/// A name that is the same escaped and not, and no step up.
pub fn is_service_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// A path below a service's own, as the proxy compares it.
fn path_below(text: &str) -> Result<(), &'static str> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    let whole = text.len() > 2 && text.starts_with('/') && text.ends_with('/');
    if whole && !text.contains("//") && text.chars().all(good) {
        Ok(())
    } else {
        Err("not a path below the service's own, write e.g. \"/api/\"")
    }
}

/// Where a service answers.
///
/// # Errors
/// How to write it.
pub fn target(text: &str) -> Result<Url, &'static str> {
    let wrong = "write e.g. \"http://127.0.0.1:10101\"";
    let url = Url::parse(text).map_err(|_| wrong)?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err(wrong);
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err("no user, password or query belongs here");
    }
    Ok(url)
}

/// Compared letter by letter with what a service sends: a path of the site, or a whole address.
///
/// # Errors
/// How to write it.
pub fn redirect(text: &str) -> Result<String, &'static str> {
    let wrong = "write a path of this site, or e.g. \"https://wiki.example.org/oauth_callback\"";
    let is_path = text.starts_with('/') && !text.starts_with("//") && !text.contains('\\');
    if text.contains('#') || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong);
    }
    if is_path || target(text.split('?').next().unwrap_or(text)).is_ok() {
        Ok(text.to_owned())
    } else {
        Err(wrong)
    }
}
