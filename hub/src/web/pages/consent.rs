//! The page that asks whether a service may know its visitor. It posts back to its own address, as
//! JupyterHub's does, and works without scripts.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::auth::Visitor;
use crate::config::services::Service;
use crate::web::pages::shell::{Here, Shell, page};
use crate::web::say;

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage {
    shell: Shell,
    xsrf: String,
    service: String,
    /// Where the answer goes, if that is another site.
    elsewhere: Option<String>,
    name: String,
    /// Each scope and what it means.
    scopes: Vec<(String, String)>,
}

/// The question, for these scopes.
pub fn page_for(visitor: &Visitor, service: &Service, scopes: &[String]) -> Response {
    let title = say::t("consent-title").with("service", &service.name);
    let view = ConsentPage {
        shell: Shell::of(visitor, title.to_string(), Here::Nowhere),
        xsrf: visitor.xsrf.clone(),
        service: service.name.clone(),
        elsewhere: (!service.redirect.starts_with('/')).then(|| service.redirect.clone()),
        name: visitor.user.account.name.to_string(),
        scopes: scopes.iter().map(|scope| (scope.clone(), words(scope))).collect(),
    };
    page(StatusCode::OK, &view)
}

/// The text of what a scope lets a service do. One that is not here is shown as it is.
const TEXTS: [(&str, &str); 16] = [
    ("inherit", "scope-inherit"),
    ("self", "scope-self"),
    ("read:users:name", "scope-read-users-name"),
    ("read:users:groups", "scope-read-users-groups"),
    ("read:users:activity", "scope-read-users-activity"),
    ("users:activity", "scope-users-activity"),
    ("read:users", "scope-read-users"),
    ("read:servers", "scope-read-servers"),
    ("start:servers", "scope-start-servers"),
    ("delete:servers", "scope-delete-servers"),
    ("servers", "scope-servers"),
    ("access:servers", "scope-access-servers"),
    ("access:services", "scope-access-services"),
    ("read:tokens", "scope-read-tokens"),
    ("tokens", "scope-tokens"),
    ("read:shares", "scope-read-shares"),
];

fn words(scope: &str) -> String {
    let (name, filter) = scope.split_once('!').map_or((scope, None), |(a, b)| (a, Some(b)));
    let Some((_, text)) = TEXTS.iter().find(|(known, _)| *known == name) else {
        return scope.to_owned();
    };
    let what = say::t(*text);
    let said = match filter {
        Some("user") => say::t("consent-yours").with("what", what),
        Some(filter) if !filter.starts_with("service") => {
            say::t("consent-only").with("what", what).with("filter", filter)
        }
        None if name.contains("users") || name.contains("servers") => {
            say::t("consent-all").with("what", what)
        }
        _ => what,
    };
    said.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_said_in_words() {
        for (scope, said) in [
            ("read:users:name!user", "read the name: yours"),
            ("access:services!service=news", "let you in"),
            ("servers!server=alice/n1", "see, start and stop servers: server=alice/n1"),
            ("servers", "see, start and stop servers: yours and all others' that you may"),
            ("admin:groups", "admin:groups"),
        ] {
            assert_eq!(words(scope), said, "{scope}");
        }
    }
}
