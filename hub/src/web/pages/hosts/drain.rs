//! Emptying a host: who is hit and what becomes of each, looked at before anything is done; then
//! the order itself.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use berth_common::{HostId, Seconds, Timestamp};
use berth_core::drain::single::{AtDeadline, End};
use berth_core::event::Event;
use berth_core::fleet::{Intent, Order};
use berth_core::settings::Channel;
use berth_core::{Answer, Fleet};
use berth_process::clock::now;
use serde::Deserialize;

use crate::auth::form::query_value;
use crate::auth::{AdminVisitor, CheckedForm};
use crate::site::Hub;
use crate::web::error::cut;
use crate::web::foretold::{self, Foretold, HeldGpu, Hit};
use crate::web::pages::card;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::{self, Moment, Relative};
use crate::web::say;

/// The deadlines that are offered: seconds, and the texts that name them. None: no deadline.
const DEADLINES: [(u64, &str); 6] = [
    (600, "in-10-minutes"),
    (7_200, "in-2-hours"),
    (28_800, "in-8-hours"),
    (86_400, "in-a-day"),
    (259_200, "in-3-days"),
    (0, "when-all-ended"),
];

/// The deadline that is preset.
const USUAL: u64 = 86_400;

#[derive(Template)]
#[template(path = "host-drain.html")]
struct DrainPage {
    shell: Shell,
    host: String,
    xsrf: String,
    /// Seconds, words, whether it is chosen.
    deadlines: Vec<(u64, String, bool)>,
    by: u64,
    hold: bool,
    reason: String,
    empty_at: Option<Moment>,
    without_place: usize,
    rows: Vec<Fate>,
    told: Option<Told>,
}

/// Whom the order would be told, and in what words.
struct Told {
    /// How many, when, and by which ways.
    whom: String,
    /// What they would read.
    text: String,
}

/// What becomes of one server.
struct Fate {
    id: String,
    owner: String,
    title: String,
    profile: String,
    memory: String,
    /// The GPUs it holds, each with its use.
    gpus: Vec<String>,
    /// Its kernels and terminals, as far as its host tells.
    work: Vec<String>,
    activity: Relative,
    what: String,
    class: &'static str,
    at: Option<Moment>,
    /// Where its next start would have room; empty: nowhere.
    place: String,
}

/// `GET /hub/admin/hosts/{host}/drain?by=&hold=&reason=`: changes nothing.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    AdminVisitor(visitor): AdminVisitor,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let id: HostId = id.parse().map_err(|_| PageError::NotFound)?;
    if !fleet.hosts.contains_key(&id) {
        return Err(PageError::NotFound);
    }
    let by = query_value(&uri, "by").and_then(|text| text.parse().ok());
    let by = by.filter(|by| DEADLINES.iter().any(|(known, _)| known == by)).unwrap_or(USUAL);
    let hold = query_value(&uri, "hold").is_some_and(|text| text == "yes");
    let reason = cut(&query_value(&uri, "reason").unwrap_or_default());
    let now = now();
    let deadline = deadline(by, now);
    let plan = foretold::plan(&fleet, &id, deadline, Some(at_deadline(hold)));
    let foretold = Foretold::of(&fleet, &id, deadline, &plan, now);
    let shell = Shell::of(
        &visitor,
        say::t("drain-host").with("host", id.as_str()).to_string(),
        Here::Hosts,
    );
    Ok(page(
        StatusCode::OK,
        &DrainPage {
            shell,
            host: id.to_string(),
            xsrf: visitor.xsrf.clone(),
            deadlines: DEADLINES
                .map(|(seconds, key)| (seconds, say::t(key).to_string(), seconds == by))
                .into(),
            by,
            hold,
            empty_at: foretold.empty_at(now).map(Moment::from),
            without_place: foretold.without_place(),
            rows: foretold.hits().map(|hit| Fate::of(&fleet, &hit, now)).collect(),
            told: told(&foretold, &reason, hub.config().hub.mail.is_some(), now),
            reason,
        },
    ))
}

fn deadline(by: u64, now: Timestamp) -> Option<Timestamp> {
    (by > 0).then(|| now.plus(Seconds(by)))
}

fn at_deadline(hold: bool) -> AtDeadline {
    if hold { AtDeadline::Hold } else { AtDeadline::Stop }
}

