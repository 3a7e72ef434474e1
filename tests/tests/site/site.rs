//! The running site: where it is, how to speak to it as a person or a program, and how its
//! processes are found and killed.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

/// Longest wait for anything that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The site under test.
pub struct Site {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// The laptop's state folder.
    pub state: PathBuf,
    /// A client that follows no redirect.
    pub http: Client,
    admin_token: String,
}

impl Site {
    /// The site that `tests/run` has started.
    pub fn running() -> Self {
        let port = std::env::var("BERTH_PORT")
            .expect("BERTH_PORT is not set: these tests need a running site; use `tests/run site`");
        let root =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned();
        let state = std::env::var_os("BERTH_STATE")
            .map_or_else(|| root.join("examples/laptop/.state"), PathBuf::from);
        let admin_token = std::fs::read_to_string(state.join("admin-token"))
            .expect("the site's admin-token cannot be read: is examples/laptop/up done?");
        let http = Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        Self {
            url: format!("http://127.0.0.1:{port}"),
            state,
            http,
            admin_token: admin_token.trim().into(),
        }
    }

    /// A call as the administrator.
    pub async fn admin(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        self.call(&self.admin_token, method, path, body).await
    }

    /// A call with any token.
    pub async fn call(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .header(AUTHORIZATION, format!("token {token}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Makes a user of the test's own; an existing one of an earlier run is taken as it is.
    pub async fn user(&self, name: &str, uid: u32) -> Person<'_> {
        let home = self.state.join("homes").join(name);
        self.user_with_home(name, uid, home).await
    }

    /// Makes a user with a HOME of the test's choice.
    pub async fn user_with_home(&self, name: &str, uid: u32, home: PathBuf) -> Person<'_> {
        let password = "correct horse battery";
        let groups = json!([{ "name": "atlas", "gid": 30_001 }, { "name": "lsst", "gid": 30_003 }]);
        let body = json!({
            "name": name, "password": password, "uid": uid, "gid": uid, "groups": groups,
            "home": home, "admin": false,
        });
        let (status, answer) = self.admin(Method::POST, "/hub/api/berth/users", Some(body)).await;
        assert!(
            status == StatusCode::CREATED || status == StatusCode::CONFLICT,
            "user {name} was not made: {status} {answer}"
        );
        let note = json!({ "note": "test", "auth": { "username": name, "password": password } });
        let response = self
            .http
            .post(format!("{}/hub/api/users/{name}/tokens", self.url))
            .json(&note)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::CREATED, "no token for {name}");
        let token: Value = response.json().await.unwrap();
        let token = token["token"].as_str().expect("a token").to_owned();
        let person = Person {
            site: self,
            name: name.to_owned(),
            password: password.to_owned(),
            token,
            home,
        };
        // An earlier run may have failed in the middle.
        if person.server().await.is_some_and(|server| server["stopped"] != json!(true)) {
            person.stop().await;
        }
        person
    }

    /// The process id of one of the site's processes, as its keeper wrote it down.
    pub fn process(&self, name: &str) -> u32 {
        let path = self.state.join("run").join(name);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        text.trim().parse().unwrap()
    }

    /// `kill -9`. The keeper starts the process again, unless it is told to hold.
    pub fn kill(&self, name: &str) -> u32 {
        let pid = self.process(name);
        run("kill", &["-9", &pid.to_string()]);
        pid
    }

    /// Stops a process's keeper and kills the process, so that it stays away until `resume`.
    pub fn take_away(&self, name: &str) {
        run("kill", &["-STOP", &self.keeper(name)]);
        self.kill(name);
    }

    /// Lets a keeper go on: it finds its process dead and starts it again.
    pub fn bring_back(&self, name: &str) {
        run("kill", &["-CONT", &self.keeper(name)]);
    }

    fn keeper(&self, name: &str) -> String {
        self.process(&format!("{name}.keeper")).to_string()
    }

    /// Waits until another process than `former` runs under a name.
    pub async fn replaced(&self, name: &str, former: u32) {
        let path = self.state.join("run").join(name);
        until(&format!("{name} runs again"), async || {
            let text = std::fs::read_to_string(&path).ok()?;
            let pid: u32 = text.trim().parse().ok()?;
            (pid != former).then_some(())
        })
        .await;
    }

