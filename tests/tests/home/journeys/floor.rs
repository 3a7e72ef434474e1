//! The Floor of the whole site: every host is there, the panel follows the pointer, the past is as
//! it was, and a thought changes nothing.

use fantoccini::actions::{InputSource, MouseActions, PointerAction};
use serde_json::json;

use crate::site::Site;

use super::{asked, browser_of, go};

const HOST: &str = "ccjngpu1";

pub async fn an_admin_looks_at_the_floor(site: &Site) {
    let admin = browser_of(site, "admin").await;
    go(&admin, site, "/hub/admin/floor").await;
    let count = async |css: &str| {
        asked(&admin, "return document.querySelectorAll(arguments[0]).length", css).await
    };
    admin.see(&format!("#h-{HOST} svg.h")).await;
    for (css, many) in [("section.fl-pool", 3), ("#fl-floor svg.h", 16), ("svg.gs > g", 20)] {
        assert_eq!(count(css).await, json!(many), "{css}");
    }

    let bar = admin.see(&format!("#h-{HOST} svg.h")).await;
    let to_bar = PointerAction::MoveToElement { element: bar, duration: None, x: 0.0, y: 0.0 };
    let pointer = MouseActions::new("mouse".to_owned()).then(to_bar);
    admin.page.perform_actions(pointer).await.unwrap();
    admin.see(&format!("#panel a[href='/hub/admin/hosts/{HOST}']")).await;
    admin.see("#panel tr[data-from] a[href^='/hub/servers/']").await;
    admin.shot("40-floor").await;

    go(&admin, site, "/hub/admin/floor?back=1440").await;
    admin.see_text("As it was at").await;
    admin.see(&format!("#h-{HOST} svg.h")).await;
    admin.shot("41-floor-yesterday").await;

    go(&admin, site, &format!("/hub/admin/floor?without={HOST}&like=cpu&count=1")).await;
    admin.see_text("servers would find room elsewhere").await;
    admin.see("#h-new-1 svg.h").await;
    admin.shot("42-floor-thought").await;
    let hosts = site.berth(&["host", "list"]);
    assert_eq!(hosts["hosts"].as_array().unwrap().len(), 16, "nothing has changed");
    admin.close().await;
}
