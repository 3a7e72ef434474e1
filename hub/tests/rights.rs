//! Every operation of the API is in the documents, and is tried with no, wrong and sufficient
//! rights. A new route without a row in `web/spec` fails here.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use berth_hub::web::api_paths;
use berth_hub::web::spec::{BERTH, JUPYTERHUB, Operation, Rights};

use crate::site::{Reply, Site};

/// The methods that a route says it has.
async fn methods(site: &Site, path: &str) -> Vec<String> {
    let request = Request::builder().method("TRACE").uri(filled(path)).body(Body::empty()).unwrap();
    let reply = site.send(request).await;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    // HEAD comes with GET.
    let allowed = reply.header("allow").split(',').filter(|method| *method != "HEAD");
    allowed.map(str::to_lowercase).collect()
}

/// A path with names in it: of things that are there, where that can be.
fn filled(path: &str) -> String {
    let filled = [
        ("{user}", "alice"),
        ("{owner}", "alice"),
        ("{server}", "n1"),
        ("{group}", "lab"),
        ("{host}", "wn1"),
        ("{service}", "nosuch"),
        ("{training}", "nosuch"),
        ("{id}", "a999"),
    ];
    filled.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value))
}

#[tokio::test]
async fn every_route_is_documented_and_every_row_is_a_route() {
    let site = Site::new().await;
    let (jupyterhub, berth) = api_paths();
    for (paths, rows) in [(jupyterhub, JUPYTERHUB), (berth, BERTH)] {
        let mut routes = BTreeSet::new();
        for path in paths {
            let methods = methods(&site, path).await;
            routes.extend(methods.into_iter().map(|method| format!("{method} {path}")));
        }
        let rows: BTreeSet<_> =
            rows.iter().map(|row| format!("{} {}", row.method, row.path)).collect();
        let without_row: Vec<_> = routes.difference(&rows).collect();
        let without_route: Vec<_> = rows.difference(&routes).collect();
        assert!(without_row.is_empty(), "add rows to web/spec: {without_row:?}");
        assert!(without_route.is_empty(), "no longer there: {without_route:?}");
    }
}

#[tokio::test]
async fn the_documents_are_served_to_everybody() {
    let site = Site::new().await;
    for (path, rows) in [("/hub/api/spec", JUPYTERHUB), ("/hub/api/berth/spec", BERTH)] {
        let document = site.get(path).await.json();
        assert_eq!(document["openapi"], "3.1.0");
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.values().map(|path| path.as_object().unwrap().len()).sum::<usize>();
        assert_eq!(operations, rows.len(), "{path}: two rows are of one operation");
    }
}

async fn ask(site: &Site, row: &Operation, token: Option<&str>) -> Reply {
    let mut request = Request::builder().method(row.method.to_uppercase().as_str());
    if let Some(token) = token {
        request = request.header("authorization", format!("token {token}"));
    }
    let body = if row.body.is_some() { "{}" } else { "" };
    site.send(request.uri(filled(row.path)).body(body.into()).unwrap()).await
}

/// Every scope there is, but these and what contains them.
fn all_but(scopes: &[&str]) -> Vec<String> {
    let all = berth_hub::auth::scopes::names();
    let harmless =
        |name: &&str| !scopes.iter().any(|scope| berth_hub::auth::scopes::contains(name, scope));
    all.into_iter().filter(harmless).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_operation_is_refused_without_its_rights_and_done_with_them() {
    let site = Site::new().await;
    for row in JUPYTERHUB.iter().chain(BERTH) {
        let shown = format!("{} {}", row.method, row.path);
        if row.rights == Rights::Open {
            let reply = ask(&site, row, None).await;
            assert_ne!(reply.status, StatusCode::FORBIDDEN, "{shown}: {reply:?}");
            continue;
        }
        for nobody in [None, Some("unknown")] {
            let reply = ask(&site, row, nobody).await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{shown} by {nobody:?}: {reply:?}");
        }
        // What is too little, and what is enough.
        let (lacking, enough): (Vec<Vec<&str>>, Vec<Vec<&str>>) = match row.rights {
            Rights::AnyOf(scopes) => {
                (vec![scopes.to_vec()], scopes.iter().map(|scope| vec![*scope]).collect())
            }
            Rights::AllOf(scopes) => {
                (scopes.iter().map(|scope| vec![*scope]).collect(), vec![scopes.to_vec()])
            }
            Rights::Open | Rights::Anyone => continue,
        };
        for missing in lacking {
            let others = all_but(&missing);
            let others: Vec<_> = others.iter().map(String::as_str).collect();
            let token = site.token("root_", &others).await;
            let reply = ask(&site, row, Some(&token)).await;
            // Every token may see its owner's name, so to it others are not there.
            let about_owner = missing.contains(&"read:users:name");
            let refusal = if about_owner { StatusCode::NOT_FOUND } else { StatusCode::FORBIDDEN };
            assert_eq!(reply.status, refusal, "{shown} without {missing:?}: {reply:?}");
        }
        for scopes in enough {
            let token = site.token("root_", &scopes).await;
            let reply = ask(&site, row, Some(&token)).await;
            let refused = reply.status == StatusCode::FORBIDDEN;
            let missing = refused && reply.message().contains("not authorized with current scopes");
            assert!(!missing, "{shown} with {scopes:?}: {reply:?}");
            let status = reply.status.as_u16();
            assert!(row.statuses().contains(&status), "{shown} with {scopes:?}: {reply:?}");
        }
    }
}

/// A browser sends its cookies along whoever made it ask: with them alone nothing is changed.
#[tokio::test]
async fn no_operation_changes_anything_by_an_administrators_cookies_alone() {
    let site = Site::new().await;
    let root = site.browser("root_").await;
    let token = ("x-xsrftoken", root.xsrf.as_str());
    let json = (CONTENT_TYPE.as_str(), "application/json");
    let changing = JUPYTERHUB.iter().chain(BERTH).filter(|row| row.method != "get");
    for row in changing.filter(|row| row.rights != Rights::Open) {
        let (method, path) = (row.method.to_uppercase(), filled(row.path));
        for extra in [
            vec![json],
            vec![json, ("x-xsrftoken", "another")],
            vec![json, token, ("origin", "https://evil.example")],
            vec![json, token, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
            vec![json, token, ("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate")],
            vec![token, (CONTENT_TYPE.as_str(), "text/plain")],
        ] {
            let reply = root.send(&method, &path, &extra, "{}").await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{method} {path} {extra:?}: {reply:?}");
        }
    }
}
