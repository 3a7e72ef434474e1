//! Home: a person's servers as cards; the form itself for a person who has none.

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{Redirect, Response};
use berth_common::{Timestamp, Username};
use berth_core::{Fleet, Server};
use berth_process::clock::now;
use berth_store::User;

use crate::auth::Visitor;
use crate::auth::scopes::Scopes;
use crate::site::Hub;
use crate::storage::StorageError;
use crate::web::pages::board::Board;
use crate::web::pages::card::Card;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::spawn;
use crate::web::pages::visits::{self, Line};
use crate::web::say;

/// Where buttons come back to.
const HERE: &str = "/hub/home";

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    shell: Shell,
    part: HomePart,
    /// What the owner should know about the account itself.
    notice: Option<String>,
    /// Name and path of the services that the person may use.
    services: Vec<(String, String)>,
}

/// The part of the page that is kept up to date.
#[derive(Template)]
#[template(path = "home-part.html")]
pub struct HomePart {
    /// What stands above the servers.
    board: Board,
    /// Who entered the owner's servers.
    visits: Vec<Line>,
    cards: Cards,
}

impl HomePart {
    /// A person's home at this moment.
    pub fn of(
        hub: &Hub,
        fleet: &Fleet,
        user: &User,
        kept: Kept,
        xsrf: &str,
        now: Timestamp,
    ) -> Self {
        Self {
            board: Board::unread(hub, fleet, user, &kept.read, (xsrf, HERE), now),
            visits: kept.visits,
            cards: Cards::of(hub, fleet, &user.account.name, xsrf, now),
        }
    }
}

/// What somebody's home shows from the store.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    visits: Vec<Line>,
    /// The notices that the person has read or put away.
    read: BTreeSet<i64>,
}

impl Kept {
    /// As it is now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(hub: &Hub, fleet: &Fleet, owner: &Username) -> Result<Self, StorageError> {
        let read = hub.storage.read(|reader| reader.notices_read(owner))?;
        Ok(Self { visits: visits_to(hub, fleet, owner)?, read })
    }
}

/// Who entered somebody's servers.
///
/// # Errors
/// When the store cannot be read.
pub fn visits_to(hub: &Hub, fleet: &Fleet, owner: &Username) -> Result<Vec<Line>, StorageError> {
    Ok(visits::lines(hub, fleet, owner)?.into_iter().map(|(_, line)| line).collect())
}

/// A person's servers.
#[derive(Template)]
#[template(path = "cards.html")]
pub struct Cards {
    xsrf: String,
    cards: Vec<Card>,
    /// Where buttons come back to.
    here: &'static str,
}

impl Cards {
    /// The server for which a place is held, as the browser's tab and its notification say it.
    fn held(&self) -> Option<String> {
        self.cards.iter().find(|card| card.is_held()).map(|card| card.title.clone())
    }

    /// The cards of a person: what runs first, then what ended, newest first, as long as the site
    /// keeps these.
    pub fn of(hub: &Hub, fleet: &Fleet, owner: &Username, xsrf: &str, now: Timestamp) -> Self {
        let kept = hub.config().hub.keep_ended_cards;
        let is_over = |server: &Server| {
            let ended = server.last_end.as_ref().filter(|_| !server.is_active());
            ended.zip(kept).is_some_and(|(end, kept)| end.at.plus(kept) <= now)
        };
        let mut servers: Vec<_> = fleet.servers_of(owner).filter(|it| !is_over(it)).collect();
        servers.sort_by_key(|server| {
            let ended = server.last_end.as_ref().map(|end| end.at);
            (!server.is_active(), std::cmp::Reverse(ended.filter(|_| !server.is_active())))
        });
        let cards =
            servers.into_iter().map(|server| Card::folded(hub, fleet, server, now)).collect();
        Self { xsrf: xsrf.to_owned(), cards, here: HERE }
    }
}

/// `GET /hub/home`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    uri: Uri,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let owner = &visitor.user.account.name;
    if fleet.servers_of(owner).next().is_none() {
        return spawn::form(&hub, &visitor, &uri);
    }
    let kept = Kept::of(&hub, &fleet, owner)?;
    let part = HomePart::of(&hub, &fleet, &visitor.user, kept, &visitor.xsrf, now());
    let shell = Shell::of(&visitor, say::t("nav-home").to_string(), Here::Home);
    let lapse = hub.storage.read(|reader| reader.lapse(owner))?;
    let notice = lapse.map(|lapse| say::t("account-lapsed").with("why", &lapse.why).to_string());
    let services = services(&hub, &visitor);
    let view = HomePage { shell, part, notice, services };
    Ok(page(StatusCode::OK, &view))
}

/// The services that are to be shown and that the person may use.
fn services(hub: &Hub, visitor: &Visitor) -> Vec<(String, String)> {
    let scopes = Scopes::of_user(&visitor.user, &hub.config().people.roles);
    let all = hub.all_services();
    let shown = all.0.values().filter(|service| {
        let is_page = service.display && service.url.is_some();
        is_page && scopes.reach_service("access:services", &service.name)
    });
    shown.map(|service| (service.name.clone(), service.prefix())).collect()
}

/// `GET /hub/` and `/`
pub async fn entry() -> Redirect {
    Redirect::to("/hub/home")
}
