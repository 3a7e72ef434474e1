//! Why? The request, each rule with its line in the site's files, and how each host fared.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use berth_common::{ByteCount, DecisionId, Reason};
use berth_core::decision::{Excluded, HostLine, HostVerdict, Nearest, Obstacle, Rule};
use berth_core::{Decision, Outcome};

use crate::auth::form::query_value;
use crate::auth::{Right, Visitor};
use crate::explanation;
use crate::plan::replay;
use crate::site::Hub;
use crate::web::pages::again::Again;
use crate::web::pages::card::profile_title;
use crate::web::pages::error::PageError;
use crate::web::pages::forecast;
use crate::web::pages::recorded;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::spawn::outcome_class;
use crate::web::pages::target::may;
use crate::web::pages::words::{self, Moment};
use crate::web::say;

#[derive(Template)]
#[template(path = "decision.html")]
struct DecisionPage {
    shell: Shell,
    /// Whether it was made; else it is what would come of a request.
    recorded: bool,
    id: String,
    at: Moment,
    user: String,
    server: String,
    profile: String,
    memory: ByteCount,
    gpus: u32,
    gpu_model: Option<String>,
    image: String,
    class: &'static str,
    word: String,
    code: &'static str,
    sentence: String,
    /// The numbers of the case, where the sentence has none.
    detail: String,
    remedy: String,
    nearest: Vec<Way>,
    rules: Vec<Rule>,
    possible: u32,
    /// Hosts by the first rule that excludes them.
    excluded: Vec<Excluded>,
    hosts: Vec<Line>,
    /// For who sees all servers and asks: what would come of it under the files of now.
    again: Option<Again>,
    may_ask_again: bool,
    /// For administrators: the number of the files that it was made under.
    version: Option<u64>,
}

/// Something with which it would have started.
struct Way {
    text: String,
    /// Where to ask for that.
    link: Option<String>,
}

/// One host's line.
struct Line {
    host: String,
    chosen: bool,
    class: &'static str,
    word: String,
    /// All rules that exclude it.
    obstacles: Vec<Obstacle>,
    terms: Vec<(String, String)>,
}

/// `GET /hub/decisions/{id}`
pub async fn show(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, PageError> {
    let id: DecisionId = id.parse().map_err(|_| PageError::NotFound)?;
    let decision = hub.storage.read(|reader| reader.decision(&id))?;
    let decision = decision.filter(|decision| may(&visitor, &decision.user, Right::SeeServers));
    let decision = decision.ok_or(PageError::NotFound)?;
    let profile = profile_title(&hub.fleet.fleet(), &decision.ask.profile);
    let lines = explanation::lines(&hub, &decision)?;
    let shell = Shell::of(&visitor, say::t("why").to_string(), Here::Nowhere);
    let sees = visitor.may(Right::SeeServers);
    let asked = sees && query_value(&uri, "again").is_some();
    let again = asked.then(|| Again::of(&hub, &decision)).transpose()?;
    let may_ask_again = sees && !asked && replay::is_request(&decision);
    let view = view(shell, decision, lines, profile);
    Ok(page(StatusCode::OK, &DecisionPage { again, may_ask_again, ..view }))
}

/// `GET /hub/foreseen/{user}` and `/{user}/{server}`: why the form's choices would come to what
/// their verdict says.
pub async fn foreseen(
    State(hub): State<Arc<Hub>>,
    visitor: Visitor,
    Path(path): Path<Vec<(String, String)>>,
    uri: Uri,
) -> Result<Response, PageError> {
    let (fleet, decision) = forecast::decide(&hub, &visitor, &path, &uri)?;
    let profile = profile_title(&fleet, &decision.ask.profile);
    let lines = explanation::lines(&hub, &decision)?;
    let shell = Shell::of(&visitor, say::t("why").to_string(), Here::New);
    let view = view(shell, decision, lines, profile);
    Ok(page(StatusCode::OK, &DecisionPage { recorded: false, ..view }))
}

fn view(shell: Shell, decision: Decision, lines: Vec<HostLine>, profile: String) -> DecisionPage {
    let reason = decision.reason();
    let (admin, sees) = (shell.is_for_admin(), shell.may(Right::SeeServers));
    let word = match &decision.outcome {
        Outcome::Placed { .. } => say::t("outcome-placed"),
        Outcome::Waits { .. } => say::t("outcome-waits"),
        Outcome::Refused { .. } => say::t("outcome-refused"),
    };
    let (sentence, detail) = words::outcome(&decision);
    DecisionPage {
        shell,
        id: decision.id.to_string(),
        at: Moment::from(decision.at),
        user: decision.user.to_string(),
        server: words::server_title(&decision.name),
        profile,
        memory: decision.ask.memory,
        gpus: decision.ask.gpus,
        gpu_model: decision.ask.gpu_model.clone(),
        image: decision.ask.image.clone(),
        class: outcome_class(&decision.outcome),
        word: word.to_string(),
        code: reason.code(),
        sentence,
        detail,
        remedy: say::remedy(reason),
        nearest: decision.nearest.iter().map(|it| way(it, &decision)).collect(),
        hosts: lines.into_iter().map(|it| line(it, &decision, sees)).collect(),
        rules: decision.rules,
        possible: decision.possible,
        excluded: decision.excluded,
        recorded: true,
        again: None,
        may_ask_again: false,
        version: admin.then_some(decision.inputs.settings),
    }
}

/// Something that would help, with the form that asks for it where there is one.
fn way(nearest: &Nearest, decision: &Decision) -> Way {
    let path = words::server_path(&decision.user, &decision.name);
    let form = |field: &str, value: &str| Some(format!("/hub/spawn/{path}?{field}={value}"));
    let link = match nearest {
        Nearest::Memory(memory) => form("opt-memory", &words::form_amount(*memory)),
        Nearest::Profile(profile) => form("profile", profile),
        Nearest::Gpus(_) | Nearest::Stop(_) | Nearest::From(_) | Nearest::HostBack { .. } => None,
    };
    Way { text: words::nearest(nearest), link }
}

/// Whose server would have to grow is for who sees all servers.
fn without_names(obstacle: &mut Obstacle) {
    if obstacle.reason == Reason::WaitMemoryReserved {
        obstacle.detail.clear();
    }
}

fn line(line: HostLine, decision: &Decision, sees: bool) -> Line {
    let chosen = decision.host() == Some(&line.host);
    let host = line.host.to_string();
    let (class, word, terms, obstacles) = match line.verdict {
        HostVerdict::Best { terms } if chosen => {
            ("is-good", say::t("host-chosen"), terms, Vec::new())
        }
        HostVerdict::Best { terms } | HostVerdict::Possible { terms } => {
            ("is-busy", say::t("host-possible"), terms, Vec::new())
        }
        HostVerdict::Excluded { mut obstacles } => {
            if !sees {
                obstacles.iter_mut().for_each(without_names);
            }
            ("", say::t("host-excluded"), Vec::new(), obstacles)
        }
    };
    let terms = terms.iter().map(recorded::term).collect();
    Line { host, chosen, class, word: word.to_string(), obstacles, terms }
}
