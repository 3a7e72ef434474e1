//! The frame of every page, and the answer that carries it.

use std::sync::OnceLock;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use crate::auth::{Right, Rights, Visitor};
use crate::web::reader::Reader;

tokio::task_local! {
    /// Who asked for what is being made now, once that was found out.
    static WHO: OnceLock<Who>;
}

/// Answers a request. Whoever is found to be logged in meanwhile keeps the menu on pages that say
/// what went wrong: see [`Shell::whoever`].
pub async fn with_menu<F: Future>(answer: F) -> F::Output {
    WHO.scope(OnceLock::new(), answer).await
}

/// A page's title, and who looks at it.
#[derive(Debug, Clone)]
pub struct Shell {
    /// The page's name, for the browser's tab.
    pub title: String,
    /// Who is logged in.
    pub who: Option<Who>,
    /// The entry of the menu that is lit.
    pub here: Here,
    /// The language and the theme.
    pub reader: Reader,
}

/// The person in the page's head.
#[derive(Debug, Clone)]
pub struct Who {
    /// The account's name.
    pub name: String,
    /// Whether the administrators' pages are offered.
    pub admin: bool,
    /// Which pages about everybody are offered besides.
    pub rights: Rights,
    /// Whether the page of trainings is offered.
    pub teaches: bool,
    /// The token that forms carry.
    pub xsrf: String,
}

/// An entry of the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    /// My servers.
    Home,
    /// The form.
    New,
    /// What the person holds and used.
    Usage,
    /// API tokens.
    Tokens,
    /// Kernels of the person's servers.
    Kernels,
    /// What people should know.
    Notices,
    /// The rules of the site.
    Help,
    /// All servers.
    Servers,
    /// The floor.
    Floor,
    /// The hosts.
    Hosts,
    /// Who waits, and what was decided.
    Queue,
    /// Everybody's usage.
    AllUsage,
    /// Everybody's accounts.
    People,
    /// The site's files.
    Configuration,
    /// What people are told, and maintenance.
    Calendar,
    /// Who did what.
    Audit,
    /// Whether all is well.
    Health,
    /// Trainings.
    Trainings,
    /// None of them.
    Nowhere,
}

impl Who {
    fn of(visitor: &Visitor) -> Self {
        Self {
            name: visitor.user.account.name.to_string(),
            admin: visitor.admin,
            rights: visitor.rights.clone(),
            teaches: visitor.teaches,
            xsrf: visitor.xsrf.clone(),
        }
    }

    /// Whether this is theirs to see or do.
    pub fn may(&self, right: Right) -> bool {
        self.rights.has(right)
    }

    /// Remembers for the rest of the request who is logged in.
    pub fn met(visitor: &Visitor) {
        // Outside of requests there is nobody to remember, and one request is one person's.
        let _ = WHO.try_with(|who| who.set(Self::of(visitor)));
    }
}

impl Shell {
    /// The frame for somebody who is logged in.
    pub fn of(visitor: &Visitor, title: impl Into<String>, here: Here) -> Self {
        let who = Some(Who::of(visitor));
        Self { title: title.into(), who, here, reader: Reader::now() }
    }

    /// The frame for whoever asks: with the menu if the request is known to be somebody's.
    pub fn whoever(title: impl Into<String>) -> Self {
        let who = WHO.try_with(|who| who.get().cloned()).ok().flatten();
        Self { who, ..Self::stranger(title) }
    }

    /// The frame for a stranger.
    pub fn stranger(title: impl Into<String>) -> Self {
        Self { title: title.into(), who: None, here: Here::Nowhere, reader: Reader::now() }
    }

    /// Whether this is the reader's to see or do.
    pub fn may(&self, right: Right) -> bool {
        self.who.as_ref().is_some_and(|who| who.may(right))
    }

    /// Whether the reader is an administrator.
    pub fn is_for_admin(&self) -> bool {
        self.who.as_ref().is_some_and(|who| who.admin)
    }

    /// `aria-current` for the lit entry of the menu.
    pub fn lit(&self, name: &str) -> bool {
        let here = match self.here {
            Here::Home => "home",
            Here::New => "new",
            Here::Usage => "usage",
            Here::Tokens => "tokens",
            Here::Kernels => "kernels",
            Here::Notices => "notices",
            Here::Help => "help",
            Here::Servers => "servers",
            Here::Floor => "floor",
            Here::Hosts => "hosts",
            Here::Queue => "queue",
            Here::AllUsage => "everybody",
            Here::People => "people",
            Here::Configuration => "config",
            Here::Calendar => "calendar",
            Here::Audit => "audit",
            Here::Health => "health",
            Here::Trainings => "trainings",
            Here::Nowhere => "",
        };
        here == name
    }
}

/// A template as an answer. The headers that keep a page harmless are set for all answers alike.
pub fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(body) => (status, Html(body)).into_response(),
        Err(error) => {
            // Templates only format: this cannot happen, and must not take the process down.
            tracing::error!(%error, "a page could not be made");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page could not be made").into_response()
        }
    }
}
