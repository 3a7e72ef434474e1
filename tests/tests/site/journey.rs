//! The main job in a real browser: log in, press start, see where it goes and why, run a notebook
//! in a real JupyterLab under one's own uid, open a terminal, use a kernel of one's own, stop,
//! start again. Nobody else gets in.

use std::time::Duration;

use fantoccini::Locator;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::browser::Browser;
use crate::kernel::Kernel;
use crate::site::{Person, Site, until};

const NOTEBOOK: &str = "who.ipynb";
/// Shift down, Enter, Shift up, as WebDriver writes them: runs a cell.
const SHIFT_ENTER: &str = "\u{e008}\u{e007}\u{e008}";

/// A notebook with one cell that prints who runs it.
fn notebook(kernel: &str) -> String {
    let code = "import os, pwd, subprocess\nprint('uid', os.getuid(), 'name', pwd.getpwuid(os.getuid()).pw_name)\nprint('groups', subprocess.run(['id', '-Gn'], capture_output=True, text=True).stdout.strip())";
    json!({
        "cells": [{ "cell_type": "code", "execution_count": null, "id": "a", "metadata": {}, "outputs": [], "source": code }],
        "metadata": { "kernelspec": { "name": kernel, "display_name": kernel, "language": "python" } },
        "nbformat": 4, "nbformat_minor": 5,
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_physicist_gets_to_work_and_comes_back() {
    let site = Site::running();
    let person = site.user("curie", 21_040).await;
    std::fs::create_dir_all(&person.home).unwrap();
    std::os::unix::fs::chown(&person.home, Some(21_040), Some(21_040)).unwrap();
    put(&person, NOTEBOOK, &notebook("python3"));

    let before = person.generation().await;
    let browser = Browser::open().await;
    browser.page.goto(&format!("{}/hub/login", site.url)).await.unwrap();
    browser.see("[name='username']").await;
    browser.shot("01-login").await;
    browser.log_in(&site, "curie", &person.password).await;
    browser.shot("02-home").await;

    // Start, see where it goes and why; JupyterLab opens by itself.
    browser.page.goto(&format!("{}/hub/spawn", site.url)).await.unwrap();
    browser.shot("03-new-server").await;
    browser.see("main form button[type='submit']").await.click().await.unwrap();
    browser.at("/spawn-pending/").await;
    browser.see_text("laptop").await;
    browser.shot("04-starting").await;
    browser.at("/user/curie/").await;
    browser.see("#jp-main-dock-panel, .jp-LabShell, #main").await;

    run_notebook(&browser, &site).await;
    terminal(&browser, &person).await;
    own_kernel(&person).await;
    nobody_else(&site, &person).await;

    // Stop on the home page; the server's address then says so, and offers a start.
    browser.page.goto(&format!("{}/hub/home", site.url)).await.unwrap();
    browser.see_text("running").await;
    browser.shot("07-home-running").await;
    browser.press("Stop").await;
    person.stopped().await;
    browser.page.goto(&format!("{}/user/curie/lab", site.url)).await.unwrap();
    browser.see_text("not running").await;
    browser.shot("08-stopped").await;
    browser.see("main form button[type='submit']").await.click().await.unwrap();
    browser.at("/user/curie/").await;
    person.ready().await;
    assert_eq!(person.generation().await, before + 2);
    person.stop().await;
    browser.close().await;
}

/// Runs the notebook's cell and reads who it ran as.
async fn run_notebook(browser: &Browser, site: &Site) {
    let page = format!("{}/user/curie/lab/tree/{NOTEBOOK}", site.url);
    browser.page.goto(&page).await.unwrap();
    browser.see(".jp-Notebook .jp-CodeCell .cm-content").await;
    // The kernel must be there before the cell can run.
    let idle = ".jp-Notebook-ExecutionIndicator[data-status='idle']";
    browser.see(idle).await;
    let output = until("the cell has printed", async || {
        // JupyterLab drops keys while it still arranges the page: press again until it took them.
        let cell = browser.page.find(Locator::Css(".jp-CodeCell .cm-content")).await.ok()?;
        cell.click().await.ok()?;
        cell.send_keys(SHIFT_ENTER).await.ok()?;
        let wait = browser.page.wait().at_most(Duration::from_secs(5));
        let found = wait.for_element(Locator::Css(".jp-OutputArea-output")).await.ok()?;
        let text = found.text().await.ok()?;
        text.contains("groups").then_some(text)
    })
    .await;
    browser.shot("05-notebook").await;
    assert!(output.contains("uid 21040 name curie"), "{output}");
    for group in ["curie", "atlas", "lsst"] {
        assert!(
            output.split("groups").nth(1).unwrap().contains(group),
            "{group} is missing: {output}"
        );
    }
}

/// Opens a terminal from the launcher and types into it. What it shows is a picture, so the
/// command leaves its answer in HOME.
async fn terminal(browser: &Browser, person: &Person<'_>) {
    let answer = person.home.join("terminal.txt");
    let _ = std::fs::remove_file(&answer);
    let page = format!("{}/user/curie/lab?reset", person.site.url);
    browser.page.goto(&page).await.unwrap();
    browser.see(".jp-LauncherCard[title*='terminal']").await.click().await.unwrap();
    browser.see(".jp-Terminal .xterm-screen").await;
    let input = browser.see(".xterm-helper-textarea").await;
    until("the terminal has answered", async || {
        // A terminal that is not connected yet drops what is typed.
        input.send_keys("echo $(whoami) $(id -u) > terminal.txt\n").await.ok()?;
        let text = std::fs::read_to_string(&answer).ok()?;
        (text.trim() == "curie 21040").then_some(())
    })
    .await;
    browser.shot("06-terminal").await;
}

/// A kernel that the person made in HOME is offered and runs.
async fn own_kernel(person: &Person<'_>) {
    let spec = json!({
        "argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Radium", "language": "python", "env": { "ELEMENT": "radium" },
    });
    put(person, ".local/share/jupyter/kernels/radium/kernel.json", &spec.to_string());
    let (status, specs) = person.call(Method::GET, "/user/curie/api/kernelspecs", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(specs["kernelspecs"]["radium"]["spec"]["display_name"], json!("Radium"), "{specs}");
    let mut kernel = Kernel::start(person, "radium").await;
    let output = kernel.run("import os; print(os.environ['ELEMENT'])").await;
    assert!(output.contains("radium"), "{output}");
}

/// Another person is logged in and still gets 403 on this server, by browser and by token.
async fn nobody_else(site: &Site, person: &Person<'_>) {
    let other = site.user("becquerel", 21_041).await;
    let path = format!("/user/{}/api/status", person.name);
    let (status, _) = other.call(Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let browser = Browser::open().await;
    browser.log_in(site, "becquerel", &other.password).await;
    browser.page.goto(&format!("{}/user/{}/lab", site.url, person.name)).await.unwrap();
    let status = "return performance.getEntriesByType('navigation')[0].responseStatus";
    let status = browser.page.execute(status, Vec::new()).await.unwrap();
    browser.shot("09-forbidden").await;
    assert_eq!(status, json!(403), "{}", browser.text().await);
    browser.close().await;
}

/// Puts a file into the person's HOME, as the person.
pub fn put(person: &Person<'_>, path: &str, content: &str) {
    let file = person.home.join(path);
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&person.home).unwrap());
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, content).unwrap();
    let mut entry = file.as_path();
    while entry != person.home {
        std::os::unix::fs::chown(entry, Some(uid), Some(uid)).unwrap();
        entry = entry.parent().unwrap();
    }
}
