//! The rehearsal with real servers on a training's page: what came of the last, and the button for
//! the next.

use std::sync::Arc;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use berth_common::Seconds;
use berth_core::Fleet;
use berth_core::agenda::Rehearsal;
use berth_core::fleet::Order;
use berth_core::settings::Training;
use berth_process::clock::now;
use serde::Deserialize;

use super::{back, cared, refused};
use crate::audit::Actor;
use crate::auth::CheckedForm;
use crate::site::Hub;
use crate::trainings::dress::{self, Refused, Wanted};
use crate::web::pages::error::PageError;
use crate::web::pages::words::{self, Moment};
use crate::web::say;

/// The rehearsal that is under way, or was the last.
pub struct Rehearsed {
    /// When it was ordered.
    pub at: Moment,
    /// Who, and how many got ready.
    pub words: String,
    /// What that means for all; nothing while it is not known.
    pub verdict: Option<String>,
    /// Whether servers of it are there.
    pub under_way: bool,
}

impl Rehearsed {
    /// Of a training; `None`: it was never rehearsed.
    pub fn of(hub: &Hub, fleet: &Fleet, name: &str, training: &Training) -> Option<Self> {
        let all = hub.agenda.rehearsals().into_iter().rev();
        let last = all.map(|(_, it)| it).find(|it| it.training == name)?;
        let last = if last.is_under_way() { last.measured(fleet) } else { last };
        let words = say::t("training-rehearsed").with("who", &last.order.who);
        let words = words.with("ready", last.ready()).with("servers", last.seats.len());
        Some(Self {
            at: Moment::from(last.order.at),
            words: words.to_string(),
            verdict: verdict(&last, training),
            under_way: last.is_under_way(),
        })
    }
}

fn verdict(rehearsal: &Rehearsal, training: &Training) -> Option<String> {
    if !rehearsal.seats.iter().all(|seat| seat.is_settled()) {
        return None;
    }
    let foreseen = Seconds(rehearsal.foreseen_ms(training.expected)?.div_ceil(1000));
    let said = say::t("training-rehearsed-all").with("people", training.expected);
    let said = said.with("takes", words::long(foreseen));
    Some(said.with("within", words::long(training.start_within)).to_string())
}

/// The field of the form.
#[derive(Debug, Deserialize)]
pub struct RehearsalForm {
    #[serde(default)]
    act: String,
}

/// `POST /hub/trainings/{name}/rehearsal`
pub async fn rehearse(
    Shared(hub): Shared<Arc<Hub>>,
    Path(name): Path<String>,
    CheckedForm { visitor, form }: CheckedForm<RehearsalForm>,
) -> Result<Response, PageError> {
    let fleet = hub.fleet.fleet();
    let (training, profile, _) = cared(&fleet, &visitor.user, visitor.admin, &name)?;
    match form.act.as_str() {
        "begin" => {
            let order = Order { reason: "rehearsal".into(), who: visitor.actor(), at: now() };
            let account = visitor.user.account.clone();
            let wanted = Wanted { account, servers: None, keep: None, order };
            let act = visitor.act("training-rehearse").on(&name);
            match dress::begin(&hub, act, (&name, training, profile), wanted).await {
                Ok(_) => Ok(back(&name)),
                Err(Refused::Storage(error)) => Err(error.into()),
                Err(Refused::Another { who, training, since }) => {
                    let said = say::t("rehearsal-another").with("who", who);
                    let said = said.with("training", training).with("since", since);
                    Ok(refused(&said.to_string()))
                }
                Err(Refused::SomebodyWaits(pool)) => {
                    Ok(refused(&say::t("rehearsal-somebody-waits").with("pool", pool).to_string()))
                }
                Err(Refused::NoRoom(pool)) => {
                    Ok(refused(&say::t("rehearsal-no-room").with("pool", pool).to_string()))
                }
            }
        }
        "end" => {
            let act = visitor.act("training-rehearse-end").on(&name);
            // Whoever was first has ended it, too.
            dress::end(&hub, act, &name, now()).await?;
            Ok(back(&name))
        }
        _ => Err(PageError::BadForm(form.act)),
    }
}
