//! A browser without a screen: cookies, redirects, forms.

use std::collections::BTreeMap;
use std::sync::Mutex;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};

/// A person's browser.
pub struct Browser {
    client: Client,
    /// All servers of a test are on one host, so a browser shows each of them the same cookies.
    cookies: Mutex<BTreeMap<String, String>>,
}

/// A page, or an answer that leads on.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub url: String,
    pub location: Option<String>,
    pub text: String,
}

impl Browser {
    pub fn new() -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { client, cookies: Mutex::default() }
    }

    /// One request.
    pub async fn get(&self, url: &str) -> Page {
        self.send(self.client.get(url), url).await
    }

    pub async fn post(&self, url: &str, form: &[(&str, &str)]) -> Page {
        self.send(self.client.post(url).form(form), url).await
    }

    async fn send(&self, request: reqwest::RequestBuilder, url: &str) -> Page {
        let jar = self.cookies.lock().unwrap().clone();
        let jar: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let reply = request.header(COOKIE, jar.join("; ")).send().await.unwrap();
        for cookie in reply.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if value.is_empty() {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = reply.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
        let base = reqwest::Url::parse(url).unwrap();
        let location = location.map(|to| base.join(&to).unwrap().to_string());
        let status = reply.status();
        let text = reply.text().await.unwrap();
        Page { status, url: url.to_owned(), location, text }
    }

    /// Follows redirects until there is a page.
    pub async fn open(&self, url: &str) -> Page {
        let page = self.get(url).await;
        self.follow(page).await
    }

    pub async fn follow(&self, mut page: Page) -> Page {
        for _ in 0..10 {
            let Some(to) = page.location.clone() else { return page };
            page = self.get(&to).await;
        }
        panic!("no page after ten redirects: {page:?}");
    }

    /// Whether the hub knows who this is, and who.
    pub async fn whoami(&self, hub: &str) -> Option<String> {
        let page = self.get(&format!("{hub}/hub/api/user")).await;
        let model: serde_json::Value = serde_json::from_str(&page.text).unwrap();
        model["name"].as_str().map(str::to_owned)
    }
}

impl Page {
    /// The value of a hidden field.
    pub fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let at = self.text.find(&start).unwrap_or_else(|| panic!("no field {name}: {self:?}"));
        self.text[at + start.len()..].split('"').next().unwrap().to_owned()
    }
}
