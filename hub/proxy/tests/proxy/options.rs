//! The command line of configurable-http-proxy, option by option, on the real program.

use std::time::Instant;

use serde_json::json;
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::chp::start;
use crate::program::Program;
use crate::world::{Client, Reply, SWITCH, Upstream, field, run};

#[test]
fn bad_options_end_with_one_and_say_why() {
    run(async {
        for (options, why) in [
            (&["--no-such-option"][..], "--no-such-option"),
            (&["--port=abc"], "abc"),
            (&["--port=70000"], "70000"),
            (&["--port=0", "stray"], "stray"),
            (&["--port=0", "--socket=/s"], "--socket"),
            (&["--ip=127.0.0.1", "--socket=/s"], "--socket"),
            (&["--port=0", "--error-target=http://a", "--error-path=/tmp"], "error-target"),
            (&["--port=0", "--redirect-port=1"], "certificates not provided"),
            (&["--port=0", "--custom-header=bad"], "A colon was expected in custom header: bad"),
            (&["--port=0", "--storage-backend=x"], "storage-backend"),
            (&["--port=0", "--default-target=nonsense"], "nonsense"),
        ] {
            let mut program = Program::start(options, &[], false);
            program.line(why).await;
            assert_eq!(program.code().await, Some(1), "{options:?}");
        }
        for options in [&["--port=0", "--help"][..], &["--port=0", "--version"]] {
            assert_eq!(Program::start(options, &[], true).code().await, Some(0), "{options:?}");
        }
    });
}

#[test]
fn what_tls_of_today_cannot_do_is_taken_and_said() {
    run(async {
        let upstream = Upstream::echo().await;
        let target = format!("--default-target={}", upstream.url());
        let options = [
            "--ip=127.0.0.1",
            "--port=0",
            "--api-ip=127.0.0.1",
            "--api-port=0",
            "--ssl-protocol=TLSv1_method",
            "--ssl-ciphers=HIGH",
            "--ssl-allow-rc4",
            "--ssl-dhparam=/none",
            &target,
        ];
        let mut program = Program::chp(&options);
        program.line("ssl-").await;
        let front = program.word("Proxying http://").await;
        let mut client = Client::new(TcpStream::connect(front).await.unwrap());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
    });
}

#[test]
fn of_an_option_given_twice_the_last_counts() {
    run(async {
        let upstream = Upstream::echo().await;
        let options = ["--default-target=http://127.0.0.1:1", "--default-target", &upstream.url()];
        let started = start(&options, "http").await;
        assert_eq!(started.get("/", "").await.status, 200);
    });
}

#[test]
fn both_forms_of_a_value_and_every_interface_are_understood() {
    run(async {
        for (ip, api_ip) in [("", "*"), ("*", ""), ("::", "localhost"), ("0.0.0.0", "::1")] {
            let options = ["--ip", ip, "--port", "0", "--api-ip", api_ip, "--api-port", "0"];
            let mut program = Program::chp(&options);
            let line = program.line("Proxying http://").await;
            let port = line.split(" to ").next().unwrap().rsplit(':').next().unwrap();
            let port: u16 = port.parse().unwrap();
            let mut client = Client::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
            client.send("GET /_chp_healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(client.response().await.short(), r#"200 {"status":"OK"}"#, "{ip:?}");
        }
    });
}

#[test]
fn users_api_and_metrics_can_listen_on_unix_sockets() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let option = |name: &str| format!("--{name}={}", path(name).display());
        let options = [option("socket"), option("api-socket"), option("metrics-socket")];
        let mut program = Program::chp(&options.each_ref().map(String::as_str));
        program.line("Proxy API at ").await;
        for (name, request, status) in [
            ("socket", "/_chp_healthz", 200),
            ("socket", "/none", 404),
            ("api-socket", "/api/routes", 403),
            ("metrics-socket", "/metrics", 200),
            ("metrics-socket", "/x", 404),
        ] {
            let mut client = loop {
                if let Ok(stream) = UnixStream::connect(path(name)).await {
                    break Client::new(stream);
                }
                tokio::task::yield_now().await;
            };
            client.send(&format!("GET {request} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            assert_eq!(client.response().await.status, status, "{name} {request}");
        }
    });
}

#[test]
fn the_process_file_lives_as_long_as_the_process() {
    run(async {
        for signal in ["TERM", "INT"] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("pid");
            let option = format!("--pid-file={}", file.display());
            let mut program = Program::chp(&[&option, "--port=0", "--api-port=0"]);
            let id = program.child.id().unwrap().to_string();
            program.line(&format!("Writing pid {id} to ")).await;
            while std::fs::read_to_string(&file).unwrap_or_default() != id {
                tokio::task::yield_now().await;
            }
            program.signal(signal);
            assert_eq!(program.code().await, Some(2), "{signal}");
            assert!(!file.exists(), "{signal}");
        }
    });
}

