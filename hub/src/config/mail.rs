//! `[mail]` in `hub.toml`: how mail leaves the site.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::draft::Draft;
use super::sources::File;

/// How mail leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailConfig {
    /// The mail server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: MailTls,
    /// Who writes.
    pub from: String,
    /// Whom it reaches: `{user}` is the account's name.
    pub to: String,
    /// The login there, with the file of its password.
    pub login: Option<(String, PathBuf)>,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// Not at all: for a server on the same machine or network.
    #[default]
    None,
    /// By STARTTLS, which must be offered.
    Starttls,
    /// From the first byte on.
    Tls,
}

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailToml {
    smtp: Spanned<String>,
    from: Spanned<String>,
    to: Option<Spanned<String>>,
    #[serde(default)]
    tls: MailTls,
    user: Option<Spanned<String>>,
    password: Option<Spanned<SecretToml>>,
}

/// Secrets are never in these files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretToml {
    file: PathBuf,
}

/// Reads the section.
pub fn take(draft: &mut Draft, file: File, toml: &Spanned<MailToml>) -> Option<MailConfig> {
    let mail = toml.get_ref();
    let server = draft.sources.parsed(file.at(&mail.smtp), mail.smtp.get_ref(), server);
    let from = draft.sources.parsed(file.at(&mail.from), mail.from.get_ref(), address);
    let to = match &mail.to {
        Some(to) => draft.sources.parsed(file.at(to), to.get_ref(), recipient),
        // People's addresses are in the writer's domain, unless somebody says otherwise.
        None => from.as_ref().map(|from| format!("{{user}}@{}", domain(from))),
    };
    let login = match (&mail.user, &mail.password) {
        (Some(user), Some(secret)) => Some((user.get_ref().clone(), secret.get_ref().file.clone())),
        (None, None) => None,
        (Some(user), None) => {
            let message = "user goes with password = { file = \"...\" }".to_owned();
            draft.sources.bad_value(&file.at(user), message);
            None
        }
        (None, Some(secret)) => {
            let message = "password goes with user = \"...\"".to_owned();
            draft.sources.bad_value(&file.at(secret), message);
            None
        }
    };
    let (host, port) = server?;
    Some(MailConfig { host, port, tls: mail.tls, from: from?, to: to?, login })
}

fn server(text: &str) -> Result<(String, u16), &'static str> {
    let wrong = "not a mail server, write e.g. \"smtp.example.org:25\"";
    let (host, port) = text.rsplit_once(':').ok_or(wrong)?;
    let port = port.parse().map_err(|_| wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() { Err(wrong) } else { Ok((host.to_owned(), port)) }
}

fn address(text: &str) -> Result<String, &'static str> {
    let wrong = "not a mail address, write e.g. \"notebook@example.org\"";
    text.parse::<lettre::message::Mailbox>().map(|mailbox| mailbox.to_string()).map_err(|_| wrong)
}

fn recipient(text: &str) -> Result<String, &'static str> {
    let wrong = "not people's addresses, write e.g. \"{user}@example.org\"";
    let example = text.replace("{user}", "alice");
    let good = text.matches("{user}").count() == 1 && address(&example).is_ok();
    if good { Ok(text.to_owned()) } else { Err(wrong) }
}

fn domain(address: &str) -> &str {
    let end = address.trim_end_matches('>');
    end.rsplit_once('@').map_or(end, |(_, domain)| domain)
}
