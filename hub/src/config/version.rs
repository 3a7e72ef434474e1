//! A number for what the files say: equal numbers are equal settings, so a decision can name the
//! settings it was made from.

use berth_core::Settings;
use sha2::{Digest, Sha256};

/// The first 64 bits of the hash of the settings as JSON, whose maps are sorted.
pub fn number(settings: &Settings) -> u64 {
    let unnumbered = Settings { version: 0, ..settings.clone() };
    let json = serde_json::to_vec(&unnumbered).unwrap_or_default();
    let hash = Sha256::digest(json);
    hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}
