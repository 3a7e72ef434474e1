//! Nothing on a French page is English but names, logs, and what says that it is English.

use std::collections::BTreeSet;

use super::scene::{HOSTILE, scene};
use super::site::Site;
use super::{administration, all_pages, notices, trainings};
use crate::web::reader::{Language, Reader};
use crate::web::say;

/// What people, files and programs have written: it is in whatever language it is in.
const WRITTEN: [&str; 13] = [
    "ROOT <school>",
    HOSTILE,
    "window.hacked",
    "Analysis, plots, development",
    "Training of small networks",
    "Larger networks",
    "Two GPUs",
    "Training ROOT",
    "ROOT 6.34 and C++",
    "The cafeteria is open.",
    "new disks",
    "Maintenance du réseau",
    "English",
];

/// What is the same in both languages.
const SAME: [&str; 2] = ["Pool ", "uid, gid"];

/// Elements that have no end.
const VOID: [&str; 8] = ["area", "br", "hr", "img", "input", "link", "meta", "path"];

/// What people read on a page, also what is only read aloud; without what says that it is English,
/// and without what programs said.
fn read(html: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // Of each open element its name, and whether it is left out.
    let mut open: Vec<(&str, bool)> = Vec::new();
    for part in html.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or((part, ""));
        let left_out = open.last().is_some_and(|it| it.1);
        if let Some(name) = tag.strip_prefix('/') {
            while let Some((last, _)) = open.pop()
                && last != name
            {}
        } else {
            let name = tag.split([' ', '/']).next().unwrap_or_default();
            let left_out = left_out
                || tag.contains("lang=\"en\"") && name != "html"
                || ["pre", "code", "script"].contains(&name)
                || ["class=\"code", "class=\"secret", "class=\"added", "class=\"removed"]
                    .iter()
                    .any(|class| tag.contains(class));
            for attribute in [" placeholder=\"", " aria-label=\"", " title=\""] {
                let value = tag.split_once(attribute).and_then(|(_, rest)| rest.split_once('"'));
                found.extend(value.filter(|_| !left_out).map(|(value, _)| tidy(value)));
            }
            if !VOID.contains(&name) && !tag.ends_with('/') && !tag.starts_with('!') {
                open.push((name, left_out));
            }
        }
        if !open.last().is_some_and(|it| it.1) {
            found.insert(tidy(text));
        }
    }
    found.retain(|text| text.chars().filter(char::is_ascii_alphabetic).count() > 2);
    found
}

fn tidy(text: &str) -> String {
    let text = text.replace("&#39;", "'").replace("&#60;", "<").replace("&#62;", ">");
    let text = text.replace("&#34;", "\"");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words that are in most English sentences and in no French one.
const ENGLISH: [&str; 17] = [
    "the", "is", "are", "and", "of", "you", "your", "for", "with", "not", "was", "has", "have",
    "will", "this", "it", "its",
];

fn is_english(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '’');
    words.any(|word| ENGLISH.contains(&word.to_lowercase().as_str()))
}

/// English sentences on this page.
fn english(french: &str) -> Vec<String> {
    let written = |text: &String| WRITTEN.iter().any(|it| text.contains(it));
    read(french).into_iter().filter(|text| is_english(text) && !written(text)).collect()
}

/// Texts that stand on both pages, are no words of the French catalogue, and are no data.
fn untranslated(english: &str, french: &str, words: &BTreeSet<String>) -> Vec<String> {
    let data = |text: &String| {
        let text = text.trim_end_matches(" · Berth");
        let rest = text.trim_matches(|c: char| !c.is_alphabetic());
        // Names, numbers and paths: one word, or one that no dictionary has.
        words.contains(rest)
            || !rest.contains(' ')
            || WRITTEN.iter().any(|it| text.contains(it))
            || SAME.iter().any(|it| text.starts_with(it))
            || text.chars().any(|c| c.is_ascii_digit())
    };
    let english = read(english);
    read(french).into_iter().filter(|text| english.contains(text) && !data(text)).collect()
}

async fn whole() -> Site {
    let site = scene().await;
    administration::prepare(&site).await;
    notices::write(&site).await;
    site
}

/// Every page, and forms after a refusal.
async fn every_page(site: &Site, person: &str) -> Vec<(String, String)> {
    let mut pages = all_pages(site, person).await;
    for (path, form) in [
        ("/hub/spawn/alice", "memory=64G&name=x"),
        ("/hub/spawn/alice", "memory=2G&name=Not+a+name"),
        ("/hub/spawn/alice", "memory=much&name=x"),
        ("/hub/token", "scopes=nonsense"),
        ("/hub/token", "scopes=admin:users"),
        ("/hub/admin/notices", "to=all&en=+"),
        ("/hub/admin/notices", "to=everyone&en=x"),
        ("/hub/admin/notices/maintenance", "hosts=wn77&from=x&to=y&reason=+"),
        ("/hub/trainings/school/orders", "order=close&reason=+"),
        ("/hub/trainings/school/orders", "order=open&hours=1&reason=x"),
        ("/hub/trainings/school/participants/alice/stop", ""),
        ("/hub/trainings/school/message", "text="),
    ] {
        pages.push((format!("POST {path} {form}"), site.post(person, path, form).await.body));
    }
    for server in site.hub.fleet.fleet().servers.values() {
        for act in ["enter", "memory", "extend"] {
            let path = format!("/hub/servers/{}/{act}", server.id);
            pages.push((format!("POST {path}"), site.post(person, &path, "reason=+").await.body));
        }
    }
    pages
}

/// Where somebody is asked before they are let in.
const DOORS: [(&str, &str); 3] = [
    ("jupyterhub-user-alice", "/user/alice/oauth_callback"),
    ("service-news", "https://news.example/oauth_callback"),
    ("service-none", "/none"),
];

/// The doors, to a browser that reads this language.
async fn doors(site: &Site, person: &str, language: &str) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for (client, redirect) in DOORS {
        let path = format!(
            "/hub/api/oauth2/authorize?client_id={client}&redirect_uri={redirect}&response_type=code"
        );
        pages.push((path.clone(), site.whole(person, &path, language).await.body));
    }
    pages
}

#[tokio::test]
async fn no_page_mixes_the_languages() {
    let site = whole().await;
    trainings::begin(&site).await;
    let catalogue = say::plain(Language::French);
    let mut troubles = BTreeSet::new();
    for person in ["alice", "erin", "bob"] {
        let mut first = every_page(&site, person).await;
        first.extend(doors(&site, person, "en").await);
        let reader = Reader { language: Language::French, ..Reader::default() };
        let mut second = reader.served(every_page(&site, person)).await;
        second.extend(doors(&site, person, "fr").await);
        assert_eq!(first.len(), second.len());
        for ((path, first), (_, second)) in first.iter().zip(&second) {
            let found = english(second).into_iter().chain(untranslated(first, second, &catalogue));
            troubles.extend(found.map(|text| format!("{path}: {text}")));
        }
    }
    assert!(troubles.is_empty(), "{troubles:#?}");
    // What is looked for is found.
    assert_eq!(english("<p>Il a dit : it is full</p>"), ["Il a dit : it is full"]);
    assert!(english("<p lang=\"en\">it <b>is</b> full</p><pre>it is</pre>").is_empty());
    let both = "<p>Kernel list</p>";
    assert_eq!(untranslated(both, both, &catalogue), ["Kernel list"]);
}
