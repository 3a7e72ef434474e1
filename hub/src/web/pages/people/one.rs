//! One person: the account as the directory knows it, and what each rule of the site's files gives,
//! with the line that gives it.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use berth_common::Timestamp;
use berth_core::event::Wish;
use berth_core::rules;
use berth_core::settings::Cite;
use berth_core::{Fleet, Server};
use berth_process::clock::now;
use berth_store::{Identity, User};

use crate::auth::{Right, Visitor};
use crate::directory::{Standing, Word};
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::recorded;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::usage::{self, Amount};
use crate::web::pages::words::{self, Moment};
use crate::web::say;

#[derive(Template)]
#[template(path = "person.html")]
struct PersonPage {
    shell: Shell,
    user: User,
    admin: bool,
    seen: Moment,
    standing: &'static str,
    standing_class: &'static str,
    /// Why the account cannot be used; English, as sources say it.
    why: String,
    sources: Vec<Source>,
    identities: Vec<Identity>,
    tokens: usize,
    roles: Vec<Role>,
    amounts: Vec<Amount>,
    profiles: Vec<ProfileRights>,
    servers: Vec<ServerLine>,
}

/// What one of the directory's sources says.
struct Source {
    name: String,
    knows: bool,
    down: Option<String>,
}

/// A role, with the line that gives it.
struct Role {
    name: String,
    scopes: String,
    cite: Place,
}

/// A line of the site's files, as it is read and where it is shown.
pub struct Place {
    text: String,
    link: String,
}

/// What the rules say of the simplest request for a profile.
struct ProfileRights {
    title: String,
    name: String,
    class: &'static str,
    word: String,
    rules: Vec<RuleLine>,
    idle: String,
    idle_at: Option<Place>,
}

/// A rule in its order.
struct RuleLine {
    text: String,
    /// Whether the text is there in English only.
    english: bool,
    passed: bool,
    cite: Option<Place>,
}

/// One of the person's servers.
struct ServerLine {
    id: String,
    title: String,
    state: String,
    class: &'static str,
    host: String,
    profile: String,
}

impl Place {
    /// Where a rule stands; `None` for what no file says.
    fn of(cite: &Cite) -> Option<Self> {
        let link = format!("/hub/admin/config/files/{}#l{}", cite.file, cite.line);
        (!cite.file.is_empty()).then(|| Self { text: cite.to_string(), link })
    }
}

/// The account of this name.
pub fn find(hub: &Hub, name: &str) -> Result<User, PageError> {
    let name = name.parse().map_err(|_| PageError::NotFound)?;
    hub.storage.read(|reader| reader.user(&name))?.ok_or(PageError::NotFound)
}

/// `GET /hub/admin/people/{user}`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    visitor.require(Right::SeePeople)?;
    let user = find(&hub, &name)?;
    let owner = &user.account.name;
    let (standing, words) = hub.directory.words(&hub, owner, None).await?;
    let (identities, tokens) = hub
        .storage
        .read(|reader| Ok((reader.identities_of(owner)?, reader.tokens_of(owner)?.len())))?;
    let (fleet, now, config) = (hub.fleet.fleet(), now(), hub.config());
    let why = match &standing {
        Standing::Valid(_) => String::new(),
        other => other.refusal(&config.people.directory).1,
    };
    let roles = config.people.roles.of(&user.account).filter_map(|(name, role)| {
        let (name, scopes) = (name.to_owned(), role.scopes.join(", "));
        Some(Role { name, scopes, cite: Place::of(&role.cite)? })
    });
    let view = PersonPage {
        shell: Shell::of(&visitor, owner.to_string(), Here::People),
        admin: hub.is_admin(&user),
        seen: Moment::from(user.last_activity),
        standing: standing.word(),
        standing_class: if matches!(standing, Standing::Valid(_)) { "is-good" } else { "is-bad" },
        why,
        sources: words.into_iter().map(source).collect(),
        identities,
        tokens,
        roles: roles.collect(),
        amounts: usage::amounts(&fleet, &user.account, now),
        profiles: profiles(&fleet, &user, now),
        servers: fleet.servers_of(owner).map(|server| line(&fleet, server, now)).collect(),
        user,
    };
    Ok(page(StatusCode::OK, &view))
}

fn source(word: Word) -> Source {
    Source { name: word.source, knows: word.entry.is_some(), down: word.down }
}

fn line(fleet: &Fleet, server: &Server, now: Timestamp) -> ServerLine {
    let state = fleet.server_state(server, now);
    let host = server.placement().map(|placement| placement.host.to_string());
    ServerLine {
        id: server.id.to_string(),
        title: words::server_title(&server.name),
        state: words::state(state),
        class: words::state_class(state),
        host: host.unwrap_or_default(),
        profile: crate::web::pages::card::profile_title(fleet, &server.ask.profile),
    }
}

fn profiles(fleet: &Fleet, user: &User, now: Timestamp) -> Vec<ProfileRights> {
    let account = &user.account;
    let groups: Vec<_> = account.groups.iter().map(|group| group.name.as_str()).collect();
    let person = Some((&account.name, groups.as_slice()));
    let one = |(name, profile): (&String, &berth_core::settings::Profile)| {
        let wish = Wish { profile: Some(name.clone()), ..Wish::default() };
        let checked = rules::check(fleet, now, account, &wish, None);
        let refusal = checked.verdict.as_ref().err();
        let idle = fleet.settings.lifecycle.idle_rule(&profile.pool, name, person);
        let limit = idle.and_then(|rule| rule.stop_after);
        let rules = checked.rules.iter().map(|rule| RuleLine {
            text: recorded::rule(rule),
            english: rule.looked.is_none(),
            passed: rule.passed,
            cite: rule.cite.as_ref().and_then(Place::of),
        });
        ProfileRights {
            title: words::written(&fleet.settings, &profile.title),
            name: name.clone(),
            class: if refusal.is_some() { "is-bad" } else { "is-good" },
            word: match refusal {
                Some(refusal) => say::reason(refusal.reason),
                None => say::t("may-ask").to_string(),
            },
            rules: rules.collect(),
            idle: limit.map_or_else(|| say::t("help-idle-never").to_string(), words::long),
            idle_at: idle.and_then(|rule| Place::of(&rule.cite)),
        }
    };
    fleet.settings.profiles.iter().map(one).collect()
}
