//! The case for which all this was asked, in a browser: one scheduler and three workers started in
//! Slurm from JupyterLab.

use std::os::unix::fs::chown;
use std::time::Duration;

use fantoccini::Locator;
use serde_json::json;

use crate::browser::Browser;
use crate::farm::{self, BY_GATEWAY, COMPUTE, jobs, no_jobs, see_dashboard};
use crate::site::{Site, until};

const SHIFT_ENTER: &str = "\u{e008}\u{e007}\u{e008}";

#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_in_the_browser_computes_on_the_farm() {
    let site = Site::running();
    let ann = farm::person(&site, "dask-ann", 21_001).await;
    farm::allow(&ann).await;
    let code = format!("{BY_GATEWAY}\nclient.wait_for_workers(3, timeout=170){COMPUTE}");
    let notebook = json!({
        "cells": [{ "cell_type": "code", "execution_count": null, "id": "a", "metadata": {}, "outputs": [],
                    "source": code.trim() }],
        "metadata": { "kernelspec": { "name": "python3", "display_name": "Python 3", "language": "python" } },
        "nbformat": 4, "nbformat_minor": 5,
    });
    let file = ann.home.join("work.ipynb");
    std::fs::create_dir_all(&ann.home).unwrap();
    chown(&ann.home, Some(21_001), Some(21_001)).unwrap();
    std::fs::write(&file, notebook.to_string()).unwrap();
    chown(&file, Some(21_001), Some(21_001)).unwrap();
    farm::start(&ann).await;

    let browser = Browser::open().await;
    browser.log_in(&site, "dask-ann", &ann.password).await;
    browser.page.goto(&format!("{}/user/dask-ann/lab/tree/work.ipynb", site.url)).await.unwrap();
    browser.see(".jp-Notebook .jp-CodeCell .cm-content").await;
    browser.see(".jp-Notebook-ExecutionIndicator[data-status='idle']").await;
    until("the cell runs", async || {
        // JupyterLab drops keys while it still arranges the page: press again until it took them.
        let cell = browser.page.find(Locator::Css(".jp-CodeCell .cm-content")).await.ok()?;
        cell.click().await.ok()?;
        cell.send_keys(SHIFT_ENTER).await.ok()?;
        let wait = browser.page.wait().at_most(Duration::from_secs(5));
        let busy = ".jp-Notebook-ExecutionIndicator[data-status='busy']";
        wait.for_element(Locator::Css(busy)).await.ok().map(drop)
    })
    .await;
    browser.see_text("328350").await;
    browser.shot("farm-1-notebook").await;
    assert_eq!(jobs("dask-ann", "running"), 4, "a scheduler and three workers, all the user's");

    // The card tells of it, and leads to the dashboard, which draws by its websocket.
    browser.page.goto(&format!("{}/hub/home", site.url)).await.unwrap();
    browser.see_text("3 workers, 3 cores").await;
    browser.shot("farm-2-card").await;
    see_dashboard(&browser, &site, "a[href^='/hub/dask/']").await;
    browser.shot("farm-3-dashboard").await;

    browser.page.goto(&format!("{}/hub/home", site.url)).await.unwrap();
    browser.press("Stop").await;
    ann.stopped().await;
    no_jobs("dask-ann").await;
    browser.close().await;
}
