//! The access log, as an administrator reads it.

use berth_proxy::access::{Format, Settings};
use serde_json::{Value, json};

use crate::world::{Reply, Upstream, World, ok, run};

/// Lines of a proxy that has answered a request of each path and then ended.
async fn lines(format: Format, sample: f64, paths: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let settings = Settings { path: path.clone(), format, sample };
    let hub = Upstream::new(|request| match request.head.contains("/broken") {
        true => Reply::Say(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n".into()),
        false => Reply::Say(ok("fine")),
    });
    let world = World::configured(hub.await, |config| config.access_log = Some(settings)).await;
    for path in paths {
        world.get(path, "User-Agent: tester\r\nReferer: http://a/?token=secret\r\n").await;
    }
    world.proxy.stop().await;
    let text = std::fs::read_to_string(path).unwrap();
    assert!(!text.contains("secret"), "{text}");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn each_answer_is_a_line_without_secrets() {
    run(async {
        let text = lines(Format::Text, 1.0, &["/hub/a?token=secret", "/%", "/broken"]).await;
        assert_eq!(text.len(), 3);
        assert!(text[0].contains("\"GET /hub/a HTTP/1.1\" 200 4 \"-\" \"tester\""), "{}", text[0]);
        assert!(text[0].starts_with("127.0.0.1 ") && text[0].ends_with(" /"), "{}", text[0]);
        assert!(text[1].contains("\"GET /% HTTP/1.1\" 400 "), "{}", text[1]);
        let ecs = lines(Format::Ecs, 1.0, &["/hub/a?token=secret"]).await;
        let line: Value = serde_json::from_str(&ecs[0]).unwrap();
        assert_eq!(line["http"]["request"]["method"], "GET");
        assert_eq!(line["http"]["response"], json!({"status_code": 200, "body": {"bytes": 4}}));
        assert_eq!(line["url"], json!({"path": "/hub/a"}));
        assert_eq!(line["event"]["outcome"], "success");
        assert!(line["event"]["duration"].as_u64().unwrap() > 0);
    });
}

#[test]
fn a_sample_leaves_out_good_answers_only() {
    run(async {
        let paths = ["/a", "/b", "/broken", "/c", "/d"];
        let text = lines(Format::Text, 0.0, &paths).await;
        assert_eq!(text.len(), 1, "{text:?}");
        assert!(text[0].contains("/broken"), "{text:?}");
        assert_eq!(lines(Format::Text, 0.5, &["/a", "/b", "/c", "/d"]).await.len(), 2);
    });
}

#[test]
fn a_log_that_cannot_be_opened_is_said_at_the_start() {
    run(async {
        let mut world = World::new().await;
        let path = world.folder.path().join("missing/access.log");
        world.config.access_log = Some(Settings { path, format: Format::Text, sample: 1.0 });
        let error = berth_proxy::start(&world.config).await.unwrap_err().to_string();
        assert!(
            error.starts_with("access_log: cannot open ") && error.contains("missing"),
            "{error}"
        );
    });
}
