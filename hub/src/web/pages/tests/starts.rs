//! Asking for a server, following its start, waiting, and being refused.

use axum::http::StatusCode;
use axum::http::header::LOCATION;
use berth_common::link::{ObservedState, StartStep};
use berth_common::{Reason, Seconds};
use berth_core::Phase;

use crate::web::reader::{Language, Reader};

use super::scene;
use super::site::{Site, forgotten, gb};

/// What a wait depends on: those of the pool who stop first, without their names.
#[tokio::test]
async fn a_wait_says_who_stops_next_without_names() {
    let site = Site::silent(Vec::new(), |settings| {
        let soon = Some(Seconds(2 * 3_600));
        settings.lifecycle.idle.iter_mut().for_each(|rule| rule.stop_after = soon);
    })
    .await;
    site.everybody_reports().await;
    for user in ["carol", "dave"] {
        site.post(user, &format!("/hub/spawn/{user}"), "memory=15G").await;
        site.run(user, "").await;
    }
    site.post("alice", "/hub/spawn/alice", "memory=15G").await;
    let text = site.get("alice", "/hub/spawn-pending/alice").await.text();
    assert!(text.contains("2 servers there stop within 2 h, unless somebody"), "{text}");
    assert!(!text.contains("carol") && !text.contains("wn1"), "{text}");
    // A step has its time: what was accepted, and with which host.
    let text = site.get("carol", "/hub/spawn-pending/carol").await.text();
    assert!(text.contains("Request accepted : done 0.0 s"), "{text}");
}

#[tokio::test]
async fn somebody_without_a_server_gets_the_form_and_starts_by_post() {
    let site = Site::new().await;
    let home = site.get("alice", "/hub/home").await.text();
    for fact in [
        "Start your first server",
        "CPU",
        "Analysis, plots, development",
        "2 GB",
        "Starts now on wn",
    ] {
        assert!(home.contains(fact), "{fact:?} is missing:\n{home}");
    }
    assert!(home.contains("Not possible. No host of the pool gpu can ever give"), "{home}");
    assert!(site.hub.fleet.fleet().servers.is_empty(), "a GET must start nothing");

    let answer = site
        .post("alice", "/hub/spawn/alice", "profile=cpu&memory=2G&image=py&next=/user/alice/lab")
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.headers[LOCATION], "/hub/spawn-pending/alice?next=/user/alice/lab");
    let fleet = site.hub.fleet.fleet();
    let server = fleet.servers.values().next().unwrap();
    assert_eq!(server.ask.memory, gb(2));
    assert_eq!(server.user_options, r#"{"image":["py"],"memory":["2G"],"profile":["cpu"]}"#);
}

