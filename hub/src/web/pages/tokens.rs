//! A person's API tokens: made, listed, revoked. The secret is shown once and not kept.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use berth_common::{Seconds, Timestamp};
use berth_process::clock::now;
use berth_store::{Token, TokenKind};
use serde::Deserialize;

use crate::audit::Actor;
use crate::auth::scopes::Scopes;
use crate::auth::{CheckedForm, Visitor};
use crate::keys;
use crate::site::Hub;
use crate::web::api::model;
use crate::web::pages::error::PageError;
use crate::web::pages::filled::Filled;
use crate::web::pages::login::NoFields;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::pages::words::{self, Moment, Relative};
use crate::web::say::{self, Said};

/// Longest note kept.
const LONGEST_NOTE: usize = 200;
/// More tokens than this nobody keeps in order.
const MOST_TOKENS: usize = 100;
/// The client's name that JupyterHub gives to tokens that people make.
const CLIENT: &str = "JupyterHub";

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    shell: Shell,
    xsrf: String,
    tokens: Vec<Row>,
    /// Just made.
    fresh: Option<String>,
    form: Filled<NewToken>,
    /// After how many days a token may end, in words.
    spans: Vec<(u64, String)>,
    full: bool,
}

struct Row {
    id: i64,
    note: String,
    is_login: bool,
    created: Moment,
    used: Option<Relative>,
    expires: Option<Moment>,
    /// What it allows; empty: all that its owner may.
    scopes: String,
}

/// The fields of the form.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct NewToken {
    note: String,
    days: u64,
    /// Separated by spaces; none: all that the person may.
    scopes: String,
}

impl Default for NewToken {
    fn default() -> Self {
        Self { note: String::new(), days: 30, scopes: String::new() }
    }
}

/// `GET /hub/token`
pub async fn show(State(hub): State<Arc<Hub>>, visitor: Visitor) -> Result<Response, PageError> {
    view(&hub, &visitor, None, Filled::default())
}

/// `POST /hub/token`
pub async fn create(
    State(hub): State<Arc<Hub>>,
    CheckedForm { visitor, form }: CheckedForm<NewToken>,
) -> Result<Response, PageError> {
    let name = &visitor.user.account.name;
    if hub.storage.read(|reader| reader.tokens_of(name))?.len() >= MOST_TOKENS {
        return view(&hub, &visitor, None, Filled::default());
    }
    let scopes = match scopes(&hub, &visitor, &form.scopes) {
        Ok(scopes) => scopes,
        Err(why) => return view(&hub, &visitor, None, Filled::refused(form, "scopes", why)),
    };
    let secret = keys::api_token();
    let (hash, at) = (keys::hash(&secret), now());
    let token = Token {
        id: 0,
        kind: TokenKind::Api,
        user: name.clone(),
        client: CLIENT.to_owned(),
        scopes,
        note: form.note.trim().chars().take(LONGEST_NOTE).collect(),
        session: None,
        server: None,
        created: at,
        expires: Some(at.plus(Seconds(form.days.clamp(1, 366).saturating_mul(86_400)))),
        last_used: None,
    };
    let act = visitor.act("token-create").about(name.as_str()).because(&token.note);
    hub.storage
        .write(move |database| {
            database.together(|database| {
                let id = database.add_token(&hash, &token)?;
                database.record(&act.on(&model::token_id(id)))
            })
        })
        .await?;
    tracing::info!(user = %name, "made an API token");
    view(&hub, &visitor, Some(secret), Filled::default())
}

/// The scopes of a new token. Ones that the person does not hold would allow nothing, so they are
/// a mistake.
fn scopes(hub: &Hub, visitor: &Visitor, typed: &str) -> Result<Vec<String>, Said> {
    let asked: Vec<String> = typed.split_whitespace().map(str::to_owned).collect();
    if asked.is_empty() {
        return Ok(vec!["inherit".to_owned()]);
    }
    let (config, user) = (hub.config(), &visitor.user);
    let roles = &config.people.roles;
    let wanted = Scopes::parse(&asked, user, roles)
        .map_err(|unknown| say::t("token-no-scope").with("scope", unknown.name()))?;
    if Scopes::of_user(user, roles).cover(&wanted, &user.account.groups) {
        return Ok(asked);
    }
    // A bare scope means everybody's; most people hold only their own.
    Err(say::t("token-not-held").with("scopes", typed))
}

/// `POST /hub/token/{id}/revoke`
pub async fn revoke(
    State(hub): State<Arc<Hub>>,
    Path(id): Path<i64>,
    CheckedForm { visitor, .. }: CheckedForm<NoFields>,
) -> Result<Response, PageError> {
    let name = &visitor.user.account.name;
    let own = hub.storage.read(|reader| reader.tokens_of(name))?;
    if !own.iter().any(|token| token.id == id) {
        return Err(PageError::NotFound);
    }
    let act = visitor.act("token-revoke").about(name.as_str()).on(&model::token_id(id));
    let hashes = hub
        .storage
        .write(move |database| {
            database.together(|database| {
                database.record(&act)?;
                database.delete_tokens(&[id])
            })
        })
        .await?;
    hub.forget_tokens(hashes);
    Ok(Redirect::to("/hub/token").into_response())
}

fn view(
    hub: &Hub,
    visitor: &Visitor,
    fresh: Option<String>,
    form: Filled<NewToken>,
) -> Result<Response, PageError> {
    let days = |count: u64| (count, say::t("days").with("count", count).to_string());
    let status = match form.is_refused() {
        true => StatusCode::BAD_REQUEST,
        false => StatusCode::OK,
    };
    let tokens = hub.storage.read(|reader| reader.tokens_of(&visitor.user.account.name))?;
    let at = now();
    let view = TokensPage {
        shell: Shell::of(visitor, say::t("nav-tokens").to_string(), Here::Tokens),
        xsrf: visitor.xsrf.clone(),
        full: tokens.len() >= MOST_TOKENS,
        tokens: tokens.into_iter().rev().map(|token| row(token, at)).collect(),
        fresh,
        form,
        spans: vec![days(1), days(7), days(30), (366, say::t("one-year").to_string())],
    };
    Ok(page(status, &view))
}

fn row(token: Token, now: Timestamp) -> Row {
    Row {
        id: token.id,
        note: token.note,
        is_login: token.server.is_some(),
        created: Moment::from(token.created),
        used: token.last_used.map(|at| words::ago(at, now)),
        expires: token.expires.map(Moment::from),
        scopes: if token.scopes == ["inherit"] { String::new() } else { token.scopes.join(" ") },
    }
}
