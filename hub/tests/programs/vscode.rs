//! The calls of the JupyterHub extension of VS Code, in its order and with its headers, as
//! `src/jupyterHubApi.ts` and `src/jupyterIntegration.ts` of github.com/microsoft/vscode-jupyter-hub
//! make them: find the hub, turn a password into a token, start a server, wait for it, and take the
//! token back.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::site::{PASSWORD, Reply, Site, host};

/// What its fetch says of a body that is a text.
const TEXT: &str = "text/plain;charset=UTF-8";

struct Extension<'a>(&'a Site);

impl Extension<'_> {
    async fn send(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("/{path}"));
        if !token.is_empty() {
            request = request.header("Authorization", format!("token {token}"));
        }
        let body = match body {
            None => Body::empty(),
            Some(body) => {
                request = request.header("Content-Type", TEXT);
                Body::from(body.to_string())
            }
        };
        self.0.send(request.body(body).unwrap()).await
    }

    /// The version of the hub at an address, if that is one.
    async fn version(&self, base: &str) -> Option<String> {
        let request = Request::get(format!("{base}/hub/api")).header("Connection", "keep-alive");
        let reply = self.0.send(request.body(Body::empty()).unwrap()).await;
        let found = (reply.status == StatusCode::OK).then(|| reply.json()["version"].clone());
        found.map(|version| version.as_str().expect("a version").to_owned())
    }

    async fn new_token(&self, user: &str, password: &str) -> Reply {
        let body = json!({
            "auth": { "username": user, "password": password },
            "note": "Requested by JupyterHub extension in VSCode",
        });
        self.send("POST", &format!("hub/api/users/{user}/tokens"), "", Some(body)).await
    }

    /// The person with stopped servers, as it lists them.
    async fn servers(&self, user: &str, token: &str) -> Value {
        let path = format!("hub/api/users/{user}?include_stopped_servers");
        let reply = self.send("GET", &path, token, None).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        reply.json()["servers"].clone()
    }
}

#[tokio::test]
async fn the_extension_of_vs_code_finds_the_hub_and_starts_a_server() {
    let site = Site::new().await;
    let code = Extension(&site);

    // People paste the address of a notebook: what is no hub must not look like one.
    assert_eq!(code.version("/user/alice/lab").await, None);
    let version = code.version("").await.expect("the hub");
    assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version}");

    // A password is tried as a token first.
    let tried = code.send("GET", "hub/api/users/alice", PASSWORD.trim_matches(' '), None).await;
    assert_ne!(tried.status, StatusCode::OK);
    let made = code.new_token("alice", PASSWORD).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let made = made.json();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let me = code.send("GET", "hub/api/users/alice", token, None).await.json();
    assert_eq!((&me["name"], &me["server"]), (&json!("alice"), &Value::Null));

    for (name, path) in [("", "server"), ("gpu", "servers/gpu")] {
        let path = format!("hub/api/users/alice/{path}");
        let started = tokio::select! {
            reply = code.send("POST", &path, token, None) => reply,
            () = host::work(&site) => unreachable!("the host works for ever"),
        };
        let accepted = [StatusCode::CREATED, StatusCode::ACCEPTED];
        assert!(accepted.contains(&started.status), "{started:?}");
        let server = code.servers("alice", token).await[name].clone();
        let prefix = if name.is_empty() { "/user/alice/" } else { "/user/alice/gpu/" };
        let said = (&server["ready"], &server["url"], &server["name"]);
        assert_eq!(said, (&json!(true), &json!(prefix), &json!(name)));
    }
    let me = code.send("GET", "hub/api/users/alice", token, None).await.json();
    assert_eq!(me["server"], "/user/alice/");

    // When its person removes the connection.
    let path = format!("hub/api/users/alice/tokens/{id}");
    let removed = code.send("DELETE", &path, token, None).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    let after = code.send("GET", "hub/api/users/alice", token, None).await;
    assert_eq!(after.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_wrong_password_gives_the_extension_no_token_in_either_way() {
    let site = Site::new().await;
    let code = Extension(&site);
    let refused = code.new_token("alice", "wrong horse").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.json()["token"], Value::Null);
    // The way of old hubs, which it tries next.
    let body = json!({ "username": "alice", "password": PASSWORD });
    let old = code.send("POST", "hub/api/authorizations/token", "", Some(body)).await;
    assert_eq!(old.status, StatusCode::NOT_FOUND, "{}", old.text);
    assert_eq!(old.json()["token"], Value::Null);
}
