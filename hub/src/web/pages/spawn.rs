//! New server: the profiles as tiles, each with its choices and, before the click, what would
//! come of them for this person. A link pre-fills the form and never starts anything.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use berth_common::ByteCount;
use berth_common::link::Account;
use berth_core::event::Wish;
use berth_core::{Answer, Decision, Fleet, Outcome};
use berth_process::clock::now;
use serde::Deserialize;

use crate::actions;
use crate::audit;
use crate::auth::form::query_pairs;
use crate::auth::visitor::found;
use crate::auth::{CheckedForm, Next, Right, Visitor};
use crate::site::Hub;
use crate::trainings::Role;
use crate::web::pages::board::Board;
use crate::web::pages::error::PageError;
use crate::web::pages::servers::after_start;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::target::{self, Target};
use crate::web::pages::tile::{Asking, Kind, Tile};
use crate::web::pages::words;
use crate::web::say;

#[derive(Template)]
#[template(path = "spawn.html")]
struct SpawnPage {
    shell: Shell,
    xsrf: String,
    /// Where the forms go.
    action: String,
    /// Whose and which, for the paths of what the form asks.
    target: String,
    tiles: Vec<Tile>,
    /// Those that stand behind a fold.
    others: Vec<Tile>,
    name: NameField,
    next: String,
    alert: Option<Alert>,
    /// The person who will own it, if it is not the visitor.
    other: Option<String>,
    /// Whether this is the person's first one.
    first: bool,
    /// What stands above the choices.
    board: Board,
}

/// What the form says about the new server's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameField {
    /// The path gives it.
    Fixed(String),
    /// May be left empty: that is the default server.
    Optional(String),
    /// The default server is in use.
    Needed(String),
}

/// Why the last try did not lead to a server.
struct Alert {
    text: String,
    /// With the numbers of the case, where the text has none.
    detail: String,
    remedy: String,
    decision: Option<String>,
}

/// The choices of a link or of a form that came back.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Choices {
    pub(super) profile: String,
    pub(super) memory: String,
    /// An amount in GB, where `memory` says [`OWN`].
    own: String,
    pub(super) image: String,
    pub(super) gpus: String,
    /// A model of GPU; empty: any.
    #[serde(rename = "gpu-model")]
    pub(super) gpu_model: String,
    name: String,
    next: String,
}

/// Where the buttons above the form come back to.
const HERE: &str = "/hub/spawn";

/// What the choice of memory says when it is none of those offered.
pub const OWN: &str = "own";

