//! Home: a person's servers as cards; the form itself for a person who has none.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{Redirect, Response};
use berth_common::{Timestamp, Username};
use berth_core::Fleet;
use berth_process::clock::now;

use crate::auth::Visitor;
use crate::auth::scopes::Scopes;
use crate::site::Hub;
use crate::web::pages::board::Board;
use crate::web::pages::card::Card;
use crate::web::pages::error::PageError;
use crate::web::pages::farm::FarmPart;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::spawn;
use crate::web::pages::visits::{self, Line};
use crate::web::say;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    shell: Shell,
    cards: Cards,
    /// What the owner should know about the account itself.
    notice: Option<String>,
    /// What stands above the servers.
    board: Board,
    /// Who entered the owner's servers.
    visits: Vec<Line>,
    /// Name and path of the services that the person may use.
    services: Vec<(String, String)>,
}

/// The part of the page that is kept up to date.
#[derive(Template)]
#[template(path = "cards.html")]
pub struct Cards {
    xsrf: String,
    cards: Vec<Card>,
    /// Where buttons come back to.
    here: &'static str,
}

impl Cards {
    /// The cards of a person: what runs first, then what ended, newest first.
    pub fn of(hub: &Hub, fleet: &Fleet, owner: &Username, xsrf: &str, now: Timestamp) -> Self {
        let mut servers: Vec<_> = fleet.servers_of(owner).collect();
        servers.sort_by_key(|server| {
            let ended = server.last_end.as_ref().map(|end| end.at);
            (!server.is_active(), std::cmp::Reverse(ended.filter(|_| !server.is_active())))
        });
        let cards = servers
            .into_iter()
            .map(|server| Card { farm: FarmPart::of(hub, server), ..Card::of(fleet, server, now) })
            .collect();
        Self { xsrf: xsrf.to_owned(), cards, here: "/hub/home" }
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
    let cards = Cards::of(&hub, &fleet, owner, &visitor.xsrf, now());
    let shell = Shell::of(&visitor, say::t("nav-home").to_string(), Here::Home);
    let lapse = hub.storage.read(|reader| reader.lapse(owner))?;
    let notice = lapse.map(|lapse| say::t("account-lapsed").with("why", &lapse.why).to_string());
    let visits = visits::lines(&hub, &fleet, owner)?.into_iter().map(|(_, line)| line).collect();
    let services = services(&hub, &visitor);
    let board = Board::of(&hub, &fleet, &visitor.user, now());
    let view = HomePage { shell, cards, notice, board, visits, services };
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
