//! Work on the compute farm, on cards and on servers' pages.

use super::scene::scene;

#[tokio::test]
async fn work_on_the_farm_is_told_with_its_size_its_state_and_what_is_not_known() {
    let site = scene().await;
    let id = site.server("alice", "").id.clone();
    for path in ["/hub/home".to_owned(), format!("/hub/servers/{id}")] {
        let page = site.get("alice", &path).await;
        let text = page.text();
        let name = |number: u32| format!("{number:032x}");
        for fact in [
            format!(
                "{} running 12 workers, 192 cores, 768 GB · computing · Dask dashboard",
                name(0xa1)
            ),
            format!(
                "{} running 1 worker, 16 cores, 64 GB · not computing · Dask dashboard",
                name(0xb2)
            ),
            format!("{} running its size is not known yet · Dask dashboard", name(0xc3)),
            format!("{} waits for its turn {} ending", name(0xd4), name(0xe5)),
            // Whoever lost the right to it sees it, and no link that would not open.
            format!("{} running 3 workers, 48 cores, 192 GB · computing Job 4194303", name(7)),
            "by_eleven_variations running 1 core, 4 GB Job".into(),
            "and 2 more jobs".into(),
        ] {
            assert!(text.contains(&fact), "{path} lacks {fact:?}:\n{text}");
        }
        let link = format!("href=\"/hub/dask/dask-gateway/clusters/{}/status\"", name(0xb2));
        assert!(page.body.contains(&link), "{path}:\n{}", page.body);
    }
    // What was known before the farm fell silent stays, and people read that their work goes on.
    let nets = site.server("alice", "nets").id.clone();
    let text = site.get("alice", &format!("/hub/servers/{nets}")).await.text();
    for fact in [
        "How the Dask clusters are is not known. Clusters that run go on. Dask Gateway does not \
         answer: no answer within 5 s",
        "How the jobs are is not known. Jobs that run go on. ",
        "(connect failure)",
        "2 workers, 32 cores, 128 GB · not computing",
        "Job 77 fit running 1 core, 4 GB",
    ] {
        assert!(text.contains(fact), "lacks {fact:?}:\n{text}");
    }
}
