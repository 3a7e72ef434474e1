//! What notebooks ask the hub every five minutes, remembered for the time the hub is away: the
//! answer to `GET /hub/api/user` for a token that the hub has confirmed. Nothing else is answered
//! in the hub's place.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_process::file::{self, FileError};
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::persist::hex;

/// A user's model of JupyterHub is one or two KiB.
pub const BODY_MAX: usize = 64 * 1024;

/// One token a server, and some of people's own.
const ENTRIES_MAX: usize = 20_000;

/// Of all bodies together, in bytes: 20,000 of 3 KiB.
const TOTAL_MAX: usize = 64 * 1024 * 1024;

/// For so long a hub that gave no answer is not asked again for what is remembered.
const AWAY: Duration = Duration::from_secs(2);

const NAME: &str = "hub-users.json";

/// SHA-256 of a token. The token itself is never kept.
pub type TokenHash = [u8; 32];

/// The memory.
#[derive(Debug)]
pub struct HubAway {
    memory: Mutex<Memory>,
    max_age_s: i64,
}

#[derive(Debug, Default)]
struct Memory {
    entries: HashMap<TokenHash, Entry>,
    total: usize,
    /// Tokens that the hub took back: an answer that was on its way then must not bring one in.
    revoked: HashSet<TokenHash>,
    revoked_order: VecDeque<TokenHash>,
    away_until: Option<Instant>,
    changed: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    body: Bytes,
    content_type: String,
    /// On the clock of [`boot_time_s`].
    at_s: i64,
}

/// A remembered answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The hub's body.
    pub body: Bytes,
    /// Its content type.
    pub content_type: String,
    /// How old it is.
    pub age_s: i64,
}

/// Seconds since the machine's boot, on a clock that neither jumps nor stops in suspend.
pub fn boot_time_s() -> i64 {
    clock_gettime(ClockId::Boottime).tv_sec
}

/// A secret's hash, as the hub keeps it.
pub fn hash(secret: &[u8]) -> TokenHash {
    Sha256::digest(secret).into()
}

/// The token of a request, hashed.
pub fn token_of(headers: &HeaderMap) -> Option<TokenHash> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (fields.next(), fields.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer");
    let token = token.trim();
    (known && !token.is_empty()).then(|| hash(token.as_bytes()))
}

/// A hash from its hexadecimal digits.
pub fn hash_of_hex(text: &str) -> Option<TokenHash> {
    let mut hash = TokenHash::default();
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (place, at) in hash.iter_mut().zip((0_usize..64).step_by(2)) {
        let digits = text.get(at..at.saturating_add(2))?;
        *place = u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
    }
    Some(hash)
}

impl HubAway {
    /// Remembers for so many hours.
    pub fn new(hours: u32) -> Self {
        Self { memory: Mutex::default(), max_age_s: i64::from(hours).saturating_mul(3600) }
    }

    /// Whether the hub gave no answer a moment ago.
    pub fn is_away(&self) -> bool {
        self.lock().away_until.is_some_and(|until| Instant::now() < until)
    }

    /// The hub gave no answer.
    pub fn note_away(&self) {
        self.lock().away_until = Some(Instant::now() + AWAY);
    }

    /// The hub answered.
    pub fn note_back(&self) {
        self.lock().away_until = None;
    }

    /// What the hub last answered for a token.
    pub fn recall(&self, hash: &TokenHash, now_s: i64) -> Option<Remembered> {
        let memory = self.lock();
        let entry = memory.entries.get(hash)?;
        let age_s = now_s.saturating_sub(entry.at_s);
        (0..=self.max_age_s).contains(&age_s).then(|| Remembered {
            body: entry.body.clone(),
            content_type: entry.content_type.clone(),
            age_s,
        })
    }

    /// Remembers a good answer of the hub.
    pub fn remember(&self, hash: TokenHash, body: Bytes, content_type: String, now_s: i64) {
        let mut memory = self.lock();
        if body.len() > BODY_MAX || memory.revoked.contains(&hash) {
            return;
        }
        memory.total = memory.total.saturating_add(body.len());
        // A copy of its own: the received bytes may hang on a bigger buffer.
        let body = Bytes::copy_from_slice(&body);
        if let Some(old) = memory.entries.insert(hash, Entry { body, content_type, at_s: now_s }) {
            memory.total = memory.total.saturating_sub(old.body.len());
        }
        while memory.entries.len() > ENTRIES_MAX || memory.total > TOTAL_MAX {
            let oldest = memory.entries.iter().min_by_key(|(_, entry)| entry.at_s);
            let Some(oldest) = oldest.map(|(hash, _)| *hash) else { break };
            memory.drop_entry(&oldest);
        }
        memory.changed = true;
    }

