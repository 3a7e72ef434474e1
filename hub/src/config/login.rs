//! `[login]` of `hub.toml`: how people prove who they are.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::secret::{self, Secret, SecretFile};
use super::sources::{File, Sources};

/// How people log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Whether local accounts may log in by their password.
    pub passwords: bool,
    /// The site's identity provider.
    pub oidc: Option<Oidc>,
}

/// An OpenID Connect provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// The words on the button.
    pub title: String,
    /// Its name, exactly as it says it itself.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// What we prove that with.
    pub client_secret: Secret,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// What its claims mean.
    pub claims: Claims,
    /// Whether a first login takes over the local account of its name, if that is no
    /// administrator's. Off: an administrator links the two.
    pub link_existing: bool,
    /// Whether a logout here also ends the provider's session.
    pub provider_logout: bool,
    /// Certificates to trust besides the system's.
    pub ca: Option<PathBuf>,
}

/// The claims that are read; a dot leads into an object, as in `realm_access.roles`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Claims {
    /// The account's name.
    pub user: String,
    /// User id.
    pub uid: Option<String>,
    /// Primary group id.
    pub gid: Option<String>,
    /// HOME.
    pub home: Option<String>,
    /// Names of groups.
    pub groups: Option<String>,
}

impl Default for Login {
    fn default() -> Self {
        Self { passwords: true, oidc: None }
    }
}

impl Default for Claims {
    fn default() -> Self {
        let user = "preferred_username".into();
        Self { user, uid: None, gid: None, home: None, groups: None }
    }
}

impl Claims {
    /// Every claim that is read.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let Self { user, uid, gid, home, groups } = self;
        let others = [uid, gid, home, groups].into_iter().flatten();
        [user].into_iter().chain(others).map(String::as_str)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginSection {
    #[serde(default = "yes")]
    passwords: bool,
    oidc: Option<Spanned<OidcSection>>,
}

impl Default for LoginSection {
    fn default() -> Self {
        Self { passwords: true, oidc: None }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OidcSection {
    #[serde(default = "default_title")]
    title: String,
    issuer: Spanned<String>,
    client_id: String,
    client_secret: Spanned<SecretFile>,
    #[serde(default = "default_scopes")]
    scopes: Spanned<Vec<String>>,
    #[serde(default)]
    claims: Claims,
    #[serde(default)]
    link_existing: bool,
    #[serde(default = "yes")]
    provider_logout: bool,
    ca: Option<Spanned<PathBuf>>,
}

fn yes() -> bool {
    true
}

fn default_title() -> String {
    "Log in with your site's account".into()
}

fn default_scopes() -> Spanned<Vec<String>> {
    Spanned::new(0..0, ["openid", "profile", "email"].map(str::to_owned).to_vec())
}

/// Takes the section over; what is wrong in it is noted.
pub(super) fn take(sources: &mut Sources, file: File, section: LoginSection) -> Login {
    let oidc = section.oidc.and_then(|oidc| {
        let place = file.at(&oidc);
        let oidc = take_oidc(sources, file, oidc.into_inner());
        if oidc.is_none() && !sources.has_errors() {
            sources.bad_value(&place, "cannot be used".into());
        }
        oidc
    });
    Login { passwords: section.passwords, oidc }
}

fn take_oidc(sources: &mut Sources, file: File, section: OidcSection) -> Option<Oidc> {
    let issuer = sources.parsed(file.at(&section.issuer), section.issuer.get_ref(), |text| {
        check_issuer(text).map(|()| text.to_owned())
    });
    if !section.scopes.get_ref().iter().any(|scope| scope == "openid") {
        let message = "scopes must hold \"openid\": without it this is no OpenID Connect";
        sources.bad_value(&file.at(&section.scopes), message.into());
    }
    let secret = secret::read(sources, file, &section.client_secret);
    let ca = section.ca.map(|path| existing(sources, file, &path));
    Some(Oidc {
        title: section.title,
        issuer: issuer?,
        client_id: section.client_id,
        client_secret: secret?,
        scopes: section.scopes.into_inner(),
        claims: section.claims,
        link_existing: section.link_existing,
        provider_logout: section.provider_logout,
        ca,
    })
}

/// A file that must be there, relative to the configuration folder.
pub(super) fn existing(sources: &mut Sources, file: File, written: &Spanned<PathBuf>) -> PathBuf {
    let Some(path) = sources.other_file(written.get_ref()) else {
        return written.get_ref().clone();
    };
    if let Err(error) = std::fs::File::open(&path) {
        let message = format!("{} cannot be read: {error}", path.display());
        sources.bad_value(&file.at(written), message);
    }
    path
}

fn check_issuer(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an issuer has no query and no fragment".into());
    }
    check_encrypted(&url)
}

/// What is sent there must not be read by others on the way.
pub(super) fn check_encrypted(url: &Url) -> Result<(), String> {
    let local = url.host_str().is_some_and(|host| {
        matches!(host.trim_matches(['[', ']']), "127.0.0.1" | "::1" | "localhost")
    });
    match url.scheme() {
        "https" | "ldaps" => Ok(()),
        "http" | "ldap" if local => Ok(()),
        "http" | "ldap" => Err("it must be encrypted; only an address of this machine may be \
                                reached in the clear"
            .into()),
        other => Err(format!("\"{other}:\" is not possible here")),
    }
}
