//! A course's link, as nbgitpuller's generator makes it, for somebody who has not logged in: login,
//! one click, and the real nbgitpuller in a real JupyterLab fetches the course and opens it.

use std::path::Path;

use reqwest::Url;
use serde_json::json;

use crate::browser::Browser;
use crate::site::{Site, run};

const UID: u32 = 21_060;
const FILE: &str = "first steps.ipynb";

/// A repository with one notebook, which the person may read.
fn repository(home: &Path) -> String {
    let repository = home.join("teacher/course");
    let _ = std::fs::remove_dir_all(home.join("teacher"));
    let _ = std::fs::remove_dir_all(home.join("course"));
    std::fs::create_dir_all(&repository).unwrap();
    let notebook = json!({ "cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5 });
    std::fs::write(repository.join(FILE), notebook.to_string()).unwrap();
    let at = repository.to_str().unwrap();
    let git = |arguments: &[&str]| run("git", &[&["-C", at], arguments].concat());
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "."]);
    let author = ["-c", "user.name=Teacher", "-c", "user.email=teacher@example.org"];
    git(&[&author[..], &["commit", "--quiet", "-m", "The course"]].concat());
    run("chown", &["-R", &format!("{UID}:{UID}"), home.to_str().unwrap()]);
    format!("file://{at}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_course_link_survives_login_and_start_and_opens_the_course() {
    let site = Site::running();
    let person = site.user("noether", UID).await;
    let repository = repository(&person.home);
    let mut link = Url::parse(&format!("{}/hub/user-redirect/git-pull", site.url)).unwrap();
    link.query_pairs_mut()
        .append_pair("repo", &repository)
        .append_pair("branch", "main")
        .append_pair("urlpath", &format!("lab/tree/course/{FILE}"));

    let before = person.generation().await;
    let browser = Browser::open().await;
    browser.page.goto(link.as_str()).await.unwrap();
    browser.fill("username", "noether").await;
    browser.fill("password", &person.password).await;
    browser.see("main form button[type='submit']").await.click().await.unwrap();
    // The link was a GET: nothing has started.
    browser.at("/hub/spawn").await;
    assert_eq!(person.generation().await, before);
    browser.see("main form button[type='submit']").await.click().await.unwrap();
    browser.at("/user/noether/lab/tree/course/first%20steps.ipynb").await;
    browser.see(".jp-Notebook").await;
    browser.shot("10-course").await;
    assert!(person.home.join("course").join(FILE).exists(), "the course is in HOME");
    person.stop().await;
    browser.close().await;
}
