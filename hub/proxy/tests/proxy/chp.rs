//! The policy `chp`: configurable-http-proxy's command line, its behaviour, and what it gets wrong.
//! The first test holds the six specifications of its `test/cli_spec.js` (5.3.0, BSD-3-Clause).

use std::net::SocketAddr;

use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tokio::net::TcpStream;

use crate::program::Program;
use crate::world::{Client, Reply, TOKEN, Upstream, ok, run, run_long};

const HERE: [&str; 4] = ["--ip=127.0.0.1", "--port=0", "--api-ip=127.0.0.1", "--api-port=0"];

pub struct Started {
    pub program: Program,
    pub front: SocketAddr,
    pub api: SocketAddr,
}

pub async fn start(arguments: &[&str], scheme: &str) -> Started {
    let mut program = Program::chp(&[&HERE, arguments].concat());
    let front = program.word(&format!("Proxying {scheme}://")).await.parse().unwrap();
    let api = program.word("Proxy API at http://").await.parse().unwrap();
    Started { program, front, api }
}

impl Started {
    pub async fn get(&self, path: &str, fields: &str) -> crate::world::Response {
        let mut client = Client::new(TcpStream::connect(self.front).await.unwrap());
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: hub.example\r\n{fields}\r\n")).await;
        client.response().await
    }