    /// Forgets one token, until the hub confirms it again.
    pub fn forget(&self, hash: &TokenHash) {
        self.lock().drop_entry(hash);
    }

    /// Forgets tokens, for good: the hub took them back. Returns how many were remembered.
    pub fn revoke(&self, hashes: &[TokenHash]) -> usize {
        let mut memory = self.lock();
        let mut dropped = 0_usize;
        for hash in hashes {
            dropped = dropped.saturating_add(usize::from(memory.drop_entry(hash)));
            if memory.revoked.insert(*hash) {
                memory.revoked_order.push_back(*hash);
            }
            if memory.revoked_order.len() > ENTRIES_MAX
                && let Some(oldest) = memory.revoked_order.pop_front()
            {
                memory.revoked.remove(&oldest);
            }
        }
        dropped
    }

    /// Whether the hub took one of these back.
    pub fn is_revoked(&self, hashes: &[TokenHash]) -> bool {
        let memory = self.lock();
        hashes.iter().any(|hash| memory.revoked.contains(hash))
    }

    /// Whether there is something new to save; the answer counts it as saved.
    pub fn take_changed(&self) -> bool {
        std::mem::take(&mut self.lock().changed)
    }

    /// The memory as it is kept and handed over, without the wall's clock.
    pub fn saved(&self) -> Saved {
        let memory = self.lock();
        let entries = memory.entries.iter().filter_map(|(hash, entry)| {
            Some(SavedEntry {
                hash: hex(hash),
                body: String::from_utf8(entry.body.to_vec()).ok()?,
                content_type: entry.content_type.clone(),
                at_s: entry.at_s,
            })
        });
        let entries = entries.collect();
        Saved { boot_id: boot_id(), boot_s: boot_time_s(), wall_s: 0, entries }
    }

    /// Writes the memory into a folder, for its owner only.
    ///
    /// # Errors
    /// Names the file and the system's reason.
    pub fn save(&self, folder: &Path, wall_s: i64) -> Result<(), FileError> {
        let path = folder.join(NAME);
        let saved = Saved { wall_s, ..self.saved() };
        let body = serde_json::to_vec(&saved)
            .map_err(|error| FileError::new("write", &path, std::io::Error::other(error)))?;
        berth_process::crash_point!("proxy.hub_users.before_save");
        file::replace(&path, &body, 0o600)?;
        berth_process::crash_point!("proxy.hub_users.after_save");
        Ok(())
    }

    /// Reads what [`HubAway::save`] wrote. After a boot the ages go on by the wall clock; if that
    /// runs backwards, nothing can be trusted and nothing is taken.
    pub fn load(&self, folder: &Path, wall_s: i64) {
        let path = folder.join(NAME);
        let saved: Saved = match file::read_if_there(&path) {
            Ok(None) => return,
            Ok(Some(text)) => match serde_json::from_str(&text) {
                Ok(saved) => saved,
                Err(error) => {
                    tracing::error!(file = %path.display(), %error, "not understood, left out");
                    return;
                }
            },
            Err(error) => {
                tracing::error!(%error, "hub answers of before are not there");
                return;
            }
        };
        self.restore(saved, wall_s);
    }

