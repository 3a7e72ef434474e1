//! What is old is forgotten, but for what a decision that is still kept was made from.

use berth_common::Timestamp;
use berth_core::floor::first_of_reign;
use berth_core::queue::{REMEMBERED, REMEMBERED_WAITS};
use rusqlite::{Transaction, params};

use crate::{Database, StoreError};

impl Database {
    /// Forgets decisions made before a moment; the hosts as they were before it, but for what is
    /// needed to see them as they were at that moment and what kept decisions were made from;
    /// prices that no kept decision names; people's use of days before `day` (since 1970); and lives
    /// and waits beyond those that estimates look at.
    ///
    /// # Errors
    /// When nothing was forgotten.
    pub fn forget(&mut self, before: Timestamp, day: i64) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM decisions WHERE at < ?1", [before.0])?;
        floors(&transaction, before)?;
        transaction.execute(
            "DELETE FROM prices WHERE version < (SELECT min(json_extract(body, '$.inputs.prices')) FROM decisions)
                                  AND version < (SELECT max(version) FROM prices)",
            [],
        )?;
        transaction.execute("DELETE FROM usage WHERE day < ?1", [day])?;
        for (table, most) in [("lives", REMEMBERED), ("waits", REMEMBERED_WAITS)] {
            let sql = format!(
                "DELETE FROM {table} WHERE id IN (SELECT id FROM (
                     SELECT id, row_number() OVER (PARTITION BY pool ORDER BY id DESC) AS newest
                     FROM {table}) WHERE newest > ?1)"
            );
            transaction.execute(&sql, [i64::try_from(most).unwrap_or(i64::MAX)])?;
        }
        Ok(transaction.commit()?)
    }
}

/// Versions grow with time, over reigns too: of each host what is newer than the oldest version that
/// is needed stays, and the newest entry that is not.
fn floors(transaction: &Transaction<'_>, before: Timestamp) -> Result<(), StoreError> {
    let oldest: Option<i64> = transaction.query_row(
        "SELECT min(version) FROM (
             SELECT min(json_extract(body, '$.inputs.floor')) AS version FROM decisions
             UNION ALL
             SELECT max(version) FROM floor WHERE at <= ?1
             UNION ALL
             SELECT min(version) FROM floor WHERE at > ?1)",
        [before.0],
        |row| row.get(0),
    )?;
    let Some(oldest) = oldest else { return Ok(()) };
    let reign = i64::try_from(first_of_reign(oldest.unsigned_abs())).unwrap_or(i64::MAX);
    transaction.execute(
        "DELETE FROM floor WHERE version < ?1 OR EXISTS (
             SELECT 1 FROM floor AS newer
             WHERE newer.host = floor.host AND newer.version > floor.version AND newer.version <= ?2)",
        params![reign, oldest],
    )?;
    Ok(())
}
