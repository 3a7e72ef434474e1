//! `POST import/jupyterhub`: people of another JupyterHub, with their tokens. Doing it again does
//! nothing again; what is not taken over is told with its reason.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use berth_common::{Timestamp, Username};
use berth_process::clock::now;
use berth_store::jupyterhub::{OldToken, Person};
use berth_store::{Token, TokenKind, User};
use serde_json::{Value, json};

use crate::auth::Caller;
use crate::auth::imported;
use crate::auth::scopes::Scopes;
use crate::directory::Standing;
use crate::site::Hub;
use crate::storage::StorageError;
use crate::web::api::berth::answer;
use crate::web::api::body::{self, JsonBody};
use crate::web::error::ApiError;

/// What becomes of a person.
struct Plan {
    /// With the account as the directory has it; of one who is left out, why.
    user: Result<User, String>,
    /// Whether the user is there already.
    known: bool,
    /// Whether the user becomes an administrator.
    promoted: bool,
    tokens: Vec<OldToken>,
    /// Tokens that were taken over before.
    had: usize,
    /// Tokens that nobody here could use, and groups that the account does not have.
    strange: usize,
    lacking: Vec<String>,
}

/// Takes people over: `{people, dry_run}`, as `berth import jupyterhub` reads them.
pub async fn jupyterhub(
    State(hub): State<Arc<Hub>>,
    caller: Caller,
    body: JsonBody,
) -> Result<Json<Value>, ApiError> {
    caller.require_for_all("admin:users")?;
    // Whose tokens they are is decided here, and some are administrators'.
    if !caller.scopes.cover(&Scopes::admin(), &[]) {
        return Err(ApiError::forbidden("Only administrators can import people."));
    }
    let body = body.or_empty();
    body::only(&body, &["people", "dry_run"])?;
    let people: Vec<Person> = body::field(&body, "people")?.unwrap_or_default();
    let dry_run = body::field(&body, "dry_run")?.unwrap_or(false);
    let mut told = Vec::new();
    for person in people {
        let plan = plan(&hub, &person).await?;
        told.push(describe(&person, &plan));
        if !dry_run {
            carry_out(&hub, &caller, plan).await?;
        }
    }
    Ok(answer("people", json!(told)))
}

async fn plan(hub: &Hub, person: &Person) -> Result<Plan, StorageError> {
    let user = whose(hub, &person.name).await?;
    let known = matches!(&user, Ok((_, true)));
    let user = user.map(|(user, _)| user);
    let groups = user.as_ref().map(|user| user.account.groups.as_slice()).unwrap_or_default();
    let lacks = |group: &&String| !groups.iter().any(|it| it.name == **group);
    let lacking = person.groups.iter().filter(lacks).cloned().collect();
    let promoted = person.admin && user.as_ref().is_ok_and(|user| !user.admin);
    let (mut tokens, mut had, mut strange) = (Vec::new(), 0, 0);
    if user.is_ok() {
        for token in &person.tokens {
            if !imported::is_hash(&token.hashed) {
                strange += 1;
            } else if hub.storage.read(|reader| reader.is_imported(&token.hashed))? {
                had += 1;
            } else {
                tokens.push(token.clone());
            }
        }
    }
    Ok(Plan { user, known, promoted, tokens, had, strange, lacking })
}

/// The user of this name, and whether there is one already; or why there can be none.
async fn whose(hub: &Hub, name: &str) -> Result<Result<(User, bool), String>, StorageError> {
    let name: Username = match name.to_lowercase().parse() {
        Ok(name) => name,
        Err(error) => return Ok(Err(format!("This is no name of an account: {error}."))),
    };
    if let Some(user) = hub.storage.read(|reader| reader.user(&name))? {
        return Ok(Ok((user, true)));
    }
    let account = match hub.directory.look(hub, &name, None).await? {
        Standing::Valid(account) => account,
        other => return Ok(Err(other.refusal(&hub.config().people.directory).1)),
    };
    if let Some(other) = hub.storage.read(|reader| reader.user_of_uid(account.uid))? {
        return Ok(Err(format!("Its number {} is that of {other}.", account.uid)));
    }
    let at = now();
    let password = String::new();
    let user = User { account, admin: false, password, created: at, last_activity: at };
    Ok(Ok((user, false)))
}

fn describe(person: &Person, plan: &Plan) -> Value {
    let outcome = match (&plan.user, plan.known) {
        (Err(_), _) => "left_out",
        (Ok(_), true) => "known",
        (Ok(_), false) => "new",
    };
    json!({
        "name": person.name,
        "outcome": outcome,
        "why": plan.user.as_ref().err(),
        "becomes_admin": plan.promoted,
        "tokens": plan.tokens.len(),
        "tokens_known": plan.had,
        "tokens_strange": plan.strange,
        "groups_lacking": plan.lacking,
    })
}

async fn carry_out(hub: &Hub, caller: &Caller, plan: Plan) -> Result<(), StorageError> {
    let Plan { user: Ok(user), known, promoted, tokens, .. } = plan else { return Ok(()) };
    if known && !promoted && tokens.is_empty() {
        return Ok(());
    }
    let name = user.account.name.clone();
    tracing::info!(user = %name, promoted, tokens = tokens.len(), by = caller.name(), "imported");
    hub.storage
        .write(move |database| {
            database.together(|database| {
                if !known {
                    database.save_directory_user(&user)?;
                }
                if promoted {
                    database.set_admin(&name, true)?;
                }
                for old in &tokens {
                    let (token, placeholder) = (token(old, &name), rand::random());
                    database.add_imported_token(&placeholder, &old.prefix, &old.hashed, &token)?;
                }
                Ok(())
            })
        })
        .await
}

fn token(old: &OldToken, user: &Username) -> Token {
    Token {
        id: 0,
        kind: TokenKind::Api,
        user: user.clone(),
        client: "JupyterHub".into(),
        scopes: old.scopes.clone(),
        note: old.note.chars().take(255).collect(),
        session: None,
        server: None,
        created: Timestamp(old.created.0.min(now().0)),
        expires: old.expires,
        last_used: None,
    }
}
