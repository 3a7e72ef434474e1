//! Notices and maintenance: who reads them, and who writes them.

use axum::http::StatusCode;
use axum::http::header::LOCATION;
use berth_common::Timestamp;
use berth_store::Database;

use super::scene::HOSTILE;
use super::site::Site;
use super::trainings;

/// A notice that is hostile, one that has ended, and maintenance of a host.
pub async fn write(site: &Site) {
    let en: String = url::form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    let form = format!("to=all&level=warning&en={en}&fr=Maintenance+du+r%C3%A9seau&must_read=yes");
    assert_eq!(site.post("erin", HERE, &form).await.status, StatusCode::SEE_OTHER);
    let form = "to=all&level=info&en=The+cafeteria+is+open.";
    assert_eq!(site.post("erin", HERE, form).await.status, StatusCode::SEE_OTHER);
    let cafeteria = site.hub.agenda.notices().last().unwrap().0;
    site.post("erin", &format!("{HERE}/{cafeteria}/end"), "").await;
    let form = "hosts=wn1%2C+wn2&from=2199-05-12T14%3A00&to=2199-05-12T18%3A00&reason=new+disks";
    let done = site.post("erin", &format!("{HERE}/maintenance"), form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
}

const HERE: &str = "/hub/admin/notices";

#[tokio::test]
async fn they_are_written_by_administrators_and_read_by_whom_they_are_for() {
    let site = Site::busy().await;
    for (path, form) in [(HERE, "en=x"), ("/hub/admin/notices/maintenance", "hosts=wn1")] {
        assert_eq!(site.post("alice", path, form).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(site.get("alice", HERE).await.status, StatusCode::FORBIDDEN);
    let text = site.get("alice", "/hub/notices").await.text();
    assert!(text.contains("There are no notices.") && text.contains("No maintenance"), "{text}");

    write(&site).await;
    let page = site.get("alice", "/hub/notices").await;
    let text = page.text();
    for said in
        ["&#60;script", "The cafeteria is open.", "Ended", "new disks", "2199-05-12 14:00 UTC"]
    {
        assert!(text.contains(said) || page.body.contains(said), "{said:?} is missing:\n{text}");
    }
    assert!(text.contains("a server of yours is there"), "{text}");
    assert!(!site.get("dave", "/hub/notices").await.text().contains("a server of yours"));
    assert!(
        site.get("alice", "/hub/home").await.body.contains("&#60;script"),
        "on the card's board"
    );
    assert!(!page.body.contains("<script>window"), "{}", page.body);
    let home = site.get("alice", "/hub/home").await.text();
    let at = |text: &str| home.find(text).unwrap_or_else(|| panic!("{text:?} is missing:\n{home}"));
    assert!(at("new disks") < at("&#60;script"), "what touches her comes first");

    let page = site.get("erin", HERE).await;
    assert!(page.text().contains("wn1 , wn2 planned"), "{}", page.text());
    assert!(!page.body.contains("<script>window"), "{}", page.body);
    let (id, _) = site.hub.agenda.maintenance()[0];
    assert_eq!(
        site.post("alice", &format!("{HERE}/{id}/end"), "").await.status,
        StatusCode::NOT_FOUND
    );
    site.post("erin", &format!("{HERE}/{id}/end"), "").await;
    let text = site.get("erin", HERE).await.text();
    assert!(text.contains("No maintenance is planned."), "{text}");
    let acts = site.get("erin", "/hub/admin/audit").await.text();
    for act in ["notice-add", "notice-end", "maintenance-add", "maintenance-cancel"] {
        assert!(acts.contains(act), "{act} is missing:\n{acts}");
    }
}

#[tokio::test]
async fn a_reader_puts_one_away_and_says_that_another_was_read() {
    let site = Site::busy().await;
    site.post("erin", HERE, "to=all&en=The+cafeteria+is+open.").await;
    let form = "to=users%3Aalice%2Cbob&en=Passwords+change.&must_read=yes";
    site.post("erin", HERE, form).await;
    let ids: Vec<_> = site.hub.agenda.notices().iter().map(|(id, _)| *id).collect();
    let [cafeteria, passwords] = ids[..] else { panic!("{ids:?}") };
    let read = |id: i64| format!("/hub/notices/{id}/read");
    let said = ["The cafeteria is open.", "Put away", "Passwords change.", "I have read this"];
    // Bob has no server: his home is the form.
    for person in ["alice", "bob"] {
        let text = site.get(person, "/hub/home").await.text();
        assert!(said.iter().all(|said| text.contains(said)), "{person}: {text}");
    }
    let refused = site.post_raw("alice", &read(passwords), "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "without the token");
    for (id, next) in
        [(cafeteria, "/hub/spawn"), (passwords, "//evil.example"), (passwords, "/hub/home")]
    {
        let done = site.post("alice", &read(id), &format!("next={next}")).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
        let to = if next.starts_with("//") { "/hub/home" } else { next };
        assert_eq!(done.headers[LOCATION], to);
    }
    for page in ["/hub/home", "/hub/spawn"] {
        let text = site.get("alice", page).await.text();
        assert!(!said.iter().any(|said| text.contains(said)), "{page}: {text}");
    }
    let live = site.live("alice", "/hub/live/home").await.next().await;
    assert!(!live.contains("Passwords change."), "{live}");
    assert!(site.get("bob", "/hub/home").await.text().contains("Passwords change."), "alice's own");
    // Where all notices stand these do, too.
    let page = site.get("alice", "/hub/notices").await;
    assert!(page.text().contains("Passwords change."), "{}", page.text());
    assert!(!page.body.contains("/read\""), "{}", page.body);
    // It is nothing to those whom it is not for, administrators or not.
    for person in ["dave", "erin"] {
        let done = site.post(person, &read(passwords), "").await;
        assert_eq!(done.status, StatusCode::NOT_FOUND, "{person}");
    }
    let page = format!("/hub/notices/{passwords}");
    let text = site.get("erin", &page).await.text();
    assert!(text.contains("Have said that they read it one person"), "{text}");
    site.post("bob", &read(passwords), "").await;
    let text = site.get("erin", &page).await.text();
    assert!(text.contains("Have said that they read it 2 people"), "{text}");
    assert!(!site.get("alice", &page).await.text().contains("Have said"), "for administrators");
    let other = site.get("erin", &format!("/hub/notices/{cafeteria}")).await.text();
    assert!(!other.contains("Have said"), "nobody has to: {other}");
    assert!(site.get("erin", HERE).await.text().contains("to be read"), "in the list");
    // Who read it is forgotten with it.
    let storage = &site.hub.storage;
    let long_ago = |database: &mut Database| database.forget_agenda(Timestamp(i64::MAX));
    storage.write(long_ago).await.unwrap();
    assert_eq!(storage.read(|reader| reader.readers_of(passwords)).unwrap(), 0);
}

#[tokio::test]
async fn times_are_meant_in_the_zone_of_the_form() {
    let site = Site::busy().await;
    let day = "from=2199-05-12T14%3A00&to=2199-05-12T18%3A00&zone=Europe/Paris";
    let form = format!("{day}&hosts=wn1&reason=new+disks");
    let done = site.post("erin", &format!("{HERE}/maintenance"), &form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let text = site.get("erin", HERE).await.text();
    assert!(text.contains("2199-05-12 12:00 UTC 2199-05-12 16:00 UTC"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_sentence() {
    let site = Site::busy().await;
    let maintenance = format!("{HERE}/maintenance");
    let day = "from=2199-05-12T14%3A00&to=2199-05-12T18%3A00";
    for (path, form, status, said) in [
        (HERE, "to=all&en=+".to_owned(), 409, "in English"),
        (HERE, "to=host:wn77&en=x".into(), 409, "host:wn77 reaches nobody"),
        (HERE, "to=everyone&en=x".into(), 409, "group:NAME"),
        (HERE, "to=all&en=x&until=2020-01-01T00%3A00".into(), 409, "must lie ahead"),
        (HERE, "to=all&en=x&until=soon".into(), 400, "soon"),
        (HERE, "to=all&en=x&until=2199-05-12T14%3A00&zone=Mars/Gale".into(), 400, "Mars/Gale"),
        (maintenance.as_str(), format!("{day}&hosts=&reason=x"), 409, "at least one host"),
        (maintenance.as_str(), format!("{day}&hosts=wn77&reason=x"), 409, "no host wn77"),
        (maintenance.as_str(), format!("{day}&hosts=wn1&reason=+"), 409, "Say why"),
        (maintenance.as_str(), "hosts=wn1&reason=x&from=&to=".into(), 400, "a date and a time"),
    ] {
        let answer = site.post("erin", path, &form).await;
        assert_eq!(answer.status.as_u16(), status, "{form}: {}", answer.text());
        let text = answer.text().to_lowercase();
        assert!(text.contains(&said.to_lowercase()), "{form}: {text}");
    }
    assert!(site.hub.agenda.entries().is_empty(), "nothing was written");
}

#[tokio::test]
async fn who_teaches_finds_the_trainings_in_the_menu() {
    let site = Site::busy().await;
    trainings::begin(&site).await;
    let offered = async |who: &str| {
        let page = site.get(who, "/hub/usage").await;
        page.body.contains("<a href=\"/hub/trainings\"")
    };
    assert!(offered("bob").await, "teaches");
    assert!(offered("erin").await, "administers");
    assert!(!offered("carol").await, "neither");
}
