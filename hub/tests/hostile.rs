//! Hostile names, targets, tokens, bodies and headers, everywhere at once: no fault of the hub, no
//! way off the site, and no log line that a stranger can fill.

mod site;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION};
use axum::http::{HeaderName, HeaderValue, Request};
use berth_hub::web::spec::{BERTH, JUPYTERHUB};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use site::{FORM, SITE, Site, host};
use tracing_subscriber::fmt::MakeWriter;

/// How many requests.
const COUNT: u64 = 10_000;
/// The longest line that a log may have, in bytes.
const LONGEST_LINE: usize = 2_048;

/// What the second half of them may leave behind in memory, in bytes; their largest bodies alone are
/// 40 MB.
const MOST_GROWTH: u64 = 16 << 20;

/// Pages, beside the API.
const PAGES: &[(&str, &str)] = &[
    ("get", "/hub/login?next={text}"),
    ("post", "/hub/login?next={text}"),
    ("get", "/hub/home"),
    ("get", "/hub/spawn?opt-memory={text}&next={text}"),
    ("get", "/hub/spawn/{text}/{text}?next={text}&profile={text}"),
    ("post", "/hub/spawn/{text}/{text}"),
    ("get", "/hub/spawn-pending/{text}?next={text}"),
    ("get", "/hub/user/{text}/{text}?x={text}"),
    ("post", "/hub/user/{text}/api/{text}"),
    ("get", "/hub/user-redirect/{text}?repo={text}"),
    ("get", "/user/{text}/{text}"),
    ("get", "/user-redirect/{text}"),
    ("get", "/hub/error/{text}?url={text}"),
    ("get", "/hub/servers/{text}"),
    ("get", "/hub/decisions/{text}"),
    ("get", "/hub/oauth_login?next={text}"),
    ("get", "/hub/oauth_callback?code={text}&state={text}"),
    ("post", "/hub/backchannel_logout"),
    ("get", "/hub/logout?next={text}"),
    ("get", "/hub/token?next={text}"),
    ("post", "/hub/token"),
    ("post", "/hub/token/{text}/revoke"),
    ("get", "/hub/admin/hosts/{text}"),
    ("get", "/hub/static/{text}"),
    ("get", "/hub/live/servers/{text}"),
    ("get", "/{text}"),
    ("get", "//{text}/{text}"),
];

/// Texts that have hurt somebody. Some are escaped already, and may be so again.
const TEXTS: &[&str] = &[
    "",
    ".",
    "..",
    "../../etc/passwd",
    "%2e%2e",
    "%2e%2e%2f%2e%2e",
    "%00",
    "%0d%0aSet-Cookie:%20a=b",
    "a\r\nX-Evil: 1",
    "%ff%fe",
    "//evil.example",
    "\\\\evil.example",
    "/\\evil.example",
    "////evil.example",
    "https://evil.example/",
    "https:evil.example",
    "javascript:alert(1)",
    "/%09/evil.example",
    "\t//evil.example",
    "/hub/../..//evil.example",
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "{{7*7}}${7*7}",
    "' OR 1=1 --",
    "\u{202e}drowssap",
    "\u{1f4a9}\u{0301}\u{fe0f}",
    "İSTANBUL",
    "alice",
    "ALICE",
    "root_",
    "a/b",
    "-1",
    "18446744073709551616",
    "NaN",
    "null",
    "true",
    "2026-13-45T99:99:99Z",
    "[]",
    "{}",
];

const BODIES: &[&str] = &[
    "",
    "{",
    "null",
    "[]",
    "7",
    "\"text\"",
    "{\"\":\"\"}",
    "{\"a\":1,\"a\":2}",
    "{\"usernames\":[\"..\",\"\\u0000\",\"a/b\"],\"admin\":\"yes\"}",
    "{\"memory\":-1,\"gpus\":1e99,\"profile\":{}}",
    "{\"memory\":\"99999999999999999999 TB\"}",
    "{\"servers\":{\"..\":{\"last_activity\":\"9999-12-31T23:59:59Z\"}}}",
    "{\"expires_in\":9223372036854775807,\"scopes\":[\"read:users!user=../..\"]}",
    "{\"scopes\":[\"\\ud800\"]}",
    "{\"users\":[null,7,{}]}",
    "username=%00&password=%ff&_xsrf=%",
    "grant_type=authorization_code&code=x&redirect_uri=//evil.example&client_id=%00",
    "&&&===%%%",
];

/// Counts what is wrong with the lines of a log.
#[derive(Debug, Clone, Copy)]
struct Lines;

static TOO_LONG: AtomicUsize = AtomicUsize::new(0);
static WRITTEN: AtomicUsize = AtomicUsize::new(0);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        WRITTEN.fetch_add(1, Ordering::Relaxed);
        // An event is written at once; a line break within it would be another line.
        let breaks = line.iter().filter(|byte| **byte == b'\n').count();
        if line.len() > LONGEST_LINE || breaks > 1 {
            TOO_LONG.fetch_add(1, Ordering::Relaxed);
            eprintln!("{}", String::from_utf8_lossy(&line[..line.len().min(LONGEST_LINE)]));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

/// What this process holds, in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn pick<'a>(chance: &mut StdRng, texts: &[&'a str]) -> &'a str {
    texts.choose(chance).copied().unwrap_or_default()
}

