//! Every page of a small site, asked as a browser asks: the facts that it must show, hostile names
//! as text, nothing inline, every form a POST with its token.

mod administration;
mod asked;
mod browser;
mod bulk;
mod drain;
mod floor;
mod look;
mod mismatch;
mod notices;
mod queue;
mod scene;
mod site;
mod trainings;

use axum::http::StatusCode;
use axum::http::header::LOCATION;
use berth_common::Reason;
use berth_common::link::{ObservedState, StartStep};

use crate::web::reader::{Language, Reader};
use site::{Site, gb};

/// All pages of a site where something of everything happens, as one person sees them.
async fn all_pages(site: &Site, user: &str) -> Vec<(String, String)> {
    let fleet = site.hub.fleet.fleet();
    let mut paths: Vec<String> = [
        "/hub/home",
        "/hub/spawn",
        "/hub/spawn?opt-memory=2G&next=/user/alice/lab",
        "/hub/token",
        "/hub/usage",
        "/hub/help",
        "/hub/trainings",
        "/hub/kernels",
        "/hub/notices",
        "/hub/admin/notices",
        "/hub/help/stopped.oom",
        "/hub/admin",
        "/hub/admin?q=ended",
        "/hub/admin?q=usr:alice",
        "/hub/admin/servers/stop?q=user:alice",
        "/hub/admin/servers/extend",
        "/hub/admin/floor",
        "/hub/admin/floor?by=idle&host=wn1",
        "/hub/admin/floor?by=age&back=5",
        "/hub/admin/floor?without=wn1",
        "/hub/admin/floor/hosts/wn1",
        "/hub/admin/queue",
        "/hub/admin/queue?user=bob&code=refused",
        "/hub/admin/hosts",
        "/hub/admin/hosts/wn1",
        "/hub/admin/hosts/wn4",
        "/hub/admin/hosts/wn1/drain?by=7200&hold=yes&reason=why",
        "/hub/admin/audit",
        "/hub/admin/health",
        "/hub/admin/usage",
        "/hub/admin/usage?by=user",
        "/hub/admin/people?q=a",
        "/hub/admin/people/alice",
        "/hub/admin/people/alice/home",
        "/hub/admin/config",
        "/hub/error/503",
        "/hub/nowhere",
        "/hub/user/alice/none/",
    ]
    .map(str::to_owned)
    .into();
    for server in fleet.servers.values() {
        let path = super::words::server_path(&server.owner, &server.name);
        paths.push(format!("/hub/spawn-pending/{path}"));
        paths.push(format!("/hub/user/{path}/lab"));
        paths.push(format!("/hub/servers/{}", server.id));
        paths.extend(server.decision.as_ref().map(|id| format!("/hub/decisions/{id}")));
    }
    let mut pages = Vec::new();
    for path in paths {
        pages.push((path.clone(), site.get(user, &path).await.body));
    }
    pages.push(("login".to_owned(), site.get("", "/hub/login?next=/hub/home").await.body));
    pages
}

#[tokio::test]
async fn pages_hold_nothing_inline_and_every_form_carries_its_token() {
    let site = Site::busy().await;
    for user in ["alice", "erin"] {
        for (path, html) in all_pages(&site, user).await {
            holds_nothing_inline(&path, user, &html);
        }
    }
}

/// No script or style in the page, every form a POST with its token, every id once.
fn holds_nothing_inline(path: &str, user: &str, html: &str) {
    for bad in
        ["<script>", "<style", " style=", "onclick", "onload", "javascript:", "http://", "https://"]
    {
        let html = html.replace(site::PUBLIC_URL, "");
        assert!(!html.contains(bad), "{path} as {user} holds {bad}:\n{html}");
    }
    for form in html.split("<form").skip(1) {
        let form = form.split("</form>").next().unwrap();
        let posts = form.contains("method=\"post\"");
        let search = form.contains("role=\"search\"");
        assert_eq!(posts, form.contains("name=\"_xsrf\" value=\""), "{path}: {form}");
        assert!(posts || search, "{path}: a form that is no POST: {form}");
        assert!(form.contains("type=\"submit\""), "{path}: {form}");
    }
    let ids: Vec<_> = html.split(" id=\"").skip(1).filter_map(|it| it.split('"').next()).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "{path}: an id stands twice: {ids:?}");
    for label in html.split(" for=\"").skip(1).filter_map(|it| it.split('"').next()) {
        assert!(ids.contains(&label), "{path}: a label for nothing: {label}");
    }
}

