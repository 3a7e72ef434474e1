//! A refused form comes back with what was typed and the mistake beside its field; and whoever is
//! logged in keeps the menu on pages that say what went wrong.

use axum::http::StatusCode;

use super::site::Site;
use super::{holds_nothing_inline, trainings};

/// The field is marked, described by its mistake, and holds what was typed.
fn comes_back(page: &str, field: &str, typed: &str, why: &str) {
    holds_nothing_inline("a refused form", "erin", page);
    let alert = format!("id=\"{field}-wrong\"><p>");
    let said = page.split(&alert).nth(1).unwrap_or_else(|| panic!("no {alert}:\n{page}"));
    assert!(said.split("</p>").next().unwrap().contains(why), "{said}");
    let described = format!("{field}-wrong\"");
    let tag = page.split('<').find(|tag| tag.contains(&described) && tag.contains("aria-invalid"));
    assert!(tag.is_some(), "nothing is described by {described}:\n{page}");
    assert!(page.contains(typed), "{typed} was lost:\n{page}");
}

#[tokio::test]
async fn what_was_typed_comes_back_with_the_mistake_beside_its_field() {
    let site = Site::busy().await;
    trainings::begin(&site).await;
    let notices = "/hub/admin/notices";
    let maintenance = "/hub/admin/notices/maintenance";
    let day = "from=2199-05-12T14%3A00&to=2199-05-12T18%3A00";
    for (path, form, status, field, typed, why) in [
        (
            "/hub/token",
            "note=nightly&scopes=nonsense&days=7",
            400,
            "scopes",
            "value=\"nightly\"",
            "no scope",
        ),
        ("/hub/token", "scopes=admin:users&days=7", 200, "", "", ""),
        (
            notices,
            "to=everyone&en=Closed&fr=Ferm",
            409,
            "notice-to",
            ">Closed</textarea>",
            "group:NAME",
        ),
        (notices, "to=all&en=+&fr=Ferm", 409, "notice-en", ">Ferm</textarea>", "in English"),
        (notices, "to=all&en=x&until=soon", 400, "notice-until", ">x</textarea>", "soon"),
        (
            maintenance,
            &format!("{day}&hosts=wn77&reason=disks"),
            409,
            "plan-hosts",
            "value=\"disks\"",
            "no host wn77",
        ),
        (
            maintenance,
            &format!("{day}&hosts=wn1&reason=+"),
            409,
            "plan-reason",
            "value=\"wn1\"",
            "Say why",
        ),
        (
            maintenance,
            "from=&to=&hosts=wn1&reason=x",
            400,
            "plan-from",
            "value=\"wn1\"",
            "a date and a time",
        ),
        (
            "/hub/trainings/school/orders",
            "order=open&hours=1&reason=drill",
            409,
            "why",
            "value=\"drill\"",
            "on until",
        ),
        (
            "/hub/trainings/school/orders",
            "order=extend&hours=1&reason=+",
            409,
            "why-extend",
            "",
            "Say why",
        ),
    ] {
        let answer = site.post("erin", path, form).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {form}: {}", answer.text());
        if !field.is_empty() {
            comes_back(&answer.body, field, typed, why);
        }
    }
    assert!(site.hub.agenda.notices().is_empty() && site.hub.agenda.maintenance().is_empty());
    let seven = site.post("erin", "/hub/token", "scopes=nonsense&days=7").await.body;
    assert!(seven.contains("<option value=\"7\" selected>"), "{seven}");
}

#[tokio::test]
async fn who_is_logged_in_keeps_the_menu_where_something_went_wrong() {
    let site = Site::new().await;
    for (person, path, status) in [
        ("alice", "/hub/nowhere", StatusCode::NOT_FOUND),
        ("alice", "/hub/admin/hosts", StatusCode::FORBIDDEN),
        ("alice", "/hub/servers/0000000000000000", StatusCode::NOT_FOUND),
    ] {
        let answer = site.whole(person, path, "en").await;
        let page = answer.body;
        assert_eq!(answer.status, status, "{path}");
        assert!(page.contains("<strong>alice</strong>"), "{path}:\n{page}");
        assert!(page.contains("href=\"/hub/spawn\"") && page.contains("action=\"/hub/logout\""));
        assert!(!page.contains("/hub/admin/floor"), "only what is hers:\n{page}");
    }
    let page = site.whole("", "/hub/nowhere", "en").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(!page.body.contains("/hub/logout"), "{}", page.body);
}
