//! Help: the rules of the site as its files say them now, and what each reason code means.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use berth_common::Reason;
use berth_core::Settings;
use berth_core::settings::Profile;

use crate::auth::{MaybeVisitor, Visitor};
use crate::config::Support;
use crate::site::Hub;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words;
use crate::web::say;

#[derive(Template)]
#[template(path = "help.html")]
struct HelpPage {
    shell: Shell,
    profiles: Vec<ProfileRules>,
    extend: Option<String>,
    warn: String,
    /// Where to ask for help.
    support: Option<String>,
    reasons: Vec<Meaning>,
}

/// How long servers of a profile live.
struct ProfileRules {
    title: String,
    use_case: String,
    memory: String,
    idle: String,
    age: Option<String>,
}

/// A code with its sentence.
struct Meaning {
    code: &'static str,
    text: String,
}

#[derive(Template)]
#[template(path = "help-reason.html")]
struct ReasonPage {
    shell: Shell,
    code: &'static str,
    text: String,
    remedy: String,
}

/// `GET /hub/help`
pub async fn show(State(hub): State<Arc<Hub>>, visitor: Visitor) -> Response {
    let fleet = hub.fleet.fleet();
    let settings = &fleet.settings;
    let groups: Vec<_> =
        visitor.user.account.groups.iter().map(|group| group.name.as_str()).collect();
    let rules = |(name, profile): (&String, &Profile)| {
        profile_rules(settings, name, profile, &visitor, &groups)
    };
    let leads = settings.lifecycle.warn.leads.iter().map(|lead| words::long(*lead));
    let can_extend = settings.lifecycle.extend.max_times.default > 0;
    let view = HelpPage {
        shell: Shell::of(&visitor, say::t("help-title").to_string(), Here::Help),
        profiles: settings.profiles.iter().map(rules).collect(),
        extend: can_extend.then(|| words::long(settings.lifecycle.extend.step)),
        warn: leads.collect::<Vec<_>>().join(", "),
        support: hub.config().people.support.as_ref().map(Support::plain),
        reasons: Reason::ALL
            .iter()
            .map(|it| Meaning { code: it.code(), text: say::reason(*it) })
            .collect(),
    };
    page(StatusCode::OK, &view)
}

fn profile_rules(
    settings: &Settings,
    name: &str,
    profile: &Profile,
    visitor: &Visitor,
    groups: &[&str],
) -> ProfileRules {
    let owner = Some((&visitor.user.account.name, groups));
    let rules = &settings.lifecycle;
    let idle = rules.idle_rule(&profile.pool, name, owner).and_then(|rule| rule.stop_after);
    ProfileRules {
        title: words::written(settings, &profile.title),
        use_case: words::written(settings, &profile.use_case),
        memory: profile.memory_max.to_string(),
        idle: idle.map_or_else(|| say::t("help-idle-never").to_string(), words::long),
        age: rules.max_age.of(name).map(words::long),
    }
}

/// `GET /hub/help/{code}`: what a reason means. It says nothing about anybody, so a link to it can
/// be sent to people who are not logged in.
pub async fn reason(
    MaybeVisitor(visitor): MaybeVisitor,
    Path(code): Path<String>,
) -> Result<Response, PageError> {
    let reason: Reason = code.parse().map_err(|_| PageError::NotFound)?;
    let shell = match &visitor {
        Some(visitor) => Shell::of(visitor, reason.code(), Here::Help),
        None => Shell::stranger(reason.code()),
    };
    let (text, remedy) = (say::reason(reason), say::remedy(reason));
    Ok(page(StatusCode::OK, &ReasonPage { shell, code: reason.code(), text, remedy }))
}
