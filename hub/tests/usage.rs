//! What people used, as they and their administrators read it.

use axum::http::StatusCode;
use berth_common::{Seconds, Timestamp};
use berth_core::event::Row;
use berth_core::store::Store;
use berth_core::usage::{Amount, UsageDay};
use berth_process::clock::now;
use serde_json::json;

use crate::site::{self, Site};

#[tokio::test]
async fn hours_are_added_up_by_person_and_by_group() {
    let folder = tempfile::tempdir().unwrap();
    let day = |days_ago: i64| u32::try_from(now().0 / 86_400_000_000 - days_ago).unwrap();
    let booked = |user: &str, group: &str, day: u32, hours: u64| {
        let seconds = hours * 3_600;
        let amount = Amount {
            gpu_milli_s: 500 * seconds,
            mib_s: 4_096 * seconds,
            used_mib_s: 1_024 * seconds,
            used_gpu_milli_s: 100 * seconds,
            server_s: seconds,
        };
        Row::Usage(UsageDay { user: user.parse().unwrap(), day, group: group.into(), amount })
    };
    let rows = [
        booked("alice", "lsst", day(1), 10),
        booked("alice", "lsst", day(2), 14),
        booked("bob", "lsst", day(2), 6),
        booked("carol", "euclid", day(2), 1),
        // Too long ago.
        booked("alice", "lsst", day(40), 100),
    ];
    berth_store::Database::open(folder.path()).unwrap().commit(&rows).unwrap();
    let site = Site::at(site::SITE, false, folder, "wn1:8444").await;
    let admin = site.program("root_").await;
    let usage = admin.get("/hub/api/berth/usage?by=group").await.json()["usage"].clone();
    assert_eq!(
        usage["rows"],
        json!([
            { "name": "euclid", "server_hours": 1.0, "gib_hours": 4.0,
              "gib_hours_used": 1.0, "gpu_hours": 0.5, "gpu_hours_used": 0.1, "users": 1 },
            { "name": "lsst", "server_hours": 30.0, "gib_hours": 120.0,
              "gib_hours_used": 30.0, "gpu_hours": 15.0, "gpu_hours_used": 3.0, "users": 2 },
        ])
    );
    // People see their own, and what runs counts as it runs.
    let alice = site.program("alice").await;
    let own = alice.get("/hub/api/berth/usage").await.json()["usage"]["rows"].clone();
    assert_eq!(own.as_array().unwrap().len(), 1);
    assert_eq!((&own[0]["name"], &own[0]["server_hours"]), (&json!("alice"), &json!(24.0)));
    let refused = alice.get("/hub/api/berth/usage?by=group").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let from = Timestamp(i64::from(day(1)) * 86_400_000_000);
    let path = format!("/hub/api/berth/usage?from={from}");
    assert_eq!(alice.get(&path).await.json()["usage"]["rows"][0]["server_hours"], 10.0);
    let to = Timestamp(i64::from(day(1)) * 86_400_000_000);
    let path = format!("/hub/api/berth/usage?to={to}");
    assert_eq!(alice.get(&path).await.json()["usage"]["rows"][0]["server_hours"], 14.0);
    let future = now().plus(Seconds(3_600));
    let wrong = admin.get(&format!("/hub/api/berth/usage?from={future}")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}
