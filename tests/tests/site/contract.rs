//! Unmodified `jupyterhub-singleuser` of both lines, 5.5 and 6.1: they start, let their owner in by
//! OAuth as a browser does it, and refuse everybody else.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::site::{Cookies, Site, location};

#[tokio::test(flavor = "multi_thread")]
async fn both_lines_of_jupyterhub_let_in_their_owner_and_nobody_else() {
    let site = Site::running();
    let other = site.user("stranger", 21_051).await;
    for (image, version) in [("jupyterhub-5", "5.5."), ("jupyterhub-6", "6.1.")] {
        let person = site.user("owner", 21_050).await;
        person.start(json!({ "image": image })).await;

        let (status, answer) = person.call(Method::GET, "/user/owner/api/status", None).await;
        assert_eq!(status, StatusCode::OK, "{image}, by token: {answer}");
        let (status, answer) = other.call(Method::GET, "/user/owner/api/status", None).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{image}, another's token: {answer}");
        let ours = site.http.get(format!("{}/user/owner/api", site.url)).send().await.unwrap();
        let runs = ours.headers().get("x-jupyterhub-version").expect("a version").to_str().unwrap();
        assert!(runs.starts_with(version), "{image} runs {runs}");

        let (status, page) = follow(&site, &mut person.log_in().await, "/user/owner/lab").await;
        assert_eq!(status, StatusCode::OK, "{image}, by browser");
        assert!(page.contains("jupyter-config-data"), "{image}: JupyterLab's page");
        let (status, page) = follow(&site, &mut other.log_in().await, "/user/owner/lab").await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{image}, another's browser: {page}");
        let (status, page) = follow(&site, &mut Cookies::default(), "/user/owner/lab").await;
        assert!(
            status == StatusCode::OK && page.contains("password"),
            "{image}, nobody: the login page"
        );
        person.stop().await;
    }
}

/// Follows redirects as a browser does, to where they end.
async fn follow(site: &Site, cookies: &mut Cookies, path: &str) -> (StatusCode, String) {
    let mut path = path.to_owned();
    for _ in 0..10 {
        let response = cookies.get(site, &path).await;
        if !response.status().is_redirection() {
            return (response.status(), response.text().await.unwrap());
        }
        path = location(response.headers()).trim_start_matches(&site.url).to_owned();
    }
    panic!("redirects without end, last to {path}")
}
