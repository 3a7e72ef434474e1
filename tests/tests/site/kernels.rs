//! The page of kernels, with real ones: one that starts, one of the person's own that cannot. And how
//! few clicks lead to a JupyterLab that works.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::browser::Browser;
use crate::journey::put;
use crate::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_is_really_tried_and_leaves_nothing_behind() {
    let site = Site::running();
    let person = site.user("agnesi", 21_093).await;
    std::fs::create_dir_all(&person.home).unwrap();
    std::os::unix::fs::chown(&person.home, Some(21_093), Some(21_093)).unwrap();
    // In HOME, since only the image knows what is in the image.
    let program = person.home.join("envs/lost/bin/python");
    let lost = json!({
        "argv": [program, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Lost", "language": "python",
    });
    put(&person, ".local/share/jupyter/kernels/lost/kernel.json", &lost.to_string());
    person.start(json!({})).await;

    let browser = Browser::open().await;
    browser.log_in(&site, "agnesi", &person.password).await;
    browser.page.goto(&format!("{}/hub/kernels", site.url)).await.unwrap();
    browser.press("Test python3").await;
    browser.see_text("python3 started and answered after").await;
    browser.shot("30-kernel-tried").await;
    browser.press("Test lost").await;
    browser.see_text("lost did not start:").await;
    // What the host found before the start is there, too.
    browser.see_text("One of your own kernels will not start.").await;
    browser.shot("31-kernel-lost").await;
    let (status, kernels) = person.call(Method::GET, "/user/agnesi/api/kernels", None).await;
    assert_eq!((status, kernels), (StatusCode::OK, json!([])), "a trial leaves no kernel");

    // The log of the server is followed while one looks at it.
    let id = person.record().await["id"].as_str().unwrap().to_owned();
    browser.page.goto(&format!("{}/hub/servers/{id}", site.url)).await.unwrap();
    browser.see("#log-lines").await;
    let missing = "/user/agnesi/api/contents/no-such-file.ipynb";
    let (status, _) = person.call(Method::GET, missing, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    browser.see_text("no-such-file.ipynb").await;
    browser.shot("32-log").await;
    person.stop().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clicks_lead_from_the_login_to_jupyterlab() {
    let site = Site::running();
    let person = site.user("germain", 21_091).await;
    let browser = Browser::open().await;
    browser.count_clicks().await;
    browser.log_in(&site, "germain", &person.password).await;
    browser.see("main form button.main").await.click().await.unwrap();
    browser.at("/user/germain/").await;
    browser.see(".jp-LabShell").await;
    assert_eq!(browser.clicks().await, 2, "the login and the start");
    // Back on another day, while it runs.
    browser.page.goto(&format!("{}/hub/home", site.url)).await.unwrap();
    browser.press("Open").await;
    browser.see(".jp-LabShell").await;
    assert_eq!(browser.clicks().await, 3, "one more opens it");
    person.stop().await;
    browser.close().await;
}
