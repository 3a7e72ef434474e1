//! What the API can be asked, who may ask it and what it answers: one row an operation. The OpenAPI
//! documents are made of these rows, and the tests try every row with no, wrong and sufficient
//! rights. A route without a row fails them, and so does a row without a route.

mod berth;
mod document;
mod jupyterhub;
mod pages;

use axum::Json;
use serde_json::Value;

pub use berth::OPERATIONS as BERTH;
pub use jupyterhub::OPERATIONS as JUPYTERHUB;
pub use pages::{PAGES, Page, Who};

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Everybody, also without credentials.
    Open,
    /// Everybody whose credentials are good.
    Anyone,
    /// Whoever holds one of these scopes.
    AnyOf(&'static [&'static str]),
    /// Whoever holds all of these scopes.
    AllOf(&'static [&'static str]),
}

/// The type of a field or argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// True or false.
    Flag,
    /// A list of texts.
    Texts,
    /// A list of anything.
    List,
    /// An object.
    Object,
    /// Whatever the operation says.
    Any,
}

/// One way to ask one path.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// In lower case, as OpenAPI has it.
    pub method: &'static str,
    /// As the router has it.
    pub path: &'static str,
    /// Who may ask.
    pub rights: Rights,
    /// What it does, for people.
    pub summary: &'static str,
    /// Arguments of the query.
    pub query: &'static [(&'static str, Kind)],
    /// Fields of the body; `None`: a body is not looked at.
    pub body: Option<&'static [(&'static str, Kind)]>,
    /// Statuses, beside those that all like it have.
    pub answers: &'static [u16],
    /// The schema of the good answer's body.
    pub gives: Option<&'static str>,
}

impl Operation {
    const fn new(
        method: &'static str,
        path: &'static str,
        rights: Rights,
        answers: &'static [u16],
        summary: &'static str,
    ) -> Self {
        Self { method, path, rights, summary, query: &[], body: None, answers, gives: None }
    }

    const fn query(self, query: &'static [(&'static str, Kind)]) -> Self {
        Self { query, ..self }
    }

    const fn body(self, fields: &'static [(&'static str, Kind)]) -> Self {
        Self { body: Some(fields), ..self }
    }

    const fn gives(self, schema: &'static str) -> Self {
        Self { gives: Some(schema), ..self }
    }

    /// All statuses that it can answer.
    pub fn statuses(&self) -> Vec<u16> {
        let mut all = self.answers.to_vec();
        // What every answer may be: the store, or a header that no server reads.
        all.extend([400, 503]);
        if self.rights != Rights::Open {
            all.push(403);
        }
        if self.path.contains('{') {
            all.push(404);
        }
        if self.body.is_some() {
            all.push(413);
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// `GET /hub/api/spec`: the part that is JupyterHub's.
pub async fn jupyterhub() -> Json<Value> {
    Json(document::of("JupyterHub's REST API, as Berth answers it", JUPYTERHUB))
}

/// `GET /hub/api/berth/spec`: our own part.
pub async fn berth() -> Json<Value> {
    Json(document::of("Berth's own REST API", BERTH))
}
