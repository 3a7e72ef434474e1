//! Chromium, driven from outside: one driver and one fresh profile a test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::site::{PATIENCE, until};

/// Without these Chromium asks its maker's hosts for things at every start.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
];

/// Counts what people click, over all pages of a tab.
const COUNT: &str = "
    addEventListener('click', (event) => {
        const before = Number(sessionStorage.getItem('clicks') ?? 0);
        if (event.isTrusted) sessionStorage.setItem('clicks', before + 1);
    }, true);";

/// A script for every page, before the page's own: a command of Chromium's driver that is no part
/// of the standard.
#[derive(Debug)]
struct BeforeEveryPage(&'static str);

impl WebDriverCompatibleCommand for BeforeEveryPage {
    fn endpoint(
        &self,
        base: &Url,
        session: Option<&str>,
    ) -> Result<Url, <Url as std::str::FromStr>::Err> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        let (cmd, source) = ("Page.addScriptToEvaluateOnNewDocument", self.0);
        let body = json!({ "cmd": cmd, "params": { "source": source } });
        (Method::POST, Some(body.to_string()))
    }
}

/// A running browser.
pub struct Browser {
    /// The page.
    pub page: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens one.
    pub async fn open() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is missing: tests/run installs it (Debian chromium-driver)");
        let port: u16 = BufReader::new(driver.stdout.take().unwrap())
            .lines()
            .find_map(|line| {
                line.ok()?.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver's port");
        let profile = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let capabilities = json!({
            "goog:chromeOptions": { "binary": "/usr/bin/chromium", "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
            // On a machine that does much else even a short script waits for its turn.
            "timeouts": { "script": 300_000, "pageLoad": 600_000 },
        });
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().unwrap().clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("Chromium");
        Self { page, driver, _profile: profile }
    }

    /// Closes it.
    pub async fn close(mut self) {
        let _ = self.page.clone().close().await;
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }

    /// Counts clicks from now on.
    pub async fn count_clicks(&self) {
        self.page.issue_cmd(BeforeEveryPage(COUNT)).await.unwrap();
    }

    /// How often somebody has clicked since they are counted, a press of Enter in a form included.
    pub async fn clicks(&self) -> u64 {
        let script = "return Number(sessionStorage.getItem('clicks') ?? 0)";
        let clicks: Value = self.page.execute(script, Vec::new()).await.unwrap();
        clicks.as_u64().unwrap()
    }

    /// Waits for an element.
    pub async fn see(&self, css: &str) -> Element {
        let found = self.page.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        match found {
            Ok(element) => element,
            Err(error) => {
                self.shot("failed").await;
                let url = self.page.current_url().await.unwrap();
                panic!("{css} did not appear on {url}: {error}\n{}", self.text().await)
            }
        }
    }

    /// Waits until the page shows a text.
    pub async fn see_text(&self, text: &str) {
        until(&format!("the page shows \"{text}\""), async || {
            self.text().await.contains(text).then_some(())
        })
        .await;
    }

    /// Waits until the address contains a part.
    pub async fn at(&self, part: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let url = self.page.current_url().await.map(String::from).unwrap_or_default();
            if url.contains(part) {
                return;
            }
            if Instant::now() > end {
                self.shot("failed").await;
                panic!("the address is {url}, without {part}; the page says\n{}", self.text().await)
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The page's visible text.
    pub async fn text(&self) -> String {
        let script = "return document.body ? document.body.innerText : ''";
        let text = self.page.execute(script, Vec::new()).await.unwrap_or_default();
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Presses the button or link with this text.
    pub async fn press(&self, text: &str) {
        let path = format!(
            "//button[normalize-space()='{text}'] | //a[normalize-space()='{text}'] | //summary[normalize-space()='{text}']"
        );
        loop {
            let wait = self.page.wait().at_most(PATIENCE);
            let Ok(element) = wait.for_element(Locator::XPath(&path)).await else {
                self.shot("failed").await;
                panic!("there is no \"{text}\" to press on\n{}", self.text().await)
            };
            match element.click().await {
                // A live page has put a new one in its place meanwhile.
                Err(error) if error.is_stale_element_reference() => {}
                clicked => return clicked.unwrap(),
            }
        }
    }

    /// Fills a field by its name.
    pub async fn fill(&self, name: &str, value: &str) {
        let field = self.see(&format!("[name='{name}']")).await;
        field.clear().await.unwrap();
        field.send_keys(value).await.unwrap();
    }

    /// Logs in on the login page.
    pub async fn log_in(&self, site: &crate::site::Site, user: &str, password: &str) {
        self.page.goto(&format!("{}/hub/login", site.url)).await.unwrap();
        self.fill("username", user).await;
        self.fill("password", password).await;
        self.see("main form button[type='submit']").await.click().await.unwrap();
        self.at("/hub/home").await;
    }

    /// Keeps a picture of the page among the artefacts.
    pub async fn shot(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".artefacts");
        std::fs::create_dir_all(&folder).unwrap();
        if let Ok(picture) = self.page.screenshot().await {
            std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
        }
    }
}