/// An upstream whose every answer leads elsewhere on itself.
async fn redirecting(status: &'static str) -> Upstream {
    Upstream::new(move |request| {
        let host = field(&request.head, "x-self").unwrap_or_default();
        Reply::Say(
            format!("HTTP/1.1 {status} x\r\nLocation: {host}/y\r\nContent-Length: 0\r\n\r\n")
                .into(),
        )
    })
    .await
}

#[test]
fn locations_are_rewritten_when_asked_and_only_the_targets_own() {
    run(async {
        for (options, status, own, expected) in [
            (&[][..], "302", true, "http://SELF/y"),
            (&["--auto-rewrite"], "302", true, "http://hub.example/y"),
            (&["--auto-rewrite"], "301", true, "http://hub.example/y"),
            (&["--auto-rewrite"], "201", true, "http://hub.example/y"),
            (&["--auto-rewrite"], "307", true, "http://hub.example/y"),
            (&["--auto-rewrite"], "308", true, "http://hub.example/y"),
            (&["--auto-rewrite"], "303", true, "http://SELF/y"),
            (&["--auto-rewrite"], "200", true, "http://SELF/y"),
            (&["--auto-rewrite"], "302", false, "http://elsewhere:1/y"),
            (&["--protocol-rewrite=https"], "302", true, "https://SELF/y"),
            (&["--protocol-rewrite=https"], "302", false, "http://elsewhere:1/y"),
            (&["--auto-rewrite", "--protocol-rewrite=https"], "302", true, "https://hub.example/y"),
        ] {
            let upstream = redirecting(status).await;
            let target = format!("--default-target={}", upstream.url());
            let started = start(&[&[target.as_str()], options].concat(), "http").await;
            let place = if own { upstream.url() } else { "http://elsewhere:1".into() };
            let answer = started.get("/x", &format!("X-Self: {place}\r\n")).await;
            let location = answer.field("location").unwrap();
            let location = location.replace(&upstream.address.to_string(), "SELF");
            assert_eq!(location, expected, "{options:?} {status}");
        }
    });
}

#[test]
fn paths_go_up_as_the_options_say() {
    run(async {
        let upstream = Upstream::echo().await;
        for (options, target, path, expected) in [
            (&[][..], "/base", "/user/a/x", "/base/user/a/x"),
            (&[], "/base/", "/user/a/x", "/base/user/a/x"),
            (&[], "", "/user/a", "/user/a"),
            (&[], "/base?t=1", "/user/a?c=2", "/base/user/a?t=1&c=2"),
            (&[], "/base?t=1", "/user/a", "/base/user/a?t=1"),
            (&[], "", "/user/a/%2Fx//y", "/user/a/%2Fx//y"),
            (&[], "", "/user/b/../a/./x", "/user/a/x"),
            (&[], "", "/user/b/%2e%2E/a/x", "/user/a/x"),
            (&["--no-prepend-path"], "/base", "/user/a/x?q", "/user/a/x?q"),
            (&["--no-include-prefix"], "/base", "/user/a/x?q", "/base/x?q"),
            (&["--no-include-prefix"], "", "/user/a", "/"),
            (&["--no-prepend-path", "--no-include-prefix"], "/base", "/user/a/x", "/x"),
        ] {
            let started = start(options, "http").await;
            let record = json!({"target": format!("{}{target}", upstream.url())}).to_string();
            assert_eq!(started.api("POST", "/api/routes/user/a", &record).await.status, 201);
            let text = started.get(path, "").await.text();
            let line = text.lines().next().unwrap();
            assert_eq!(line, format!("GET {expected} HTTP/1.1"), "{options:?} {target} {path}");
        }
    });
}

#[test]
fn routes_match_whole_segments_and_case() {
    run(async {
        let upstream = Upstream::echo().await;
        let started = start(&[], "http").await;
        let record = json!({"target": upstream.url()}).to_string();
        started.api("POST", "/api/routes/user/a@b", &record).await;
        for (path, status) in [
            ("/user/a@b", 200),
            ("/user/a%40b/x", 200),
            ("/user/a@b/", 200),
            ("/user/a@b?q", 200),
            ("/user/a@bc", 404),
            ("/user/A@b", 404),
            ("/user/a", 404),
            ("/user", 404),
            ("/", 404),
        ] {
            assert_eq!(started.get(path, "").await.status, status, "{path}");
        }
    });
}

