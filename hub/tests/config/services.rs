//! `services.toml`, and roles that name services.

use std::fs;

use berth_hub::config::{self, Config};

use crate::folder::{Folder, NOW};

pub const SERVICES: &str = r#"[service.news]
url = "http://127.0.0.1:10101"
command = ["python3", "-m", "news"]
oauth_client_allowed_scopes = ["read:users!user", "access:services!service"]
[service.wiki]
url = "https://wiki.example.org/base"
api_token = { file = "wiki-token" }
oauth_redirect_uri = "https://wiki.example.org/oauth_callback"
oauth_no_confirm = true
display = false
info = { contact = "wiki@example.org" }
[service.culler]
command = ["python3", "-m", "jupyterhub_idle_culler"]
scopes = ["list:users"]
"#;

pub const ROLES: &str = r#"[role.culling]
scopes = ["delete:servers", "read:users!user"]
services = ["culler"]
[role.readers]
scopes = ["access:services!service=news"]
groups = ["*"]
"#;

fn folder() -> Folder {
    let folder = Folder::of(&[("services.toml", SERVICES), ("roles.toml", ROLES)]);
    folder.write("wiki-token", "a-token-of-the-wiki\n");
    folder
}

fn load(folder: &Folder) -> Config {
    config::load(folder.path(), NOW.parse().unwrap()).unwrap().0
}

#[test]
fn services_have_jupyterhubs_defaults() {
    let config = load(&folder());
    let service = |name: &str| config.services.0[name].clone();
    let news = service("news");
    assert_eq!(news.prefix(), "/services/news/");
    assert_eq!(news.client_id, "service-news");
    assert_eq!(news.redirect, "/services/news/oauth_callback");
    assert_eq!(news.visitor_scopes, ["read:users!user", "access:services!service=news"]);
    assert!(news.display && !news.no_confirm && !news.admin && news.token.is_none());
    assert!(news.has_token(), "the hub hands it one");
    let wiki = service("wiki");
    assert_eq!(wiki.token.as_ref().unwrap().reveal(), "a-token-of-the-wiki");
    assert_eq!(wiki.redirect, "https://wiki.example.org/oauth_callback");
    assert_eq!(wiki.info["contact"], "wiki@example.org");
    assert!(
        !format!("{config:?}").contains("a-token-of-the-wiki"),
        "secrets are in no debug output"
    );
    let roles: Vec<_> = config.people.roles.of_service("culler").map(|(name, _)| name).collect();
    assert_eq!(roles, ["culling"]);
    assert_eq!(config.services.by_client("service-wiki").unwrap().name, "wiki");
}

/// What stood there, what stands there now, the line, and words of the answer.
const MISTAKES: &[(&str, &str, u32, &str)] = &[
    (
        "command = [\"python3\", \"-m\", \"news\"]",
        "comand = [\"x\"]",
        4,
        "did you mean \"command\"?",
    ),
    ("[service.news]", "[service.\"a/b\"]", 2, "no service's name"),
    ("[service.news]", "[service.\"..\"]", 2, "no service's name"),
    ("http://127.0.0.1:10101", "ftp://127.0.0.1", 3, "write e.g. \"http://"),
    ("http://127.0.0.1:10101", "http://me:x@127.0.0.1", 3, "no user, password"),
    ("{ file = \"wiki-token\" }", "\"s3cret\"", 8, "write { file = \"...\" }"),
    ("\"wiki-token\"", "\"nowhere\"", 8, "nowhere cannot be used"),
    ("\"wiki-token\"", "\"short-token\"", 8, "8 to 64 characters"),
    ("https://wiki.example.org/oauth_callback", "//evil.example/", 9, "write a path of this site"),
    ("https://wiki.example.org/oauth_callback", "javascript:x", 9, "write a path of this site"),
    ("\"list:users\"", "\"list:user\"", 15, "'list:user' does not exist"),
    ("\"list:users\"", "\"read:users!user\"", 15, "a service is no person"),
    (
        "oauth_no_confirm = true",
        "oauth_client_id = \"jupyterhub-user-root\"",
        10,
        "begin with service-",
    ),
    ("oauth_no_confirm = true", "oauth_client_id = \"service-news\"", 6, "is defined twice"),
    ("command = [\"python3\", \"-m\", \"jupyterhub_idle_culler\"]", "", 13, "does nothing"),
];

#[test]
fn mistakes_are_told_where_they_stand() {
    for (from, to, line, words) in MISTAKES {
        let folder = folder();
        folder.write("short-token", "short\n");
        folder.change("services.toml", from, to);
        let told = folder.told();
        let first = told.0.iter().find(|one| one.message.contains(words));
        let first = first.unwrap_or_else(|| panic!("{from} -> {to}: {told}"));
        assert_eq!((first.file.as_str(), first.line), ("services.toml", *line), "{told}");
    }
    let folder = folder();
    folder.change("roles.toml", "services = [\"culler\"]", "services = [\"cullr\"]");
    let told = folder.told().to_string();
    assert!(told.contains("service \"cullr\" is not defined; did you mean \"culler\"?"), "{told}");
}

#[test]
fn files_that_are_only_tried_open_no_secret() {
    let folder = folder();
    fs::remove_file(folder.path().join("wiki-token")).unwrap();
    config::try_settings(folder.path(), NOW.parse().unwrap()).unwrap();
}
