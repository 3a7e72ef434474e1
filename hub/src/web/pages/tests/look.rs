//! Serves the pages of a site where something of everything happens, for a designer's eyes:
//! `cargo test -p berth-hub look_at -- --ignored --nocapture`, then open the printed addresses.

use super::scene::{heartbeat, scene, serve};

/// Everybody's pages, each person on a port of his or her own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs until it is ended"]
async fn look_at_the_pages() {
    let site = scene().await;
    for (person, address) in serve(&site).await {
        println!("{person} {address}/hub/home");
    }
    // The hosts stay alive but for one, which becomes lost.
    loop {
        heartbeat(&site).await;
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    }
}
