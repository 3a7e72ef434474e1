//! The page that asks whether a service may know its visitor. It posts back to its own address, as
//! JupyterHub's does, and works without scripts.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use crate::auth::Visitor;
use crate::config::services::Service;
use crate::web::pages::shell::{Here, Shell, page};

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
    let view = ConsentPage {
        shell: Shell::of(visitor, format!("Log in to {}", service.name), Here::Nowhere),
        xsrf: visitor.xsrf.clone(),
        service: service.name.clone(),
        elsewhere: (!service.redirect.starts_with('/')).then(|| service.redirect.clone()),
        name: visitor.user.account.name.to_string(),
        scopes: scopes.iter().map(|scope| (scope.clone(), words(scope))).collect(),
    };
    page(StatusCode::OK, &view)
}

/// What scopes let a service do, in words. One that is not here is shown as it is.
const WORDS: [(&str, &str); 16] = [
    ("inherit", "do all that you may do at this site"),
    ("self", "do all that you may do with what is yours"),
    ("read:users:name", "read the name"),
    ("read:users:groups", "read the groups"),
    ("read:users:activity", "read the time of the last activity"),
    ("users:activity", "report activity"),
    ("read:users", "read account, groups and activity"),
    ("read:servers", "see servers"),
    ("start:servers", "start servers"),
    ("delete:servers", "stop servers"),
    ("servers", "see, start and stop servers"),
    ("access:servers", "use notebook servers, with all files that these can reach"),
    ("access:services", "let you in"),
    ("read:tokens", "list tokens"),
    ("tokens", "make and revoke tokens"),
    ("read:shares", "see shares"),
];

fn words(scope: &str) -> String {
    let (name, filter) = scope.split_once('!').map_or((scope, None), |(a, b)| (a, Some(b)));
    let Some((_, words)) = WORDS.iter().find(|(known, _)| *known == name) else {
        return scope.to_owned();
    };
    match filter {
        Some("user") => format!("{words}: yours"),
        Some(filter) if !filter.starts_with("service") => format!("{words}: {filter}"),
        None if name.contains("users") || name.contains("servers") => {
            format!("{words}: yours and all others' that you may")
        }
        _ => (*words).to_owned(),
    }
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
