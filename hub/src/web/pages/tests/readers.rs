//! The language and the theme of whoever reads.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::LOCATION;

use crate::agenda;
use crate::config::Config;
use crate::web::reader::{Language, Reader};

use super::asked;
use super::site::Site;

#[tokio::test]
async fn pages_speak_french_to_whoever_reads_it() {
    let site = Site::busy().await;
    let reader = Reader { language: Language::French, ..Reader::default() };
    let home = reader.served(site.get("dave", "/hub/home")).await;
    assert!(home.body.contains("<html lang=\"fr\""), "{}", home.body);
    let text = home.text();
    for fact in [
        "Mes serveurs",
        "terminé",
        "Le serveur a utilisé toute sa mémoire et a été terminé.",
        "Redémarrez-le avec plus de mémoire.",
        "stopped.oom",
        "Redémarrer à l’identique",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let refused = reader.served(site.post("alice", "/hub/spawn/alice", "memory=64G&name=x")).await;
    let text = refused.text();
    for fact in ["Plus que ce que donne ce profil.", "You asked for 64 GB"] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let lost = reader.served(site.get("alice", "/hub/nowhere")).await;
    assert!(lost.text().contains("Rien ici"), "{}", lost.text());
    let reason = reader.served(site.get("", "/hub/help/stopped.idle")).await.text();
    assert!(reason.contains("Arrêté : il ne s’y passait rien."), "{reason}");
    assert_eq!(site.get("", "/hub/help/no.such").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_choice_of_language_and_theme_is_kept_in_a_cookie() {
    let site = Site::new().await;
    let answer = site.get("", "/hub/reader?language=fr&theme=dark").await;
    assert_eq!(
        (answer.status, &answer.headers[LOCATION]),
        (StatusCode::FOUND, &"/hub/home".parse().unwrap())
    );
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies.len(), 2);
    assert!(cookies[0].to_str().unwrap().starts_with("berth-language=fr; Path=/hub; "));
    assert!(cookies[1].to_str().unwrap().starts_with("berth-theme=dark; Path=/hub; "));
    let nonsense = site.get("", "/hub/reader?language=%3Cb%3E&theme=pink").await;
    assert_eq!(nonsense.headers.get("set-cookie"), None);
}

#[tokio::test]
async fn what_hosts_report_is_said_in_french_with_their_own_words_under_it() {
    let site = Site::busy().await;
    let reader = Reader { language: Language::French, ..Reader::default() };
    let server = site.server("alice", "");
    site.out_of_memory("alice", "").await;
    let home = reader.served(site.get("alice", "/hub/home")).await;
    let killed =
        "python3 (notebook fit.ipynb) a été tué : le serveur avait utilisé toute sa mémoire";
    assert!(home.text().contains(killed), "{}", home.text());
    assert!(!home.body.contains("was killed"), "{}", home.body);

    let action = format!("/hub/servers/{}/memory", server.id);
    site.post("alice", &action, "memory=8+GB").await;
    let refused = reader.served(site.post("alice", &action, "memory=4+GB")).await;
    assert!(
        refused.text().contains("Sa mémoire est déjà en train de changer."),
        "{}",
        refused.text()
    );
    let own = "<p lang=\"en\">It is being given 8 GB already.</p>";
    assert!(refused.body.contains(own), "{}", refused.body);

    let host = server.placement().unwrap().host.to_string();
    let _linked = asked::link(&site, &host, asked::hostile).await;
    let form = format!("server={}&kernel=own", server.id);
    let kernels = reader.served(site.post("alice", "/hub/kernels", &form)).await;
    assert!(kernels.text().contains("own n’a pas démarré :"), "{}", kernels.text());
    assert!(kernels.body.contains("<p lang=\"en\">&#60;script&#62;"), "{}", kernels.body);
}

#[tokio::test]
async fn what_the_files_say_is_said_in_the_readers_language() {
    let site = Site::new().await;
    let mut fresh = Config::clone(&site.hub.config());
    let french = [
        ("Analysis, plots, development", "Analyse, figures, mise au point"),
        ("Python 3.13", "Python 3.13, en français"),
    ];
    let pairs = french.map(|(en, fr)| (en.to_owned(), fr.to_owned()));
    fresh.settings.french.extend(pairs);
    site.hub.config.store(Arc::new(fresh));
    agenda::put_in_force(&site.hub).await;
    let reader = Reader { language: Language::French, ..Reader::default() };
    let (english, page) = (
        site.get("alice", "/hub/spawn").await,
        reader.served(site.get("alice", "/hub/spawn")).await,
    );
    for (en, fr) in french {
        assert!(english.body.contains(en) && !english.body.contains(fr), "{en}");
        assert!(page.body.contains(fr), "{fr} is missing:\n{}", page.text());
    }
    assert!(!page.body.contains("Analysis, plots"), "{}", page.text());
    // What has no French is said as it is.
    assert!(page.body.contains("ROOT 6.34 and C++"), "{}", page.text());
}
