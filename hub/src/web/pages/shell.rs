//! The frame of every page, and the answer that carries it.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use crate::auth::Visitor;
use crate::web::reader::Reader;

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

impl Shell {
    /// The frame for somebody who is logged in.
    pub fn of(visitor: &Visitor, title: impl Into<String>, here: Here) -> Self {
        let who = Who {
            name: visitor.user.account.name.to_string(),
            admin: visitor.admin,
            teaches: visitor.teaches,
            xsrf: visitor.xsrf.clone(),
        };
        Self { title: title.into(), who: Some(who), here, reader: Reader::now() }
    }

    /// The frame for a stranger.
    pub fn stranger(title: impl Into<String>) -> Self {
        Self { title: title.into(), who: None, here: Here::Nowhere, reader: Reader::now() }
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