#[tokio::test]
async fn hostile_texts_are_shown_as_text() {
    let site = Site::busy().await;
    site.fail(
        "carol",
        "",
        Reason::FailedExited,
        "<script>alert(1)</script>\n<img src=x onerror=alert(2)>",
    )
    .await;
    let page = site.get("carol", "/hub/spawn-pending/carol").await;
    assert!(page.body.contains("&#60;script&#62;alert(1)"), "{}", page.body);
    assert!(!page.body.contains("<script>") && !page.body.contains("<img"), "{}", page.body);
    let page = site.get("erin", "/hub/admin?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(!page.body.contains("<script>alert") && page.body.contains("&#34;&#62;&#60;script"));
    let page =
        site.get("alice", "/hub/spawn?name=%22%20autofocus%20x=%22&next=//evil.example").await;
    assert!(page.body.contains("&#34; autofocus x=&#34;") && !page.body.contains("evil.example"));
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
async fn nothing_is_changed_without_the_token() {
    let site = Site::new().await;
    let answer = site.post_raw("alice", "/hub/spawn/alice", "profile=cpu").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(site.hub.fleet.fleet().servers.is_empty());
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
    assert!(bad.text().contains("a server name is at most 30 characters"), "{}", bad.text());
}

#[tokio::test]
async fn a_decision_shows_rules_and_hosts_to_its_owner_only() {
    let site = Site::busy().await;
    let id = site.server("alice", "").decision.clone().unwrap();
    let path = format!("/hub/decisions/{id}");
    let text = site.get("alice", &path).await.text();
    for fact in [
        "placed",
        "profile cpu is open to everybody",
        "profiles.toml:2",
        "chosen",
        "possible",
        "image present: yes",
        "excluded",
        "The host serves another pool.",
        "host.not_in_pool",
        "The host has not reported yet.",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    assert_eq!(site.get("erin", &path).await.status, StatusCode::OK);
    assert_eq!(site.get("bob", &path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_decision_tells_what_would_help_and_every_obstacle() {
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
    let id = site.server("bob", "").decision.clone().unwrap();
    let path = format!("/hub/decisions/{id}");
    for user in ["bob", "erin"] {
        let page = site.get(user, &path).await;
        let text = page.text();
        for fact in [
            "What would help",
            "would start now.",
            "Ask for that",
            "0 hosts possible; not possible:",
            "host.not_in_pool",
            "wait.memory.reserved",
        ] {
            assert!(text.contains(fact), "{user}: {fact:?} is missing:\n{text}");
        }
        assert!(page.body.contains("/hub/spawn/bob?opt-memory="), "{}", page.body);
    }
    let numbers = "limits on";
    assert!(site.get("erin", &path).await.text().contains(numbers));
    assert!(
        !site.get("bob", &path).await.text().contains(numbers),
        "who holds what is not for bob"
    );
}

#[tokio::test]
async fn cards_show_state_memory_and_how_it_ended() {
    let site = Site::busy().await;
    let text = site.get("alice", "/hub/home").await.text();
    for fact in
        ["My server running", "CPU 4 GB on wn", "1.5 GB of memory used limit 4 GB", "Open", "Stop"]
    {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let text = site.get("dave", "/hub/home").await.text();
    for fact in [
        "ended",
        "The server used all its memory and was ended.",
        "python reached 2 GB",
        "Start it again with more memory.",
        "stopped.oom",
        "Start again like this",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
}

#[tokio::test]
async fn a_killed_process_and_another_limit_are_on_the_card() {
    let site = Site::busy().await;
    let id = site.server("alice", "").id.clone();
    site.out_of_memory("alice", "").await;
    let text = site.get("alice", "/hub/home").await.text();
    for fact in [
        "Out of memory. python3 (notebook fit.ipynb) was killed: the server had used all its 4 GB",
        "the server runs on",
        "Change its memory",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let action = format!("/hub/servers/{id}/memory");
    let answer = site.post("alice", &action, "memory=8+GB").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let text = site.get("alice", "/hub/home").await.text();
    assert!(text.contains("Its memory is being changed to 8 GB."), "{text}");
    for (memory, why) in [("8", "a unit is needed"), ("16+GB", "It is being given 8 GB already.")] {
        let answer = site.post("alice", &action, &format!("memory={memory}")).await;
        assert_eq!(answer.status, StatusCode::CONFLICT);
        let text = answer.text();
        assert!(text.contains("The memory stays as it is") && text.contains(why), "{text}");
    }
}

#[tokio::test]
async fn admins_see_all_hosts_and_servers_and_others_do_not() {
    let site = Site::busy().await;
    let text = site.get("erin", "/hub/admin/hosts").await.text();
    for fact in [
        "2 of 5 hosts ready",
        "wn1 ready",
        "cpu",
        "of 30 GB reserved",
        "of 32 GB used",
        "0.1.0",
        "Docker 28.1",
        "Docker does not answer on the host.",
        "host.engine_down",
        "cannot connect to /run/docker.sock",
        "To let its agent in: berth host add wn4",
        "The host is not declared in hosts.toml",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let text = site.get("erin", "/hub/admin").await.text();
    for fact in ["alice", "running", "dave", "ended", "stopped.oom", "1.5 GB used"] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let filtered = site.get("erin", "/hub/admin?q=stopped.oom").await.text();
    assert!(filtered.contains("dave") && !filtered.contains("alice"), "{filtered}");
    let host = site.get("erin", "/hub/admin/hosts/wn1").await.text();
    for fact in
        ["hosts.toml:", "wn1:8444", "32 GB declared, 32 GB reported, 2 GB kept free", "nb:py", "16"]
    {
        assert!(host.contains(fact), "{fact:?} is missing:\n{host}");
    }
    for path in ["/hub/admin", "/hub/admin/hosts", "/hub/admin/hosts/wn1"] {
        assert_eq!(site.get("alice", path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
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
async fn cards_show_gpus_and_the_highest_use() {
    let site = scene::scene().await;
    let text = site.get("alice", "/hub/home").await.text();
    for fact in [
        "1 GB of memory used at most 3 GB so far · limit 4 GB",
        "2 GPUs, Tesla K80",
        "GPU Tesla K80: 72 % busy 5 GB of 12 GB used",
        "GPU Tesla K80: 0 % busy",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
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
async fn usage_shows_limits_and_requests_as_a_page_and_as_a_table() {
    let site = Site::busy().await;
    let text = site.get("alice", "/hub/usage").await.text();
    for fact in ["Memory 4 GB, no limit", "Servers 1 of", "cpu 4 GB 0 wn", "placed.now"] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let table = site.get("alice", "/hub/usage.csv").await;
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8");
    let lines: Vec<_> = table.body.lines().collect();
    assert_eq!(lines[0], "at,server,profile,memory_bytes,gpus,host,reason,decision");
    assert!(lines.len() == 2 && lines[1].contains(",,cpu,4294967296,0,wn"), "{}", table.body);
}

#[tokio::test]
async fn pages_speak_french_to_whoever_reads_it() {
    let site = Site::busy().await;
    let reader = Reader { language: Language::French, ..Reader::default() };
    let home = reader.served(site.get("dave", "/hub/home")).await;
    assert!(home.body.contains("<html lang=\"fr\""), "{}", home.body);
    let text = home.text();
    for fact in [
        "Mes serveurs",
        "terminé",
        "Le serveur a utilisé toute sa mémoire et a été terminé.",
        "Redémarrez-le avec plus de mémoire.",
        "stopped.oom",
        "Redémarrer à l’identique",
    ] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let refused = reader.served(site.post("alice", "/hub/spawn/alice", "memory=64G&name=x")).await;
    let text = refused.text();
    for fact in ["Plus que ce que donne ce profil.", "You asked for 64 GB"] {
        assert!(text.contains(fact), "{fact:?} is missing:\n{text}");
    }
    let lost = reader.served(site.get("alice", "/hub/nowhere")).await;
    assert!(lost.text().contains("Rien ici"), "{}", lost.text());
    let reason = reader.served(site.get("", "/hub/help/stopped.idle")).await.text();
    assert!(reason.contains("Arrêté : il ne s’y passait rien."), "{reason}");
    assert_eq!(site.get("", "/hub/help/no.such").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_choice_of_language_and_theme_is_kept_in_a_cookie() {
    let site = Site::new().await;
    let answer = site.get("", "/hub/reader?language=fr&theme=dark").await;
    assert_eq!(
        (answer.status, &answer.headers[LOCATION]),
        (StatusCode::FOUND, &"/hub/home".parse().unwrap())
    );
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies.len(), 2);
    assert!(cookies[0].to_str().unwrap().starts_with("berth-language=fr; Path=/hub; "));
    assert!(cookies[1].to_str().unwrap().starts_with("berth-theme=dark; Path=/hub; "));
    let nonsense = site.get("", "/hub/reader?language=%3Cb%3E&theme=pink").await;
    assert_eq!(nonsense.headers.get("set-cookie"), None);
}

#[tokio::test]
async fn nobody_acts_on_somebody_elses_server() {
    let site = Site::busy().await;
    let id = site.server("alice", "").id.clone();
    for action in ["stop", "start", "remove", "memory"] {
        let answer = site.post("bob", &format!("/hub/servers/{id}/{action}"), "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{action}");
    }
    for path in [
        "/hub/spawn/alice",
        "/hub/spawn-pending/alice",
        "/hub/user/alice/lab",
        &format!("/hub/live/servers/{id}"),
    ] {
        assert_eq!(site.get("bob", path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(site.server("alice", "").is_ready());
}

#[tokio::test]
async fn a_stopped_server_at_its_own_address() {
    let site = Site::busy().await;
    let at = |path: &'static str| site.get("dave", path);
    let page = at("/hub/user/dave/lab/tree/x?y=1").await;
    assert_eq!(page.status, StatusCode::FAILED_DEPENDENCY);
    assert!(
        page.body.contains("name=\"next\" value=\"/user/dave/lab/tree/x?y=1\""),
        "{}",
        page.body
    );
    assert!(
        page.text().contains("Server not running")
            && page.text().contains("The server used all its memory")
    );
    let api = at("/hub/user/dave/api/contents").await;
    assert_eq!(api.status, StatusCode::FAILED_DEPENDENCY);
    assert_eq!(
        api.body,
        format!(
            r#"{{"message":"JupyterHub server no longer running at /user/dave/api/contents. Restart the server at {}/hub/spawn/dave"}}"#,
            site::PUBLIC_URL
        )
    );
    let page = at("/user/dave/lab?x=1").await;
    assert_eq!(
        (page.status, page.headers[LOCATION].to_str().unwrap()),
        (StatusCode::FOUND, "/hub/user/dave/lab?x=1")
    );
    let page = at("/user/dave").await;
    assert_eq!(page.headers[LOCATION], "/user/dave/");
    let api = site.post_raw("", "/user/dave/api/sessions", "x=1").await;
    assert_eq!(api.status, StatusCode::FAILED_DEPENDENCY);
    let stranger = site.get("", "/hub/user/dave/lab").await;
    assert_eq!(stranger.headers[LOCATION], "/hub/login?next=/hub/user/dave/lab");
    let running = site.get("alice", "/hub/user/alice/lab?x=1").await;
    assert_eq!(running.headers[LOCATION], "/user/alice/lab?x=1&redirects=1");
    let lost = site.get("alice", "/hub/user/alice/lab?redirects=4").await;
    assert_eq!(lost.status, StatusCode::INTERNAL_SERVER_ERROR);
    let home = site.get("", "/").await;
    assert_eq!(home.headers[LOCATION], "/hub/home");
    let link = at("/hub/user-redirect/lab/tree/a.ipynb?b=1").await;
    assert_eq!(link.headers[LOCATION], "/hub/spawn/dave?next=/user/dave/lab/tree/a.ipynb%3Fb%3D1");
}

#[tokio::test]
async fn tokens_are_shown_once_and_revoked() {
    let site = Site::new().await;
    let page = site.post("alice", "/hub/token", "note=nightly+%3Cb%3E&days=7").await;
    assert_eq!(page.body.matches("berth_pat_").count(), 1, "{}", page.body);
    let list = site.get("alice", "/hub/token").await;
    assert!(
        list.body.contains("nightly &#60;b&#62;") && !list.body.contains("berth_pat_"),
        "{}",
        list.body
    );
    assert_eq!(site.post("bob", "/hub/token/1/revoke", "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.post("alice", "/hub/token/1/revoke", "").await.status, StatusCode::SEE_OTHER);
    assert!(site.get("alice", "/hub/token").await.text().contains("You have no tokens."));
}

#[tokio::test]
async fn a_live_page_begins_with_the_present_and_ends_when_ready() {
    let site = Site::new().await;
    site.post("alice", "/hub/spawn/alice", "profile=cpu&memory=2G").await;
    let id = site.server("alice", "").id.clone();
    let mut live = site.live("alice", &format!("/hub/live/servers/{id}")).await;
    let first = live.next().await;
    assert!(
        first.contains("event: part")
            && first.contains("id: 1")
            && first.contains("Looking for the image"),
        "{first}"
    );
    site.fetch("alice", "").await;
    assert!(live.until("Fetching the image").await.contains("event: part"));
    site.reach("alice", "", &[StartStep::Image], ObservedState::Created).await;
    assert!(live.until("Checking your spaces").await.contains("event: part"));
    site.run("alice", "").await;
    site.open_all();
    live.until("event: ready").await;
    assert_eq!(live.next().await, "", "the stream ends");
}

#[tokio::test]
async fn one_person_follows_a_bounded_number_of_pages() {
    let site = Site::busy().await;
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(site.live("alice", "/hub/live/home").await);
    }
    assert_eq!(site.status("alice", "/hub/live/home").await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(site.status("erin", "/hub/live/hosts").await, StatusCode::OK);
}