impl Choices {
    /// Of a link: `opt-memory=8G`, or plain `memory=8G`. As in JupyterHub, plain ones are options
    /// only where none is marked.
    pub(super) fn of_link(uri: &Uri) -> Self {
        let pairs = query_pairs(uri);
        let value = |name: &str| {
            let found = pairs.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let marked = pairs.iter().any(|(key, _)| key.starts_with("opt-"));
        let mark = if marked { "opt-" } else { "" };
        let option = |name: &str| value(&format!("{mark}{name}"));
        Self {
            profile: option("profile"),
            memory: option("memory"),
            own: option("own"),
            image: option("image"),
            gpus: option("gpus"),
            gpu_model: option("gpu-model"),
            name: value("name"),
            next: value("next"),
        }
    }

    /// The amount, as one reads it: `8G`.
    pub(super) fn amount(&self) -> String {
        if self.memory == OWN { format!("{}G", self.own.trim()) } else { self.memory.clone() }
    }

    pub(super) fn wish(&self) -> Result<Wish, PageError> {
        let said = |text: &String| (!text.is_empty()).then(|| text.clone());
        let memory = said(&self.amount()).map(|text| text.parse::<ByteCount>()).transpose();
        let memory = memory.map_err(|_| {
            let why = say::t("error-memory").with("why", say::t("error-amount"));
            PageError::BadForm(why.to_string())
        })?;
        let gpus = said(&self.gpus).map(|text| text.parse::<u32>()).transpose();
        let gpus = gpus.map_err(|_| PageError::BadForm(say::t("error-gpus").to_string()))?;
        Ok(Wish {
            profile: said(&self.profile),
            memory,
            image: said(&self.image),
            gpus,
            gpu_model: said(&self.gpu_model),
            as_before: self.says_nothing(),
            ..Wish::default()
        })
    }

    /// A bare press of Start repeats the last start.
    fn says_nothing(&self) -> bool {
        self.profile.is_empty()
            && self.memory.is_empty()
            && self.image.is_empty()
            && self.gpus.is_empty()
            && self.gpu_model.is_empty()
    }

    /// As JupyterHub keeps them: each a list of strings.
    fn user_options(&self) -> String {
        let memory = self.amount();
        let options = [
            ("profile", &self.profile),
            ("memory", &memory),
            ("image", &self.image),
            ("gpus", &self.gpus),
            ("gpu_model", &self.gpu_model),
        ];
        let said = options.into_iter().filter(|(_, value)| !value.is_empty());
        let lists = said.map(|(name, value)| (name.to_owned(), serde_json::json!([value])));
        serde_json::Value::Object(lists.collect()).to_string()
    }
}

/// `GET /hub/spawn`, `/hub/spawn/{user}` and `/hub/spawn/{user}/{server}`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(path): Path<Vec<(String, String)>>,
    uri: Uri,
) -> Result<Response, PageError> {
    let target = Target::of(&path, &visitor, Right::StartServers)?;
    let choices = Choices::of_link(&uri);
    let next = Next::parse(&choices.next, &hub.config().hub.public_url);
    let fleet = hub.fleet.fleet();
    // A path that names a server, or a link that wants to go on, is served by what runs already.
    let named = !path.is_empty() || next.is_some();
    if let Some(server) =
        fleet.find(&target.owner, &target.name).filter(|it| named && it.is_active())
    {
        let running = Answer::AlreadyRunning(server.id.clone());
        let pending = Answer::AlreadyPending(server.id.clone());
        let answer = if hub.is_open(server) { running } else { pending };
        return Ok(after_start(&answer, &target, next.as_ref()));
    }
    show_form(&hub, &visitor, &target, &choices, None, StatusCode::OK)
}

/// The form for a person's own new server.
pub fn form(hub: &Hub, visitor: &Visitor, uri: &Uri) -> Result<Response, PageError> {
    let target = Target::of(&[], visitor, Right::StartServers)?;
    show_form(hub, visitor, &target, &Choices::of_link(uri), None, StatusCode::OK)
}

/// `POST` to the same paths: the only way to a start.
pub async fn start(
    State(hub): State<Arc<Hub>>,
    Path(path): Path<Vec<(String, String)>>,
    CheckedForm { visitor, form: choices }: CheckedForm<Choices>,
) -> Result<Response, PageError> {
    let mut target = Target::of(&path, &visitor, Right::StartServers)?;
    if target.name.is_default() && !choices.name.trim().is_empty() {
        match choices.name.trim().parse() {
            Ok(name) => target.name = name,
            Err(_) => {
                let alert = Alert {
                    text: say::t("error-name").to_string(),
                    detail: String::new(),
                    remedy: String::new(),
                    decision: None,
                };
                let status = StatusCode::BAD_REQUEST;
                return show_form(&hub, &visitor, &target, &choices, Some(alert), status);
            }
        }
    }
    let account = target::account(&hub, &visitor, &target.owner)?;
    let next = Next::parse(&choices.next, &hub.config().hub.public_url);
    let (wish, options) = (choices.wish()?, choices.user_options());
    let options = (!choices.says_nothing()).then_some(options);
    let (owner, path) = (target.owner.as_str(), target.path());
    audit::on_server(&hub, &visitor, "server-start", owner, &path).await?;
    let answer = actions::start(&hub, account, target.name.clone(), wish, options, true).await?;
    match &answer {
        Answer::Refused(decision) => {
            let alert = Alert::of(decision);
            show_form(&hub, &visitor, &target, &choices, Some(alert), StatusCode::CONFLICT)
        }
        _ => Ok(after_start(&answer, &target, next.as_ref())),
    }
}

