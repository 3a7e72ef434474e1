//! `--web`: the page that shows what a command would have printed.

use std::process::{Command, Stdio};

use super::{Noun, config, decision, explain, host, notice, profile, queue, server, training};
use super::{maint, pool, token, user};
use crate::args::Common;
use crate::connection::{Connection, HubUrl};
use crate::print::{note, say};
use crate::problem::{Exit, Problem};

/// Opens the page of a command.
///
/// # Errors
/// When it has none, or what it names is not found.
pub async fn run(noun: &Noun, common: &Common) -> Result<Exit, Problem> {
    let hub = common.connection()?;
    let path = match noun {
        Noun::Server(server::Verb::Show(args)) => {
            let servers = server::all(&hub, "open the page").await?;
            let server = servers.find(&args.server, "open the page")?;
            Some(format!("/hub/servers/{}", server.id))
        }
        other => page(other),
    };
    match path {
        Some(path) => open(&hub, &path),
        None => {
            let advice = "Try it without --web.";
            Err(Problem::new(Exit::Usage, "cannot open a page", "this command has none", advice))
        }
    }
}

/// The page of what needs no look-up.
fn page(noun: &Noun) -> Option<String> {
    let page = match noun {
        Noun::Ls(_) | Noun::Server(server::Verb::List(_)) => "/hub/home",
        Noun::Top(_) => "/hub/admin",
        Noun::Usage(_) | Noun::Quota(_) => "/hub/usage",
        Noun::Whois(args) => return Some(format!("/hub/admin/people/{}", args.user)),
        Noun::Profile(profile::Verb::List(_) | profile::Verb::Show(_)) => "/hub/spawn",
        Noun::Explain(explain::Verb::Decision(args))
        | Noun::Decision(decision::Verb::Show(args)) => {
            return Some(format!("/hub/decisions/{}", args.id));
        }
        Noun::Explain(explain::Verb::Host(args)) => {
            return Some(format!("/hub/admin/hosts/{}", args.name));
        }
        Noun::Host(host::Verb::Show(args)) => {
            return Some(format!("/hub/admin/hosts/{}", args.name));
        }
        Noun::Host(host::Verb::List(_)) | Noun::Drain(_) => "/hub/admin/hosts",
        Noun::Queue(queue::Verb::List(_)) => "/hub/admin/queue",
        Noun::Plan(_) | Noun::Pool(pool::Verb::List(_) | pool::Verb::Show(_)) => "/hub/admin/floor",
        Noun::Token(token::Verb::List(_)) => "/hub/token",
        Noun::Config(config::Verb::Check(_) | config::Verb::Diff | config::Verb::Show(_)) => {
            "/hub/admin/config"
        }
        Noun::Doctor(_) => "/hub/admin/health",
        Noun::Maint(maint::Verb::List(_)) | Noun::Notice(notice::Verb::List(_)) => {
            "/hub/admin/notices"
        }
        Noun::Training(training::Verb::List(_)) => "/hub/trainings",
        Noun::Training(training::Verb::Show(args)) => {
            return Some(format!("/hub/trainings/{}", args.name));
        }
        Noun::Training(training::Verb::Check(args)) => {
            return Some(format!("/hub/trainings/{}", args.name));
        }
        Noun::User(user::Verb::List(_)) | Noun::Access(_) => "/hub/admin/people",
        Noun::Audit(_) => "/hub/admin/audit",
        Noun::Help(_) => "/hub/help",
        _ => return None,
    };
    Some(page.to_owned())
}

/// Prints a page's address, and opens it where there is a screen.
///
/// # Errors
/// When the hub is asked over a socket, by which no browser comes.
pub fn open(hub: &Connection, path: &str) -> Result<Exit, Problem> {
    let HubUrl::Tcp { .. } = hub.url else {
        let why = "the hub is asked over its socket, and a browser cannot be";
        let advice = format!("Name its address with --url; the page is {path}");
        return Err(Problem::new(Exit::Usage, "cannot open a page", why, advice));
    };
    let address = format!("{}{path}", hub.url);
    say(&address)?;
    let has_screen =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if has_screen {
        let mut browser = Command::new("xdg-open");
        browser.arg(&address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = browser.spawn() {
            note(&format!("no browser was opened: xdg-open: {error}"));
        }
    }
    Ok(Exit::Done)
}
