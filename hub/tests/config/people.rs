//! Login and the account directory: what a person reads who got a key wrong, and that secrets stay
//! where they are.

use std::fs;

use berth_hub::config::{self, Config, directory::Kind};

use crate::folder::{Folder, NOW};

pub const LOGIN: &str = r#"[login.oidc]
issuer = "https://keycloak.example.org/realms/cc"
client_id = "berth"
client_secret = { file = "oidc-secret" }
claims = { uid = "uidNumber", gid = "gidNumber", groups = "groups" }
"#;

pub const DIRECTORY: &str = r#"cache = "10m"
if_down = "use-cache"
cache_max = "24h"
when_invalid = { servers = "stop", grace = "7d" }
[[source]]
kind = "ldap"
url = "ldaps://ldap.example.org"
people = "ou=people,dc=cc,dc=example"
groups = "ou=groups,dc=cc,dc=example"
bind = { dn = "cn=berth,dc=cc,dc=example", password = { file = "ldap-secret" } }
[[source]]
kind = "http"
name = "idnum"
url = "https://idnum.example.org/accounts/{user}"
must_know = true
takes = ["valid", "groups"]
"#;

fn folder() -> Folder {
    let folder = Folder::of(&[("directory.toml", DIRECTORY)]);
    let hub = folder.read("hub.toml");
    folder.write("hub.toml", &format!("{hub}{LOGIN}"));
    folder.write("oidc-secret", "hush-hush\n");
    folder.write("ldap-secret", "hush-hush\n");
    folder
}

fn load(folder: &Folder) -> Config {
    config::load(folder.path(), NOW.parse().unwrap()).unwrap().0
}

#[test]
fn a_site_with_keycloak_ldap_and_an_identity_service() {
    let config = load(&folder());
    let oidc = config.people.login.oidc.as_ref().unwrap();
    assert_eq!(oidc.client_secret.reveal(), "hush-hush");
    assert_eq!(oidc.claims.user, "preferred_username");
    assert!(config.people.login.passwords);
    let directory = &config.people.directory;
    let names: Vec<_> = directory.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["ldap", "idnum"]);
    assert!(matches!(&directory.sources[0].kind, Kind::Ldap(ldap) if ldap.bind.is_some()));
    assert_eq!(directory.sources[1].cite.to_string(), "directory.toml:12");
    assert_eq!(directory.grace.0, 7 * 86_400);
    assert!(!format!("{config:?}").contains("hush-hush"), "secrets are in no debug output");
}

#[test]
fn without_the_file_accounts_are_the_hubs_own_and_those_of_logins() {
    let config = load(&Folder::of(&[]));
    let sources = &config.people.directory.sources;
    let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["local", "login"]);
}

/// File, what stood there, what stands there now, the line, and words of the answer.
const MISTAKES: &[(&str, &str, &str, u32, &str)] = &[
    ("hub.toml", "client_id =", "clientid =", 7, "did you mean \"client_id\"?"),
    ("hub.toml", "{ file = \"oidc-secret\" }", "\"s3cret\"", 8, "write { file = \"...\" }"),
    ("hub.toml", "\"oidc-secret\"", "\"nowhere\"", 8, "nowhere cannot be used: No such file"),
    ("hub.toml", "https://keycloak", "http://keycloak", 6, "it must be encrypted"),
    ("hub.toml", "realms/cc\"", "realms/cc?x=1\"", 6, "an issuer has no query"),
    ("hub.toml", "client_id =", "scopes = [\"email\"]\nclient_id =", 7, "must hold \"openid\""),
    ("hub.toml", "uid = \"uidNumber\"", "uidd = \"uidNumber\"", 9, "did you mean \"uid\"?"),
    ("hub.toml", "client_id =", "ca = \"no.pem\"\nclient_id =", 7, "no.pem cannot be read"),
    ("directory.toml", "kind = \"ldap\"", "kind = \"ldpa\"", 7, "did you mean \"ldap\"?"),
    ("directory.toml", "\"10m\"", "10", 2, "\"15s\", \"2h\""),
    ("directory.toml", "\"use-cache\"", "\"use_cache\"", 3, "did you mean \"use-cache\"?"),
    ("directory.toml", "servers = \"stop\"", "servers = \"kill\"", 5, "possible here: keep, warn"),
    ("directory.toml", "ldaps://", "ldap://", 8, "use ldaps://, or starttls = true"),
    ("directory.toml", "ldaps://", "ftp://", 8, "write e.g. \"ldaps://"),
    ("directory.toml", "people = \"ou", "peeple = \"ou", 9, "did you mean \"people\"?"),
    (
        "directory.toml",
        "people = \"ou=people,dc=cc,dc=example\"",
        "",
        6,
        "needs the key \"people\"",
    ),
    ("directory.toml", "name = \"idnum\"", "name = \"ldap\"", 14, "defined twice; first in"),
    ("directory.toml", "name = \"idnum\"", "name = \"local\"", 14, "cannot be named \"local\""),
    ("directory.toml", "{user}", "alice", 15, "it must hold {user}"),
    ("directory.toml", "must_know", "starttls = true\nmust_know", 16, "has no key \"starttls\""),
    ("directory.toml", "\"valid\",", "\"validity\",", 17, "possible here: valid, uid"),
    ("directory.toml", "{ file = \"ldap-secret\" }", "\"x\"", 11, "a secret is not written here"),
];

