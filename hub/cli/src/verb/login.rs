//! `berth login URL`: a password once, a token from then on; or a token that was made on a page.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use berth_common::{Seconds, Timestamp, Username};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use crate::api;
use crate::args::{Common, Span};
use crate::connection::{Connection, HubUrl};
use crate::print::{note, say};
use crate::problem::{Exit, Problem};
use crate::settings::{SettingsError, hub_url, token_in};
use crate::text;

/// Long enough for a course or a stay, short enough that a lost laptop's token ends by itself.
const LIFE: Span = Span(Seconds(90 * 86_400));

/// Options.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Where people log in on another site's page there is no password for this: make\n\
a token on the hub's page of tokens, and keep it with\n\
`berth login HUB --token-file FILE`; `-` reads standard input.")]
pub struct Args {
    /// The hub, e.g. https://notebook.example.org; the last one if not given
    #[arg(value_name = "HUB")]
    hub: Option<String>,
    /// Who you are there; asked for if not given
    #[arg(long, value_name = "USER")]
    user: Option<Username>,
    /// A file with it (-: stdin); else asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// When the token ends by itself
    #[arg(long, value_name = "TIME", default_value_t = LIFE)]
    expires_in: Span,
}

#[derive(Debug, Deserialize)]
struct Created {
    token: String,
    user: String,
    #[serde(default, deserialize_with = "api::moment")]
    expires_at: Option<Timestamp>,
}

/// Logs in and keeps the token.
pub async fn run(args: &Args, common: &Common) -> Result<Exit, Problem> {
    let url = address(args, common)?;
    match &common.token_file {
        Some(file) if args.user.is_none() && args.password_file.is_none() => {
            with_token(url, file, common).await
        }
        _ => with_password(url, args, common).await,
    }
}

/// Keeps a token that is there already, once the hub knows it.
async fn with_token(url: HubUrl, file: &Path, common: &Common) -> Result<Exit, Problem> {
    let token = token_in(file).map_err(SettingsError::problem)?;
    let hub = Connection { url, token: Some(token) };
    let (_, who) = api::whoami(&hub, &format!("log in to {}", hub.url)).await?;
    let token = hub.token.as_deref().unwrap_or_default();
    common.sources().save(&hub.url, token).map_err(SettingsError::problem)?;
    if !common.quiet {
        say(&format!("Logged in to {} as {}.", hub.url, who.name))?;
    }
    Ok(Exit::Done)
}

async fn with_password(url: HubUrl, args: &Args, common: &Common) -> Result<Exit, Problem> {
    let sources = common.sources();
    if url.is_open_to_eyes() {
        note(&format!("warning: {url} is not encrypted; the password can be read on the way"));
    }
    let what = format!("log in to {url}");
    let user = match &args.user {
        Some(user) => user.clone(),
        None => ask_user(&what)?,
    };
    let password = match &args.password_file {
        Some(path) => password_in(path, &what)?,
        None => ask_password(&what, &format!("Password of {user}: "))?,
    };
    let body = json!({
        "auth": { "username": user, "password": password },
        "note": "berth login",
        "expires_in": args.expires_in.0.0,
    });
    let hub = Connection { url: url.clone(), token: None };
    let path = api::path(&["users", user.as_str(), "tokens"]);
    let answer = hub
        .call(Method::POST, &path, Some(&body))
        .await
        .map_err(|error| api::away(&hub, &what, &error))?;
    if answer.status == http::StatusCode::FORBIDDEN {
        let why = "user name or password are wrong, or this hub takes none";
        let advice = format!("Try again, or keep a token made on {url}/hub/token: --token-file");
        return Err(Problem::new(Exit::NotAllowed, format!("cannot {what}"), why, advice));
    }
    if !answer.status.is_success() {
        return Err(api::refusal(&hub, &what, &answer));
    }
    let created: Created = api::read(&what, &answer.body)?;
    sources.save(&url, &created.token).map_err(SettingsError::problem)?;
    let until = created
        .expires_at
        .map_or(String::new(), |at| format!("; the token ends {}", text::local(at, answer.now)));
    if !common.quiet {
        say(&format!("Logged in to {url} as {}{until}.", created.user))?;
    }
    Ok(Exit::Done)
}

fn address(args: &Args, common: &Common) -> Result<HubUrl, Problem> {
    let sources = common.sources();
    match args.hub.as_ref().or(sources.url.as_ref()) {
        Some(url) => hub_url(url).map_err(SettingsError::problem),
        None => {
            let saved = sources.saved().map_err(SettingsError::problem)?;
            Ok(saved.ok_or_else(|| SettingsError::NoHub.problem())?.url)
        }
    }
}

fn ask_user(what: &str) -> Result<Username, Problem> {
    let unusable = |why: String| {
        Problem::new(Exit::Usage, format!("cannot {what}"), why, "Say who with --user USER.")
    };
    if !io::stdin().is_terminal() {
        return Err(unusable("there is no terminal to ask who you are".into()));
    }
    let _ = write!(io::stderr(), "User: ");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| unusable(error.to_string()))?;
    line.trim().parse().map_err(|error: berth_common::id::BadId| unusable(error.to_string()))
}

/// Asks for a password on the terminal.
///
/// # Errors
/// When there is no terminal.
pub fn ask_password(what: &str, prompt: &str) -> Result<String, Problem> {
    rpassword::prompt_password(prompt).map_err(|error| {
        let why = format!("the password cannot be asked for: {error}");
        Problem::new(Exit::Usage, format!("cannot {what}"), why, "Use --password-file FILE.")
    })
}

/// The first line of a file, or of standard input.
///
/// # Errors
/// When it cannot be read or is empty.
pub fn password_in(path: &Path, what: &str) -> Result<String, Problem> {
    let unusable = |why: String| {
        let why = format!("{}: {why}", path.display());
        Problem::new(Exit::Usage, format!("cannot {what}"), why, "Name a file with the password.")
    };
    let text = if path == Path::new("-") {
        io::read_to_string(io::stdin())
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|error| unusable(error.to_string()))?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err(unusable("there is no password in it".into())),
    }
}
