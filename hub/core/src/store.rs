//! The seam to durable storage. The driver in production and the simulation use the same order:
//! step, commit, and only then let the other effects out.

use crate::event::{Effect, Row};

/// Saves rows, all or none.
pub trait Store {
    /// Why a commit failed.
    type Error: std::fmt::Display;

    /// Makes all rows durable in one transaction.
    ///
    /// # Errors
    /// When nothing of them was saved.
    fn commit(&mut self, rows: &[Row]) -> Result<(), Self::Error>;
}

/// Commits what the effects want saved, and returns the others: they may leave now. On an error
/// none may leave, and the caller takes its fleet from the store again.
///
/// # Errors
/// The store's own.
pub fn commit_then_release<S: Store>(
    store: &mut S,
    effects: Vec<Effect>,
) -> Result<Vec<Effect>, S::Error> {
    let (rows, others): (Vec<_>, Vec<_>) =
        effects.into_iter().partition(|effect| matches!(effect, Effect::Save(_)));
    let rows: Vec<Row> = rows
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Save(row) => Some(row),
            _ => None,
        })
        .collect();
    if !rows.is_empty() {
        store.commit(&rows)?;
    }
    Ok(others)
}