    /// The name of one of the laptop's own hosts.
    pub fn laptop_host(&self) -> String {
        let entries = std::fs::read_dir(self.state.join("agents")).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("laptop1")).min().expect("a host of the laptop")
    }

    /// Waits until the hub answers.
    pub async fn hub_answers(&self) {
        until("the hub answers", async || {
            let answer = self.http.get(format!("{}/hub/api", self.url)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// The names of all containers of a server, by its id.
    pub fn containers(&self, server: &str) -> Vec<String> {
        let filter = format!("label=berth.server={server}");
        let out = run("docker", &["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]);
        out.lines().map(str::to_owned).collect()
    }
}

/// A person with an API token and, once logged in, a browser's cookies.
pub struct Person<'a> {
    /// The site.
    pub site: &'a Site,
    /// The account.
    pub name: String,
    /// Its password.
    pub password: String,
    /// An API token.
    pub token: String,
    /// HOME on this machine.
    pub home: PathBuf,
}

impl Person<'_> {
    /// A call with the person's token.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        self.site.call(&self.token, method, path, body).await
    }

    /// Asks for the default server and waits until it is ready.
    pub async fn start(&self, options: Value) {
        let path = format!("/hub/api/users/{}/server", self.name);
        let (status, answer) = self.call(Method::POST, &path, Some(options)).await;
        assert!(status.is_success(), "start of {}: {status} {answer}", self.name);
        self.ready().await;
    }

    /// Waits until the default server is ready.
    pub async fn ready(&self) {
        until(&format!("the server of {} is ready", self.name), async || {
            let server = self.server().await?;
            (server["ready"] == json!(true)).then_some(())
        })
        .await;
    }

    /// Stops the default server and waits until nothing of it is left.
    pub async fn stop(&self) {
        let path = format!("/hub/api/users/{}/server", self.name);
        let (status, answer) = self.call(Method::DELETE, &path, None).await;
        assert!(status.is_success(), "stop of {}: {status} {answer}", self.name);
        self.stopped().await;
    }

    /// Waits until the default server has stopped.
    pub async fn stopped(&self) {
        until(&format!("the server of {} has stopped", self.name), async || {
            let server = self.server().await;
            server.is_none_or(|server| server["stopped"] == json!(true)).then_some(())
        })
        .await;
    }

    /// The default server's model, if it is known.
    pub async fn server(&self) -> Option<Value> {
        let path = format!("/hub/api/users/{}?include_stopped_servers", self.name);
        let (_, user) = self.call(Method::GET, &path, None).await;
        user["servers"].get("").cloned()
    }

    /// Our own record of the default server.
    pub async fn record(&self) -> Value {
        let (status, list) = self.call(Method::GET, "/hub/api/berth/servers", None).await;
        assert_eq!(status, StatusCode::OK, "{list}");
        let mut servers = list["servers"].as_array().expect("servers").iter();
        servers
            .find(|server| server["user"] == json!(self.name) && server["name"] == json!(""))
            .cloned()
            .unwrap_or_else(|| panic!("{} has no server: {list}", self.name))
    }

    /// Number of the default server's newest start; 0 before the first.
    pub async fn generation(&self) -> u64 {
        if self.server().await.is_none() {
            return 0;
        }
        self.record().await["generation"].as_u64().unwrap()
    }

    /// Logs in as a browser without JavaScript would, and returns the cookies.
    pub async fn log_in(&self) -> Cookies {
        let mut cookies = Cookies::default();
        let page = cookies.get(self.site, "/hub/login").await;
        let xsrf = hidden_field(&page.text().await.unwrap(), "_xsrf");
        let form = [("username", &self.name), ("password", &self.password), ("_xsrf", &xsrf)];
        let answer = cookies.post(self.site, "/hub/login", &form).await;
        assert!(answer.status().is_redirection(), "login of {}: {}", self.name, answer.status());
        cookies
    }
}

/// A browser's cookies, all for one site.
#[derive(Default, Clone)]
pub struct Cookies(std::collections::BTreeMap<String, String>);

impl Cookies {
    /// GET without following redirects.
    pub async fn get(&mut self, site: &Site, path: &str) -> Response {
        let request = site.http.get(format!("{}{path}", site.url)).header(COOKIE, self.header());
        self.keep(request.send().await.unwrap())
    }

    /// A form post without following redirects, as a browser on the same origin sends it.
    pub async fn post<T: serde::Serialize + ?Sized>(
        &mut self,
        site: &Site,
        path: &str,
        form: &T,
    ) -> Response {
        let request = site
            .http
            .post(format!("{}{path}", site.url))
            .header(COOKIE, self.header())
            .header("origin", &site.url)
            .header("sec-fetch-site", "same-origin")
            .form(form);
        self.keep(request.send().await.unwrap())
    }

    fn header(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, response: Response) -> Response {
        for cookie in response.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.0.insert(name.trim().into(), value.trim().into());
        }
        response
    }
}

/// The value of a hidden form field.
pub fn hidden_field(html: &str, name: &str) -> String {
    let at = html
        .find(&format!("name=\"{name}\""))
        .unwrap_or_else(|| panic!("no field {name} in\n{html}"));
    let begin = html[..at].rfind('<').unwrap();
    let end = at + html[at..].find('>').unwrap();
    let tag = &html[begin..end];
    let value = tag.split_once("value=\"").unwrap_or_else(|| panic!("no value in {tag}")).1;
    value.split('"').next().unwrap().to_owned()
}

/// The path that a redirect leads to.
pub fn location(headers: &HeaderMap) -> String {
    headers.get(LOCATION).expect("a redirect").to_str().unwrap().to_owned()
}

/// Runs a program and returns what it prints; it must succeed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let out =
        Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(
        out.status.success(),
        "{program} {}: {}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap()
}

/// Looks again and again until there is something, for as long as patience lasts.
pub async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