#[test]
fn forwarding_fields_are_those_of_configurable_http_proxy() {
    run(async {
        let upstream = Upstream::echo().await;
        let target = format!("--default-target={}", upstream.url());
        let clients = "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Host: first\r\n\
                       X-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n";
        for (options, fields, name, expected) in [
            (&[][..], "", "x-forwarded-for", Some("127.0.0.1")),
            (&[], clients, "x-forwarded-for", Some("9.9.9.9,127.0.0.1")),
            (&[], "", "x-forwarded-proto", Some("http")),
            (&[], clients, "x-forwarded-proto", Some("https,http")),
            (&[], "", "x-forwarded-port", Some("80")),
            (&[], clients, "x-forwarded-port", Some("443,80")),
            (&[], "", "x-forwarded-host", Some("hub.example")),
            (&[], clients, "x-forwarded-host", Some("first")),
            (&[], "", "host", Some("hub.example")),
            (&["--no-x-forward"], "", "x-forwarded-for", None),
            (&["--no-x-forward"], "", "x-forwarded-host", None),
            (&["--no-x-forward"], clients, "x-forwarded-for", Some("9.9.9.9")),
            (&["--change-origin"], "", "host", Some("SELF")),
            (&["--change-origin"], "", "x-forwarded-host", Some("hub.example")),
            (
                &[],
                "Cookie: jupyterhub-hub-login=1; a=b\r\n",
                "cookie",
                Some("jupyterhub-hub-login=1; a=b"),
            ),
            (&[], "Authorization: Basic zz\r\n", "authorization", Some("Basic zz")),
            (&["--custom-header=X-Up:  here "], "X-Up: client\r\n", "x-up", Some("here")),
            (&[], "Connection: x-drop\r\nX-Drop: 1\r\n", "x-drop", None),
            (&[], "Keep-Alive: 5\r\n", "keep-alive", None),
            (&[], "Proxy-Authorization: x\r\n", "proxy-authorization", None),
            (&[], "TE: gzip\r\n", "te", None),
            (&[], "Connection: Upgrade\r\nUpgrade: h2c\r\n", "upgrade", None),
        ] {
            let started = start(&[&[target.as_str()], options].concat(), "http").await;
            let response = started.get("/x", fields).await;
            let own = upstream.address.to_string();
            let found = field(&response.text(), name).map(|value| value.replace(&own, "SELF"));
            assert_eq!(found.as_deref(), expected, "{options:?} {fields:?} {name}");
            // Never on answers.
            assert_eq!(response.field("x-up"), None);
        }
    });
}

#[test]
fn limits_of_time_end_what_they_are_for_and_no_websocket() {
    run(async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("--default-target=http://{}", silent.local_addr().unwrap());
        let started = start(&[&target, "--proxy-timeout=50"], "http").await;
        assert_eq!(started.get("/x", "").await.status, 503);

        let started = start(&[&target, "--timeout=50"], "http").await;
        let mut client = Client::new(TcpStream::connect(started.front).await.unwrap());
        client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(client.try_response().await.is_none(), "an answer to an idle connection");
        let mut idle = Client::new(TcpStream::connect(started.front).await.unwrap());
        assert_eq!(idle.rest().await, b"");

        let upstream = Upstream::new(|request| {
            if request.head.to_ascii_lowercase().contains("upgrade: websocket") {
                return Reply::SayAndEcho(SWITCH.into());
            }
            Reply::Say(crate::world::ok("fine"))
        })
        .await;
        let target = format!("--default-target={}", upstream.url());
        let options = [&target, "--timeout=50", "--proxy-timeout=50", "--keep-alive-timeout=50"];
        let started = start(&options, "http").await;
        let mut socket = Client::new(TcpStream::connect(started.front).await.unwrap());
        socket
            .send(
                "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
            )
            .await;
        assert_eq!(socket.response().await.status, 101);
        // A kept connection ends by itself; by then the websocket has outlived all three limits.
        let begun = Instant::now();
        let mut kept = Client::new(TcpStream::connect(started.front).await.unwrap());
        kept.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(kept.response().await.status, 200);
        assert_eq!(kept.rest().await, b"");
        assert!(begun.elapsed().as_millis() >= 50);
        socket.send_bytes(b"\x82\x04ping").await;
        assert_eq!(socket.bytes(6).await, b"\x82\x04ping");
    });
}

#[test]
fn the_redirect_keeps_path_and_query_and_needs_a_host() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        std::fs::write(path("cert"), params.self_signed(&key).unwrap().pem()).unwrap();
        let (key, cert) =
            (format!("--ssl-key={}", path("key")), format!("--ssl-cert={}", path("cert")));
        for (to, host, expected) in [
            ("443", "Host: hub.example\r\n", Some("https://hub.example/a/b?c=d")),
            ("443", "Host: hub.example:8000\r\n", Some("https://hub.example/a/b?c=d")),
            ("8443", "Host: hub.example\r\n", Some("https://hub.example:8443/a/b?c=d")),
            ("8443", "Host: [::1]:1\r\n", Some("https://[::1]:8443/a/b?c=d")),
            ("443", "", None),
        ] {
            let to = format!("--redirect-to={to}");
            let mut program = Program::chp(&[
                "--ip=127.0.0.1",
                "--port=0",
                "--api-ip=127.0.0.1",
                "--api-port=0",
                "--redirect-port=0",
                &key,
                &cert,
                &to,
            ]);
            let port = program.word("Added HTTP to HTTPS redirection from ").await;
            let port: u16 = port.parse().unwrap();
            let mut client = Client::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
            client.send(&format!("GET /a/b?c=d HTTP/1.1\r\n{host}\r\n")).await;
            let answer = client.response().await;
            assert_eq!(answer.status, if expected.is_some() { 301 } else { 400 }, "{host}");
            assert_eq!(answer.field("location").as_deref(), expected, "{host}");
        }
    });
}