    pub async fn api(&self, method: &str, path: &str, body: &str) -> crate::world::Response {
        let mut client = Client::new(TcpStream::connect(self.api).await.unwrap());
        client
            .send(&format!(
                "{method} {path} HTTP/1.1\r\nHost: api\r\nAuthorization: token {TOKEN}\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        client.response().await
    }
}

#[test]
fn the_specifications_of_cli_spec() {
    run_long(async {
        let upstream = Upstream::echo().await;
        let target = upstream.url();
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        std::fs::write(path("cert"), certificate.pem()).unwrap();
        let (key_option, certificate_option) =
            (format!("--ssl-key={}", path("key")), format!("--ssl-cert={}", path("cert")));
        let default = format!("--default-target={target}");

        // "basic HTTP server"; its own line is waited for.
        let mut program = Program::chp(&[&HERE[..], &[&default]].concat());
        program.line("Route added /").await;
        let front: SocketAddr = program.word("Proxying http://").await.parse().unwrap();
        let mut client = Client::new(TcpStream::connect(front).await.unwrap());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(client.response().await.text().starts_with("GET / "));

        // "basic HTTPS server", "redirect-port", "redirect-to".
        for (options, port) in [(&[][..], None), (&["--redirect-to=443"][..], Some(443))] {
            let secure = [&key_option, &certificate_option, &default, "--redirect-port=0"];
            let mut program = Program::chp(&[&HERE[..], &secure, options].concat());
            let front: SocketAddr = program.word("Proxying https://").await.parse().unwrap();
            let plain: u16 =
                program.word("Added HTTP to HTTPS redirection from ").await.parse().unwrap();
            let mut client = Client::new(TcpStream::connect(("127.0.0.1", plain)).await.unwrap());
            client.send("GET /x?y HTTP/1.1\r\nHost: hub.example:1\r\n\r\n").await;
            let redirected = client.response().await;
            assert_eq!(redirected.status, 301);
            // Without --redirect-to it is the port of the command line, here none in particular.
            let expected = match port {
                Some(443) => "https://hub.example/x?y".to_owned(),
                _ => "https://hub.example:0/x?y".to_owned(),
            };
            assert_eq!(redirected.field("location"), Some(expected));
            assert!(https(front, &folder.path().join("cert")).await.starts_with("GET / "));
        }

        // "custom-header", and an invalid one.
        let options = [default.as_str(), "--custom-header=k1: v1", "--custom-header=k2:v2"];
        let text = start(&options, "http").await.get("/", "k1: client\r\n").await.text();
        assert!(text.contains("k1: v1\r\n") && text.contains("k2: v2\r\n"), "{text}");
        let mut program = Program::start(&["--port=0", "--custom-header=bad"], &[], false);
        program.line("A colon was expected in custom header: bad").await;
        assert_eq!(program.code().await, Some(1));
    });
}

/// One request over TLS; what the upstream got.
async fn https(front: SocketAddr, certificate: &std::path::Path) -> String {
    let config = berth_proxy::tls::client_config(None, Some(certificate), true).unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let tcp = TcpStream::connect(front).await.unwrap();
    let stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    let mut client = Client::new(stream);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let text = client.response().await.text();
    assert!(text.contains("x-forwarded-proto: https\r\n"), "{text}");
    text
}

#[test]
fn codes_at_the_end_and_an_open_api_without_a_token() {
    run_long(async {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let pid_option = format!("--pid-file={}", pid_file.display());
        let mut program = Program::start(&[&HERE[..], &[&pid_option]].concat(), &[], true);
        program.line("REST API is not authenticated.").await;
        let api: SocketAddr = program.word("Proxy API at http://").await.parse().unwrap();
        let mut client = Client::new(TcpStream::connect(api).await.unwrap());
        client.send("GET /api/routes HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.short(), "200 {}");
        program.signal("TERM");
        assert_eq!(program.code().await, Some(2));
        assert!(!pid_file.exists());
        for bad in ["--no-such-option", "--storage-backend=x", "--redirect-port=1"] {
            let mut program = Program::start(&[bad], &[], false);
            assert_eq!(program.code().await, Some(1), "{bad}");
        }
    });
}

#[test]
fn requests_go_up_as_configurable_http_proxy_sends_them() {
    run(async {
        let upstream = Upstream::echo().await;
        let started = start(&["--default-target", &upstream.url()], "http").await;
        let record = json!({"target": format!("{}/base/?q=1", upstream.url())}).to_string();
        assert_eq!(started.api("POST", "/api/routes/user/@a", &record).await.status, 201);
        let fields = "Cookie: jupyterhub-hub-login=1\r\nX-Forwarded-For: 9.9.9.9\r\n\
                      Connection: x-drop\r\nX-Drop: 1\r\nUpgrade: h2c\r\n";
        let up = started.get("/user/%40a/x/../tree?c=2", fields).await.text();
        assert!(up.starts_with("GET /base/user/%40a/tree?q=1&c=2 HTTP/1.1\r\n"), "{up}");
        for expected in [
            "cookie: jupyterhub-hub-login=1\r\n",
            "x-forwarded-for: 9.9.9.9,127.0.0.1\r\n",
            "x-forwarded-port: 80\r\n",
            "x-forwarded-proto: http\r\n",
            "x-forwarded-host: hub.example\r\n",
        ] {
            assert!(up.contains(expected), "{expected} in {up}");
        }
        assert!(!up.contains("x-drop") && !up.contains("upgrade"), "{up}");
        // Faults of configurable-http-proxy: names of prototypes, a leading //, bad escapes.
        for (path, expected) in [
            ("/constructor", "GET /constructor "),
            ("/__proto__", "GET /__proto__ "),
            ("//x/user/@a", "GET //x/user/@a "),
            ("/user%2F@a", "GET /user%2F@a "),
        ] {
            let up = started.get(path, "").await.text();
            assert!(up.starts_with(expected), "{path}: {up}");
        }
        assert_eq!(started.get("/%", "").await.status, 400);
        let health = started.get("/_chp_healthz", "").await;
        assert_eq!(health.json(), json!({"status": "OK"}));
        // The default target is a route like any other.
        assert_eq!(started.api("DELETE", "/api/routes", "").await.status, 204);
        assert_eq!(started.get("/", "").await.status, 404);
    });
}

#[test]
fn hosts_can_be_the_first_segment() {
    run(async {
        let upstream = Upstream::echo().await;
        let started = start(&["--host-routing", "--no-include-prefix"], "http").await;
        let record = json!({"target": upstream.url()}).to_string();
        started.api("POST", "/api/routes/hub.example/user", &record).await;
        let table = started.api("GET", "/api/routes", "").await.json();
        assert_eq!(table["/hub.example/user"]["host"], "hub.example");
        assert!(started.get("/user/x", "").await.text().starts_with("GET /x "));
        assert_eq!(started.get("/other", "").await.status, 404);
    });
}

#[test]
fn errors_have_the_words_of_the_error_target_and_our_status() {
    run(async {
        let words = Upstream::new(|request| {
            let line = request.head.lines().next().unwrap().to_owned();
            Reply::Say(ok(&line))
        })
        .await;
        let target = format!("--error-target={}/hub/error", words.url());
        let started = start(&[&target], "http").await;
        let missing = started.get("/nowhere?a=b c".replace(' ', "%20").as_str(), "").await;
        assert_eq!(missing.short(), "404 GET /hub/error/404?url=%2Fnowhere%3Fa%3Db%2520c HTTP/1.1");
        let record = json!({"target": "http://127.0.0.1:1"}).to_string();
        started.api("POST", "/api/routes/down", &record).await;
        let down = started.get("/down", "").await.short();
        assert_eq!(down, "503 GET /hub/error/503?url=%2Fdown HTTP/1.1");
        let handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        let websocket = started.get("/down", handshake).await;
        assert_eq!(websocket.short(), "503");
        let activity = started.api("GET", "/api/routes/down", "").await.json();
        assert_eq!(activity["target"], "http://127.0.0.1:1");

        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("404.html"), "lost").unwrap();
        std::fs::write(folder.path().join("error.html"), "wrong").unwrap();
        let option = format!("--error-path={}", folder.path().display());
        let started = start(&[&option], "http").await;
        assert_eq!(started.get("/nowhere", "").await.short(), "404 lost");
        started.api("POST", "/api/routes/down", &record).await;
        assert_eq!(started.get("/down", "").await.short(), "503 wrong");
    });
}

#[test]
fn metrics_have_configurable_http_proxys_names_and_health_tells_the_truth() {
    run(async {
        let upstream = Upstream::echo().await;
        let options = ["--metrics-ip=127.0.0.1", "--metrics-port=0", "--default-target"];
        let target = upstream.url();
        let mut program = Program::chp(&[&HERE[..], &options, &[&target]].concat());
        let front: SocketAddr = program.word("Proxying http://").await.parse().unwrap();
        let metrics: SocketAddr = program.word("Serve metrics at http://").await.parse().unwrap();
        let get = async |address: SocketAddr, path: &str| {
            let mut client = Client::new(TcpStream::connect(address).await.unwrap());
            client.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            client.response().await
        };
        assert_eq!(get(front, "/x").await.status, 200);
        assert_eq!(get(front, "/_chp_healthz").await.status, 200);
        let text = get(metrics, "/metrics").await.text();
        for expected in [
            "\napi_route_get 0\n",
            "\nrequests_web 1\n",
            "\nrequests_ws 0\n",
            "\nrequests_proxy{status=\"200\"} 1\n",
            "\nfind_target_for_req_count 1\n",
            "\n# TYPE last_activity_updating summary\n",
            "\nprocess_open_fds ",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        for one in berth_proxy::metrics::series::ALL {
            assert!(text.contains(&format!("\n# TYPE {} ", one.name)), "{} in {text}", one.name);
        }
        assert_eq!(get(metrics, "/healthz").await.json()["status"], "OK");
        assert_eq!(get(metrics, "/").await.status, 404);
        drop(program);
    });
}