fn text(chance: &mut StdRng) -> String {
    match chance.random_range(0..10) {
        0 => pick(chance, TEXTS).repeat(chance.random_range(1..300)),
        1 => (0..chance.random_range(1..400)).map(|_| chance.random::<char>()).collect(),
        _ => pick(chance, TEXTS).to_owned(),
    }
}

/// As one part of a path or query, raw where that makes a URI, else escaped.
fn escaped(chance: &mut StdRng, text: &str) -> String {
    let raw = chance.random_bool(0.3) && !text.contains(['?', '#', '/']);
    if raw && format!("/{text}").parse::<axum::http::Uri>().is_ok() {
        return text.to_owned();
    }
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            byte => format!("%{byte:02x}"),
        })
        .collect()
}

/// A path with every `{...}` filled in.
fn filled(chance: &mut StdRng, path: &str) -> String {
    let mut rest = path;
    let mut filled = String::new();
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        // Now and then the name of something that is there.
        let name = if chance.random_bool(0.3) { "alice".to_owned() } else { text(chance) };
        filled.push_str(&escaped(chance, &name));
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    filled + rest
}

fn body(chance: &mut StdRng) -> Vec<u8> {
    match chance.random_range(0..12) {
        0 => b"[".repeat(100_000),
        1 => (0..chance.random_range(1..2_000)).map(|_| chance.random()).collect(),
        2 => {
            let long = text(chance).repeat(20);
            serde_json::json!({ "note": long, "name": long, "reason": long }).to_string().into()
        }
        _ => pick(chance, BODIES).as_bytes().to_vec(),
    }
}

fn header(chance: &mut StdRng) -> Option<(HeaderName, HeaderValue)> {
    let names = [
        "accept",
        "host",
        "origin",
        "referer",
        "cookie",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-xsrftoken",
        "sec-fetch-mode",
        "sec-fetch-site",
        "content-length-x",
        "if-none-match",
        "user-agent",
        "x-scheme",
        "forwarded",
        "accept-language",
    ];
    let name = pick(chance, &names).parse().ok()?;
    let bytes: Vec<u8> = text(chance).bytes().filter(|byte| *byte >= 32 && *byte != 127).collect();
    Some((name, HeaderValue::from_bytes(&bytes).ok()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_hostile_requests_find_no_fault() {
    let log =
        tracing_subscriber::fmt().json().flatten_event(true).with_max_level(tracing::Level::DEBUG);
    log.with_writer(Lines).init();
    let site = Site::new().await;
    host::serve_proxy(&site);
    site.running("alice", "n1").await;
    let tokens = [
        site.token("alice", &["inherit"]).await,
        site.token("root_", &["inherit"]).await,
        site.token("bob", &["read:users!user"]).await,
    ];
    let browser = site.browser("alice").await;
    let api = JUPYTERHUB.iter().chain(BERTH).map(|row| (row.method, row.path));
    let paths: Vec<_> = api.chain(PAGES.iter().copied()).collect();
    let mut warm = 0;
    let attack = async {
        for seed in 0..COUNT {
            if seed == COUNT / 2 {
                warm = memory();
            }
            let mut chance = StdRng::seed_from_u64(seed);
            let (method, path) = *paths.choose(&mut chance).unwrap();
            let uri = filled(&mut chance, path);
            let mut request =
                Request::builder().method(method.to_uppercase().as_str()).uri(uri.as_str());
            match chance.random_range(0..6) {
                0 => {}
                1 => request = request.header(COOKIE, &browser.headers[0].1),
                2 => {
                    let hostile = text(&mut chance).replace(|c: char| c.is_control(), "");
                    request = request.header(AUTHORIZATION, format!("token {hostile}"));
                }
                at => request = request.header(AUTHORIZATION, format!("token {}", tokens[at - 3])),
            }
            let kind = pick(&mut chance, &["application/json", FORM, "text/plain", "x/y; z="]);
            request = request.header(CONTENT_TYPE, kind);
            for _ in 0..chance.random_range(0..4) {
                if let Some((name, value)) = header(&mut chance) {
                    request = request.header(name, value);
                }
            }
            let Ok(request) = request.body(Body::from(body(&mut chance))) else { continue };
            let reply = site.send(request).await;
            let shown: String = format!("{seed}: {method} {uri}").chars().take(300).collect();
            assert!(reply.status.as_u16() < 500, "{shown}: {reply:?}");
            if let Some(location) = reply.headers.get(LOCATION) {
                let to = String::from_utf8_lossy(location.as_bytes());
                let own = to.strip_prefix(SITE).unwrap_or(&to);
                let stays = own.starts_with('/') && !own.starts_with("//") && !own.contains('\\');
                assert!(stays, "{shown} leads to {to}");
            }
        }
    };
    tokio::select! {
        () = attack => {}
        () = host::work(&site) => unreachable!("the host works for ever"),
    }
    let grown = memory().saturating_sub(warm);
    assert!(grown < MOST_GROWTH, "the second half of the requests took {grown} bytes of memory");
    assert!(WRITTEN.load(Ordering::Relaxed) > 1_000, "the log was looked at");
    assert_eq!(TOO_LONG.load(Ordering::Relaxed), 0, "lines of the log are too long, see above");
}