#[tokio::test]
async fn a_start_is_followed_step_by_step() {
    let site = Site::new().await;
    site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=2G").await;
    let path = "/hub/spawn-pending/alice?next=/user/alice/lab";
    let page = site.get("alice", path).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("data-ready=\"/user/alice/lab\""), "{}", page.body);
    let text = page.text();
    for fact in [
        "Starting your server",
        "Request accepted : done",
        "Host chosen: wn1 : done",
        "Placed on wn1:",
        "Looking for the image",
        "JupyterLab answers : not yet",
        "Why there?",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    site.reach(
        "alice",
        "",
        &[StartStep::Image, StartStep::Spaces, StartStep::Container],
        ObservedState::Created,
    )
    .await;
    let text = site.get("alice", path).await.text();
    for fact in
        ["Image present : done 0.5 s", "Container made : done 1.5 s", "Starting the container"]
    {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    site.run("alice", "").await;
    let text = site.get("alice", path).await.text();
    assert!(text.contains("Opening the way to it"), "{text}");
    site.open_all();
    let page = site.get("alice", path).await;
    assert_eq!(page.status, StatusCode::FOUND);
    assert_eq!(page.headers[LOCATION], "/user/alice/lab");
}

#[tokio::test]
async fn a_failed_start_says_what_happened_and_what_to_do() {
    let site = Site::new().await;
    site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=2G").await;
    site.reach(
        "alice",
        "",
        &[StartStep::Image, StartStep::Spaces, StartStep::Container, StartStep::Started],
        ObservedState::Running,
    )
    .await;
    site.fail(
        "alice",
        "",
        Reason::FailedNoAnswer,
        "no answer 60 s after its start\nTraceback: boom",
    )
    .await;
    let page = site.get("alice", "/hub/spawn-pending/alice").await;
    let text = page.text();
    for fact in [
        "Your server did not start",
        "JupyterLab did not answer in time.",
        "no answer 60 s after its start",
        "Look at the log;",
        "failed.no_answer",
        "Traceback: boom",
        "JupyterLab answers : failed",
        "Container started : done",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    assert!(
        page.body.contains("disabled"),
        "a new start is not possible before the old one is gone"
    );
    site.vanish("alice", "").await;
    let page = site.get("alice", "/hub/spawn-pending/alice").await;
    let id = site.server("alice", "").id.clone();
    assert!(page.body.contains(&format!("action=\"/hub/servers/{id}/start\"")), "{}", page.body);
    let answer = site.post("alice", &format!("/hub/servers/{id}/start"), "").await;
    assert_eq!(answer.headers[LOCATION], "/hub/spawn-pending/alice");
    assert_eq!(site.server("alice", "").generation.0, 2);
}

#[tokio::test]
async fn who_waits_sees_the_place_the_reason_and_what_would_start_now() {
    let site = Site::new().await;
    for (user, form) in [
        ("carol", "15G"),
        ("dave", "15G"),
        ("carol", "12G&name=b"),
        ("dave", "12G&name=b"),
        ("bob", "15G"),
    ] {
        site.post(user, &format!("/hub/spawn/{user}"), &format!("profile=cpu&memory={form}")).await;
    }
    site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=8G&next=/user/alice/lab").await;
    let bob = site.get("bob", "/hub/spawn-pending/bob").await.text();
    for fact in [
        "Waiting for a place",
        "Place 1 in the queue",
        "All memory is promised to running servers.",
        "A server with 1 GB would start now.",
        "Leave the queue",
    ] {
        assert!(bob.contains(fact), "{fact:?} is missing:\n{bob}");
    }
    let alice = site.get("alice", "/hub/spawn-pending/alice").await.text();
    assert!(
        alice.contains("Place 2 in the queue") && !alice.contains("would start now"),
        "{alice}"
    );
    let id = site.server("alice", "").id.clone();
    let answer = site.post("alice", &format!("/hub/servers/{id}/stop"), "").await;
    assert_eq!(answer.headers[LOCATION], "/hub/home");
    assert!(site.get("alice", "/hub/home").await.text().contains("Stopped by its owner."));
}

#[tokio::test]
async fn a_refusal_is_shown_with_the_form_and_its_decision() {
    let site = Site::new().await;
    let answer = site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=64G").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    let text = answer.text();
    assert!(text.contains("You asked for 64 GB; profile cpu gives 15 GB at most."), "{text}");
    let id = answer.body.split("/hub/decisions/").nth(1).unwrap().split('"').next().unwrap();
    let why = site.get("alice", &format!("/hub/decisions/{id}")).await.text();
    for fact in [
        "Why?",
        "refused",
        "64 GB of at most 15 GB in this profile",
        "profiles.toml:",
        "No host was looked at",
    ] {
        assert!(why.contains(fact), "{fact:?} is missing:\n{why}");
    }
    let bad = site.post("alice", "/hub/spawn/alice", "profile=cpu&name=No+Good").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert!(bad.text().contains("A name has at most 30 characters"), "{}", bad.text());
}

#[tokio::test]
async fn a_restart_stops_and_starts_again_as_before() {
    let site = Site::busy().await;
    let before = site.server("alice", "");
    let path = format!("/hub/servers/{}/restart", before.id);
    let (answer, ()) = tokio::join!(site.post("alice", &path, ""), async {
        while site.server("alice", "").placement().is_none_or(|it| it.stop.is_none()) {
            tokio::task::yield_now().await;
        }
        site.vanish("alice", "").await;
    });
    assert_eq!(answer.headers[LOCATION], "/hub/spawn-pending/alice");
    let after = site.server("alice", "");
    assert_eq!((after.generation.0, &after.ask), (before.generation.0 + 1, &before.ask));
    assert!(after.placement().is_some_and(|placement| placement.stop.is_none()));
    assert_eq!(site.post("bob", &path, "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn who_waits_for_a_gpu_is_offered_a_server_without_one() {
    let site = scene::scene().await;
    let page = site.get("dave", "/hub/spawn-pending/dave/net").await;
    let text = page.text();
    for fact in ["All suitable GPUs are in use.", "Take a server without GPU meanwhile"] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    assert!(page.body.contains("href=\"/hub/spawn?opt-profile=cpu\""), "{}", page.body);
    let other = site.get("alice", "/hub/spawn-pending/alice/big").await.text();
    assert!(!other.contains("without GPU"), "{other}");
}

#[tokio::test]
async fn a_start_says_how_long_it_usually_takes() {
    let site = Site::new().await;
    for name in ["a", "b", "c", "d"] {
        site.post("alice", "/hub/spawn/alice", &format!("memory=512M&name={name}")).await;
        let before = site.get("alice", &format!("/hub/spawn-pending/alice/{name}")).await.text();
        assert!(!before.contains("usually takes"), "too few are known: {before}");
        site.run("alice", name).await;
    }
    site.post("bob", "/hub/spawn/bob", "memory=512M").await;
    let text = site.get("bob", "/hub/spawn-pending/bob").await.text();
    assert!(text.contains("Such a start usually takes "), "{text}");
    let text = site.get("carol", "/hub/spawn").await.text();
    assert!(text.contains("Usually there after "), "before the click, too: {text}");
}

#[tokio::test]
async fn a_forecast_says_what_a_choice_would_mean_and_starts_nothing() {
    let site = Site::new().await;
    let ask = |query: &str| format!("/hub/forecast/alice?profile=cpu&image=py&{query}");
    let now = site.get("alice", &ask("memory=2G")).await;
    assert_eq!(now.headers["x-berth-verdict"], "good");
    let text = now.text();
    for fact in ["Starts now on wn", "Nobody else is on that host.", "Stops after 3 d"] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let much = site.get("alice", &ask("memory=64G")).await;
    assert_eq!(much.headers["x-berth-verdict"], "bad");
    assert!(much.text().contains("Not possible. You asked for 64 GB"), "{}", much.text());
    assert_eq!(site.get("alice", &ask("memory=x")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.get("alice", &ask("gpus=-1")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(site.get("bob", &ask("memory=2G")).await.status, StatusCode::NOT_FOUND);
    assert!(site.hub.fleet.fleet().servers.is_empty(), "a forecast must start nothing");
}

#[tokio::test]
async fn a_model_of_gpu_is_offered_where_there_are_several() {
    let site = scene::scene().await;
    let models = async |models: &[&str]| {
        let models = models.iter().map(|name| (*name).to_owned()).collect();
        let change = |settings: &mut berth_core::Settings| {
            let profile = settings.profiles.get_mut("two-gpus").unwrap();
            profile.gpus.as_mut().unwrap().models = models;
        };
        site.change_settings(change).await;
    };
    let tile = async |query: &str| {
        let path = format!("/hub/spawn/erin/deep?opt-profile=two-gpus{query}");
        let page = site.get("erin", &path).await.body;
        page.split("value=\"two-gpus\"").nth(1).unwrap().split("</form>").next().unwrap().to_owned()
    };
    for one in [&[][..], &["Tesla K80"]] {
        models(one).await;
        assert!(!tile("").await.contains("gpu-model"), "{one:?}: there is no choice");
    }
    models(&["Tesla K80", "A100 & more"]).await;
    let any = tile("").await;
    assert!(any.contains("GPU model") && any.contains("value=\"\" checked"), "{any}");
    assert!(!any.contains("opt-gpu-model"), "a link says nothing of it: {any}");
    let chosen = tile("&opt-gpu-model=A100+%26+more").await;
    assert!(chosen.contains("value=\"A100 &#38; more\" checked"), "{chosen}");
    assert!(chosen.contains("&#38;opt-gpu-model=A100%20%26%20more\""), "{chosen}");
    let none = tile("&opt-gpu-model=V100").await;
    assert!(none.contains("value=\"\" checked"), "what is not there is not chosen: {none}");

    let form = "profile=two-gpus&gpu-model=Tesla+K80";
    site.post("erin", "/hub/spawn/erin/deep", form).await;
    let server = site.server("erin", "deep");
    assert_eq!(server.ask.gpu_model.as_deref(), Some("Tesla K80"));
    assert!(server.user_options.contains("\"gpu_model\":[\"Tesla K80\"]"), "{server:?}");
    let waits = site.get("erin", &format!("/hub/servers/{}", server.id)).await.text();
    assert!(waits.contains("1 GPU, Tesla K80"), "{waits}");
    let refused =
        site.post("erin", "/hub/spawn/erin/wide", "profile=two-gpus&gpu-model=V100").await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text().contains("has no GPU model"), "{}", refused.text());
}

#[tokio::test]
async fn a_held_place_says_until_when_and_is_taken_by_a_form() {
    let site = Site::silent(vec![forgotten()], |_| ()).await;
    site.everybody_reports().await;
    let server = site.server("alice", "");
    let Phase::Waiting { place: Some(place), .. } = &server.phase else {
        panic!("no place is held: {:?}", server.phase)
    };
    let until = format!("<time datetime=\"{}\">", place.until);
    let take = format!("action=\"/hub/servers/{}/start\"", server.id);
    for path in ["/hub/spawn-pending/alice", "/hub/home", &format!("/hub/servers/{}", server.id)] {
        let page = site.get("alice", path).await;
        let text = page.text();
        assert!(page.body.contains(&until) && page.body.contains(&take), "{path}: {}", page.body);
        for fact in ["A place is held for you until", "Take the place", "Let it pass"] {
            assert!(text.contains(fact), "{path}: {fact:?} is missing:\n{text}");
        }
        assert!(!text.contains("Place 1"), "{path}: {text}");
    }
    let reader = Reader { language: Language::French, ..Reader::default() };
    let text = reader.served(site.get("alice", "/hub/spawn-pending/alice")).await.text();
    assert!(text.contains("Une place est gardée pour vous jusqu’au"), "{text}");
    assert_eq!(site.server("alice", "").phase, server.phase, "reading takes nothing");

    let answer = site.post("alice", &format!("/hub/servers/{}/start", server.id), "").await;
    assert_eq!(answer.headers[LOCATION], "/hub/spawn-pending/alice");
    assert_eq!(site.server("alice", "").placement().unwrap().host, place.host);
}
