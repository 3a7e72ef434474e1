//! Why? The request, each rule with its line in the site's files, and how each host fared.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use berth_common::{ByteCount, DecisionId};
use berth_core::decision::{HostLine, HostVerdict, Rule, Term};
use berth_core::{Decision, Outcome};

use crate::auth::Visitor;
use crate::site::Hub;
use crate::web::pages::card::profile_title;
use crate::web::pages::error::PageError;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::spawn::outcome_class;
use crate::web::pages::target::may_act;
use crate::web::pages::words::{self, Moment};

#[derive(Template)]
#[template(path = "decision.html")]
struct DecisionPage {
    shell: Shell,
    id: String,
    at: Moment,
    user: String,
    server: String,
    path: String,
    profile: String,
    memory: ByteCount,
    image: String,
    class: &'static str,
    word: &'static str,
    code: &'static str,
    sentence: String,
    remedy: &'static str,
    /// In words, and as a form sends it.
    nearest: Option<(ByteCount, String)>,
    rules: Vec<Rule>,
    hosts: Vec<Line>,
}

/// One host's line.
struct Line {
    host: String,
    class: &'static str,
    word: &'static str,
    code: &'static str,
    reason: &'static str,
    detail: String,
    terms: Vec<Term>,
}

/// `GET /hub/decisions/{id}`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let id: DecisionId = id.parse().map_err(|_| PageError::NotFound)?;
    let decision = hub.storage.read(|reader| reader.decision(&id))?;
    let decision = decision.filter(|decision| may_act(&visitor, &decision.user));
    let decision = decision.ok_or(PageError::NotFound)?;
    let profile = profile_title(&hub.fleet.fleet(), &decision.ask.profile);
    Ok(page(StatusCode::OK, &view(Shell::of(&visitor, "Why?", Here::Nowhere), decision, profile)))
}

fn view(shell: Shell, decision: Decision, profile: String) -> DecisionPage {
    let reason = decision.reason();
    let word = match &decision.outcome {
        Outcome::Placed { .. } => "placed",
        Outcome::Waits { .. } => "waits",
        Outcome::Refused { .. } => "refused",
    };
    DecisionPage {
        shell,
        id: decision.id.to_string(),
        at: Moment::from(decision.at),
        user: decision.user.to_string(),
        server: words::server_title(&decision.name).to_owned(),
        path: words::server_path(&decision.user, &decision.name),
        profile,
        memory: decision.ask.memory,
        image: decision.ask.image.clone(),
        class: outcome_class(&decision.outcome),
        word,
        code: reason.code(),
        sentence: decision.sentence(),
        remedy: reason.remedy(),
        nearest: decision.nearest.map(|memory| (memory, words::form_amount(memory))),
        rules: decision.rules,
        hosts: decision.hosts.into_iter().map(line).collect(),
    }
}

fn line(line: HostLine) -> Line {
    let host = line.host.to_string();
    let possible = |class, word, terms| Line {
        host: host.clone(),
        class,
        word,
        code: "",
        reason: "",
        detail: String::new(),
        terms,
    };
    match line.verdict {
        HostVerdict::Chosen { terms } => possible("is-good", "chosen", terms),
        HostVerdict::Possible { terms } => possible("is-busy", "possible", terms),
        HostVerdict::Excluded { reason, detail } => Line {
            code: reason.code(),
            reason: reason.text(),
            detail,
            ..possible("", "excluded", Vec::new())
        },
    }
}
