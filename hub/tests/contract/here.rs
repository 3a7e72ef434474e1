//! This hub's answers, with a host on which every server is ready at once.

use axum::body::Body;
use axum::http::Request;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use berth_common::Timestamp;
use berth_store::{Token, TokenKind};

use super::Call;
use super::compare::Answer;
use crate::site::{Site, host};

/// Whose token, and what it may do: as on the other side.
const TOKENS: [(&str, &str, &[&str]); 9] = [
    ("alice", "alice", &["inherit"]),
    ("expired", "alice", &["inherit"]),
    ("bob", "bob", &["inherit"]),
    ("admin", "root_", &["inherit"]),
    ("narrow", "alice", &["read:users:name!user"]),
    ("server", "alice", &["users:activity!user=alice", "access:servers!server=alice/"]),
    (
        "reader",
        "root_",
        &["list:users", "read:users", "read:servers", "list:groups", "read:groups", "read:hub"],
    ),
    (
        "tutor",
        "root_",
        &["list:users!group=lab", "read:users!group=lab", "servers!group=lab", "tokens!group=lab"],
    ),
    ("culler", "root_", &["list:users", "read:users:activity", "read:servers", "delete:servers"]),
];

/// What this hub says.
pub struct Here {
    /// Its answers, in the order of the calls.
    pub answers: Vec<Answer>,
    /// Its `/hub/metrics` after that.
    pub metrics: String,
}

/// Asks this hub everything, in order.
pub async fn answers(calls: &[Call]) -> Here {
    let site = Site::new().await;
    add_carol(&site).await;
    for (caller, owner, scopes) in TOKENS {
        add_token(&site, caller, owner, scopes).await;
    }
    host::serve_proxy(&site);
    let ask = async {
        let mut answers = Vec::new();
        for call in calls {
            answers.push(answer(&site, call).await);
        }
        let metrics = site.program("root_").await.get("/hub/metrics").await.text;
        Here { answers, metrics }
    };
    tokio::select! {
        here = ask => here,
        () = host::work(&site) => unreachable!("the host works for ever"),
    }
}

async fn answer(site: &Site, call: &Call) -> Answer {
    let mut request =
        Request::builder().method(call.method.as_str()).uri(&call.path).header(HOST, "127.0.0.1");
    if call.who != "nobody" {
        request = request.header(AUTHORIZATION, format!("token {}", text_of(&call.who)));
    }
    if call.pages {
        request = request.header(ACCEPT, "application/jupyterhub-pagination+json");
    }
    if !call.body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let reply = site.send(request.body(Body::from(call.body.clone())).unwrap()).await;
    Answer {
        status: reply.status.as_u16(),
        kind: reply.header("content-type").split(';').next().unwrap_or_default().to_owned(),
        location: reply.location().to_owned(),
        body: reply.text,
    }
}

async fn add_carol(site: &Site) {
    let alice = site.hub.storage.read(|reader| reader.user(&"alice".parse().unwrap()));
    let mut carol = alice.unwrap().unwrap();
    carol.account.name = "carol".parse().unwrap();
    carol.account.uid = 1003;
    carol.account.groups.clear();
    site.hub.storage.write(move |database| database.save_user(&carol)).await.unwrap();
}

/// A caller's token; that of `bad` is nobody's.
fn text_of(caller: &str) -> String {
    format!("{caller:0>32}")
}

async fn add_token(site: &Site, caller: &str, owner: &str, scopes: &[&str]) {
    let token = Token {
        id: 0,
        kind: TokenKind::Api,
        user: owner.parse().unwrap(),
        client: "JupyterHub".into(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        note: format!("for {caller}"),
        session: None,
        server: None,
        created: Timestamp(1_000_000),
        expires: (caller == "expired").then_some(Timestamp(2_000_000)),
        last_used: None,
    };
    let hash = berth_hub::keys::hash(&text_of(caller));
    let add = move |database: &mut berth_store::Database| {
        let id = database.add_token(&hash, &token)?;
        // A use is saved a little later; so it shows from the first look on.
        database.touch_token(id, Timestamp(1_000_000))
    };
    site.hub.storage.write(add).await.unwrap();
}