    /// Takes what [`HubAway::saved`] gave.
    pub fn restore(&self, saved: Saved, wall_s: i64) {
        let now_s = boot_time_s();
        let shift_s = if saved.boot_id == boot_id() {
            0
        } else if wall_s >= saved.wall_s {
            let between_s = wall_s.saturating_sub(saved.wall_s);
            now_s.saturating_sub(saved.boot_s).saturating_sub(between_s)
        } else {
            return;
        };
        for entry in saved.entries {
            let at_s = entry.at_s.saturating_add(shift_s);
            let fresh = (0..=self.max_age_s).contains(&now_s.saturating_sub(at_s));
            if let Some(hash) = hash_of_hex(&entry.hash).filter(|_| fresh) {
                self.remember(hash, entry.body.into(), entry.content_type, at_s);
            }
        }
        self.take_changed();
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn drop_entry(&mut self, hash: &TokenHash) -> bool {
        let Some(old) = self.entries.remove(hash) else { return false };
        self.total = self.total.saturating_sub(old.body.len());
        self.changed = true;
        true
    }
}

/// The memory outside a process.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    boot_id: String,
    boot_s: i64,
    wall_s: i64,
    entries: Vec<SavedEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedEntry {
    hash: String,
    body: String,
    content_type: String,
    at_s: i64,
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn remember(memory: &HubAway, id: u8, at_s: i64) {
        memory.remember(
            [id; 32],
            Bytes::from(format!("user {id}")),
            "application/json".into(),
            at_s,
        );
    }

    #[test]
    fn answers_live_36_hours_and_no_longer() {
        let memory = HubAway::new(36);
        remember(&memory, 1, 100);
        for (now_s, expected) in [
            (100, Some(0)),
            (100 + 36 * HOUR, Some(36 * HOUR)),
            (101 + 36 * HOUR, None),
            (99, None),
        ] {
            assert_eq!(memory.recall(&[1; 32], now_s).map(|r| r.age_s), expected, "{now_s}");
        }
        assert_eq!(memory.recall(&[2; 32], 100), None);
    }

    #[test]
    fn a_revoked_token_never_comes_back() {
        let memory = HubAway::new(36);
        remember(&memory, 1, 0);
        assert_eq!(memory.revoke(&[[1; 32], [2; 32]]), 1);
        remember(&memory, 1, 1);
        remember(&memory, 2, 1);
        assert_eq!(memory.recall(&[1; 32], 1), None);
        assert_eq!(memory.recall(&[2; 32], 1), None);
    }

    #[test]
    fn the_disk_holds_no_token_and_ages_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let memory = HubAway::new(36);
        let now_s = boot_time_s();
        remember(&memory, 1, now_s - 10);
        assert!(memory.take_changed());
        assert!(!memory.take_changed());
        memory.save(folder.path(), 1_000_000).unwrap();

        let same_boot = HubAway::new(36);
        same_boot.load(folder.path(), 0);
        let age_s = same_boot.recall(&[1; 32], boot_time_s()).unwrap().age_s;
        assert!((10..20).contains(&age_s), "{age_s}");

        // As if saved in another boot.
        let path = folder.path().join(NAME);
        let text = std::fs::read_to_string(&path).unwrap().replace(&boot_id(), "another");
        std::fs::write(&path, text).unwrap();
        let age_after = |wall_s| {
            let memory = HubAway::new(36);
            memory.load(folder.path(), wall_s);
            memory.recall(&[1; 32], boot_time_s()).map(|remembered| remembered.age_s)
        };
        assert!((HOUR + 10..HOUR + 20).contains(&age_after(1_000_000 + HOUR).unwrap()));
        assert_eq!(age_after(1_000_000 + 37 * HOUR), None);
        assert_eq!(age_after(999_999), None, "the wall clock went backwards");
    }

    #[test]
    fn tokens_are_read_from_either_scheme() {
        let check = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            token_of(&headers).map(|hash| hex(&hash))
        };
        let expected = hex(&Sha256::digest("abc"));
        for value in ["token abc", "Bearer abc", "TOKEN abc"] {
            assert_eq!(check(value).as_deref(), Some(expected.as_str()), "{value}");
        }
        for value in ["Basic abc", "abc", "token ", "tokenabc"] {
            assert_eq!(check(value), None, "{value}");
        }
        assert_eq!(hash_of_hex(&expected).map(|hash| hex(&hash)), Some(expected));
        assert_eq!(hash_of_hex("zz"), None);
        assert_eq!(hash_of_hex(&"+1".repeat(32)), None);
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let memory = HubAway::new(36);
        let key = |number: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            key
        };
        for number in 0..=ENTRIES_MAX {
            memory.remember(key(number), Bytes::from_static(b"x"), String::new(), number as i64);
        }
        assert_eq!(memory.lock().entries.len(), ENTRIES_MAX);
        assert_eq!(memory.lock().total, ENTRIES_MAX);
        assert!(memory.recall(&key(0), 5).is_none());
        assert!(memory.recall(&key(1), 5).is_some());
    }
}
