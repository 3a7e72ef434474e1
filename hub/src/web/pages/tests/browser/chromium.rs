//! One Chromium with a fresh profile, and what is asked of it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// Long enough for two busy cores; a page takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(180);

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
    "--hide-scrollbars",
];

/// A running browser.
pub struct Chromium {
    page: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

/// A command of Chromium's driver that is no part of the standard.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

impl Chromium {
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
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
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

    /// Goes to a page and waits until it is loaded, its scripts included.
    pub async fn go(&self, url: &str) {
        // On a machine that does much else ChromeDriver may say so of the page before it.
        self.script("window.isLeft = true").await;
        self.page.goto(url).await.unwrap();
        self.until("document.readyState === 'complete' && !window.isLeft").await;
    }

    /// How wide the window is, in pixels of the page.
    pub async fn width(&self, width: u32) {
        let metrics =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.cdp("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Lets pages run no scripts from now on; those of the tests go on.
    pub async fn without_scripts(&self) {
        self.cdp("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// Runs a script on every page from now on, before the page's own.
    pub async fn before_every_page(&self, script: &str) {
        self.cdp("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// Where the reader is from now on, as `Asia/Tokyo`.
    pub async fn zone(&self, name: &str) {
        self.cdp("Emulation.setTimezoneOverride", json!({ "timezoneId": name })).await;
    }

    /// Shows pages as they are printed from now on.
    pub async fn as_printed(&self) {
        self.cdp("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
    }

    /// Presses a key, as somebody at the keyboard.
    pub async fn key(&self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            other => panic!("no such key here: {other}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let press = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text,
            });
            self.cdp("Input.dispatchKeyEvent", press).await;
        }
    }

    /// Moves the pointer over an element, so many hundredths of its width from the left.
    pub async fn point(&self, css: &str, hundredths: u32) {
        self.mouse("mouseMoved", css, hundredths).await;
    }

    /// Clicks there.
    pub async fn click_at(&self, css: &str, hundredths: u32) {
        for kind in ["mousePressed", "mouseReleased"] {
            self.mouse(kind, css, hundredths).await;
        }
    }

    async fn mouse(&self, kind: &str, css: &str, hundredths: u32) {
        let script = format!(
            "const found = document.querySelector({css:?});
             found.scrollIntoView({{ block: 'center', behavior: 'instant' }});
             const box = found.getBoundingClientRect();
             return [box.left + box.width * {hundredths} / 100, box.top + box.height / 2];"
        );
        let place = self.script(&script).await;
        let button = if kind == "mouseMoved" { "none" } else { "left" };
        let event = json!({
            "type": kind, "x": place[0], "y": place[1], "button": button, "clickCount": 1,
            "pointerType": "mouse",
        });
        self.cdp("Input.dispatchMouseEvent", event).await;
    }

    /// Clicks as a person does: it counts as such for the page.
    pub async fn press(&self, css: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            // A live page may put a new one in its place between the look and the click.
            let clicked = match self.page.find(Locator::Css(css)).await {
                Ok(found) => found.click().await,
                Err(error) => Err(error),
            };
            match clicked {
                Ok(()) => return,
                Err(error) => assert!(Instant::now() < end, "{css} cannot be pressed: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a script returns.
    pub async fn script(&self, script: &str) -> Value {
        self.page.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits until an expression holds.
    pub async fn until(&self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        let script = format!("return {expression}");
        // While one page goes and the next comes there is nothing to ask.
        while !self.page.execute(&script, Vec::new()).await.is_ok_and(|it| it == true) {
            if Instant::now() >= end {
                let seen = "return [location.href, document.readyState, document.body.innerText]";
                let seen = self.page.execute(seen, Vec::new()).await;
                panic!(
                    "{expression} did not come to hold; the page: {seen:?}, {:?}",
                    self.console().await
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The barriers that axe-core finds, by the rules of WCAG 2.2 AA and of good practice.
    pub async fn axe(&self, source: &str) -> Vec<String> {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             {source};
             window.axe.run(document).then(
                 (found) => done(found.passes.length < 10 ? ['it hardly looked'] : found.violations.map((it) =>
                     it.id + ': ' + it.nodes.map((node) => node.html + ' ' + node.failureSummary).join(' | '))),
                 (error) => done(['it could not look: ' + error]));"
        );
        let found = self.page.execute_async(&script, Vec::new()).await.unwrap();
        let lines = found.as_array().unwrap().iter().filter_map(Value::as_str);
        lines.map(str::to_owned).collect()
    }

    /// What the console said since it was last asked.
    pub async fn console(&self) -> Vec<String> {
        let lines = self.log("browser").await;
        lines.iter().filter_map(|line| line["message"].as_str()).map(str::to_owned).collect()
    }

    /// The requests since they were last asked for.
    pub async fn requests(&self) -> Vec<String> {
        let event = |line: &Value| -> Option<String> {
            let message: Value = serde_json::from_str(line["message"].as_str()?).ok()?;
            let sent = message["message"]["method"] == "Network.requestWillBeSent";
            let url = message["message"]["params"]["request"]["url"].as_str()?;
            sent.then(|| url.to_owned())
        };
        self.log("performance").await.iter().filter_map(event).collect()
    }

    /// Keeps a picture of the whole page.
    pub async fn shot(&self, folder: &Path, name: &str) {
        std::fs::create_dir_all(folder).unwrap();
        let options = json!({ "format": "png", "captureBeyondViewport": true });
        let end = Instant::now() + PATIENCE;
        let picture = loop {
            // On a machine that does much else a page that is loaded may not be laid out yet.
            match self.try_cdp("Page.captureScreenshot", options.clone()).await {
                Ok(picture) => break picture,
                Err(error) => assert!(Instant::now() < end, "{name} cannot be pictured: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(picture["data"].as_str().expect("a picture"))
            .unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let command = Vendor { path: "se/log", body: json!({ "type": kind }) };
        let lines = self.page.issue_cmd(command).await.unwrap();
        lines.as_array().cloned().unwrap_or_default()
    }

    async fn cdp(&self, method: &str, parameters: Value) -> Value {
        self.try_cdp(method, parameters).await.unwrap()
    }

    async fn try_cdp(&self, method: &str, parameters: Value) -> Result<Value, CmdError> {
        let body = json!({ "cmd": method, "params": parameters });
        self.page.issue_cmd(Vendor { path: "goog/cdp/execute", body }).await
    }
}