impl Fate {
    fn of(fleet: &Fleet, hit: &Hit<'_>, now: Timestamp) -> Self {
        let server = hit.server;
        let (what, class, at) = match hit.end {
            End::Idle(at) => (say::t("fate-idle"), "is-good", Some(at)),
            End::Restarted(at) => (say::t("fate-restarted"), "is-good", Some(at)),
            End::Stopped(at) => (say::t("fate-stopped"), "is-warn", Some(at)),
            End::Interrupted(at) => (say::t("fate-interrupted"), "is-bad", Some(at)),
            End::Held => (say::t("fate-held"), "is-busy", None),
        };
        let used = hit.used.unwrap_or_default();
        let gpu = |held: &HeldGpu<'_>| {
            let model = held.model.map_or_else(|| held.gpu.to_string(), ToOwned::to_owned);
            match held.busy() {
                Some(busy) => say::t("drain-gpu").with("gpu", model).with("busy", busy).to_string(),
                None => model,
            }
        };
        Self {
            id: server.id.to_string(),
            owner: server.owner.to_string(),
            title: words::server_title(&server.name).to_owned(),
            profile: card::profile_title(fleet, &server.ask.profile),
            memory: say::t("some-of").with("some", used).with("all", server.ask.memory).to_string(),
            gpus: hit.gpus.iter().map(gpu).collect(),
            work: words::work(hit.kernels, hit.terminals),
            activity: words::ago(server.last_activity, now),
            what: what.to_string(),
            class,
            at: at.map(Moment::from),
            place: hit.place.map(ToString::to_string).unwrap_or_default(),
        }
    }
}

fn told(foretold: &Foretold<'_>, reason: &str, has_mail: bool, now: Timestamp) -> Option<Told> {
    let telling = foretold.telling(has_mail);
    let people = Some(telling.people.len()).filter(|people| *people > 0)?;
    let ways = telling.channels.iter().map(|way| match way {
        Channel::Lab => say::t("told-lab").to_string(),
        Channel::Card => say::t("told-card").to_string(),
        Channel::Mail => say::t("told-mail").to_string(),
    });
    let leads = telling.leads.iter().map(|lead| words::long(*lead));
    let leads = leads.collect::<Vec<_>>().join(", ");
    let whom = say::t(if leads.is_empty() { "drain-told-once" } else { "drain-told" });
    let whom = whom
        .with("people", people)
        .with("leads", leads)
        .with("ways", ways.collect::<Vec<_>>().join(", "));
    let reason = match reason {
        "" => say::t("drain-your-reason").to_string(),
        given => given.to_owned(),
    };
    let order = Order { reason, who: String::new(), at: now };
    let text = foretold.text(&order, words::leaving);
    Some(Told { whom: whom.to_string(), text: format!("{text} {}", say::t("leaving-next")) })
}

/// What is wanted with a host.
#[derive(Debug, Deserialize)]
pub struct IntentForm {
    intent: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    by: u64,
    #[serde(default)]
    hold: String,
}

/// `POST /hub/admin/hosts/{host}/intent`: takes servers again, takes nothing new, or is emptied.
pub async fn change(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<String>,
    CheckedForm { visitor, form }: CheckedForm<IntentForm>,
) -> Result<Response, PageError> {
    if !visitor.admin {
        return Err(PageError::NotFound);
    }
    let host: HostId = id.parse().map_err(|_| PageError::NotFound)?;
    let now = now();
    let who = visitor.user.account.name.to_string();
    let order = || match form.reason.trim() {
        "" => Err(PageError::BadForm(say::t("drain-say-why").to_string())),
        reason => Ok(Order { reason: cut(reason), who: who.clone(), at: now }),
    };
    let intent = match form.intent.as_str() {
        "open" => Intent::Open,
        "cordoned" => Intent::Cordoned(order()?),
        "draining" => {
            let by = deadline(form.by, now);
            let at_deadline = at_deadline(form.hold == "yes");
            let plan = foretold::plan(&hub.fleet.fleet(), &host, by, Some(at_deadline));
            Intent::Draining { order: order()?, by, plan }
        }
        other => return Err(PageError::BadForm(format!("There is no intent {}", cut(other)))),
    };
    let reason = intent.order().map(|order| order.reason.clone());
    let event = Event::Intend { host: host.clone(), intent, reply: None };
    if hub.fleet.ask(event).await? == Answer::NoSuchHost {
        return Err(PageError::NotFound);
    }
    tracing::info!(%host, intent = form.intent, why = reason, by = who, "intent of a host");
    Ok(Redirect::to(&format!("/hub/admin/hosts/{host}")).into_response())
}
