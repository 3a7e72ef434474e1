//! What a start would mean, said before the click and again after each change of the form: with
//! whom it shares its host, how long it lives, what it leaves of the quota.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use berth_common::{ByteCount, HostId};
use berth_core::rules::{Person, quota_of};
use berth_core::{Decision, Fleet};
use berth_process::clock::now;

use crate::actions;
use crate::auth::{Right, Visitor};
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::page;
use crate::web::pages::spawn::Choices;
use crate::web::pages::target::{self, Target};
use crate::web::pages::tile::{Verdict, VerdictPart};
use crate::web::pages::words;
use crate::web::say;

/// Carries the verdict's colour beside its text.
const CLASS: HeaderName = HeaderName::from_static("x-berth-verdict");

/// `GET /hub/forecast/{user}` and `/{user}/{server}`: the verdict on the form's choices, to be put
/// in place. It changes nothing.
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(path): Path<Vec<(String, String)>>,
    uri: Uri,
) -> Result<Response, PageError> {
    let (fleet, decision) = decide(&hub, &visitor, &path, &uri)?;
    let verdict = Verdict::of(&fleet, &decision);
    let mut response =
        page(StatusCode::OK, &VerdictPart { verdict: verdict.kind, why: verdict.why });
    response.headers_mut().insert(CLASS, HeaderValue::from_static(verdict.class));
    Ok(response)
}

/// What would come of the form's choices. Nothing is recorded.
pub fn decide(
    hub: &Hub,
    visitor: &Visitor,
    path: &[(String, String)],
    uri: &Uri,
) -> Result<(Arc<Fleet>, Decision), PageError> {
    let target = Target::of(path, visitor, Right::StartServers)?;
    let wish = Choices::of_link(uri).wish()?;
    let account = target::account(hub, visitor, &target.owner)?;
    let fleet = hub.fleet.fleet();
    let decision = actions::dry_run_on(&fleet, account, target.name, wish);
    Ok((fleet, decision))
}

/// The sentence behind "starts now".
pub fn forecast(fleet: &Fleet, decision: &Decision, host: &HostId) -> String {
    let others = fleet.placed_on(host).filter(|(it, _)| it.id != decision.server).count();
    let shared = say::t("forecast-shared").with("others", others);
    format!("{shared} {} {}", life(fleet, decision), quota(fleet, decision)).trim_end().to_owned()
}

fn life(fleet: &Fleet, decision: &Decision) -> String {
    let name = decision.ask.profile.as_str();
    let pool = fleet.settings.profiles.get(name).map_or("", |profile| profile.pool.as_str());
    let groups: Vec<_> = decision.groups.iter().map(String::as_str).collect();
    let owner = Some((&decision.user, groups.as_slice()));
    let rule = fleet.settings.lifecycle.idle_rule(pool, name, owner);
    let said = match rule.and_then(|rule| rule.stop_after) {
        Some(limit) => say::t("forecast-idle").with("span", words::long(limit)),
        None => say::t("forecast-never"),
    };
    said.to_string()
}

fn quota(fleet: &Fleet, decision: &Decision) -> String {
    let groups: Vec<_> = decision.groups.iter().map(String::as_str).collect();
    let person = Person { name: &decision.user, groups: &groups };
    let Some((limit, _)) = quota_of(&fleet.settings.quotas, person, now()).memory else {
        return String::new();
    };
    let used = held(fleet, decision).plus(decision.ask.memory);
    say::t("forecast-quota").with("used", used).with("limit", limit).to_string()
}

/// What the person's other servers hold.
fn held(fleet: &Fleet, decision: &Decision) -> ByteCount {
    let others = fleet.servers_of(&decision.user);
    let others = others.filter(|it| it.is_active() && it.id != decision.server);
    others.fold(ByteCount::ZERO, |sum, server| {
        let placed = server.placement().map(|placement| placement.reservation.memory);
        sum.plus(placed.unwrap_or(server.ask.memory))
    })
}