impl Alert {
    fn of(decision: &Decision) -> Self {
        let (text, detail) = words::outcome(decision);
        Self {
            text,
            detail,
            remedy: say::remedy(decision.reason()),
            decision: Some(decision.id.to_string()),
        }
    }
}

fn show_form(
    hub: &Hub,
    visitor: &Visitor,
    target: &Target,
    choices: &Choices,
    alert: Option<Alert>,
    status: StatusCode,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let account = target::account(hub, visitor, &target.owner)?;
    let server = fleet.find(&target.owner, &target.name);
    let last = server.map(|server| &server.ask);
    let verdict = |wish| actions::dry_run_on(&fleet, account.clone(), target.name.clone(), wish);
    let own = server.map(|server| &server.id);
    let asking = Asking { fleet: &fleet, account: &account, choices, last, own, dry_run: &verdict };
    let (mut tiles, others) = split(Tile::all(&asking), &fleet, &account, choices);
    if let [tile] = &mut *tiles {
        tile.alone = tile.is_plain();
    }
    let own = visitor.user.account.name == target.owner;
    let read = hub.storage.read(|reader| reader.notices_read(&visitor.user.account.name))?;
    let next = Next::parse(&choices.next, &hub.config().hub.public_url);
    let view = SpawnPage {
        shell: Shell::of(visitor, say::t("nav-new").to_string(), Here::New),
        xsrf: visitor.xsrf.clone(),
        action: format!("/hub/spawn/{}", target.path()),
        target: target.path(),
        tiles,
        others,
        name: name_field(&fleet, target, choices),
        next: next.map(|next| next.to_string()).unwrap_or_default(),
        alert,
        other: (!own).then(|| target.owner.to_string()),
        board: Board::unread(hub, &fleet, &visitor.user, &read, (&visitor.xsrf, HERE), now()),
        first: own && fleet.servers_of(&target.owner).next().is_none(),
    };
    Ok(page(status, &view))
}

/// Who takes part in a training that is on sees its button alone, and all else behind a fold.
fn split(
    tiles: Vec<Tile>,
    fleet: &Fleet,
    account: &Account,
    choices: &Choices,
) -> (Vec<Tile>, Vec<Tile>) {
    let is_course = |tile: &Tile| {
        let training = fleet.settings.trainings.get(&tile.key);
        let role = training.and_then(|training| Role::of(account, false, training));
        role == Some(Role::Participant) && !tile.is_closed()
    };
    if choices.profile.is_empty() && tiles.iter().any(is_course) {
        tiles.into_iter().partition(is_course)
    } else {
        (tiles, Vec::new())
    }
}

fn name_field(fleet: &Fleet, target: &Target, choices: &Choices) -> NameField {
    if !target.name.is_default() {
        return NameField::Fixed(target.name.to_string());
    }
    let typed = choices.name.trim().to_owned();
    match fleet.find(&target.owner, &target.name) {
        Some(server) if server.is_active() => NameField::Needed(typed),
        _ => NameField::Optional(typed),
    }
}

/// `GET /hub/user-redirect/{path}`: a link for everybody becomes a link to one's own server.
pub async fn user_redirect(visitor: Visitor, uri: Uri) -> Response {
    let owner = &visitor.user.account.name;
    let path = uri.path().trim_start_matches("/hub/user-redirect/");
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let next = crate::auth::next::escape(&format!("/user/{owner}/{path}{query}"));
    found(&format!("/hub/spawn/{owner}?next={next}"))
}

/// What a decision would mean, by its colour.
pub fn outcome_class(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Placed { .. } => "good",
        Outcome::Waits { .. } => "warn",
        Outcome::Refused { .. } => "bad",
    }
}