#[test]
fn mistakes_are_told_with_file_line_and_what_to_do() {
    for (file, from, to, line, words) in MISTAKES {
        let folder = folder();
        folder.change(file, from, to);
        let told = folder.told();
        let found = told
            .0
            .iter()
            .any(|one| one.file == *file && one.line == *line && one.message.contains(words));
        assert!(found, "{to}: {file}:{line} {words}\n{told}");
        assert!(told.has_errors());
    }
}

#[test]
fn an_empty_secret_is_no_secret() {
    let folder = folder();
    folder.write("oidc-secret", "\n");
    assert!(folder.told().to_string().contains("oidc-secret cannot be used: it is empty"));
}

#[test]
fn files_that_somebody_sends_to_be_judged_open_nothing_on_this_machine() {
    let folder = folder();
    fs::remove_file(folder.path().join("oidc-secret")).unwrap();
    folder.change("directory.toml", "\"ldap-secret\"", "\"/etc/shadow\"");
    let settings = config::try_settings(folder.path(), NOW.parse().unwrap());
    assert!(settings.is_ok(), "{:?}", settings.err());
}

#[test]
fn roles_are_checked_where_they_are_written() {
    let good = "[role.tutor]\nscopes = [\"read:users!group=school\"]\ngroups = [\"tutors\"]\n\
                [role.admin]\ngroups = [\"cc-admins\"]\n";
    let config = load(&Folder::of(&[("roles.toml", good)]));
    assert_eq!(config.people.roles.0["tutor"].scopes, ["read:users!group=school"]);
    for (from, to, line, words) in [
        ("read:users!", "read:user!", 3, "Scope 'read:user!group=school' does not exist"),
        ("!group=school", "!group=", 3, "does not exist"),
        ("[role.tutor]", "[role.T]", 2, "is no role's name"),
        ("[role.tutor]", "[role.server]", 2, "is built in"),
        ("scopes = [\"read:users!group=school\"]\n", "", 2, "a role without scopes"),
        ("groups = [\"cc-admins\"]", "scopes = [\"users\"]\ngroups = [\"a\"]", 5, "built in"),
        ("groups = [\"tutors\"]", "", 2, "names nobody"),
        ("groups = [\"tutors\"]", "group = [\"tutors\"]", 4, "did you mean \"groups\"?"),
    ] {
        let folder = Folder::of(&[("roles.toml", good)]);
        folder.change("roles.toml", from, to);
        let told = folder.told();
        let found = told.0.iter().any(|one| one.line == line && one.message.contains(words));
        assert!(found, "{to}: {line} {words}\n{told}");
    }
}

#[test]
fn a_source_may_know_groups_alone() {
    let lines = "[[source]]\nkind = \"file\"\ngroup = \"groups\"\ntakes = [\"groups\"]\n";
    let folder = folder();
    folder.write("groups", "lab:x::alice\n");
    folder.write("directory.toml", &format!("{}{lines}", folder.read("directory.toml")));
    let sources = load(&folder).people.directory.sources;
    let last = &sources.last().unwrap().kind;
    assert!(matches!(last, Kind::File { passwd: None, group: Some(_) }), "{last:?}");
    folder.change("directory.toml", "group = \"groups\"\n", "");
    assert!(folder.told().to_string().contains("needs the key \"passwd\""));
}
