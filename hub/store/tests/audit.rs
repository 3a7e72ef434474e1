//! The record of acts: it grows, nobody changes it, and what is old goes.

use berth_common::Timestamp;
use berth_store::{Act, Acts, Database};

#[test]
fn the_record_grows_and_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let mut database = Database::open(folder.path()).unwrap();
    for (at, actor) in [(1, "root_"), (2, "alice"), (3, "root_")] {
        let act =
            Act::new(Timestamp(at), actor, "server-stop", "192.0.2.1").about("bob").on("8f2c");
        database.record(&act.because("why")).unwrap();
    }
    let reader = database.reader().unwrap();
    let by = |which: Acts| {
        let acts = reader.acts(&Acts { limit: 10, ..which }).unwrap();
        acts.iter().map(|recorded| recorded.act.at.0).collect::<Vec<_>>()
    };
    assert_eq!(by(Acts::default()), [3, 2, 1]);
    assert_eq!(by(Acts { actor: Some("root_".into()), ..Acts::default() }), [3, 1]);
    assert_eq!(by(Acts { user: Some("alice".into()), ..Acts::default() }), [0; 0]);
    assert_eq!(by(Acts { since: Some(Timestamp(2)), before: Some(3), ..Acts::default() }), [2]);

    let other = rusqlite::Connection::open(folder.path().join("berth.db")).unwrap();
    let changed = other.execute("UPDATE audit SET actor = 'nobody'", []);
    assert!(changed.unwrap_err().to_string().contains("the audit is not changed"));

    // A transaction that fails takes its acts back.
    let failed = database.together(|database| {
        database.record(&Act::new(Timestamp(4), "x", "x", "x"))?;
        Err::<(), _>(berth_store::StoreError::OldSqlite("test"))
    });
    assert!(failed.is_err());
    database.forget_acts(Timestamp(2)).unwrap();
    assert_eq!(by(Acts::default()), [3, 2]);
}
