//! The table of routes: longest prefix by whole segments, and the rules by which generations
//! replace each other. No I/O and no clock; what ends is handed back to the caller.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use berth_common::{Epoch, Revision, Timestamp};
use serde::Serialize;

use crate::route::{Doubt, Live, Record, Route};

/// All routes.
#[derive(Debug, Default)]
pub struct Table {
    routes: HashMap<String, Arc<Route>>,
    /// How many routes have so many segments: no request is tried at a depth that has none.
    depths: BTreeMap<usize, usize>,
    /// The route `/` of the configuration, while the hub has not posted one.
    root: Option<Arc<Route>>,
    /// The highest (epoch, seq) seen. What is lower comes from a hub of the past.
    pub highest: Revision,
}

/// What a posted record did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// There was no such route.
    Added,
    /// The record is another one now.
    Changed,
    /// The same record was there.
    Same,
}

/// Why a change of the table is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A later start of the server has the route.
    #[error("the route has generation {stored}, which is higher than {given}")]
    LowerGeneration {
        /// In the table.
        stored: u64,
        /// In the request.
        given: u64,
    },
    /// A generation belongs to one host.
    #[error("generation {0} of this server runs on another host")]
    OtherHost(u64),
    /// The hub of an earlier reign speaks.
    #[error("{given} is lower than {stored}, the highest seen")]
    Stale {
        /// The highest seen.
        stored: Revision,
        /// In the request.
        given: Revision,
    },
}

/// A route that the table holds and the hub's list did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// Its path.
    pub path: String,
    /// Its server, when it leads to a tunnel.
    pub server: Option<String>,
    /// Its generation, when it has one.
    pub generation: Option<u64>,
}

/// A route against which its host has spoken. It stays: the hub decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doubtful {
    /// Its path.
    pub path: String,
    /// Its server.
    pub server: String,
    /// Its generation.
    pub generation: u64,
    /// What the host said.
    pub host_says: Doubt,
}

/// What a synchronisation did.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Synchronised {
    /// Paths of new routes.
    pub added: Vec<String>,
    /// Paths of routes with another record.
    pub changed: Vec<String>,
    /// How many were the same.
    pub same: usize,
    /// Routes that stay, though the list does not hold them.
    pub unknown: Vec<Unknown>,
    /// Paths whose record was refused, with the reason.
    pub refused: BTreeMap<String, String>,
    /// Routes that lead to nobody, by what their hosts said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubtful: Vec<Doubtful>,
}

impl Table {
    /// A table with the root of the configuration.
    pub fn new(root: Record, now: Timestamp) -> Self {
        Self::with_root(Some(root), now)
    }

    /// A table with or without a root.
    pub fn with_root(root: Option<Record>, now: Timestamp) -> Self {
        let route = |record| Arc::new(Route { key: "/".into(), record, live: Live::new(now) });
        Self { root: root.map(route), ..Self::default() }
    }

    /// The routes that their hosts have last refused to serve, by path.
    fn doubtful(&self) -> Vec<Doubtful> {
        let doubtful = self.routes.values().filter_map(|route| {
            let (server, generation) = route.record.server()?;
            let host_says = route.live.doubt()?;
            let (path, server) = (route.key.clone(), server.to_string());
            Some(Doubtful { path, server, generation, host_says })
        });
        let mut doubtful: Vec<Doubtful> = doubtful.collect();
        doubtful.sort_by(|a, b| a.path.cmp(&b.path));
        doubtful
    }

    /// The route with the longest prefix of this path, as [`path::matched`](crate::path::matched)
    /// gives it.
    pub fn find(&self, path: &str) -> Option<Arc<Route>> {
        let deepest = self.depths.last_key_value().map_or(0, |(depth, _)| *depth);
        // Where the segments behind the deepest route begin.
        let end = path.match_indices('/').nth(deepest).map_or(path.len(), |(at, _)| at);
        let mut prefix = path.get(..end).unwrap_or_default();
        while !prefix.is_empty() {
            if let Some(route) = self.routes.get(prefix) {
                return Some(route.clone());
            }
            prefix = prefix.get(..prefix.rfind('/')?).unwrap_or_default();
        }
        self.root()
    }

    /// The route `/`.
    pub fn root(&self) -> Option<Arc<Route>> {
        self.routes.get("/").or(self.root.as_ref()).cloned()
    }

    /// The route of exactly this key.
    pub fn get(&self, key: &str) -> Option<Arc<Route>> {
        if key == "/" { self.root() } else { self.routes.get(key).cloned() }
    }

    /// All routes, the root with them, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Route>> {
        let configured = self.root.iter().filter(|_| !self.routes.contains_key("/"));
        self.routes.values().chain(configured)
    }

    /// The routes that the hub posted: those that are kept on disk.
    pub fn posted(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// Puts a record. Returns what that did, and the route that ended by it.
    ///
    /// # Errors
    /// When the table has a later generation or the hub's reign is over; nothing changes then.
    pub fn put(
        &mut self,
        key: String,
        record: Record,
        now: Timestamp,
    ) -> Result<(Put, Option<Arc<Route>>), Refusal> {
        if let Some(epoch) = record.epoch
            && epoch < self.highest.epoch.0
        {
            let given = Revision { epoch: Epoch(epoch), seq: 0 };
            return Err(Refusal::Stale { stored: self.highest, given });
        }
        let Some(old) = self.routes.get(&key) else {
            let live = Live::new(now);
            self.insert(Route { key, record, live });
            return Ok((Put::Added, None));
        };
        let kept = match (old.record.server(), record.server()) {
            (Some((old_server, stored)), Some((server, given))) if old_server == server => {
                if given < stored {
                    return Err(Refusal::LowerGeneration { stored, given });
                }
                if given == stored && !same_host(&old.record, &record) {
                    return Err(Refusal::OtherHost(given));
                }
                given == stored
            }
            (Some(_), _) | (_, Some(_)) => false,
            (None, None) => match (old.record.generation, record.generation) {
                (Some(stored), Some(given)) if given < stored => {
                    return Err(Refusal::LowerGeneration { stored, given });
                }
                (Some(stored), Some(given)) if given > stored => false,
                _ => old.record.target == record.target,
            },
        };
        let same = old.record == record;
        let put = if same { Put::Same } else { Put::Changed };
        if !kept {
            let live = Live::new(now);
            let old = self.insert(Route { key, record, live });
            return Ok((put, old));
        }
        // Records without a generation are configurable-http-proxy's: posting is activity there.
        if record.generation.is_none() {
            old.live.active(now);
        }
        if !same {
            let live = old.live.clone();
            self.insert(Route { key, record, live });
        }
        Ok((put, None))
    }

    /// Removes the route of this key, if its generation is at most `up_to`. Returns what went.
    ///
    /// # Errors
    /// When the table has a later generation.
    pub fn remove(&mut self, key: &str, up_to: Option<u64>) -> Result<Option<Arc<Route>>, Refusal> {
        let stored = self.routes.get(key).and_then(|route| route.record.generation);
        if let (Some(stored), Some(given)) = (stored, up_to)
            && stored > given
        {
            return Err(Refusal::LowerGeneration { stored, given });
        }
        let gone = self.routes.remove(key);
        if gone.is_some() {
            let depth = depth(key);
            if let Some(count) = self.depths.get_mut(&depth) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.depths.remove(&depth);
                }
            }
        }
        Ok(gone)
    }

    /// Takes the hub's whole list. It deletes nothing: what the list does not hold is named in the
    /// answer. Returns also the routes that ended because a later generation replaced them.
    ///
    /// # Errors
    /// When a later list has been seen; nothing changes then.
    pub fn synchronise(
        &mut self,
        given: Revision,
        records: Vec<(String, Record)>,
        now: Timestamp,
    ) -> Result<(Synchronised, Vec<Arc<Route>>), Refusal> {
        if given < self.highest {
            return Err(Refusal::Stale { stored: self.highest, given });
        }
        self.highest = given;
        let mut done = Synchronised::default();
        let mut ended = Vec::new();
        let mut listed = std::collections::HashSet::new();
        for (key, record) in records {
            listed.insert(key.clone());
            match self.put(key.clone(), record, now) {
                Ok((put, old)) => {
                    match put {
                        Put::Added => done.added.push(key),
                        Put::Changed => done.changed.push(key),
                        Put::Same => done.same = done.same.saturating_add(1),
                    }
                    ended.extend(old);
                }
                Err(refusal) => {
                    done.refused.insert(key, refusal.to_string());
                }
            }
        }
        done.unknown = self
            .routes
            .values()
            .filter(|route| !listed.contains(&route.key))
            .map(|route| Unknown {
                path: route.key.clone(),
                server: route.record.server().map(|(server, _)| server.to_string()),
                generation: route.record.generation,
            })
            .collect();
        done.unknown.sort_by(|a, b| a.path.cmp(&b.path));
        done.doubtful = self.doubtful();
        Ok((done, ended))
    }

    /// Puts a route as it was read from the disk.
    pub fn restore(&mut self, route: Route) {
        self.insert(route);
    }

    fn insert(&mut self, route: Route) -> Option<Arc<Route>> {
        let depth = depth(&route.key);
        let old = self.routes.insert(route.key.clone(), Arc::new(route));
        if old.is_none() {
            let count = self.depths.entry(depth).or_default();
            *count = count.saturating_add(1);
        }
        old
    }
}

fn same_host(old: &Record, new: &Record) -> bool {
    use crate::route::Target::Tunnel;
    match (&old.target, &new.target) {
        (Tunnel(old), Tunnel(new)) => old.host == new.host,
        _ => false,
    }
}

/// Number of segments of a key; the root's one is empty and is never walked to.
pub fn depth(key: &str) -> usize {
    if key == "/" { 0 } else { key.bytes().filter(|byte| *byte == b'/').count() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::path;

    fn record(value: serde_json::Value) -> Record {
        Record::read(value.as_object().unwrap().clone()).unwrap()
    }

    fn tunnel(server: u64, generation: u64, epoch: u64) -> Record {
        record(json!({
            "target": format!("tunnel://wn01/{server:016x}"), "generation": generation,
            "address": "wn01:8444", "epoch": epoch, "user": "alice",
        }))
    }

    fn table(keys: &[&str]) -> Table {
        let mut table = Table::new(Record::of_url("http://hub:8081").unwrap(), Timestamp(1));
        for key in keys {
            let key = path::key(key).unwrap();
            table.put(key, Record::of_url("http://x:1").unwrap(), Timestamp(1)).unwrap();
        }
        table
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        let table = table(&[
            "/user/alice",
            "/user/alice/gpu",
            "/user/has@",
            "/user/%E7%A7%80%E6%A8%B9",
            "/a/b/c/d",
            "/constructor",
        ]);
        for (path, expected) in [
            ("/", "/"),
            ("/hub/home", "/"),
            ("/user", "/"),
            ("/user/alice", "/user/alice"),
            ("/user/alice/", "/user/alice"),
            ("/user/alice/tree?x", "/user/alice"),
            ("/user/alice/gpu/lab", "/user/alice/gpu"),
            ("/user/alice/gpus", "/user/alice"),
            ("/user/alicex", "/"),
            ("/user/Alice", "/"),
            ("/user//alice", "/"),
            ("/user/alice%2Fgpu", "/"),
            ("/user/alice/%67pu", "/user/alice/gpu"),
            ("/user/has%40/x", "/user/has@"),
            ("/user/has@", "/user/has@"),
            ("/user/秀樹/x", "/user/秀樹"),
            ("/user/%ff", "/"),
            ("/a/b/c", "/"),
            ("/a/b/c/d/e", "/a/b/c/d"),
            ("/constructor", "/constructor"),
            ("/__proto__", "/"),
        ] {
            let path = path.split('?').next().unwrap();
            let found = table.find(&path::matched(path).unwrap()).unwrap();
            assert_eq!(found.key, expected, "{path}");
        }
    }

    #[test]
    fn deleting_a_parent_keeps_its_children() {
        let mut table = table(&["/user/alice", "/user/alice/gpu"]);
        assert!(table.remove("/user/alice", None).unwrap().is_some());
        assert!(table.remove("/user/alice", None).unwrap().is_none());
        let find = |path: &str| table.find(&path::matched(path).unwrap()).unwrap().key.clone();
        assert_eq!(find("/user/alice/gpu/x"), "/user/alice/gpu");
        assert_eq!(find("/user/alice/x"), "/");
    }

    #[test]
    fn a_posted_root_covers_the_configured_one_until_it_is_deleted() {
        let mut table = table(&["/"]);
        assert_eq!(table.root().unwrap().record, Record::of_url("http://x:1").unwrap());
        assert_eq!(table.all().count(), 1);
        table.remove("/", None).unwrap();
        assert_eq!(table.root().unwrap().record, Record::of_url("http://hub:8081").unwrap());
        assert_eq!(table.all().count(), 1);
    }

    /// Puts records one after the other on one path; says what each did and whether it ended the
    /// one before.
    fn puts(records: Vec<Record>) -> String {
        let mut table = table(&[]);
        let mut said = Vec::new();
        for record in records {
            said.push(match table.put("/user/alice".into(), record, Timestamp(1)) {
                Ok((put, None)) => format!("{put:?}"),
                Ok((put, Some(_))) => format!("{put:?}, old ended"),
                Err(refusal) => refusal.to_string(),
            });
        }
        said.join("; ")
    }

    #[test]
    fn generations_only_rise() {
        let other_host = |generation: u64| {
            record(json!({"target": "tunnel://wn02/0000000000000001", "generation": generation,
                          "address": "wn02:8444"}))
        };
        let plain = |url: &str| Record::of_url(url).unwrap();
        for (records, expected) in [
            (vec![tunnel(1, 7, 1), tunnel(1, 7, 1)], "Added; Same"),
            (vec![tunnel(1, 7, 1), tunnel(1, 7, 2)], "Added; Changed"),
            (vec![tunnel(1, 7, 1), tunnel(1, 8, 1)], "Added; Changed, old ended"),
            (vec![tunnel(1, 7, 1), other_host(8)], "Added; Changed, old ended"),
            (
                vec![tunnel(1, 7, 1), other_host(7)],
                "Added; generation 7 of this server runs on another host",
            ),
            (
                vec![tunnel(1, 7, 1), tunnel(1, 6, 1), tunnel(1, 7, 1)],
                "Added; the route has generation 7, which is higher than 6; Same",
            ),
            // A new account of an old name has another server id, whose count starts at 1.
            (vec![tunnel(1, 7, 1), tunnel(2, 1, 1)], "Added; Changed, old ended"),
            (vec![plain("http://a:1"), plain("http://a:1")], "Added; Same"),
            (vec![plain("http://a:1"), plain("http://b:1")], "Added; Changed, old ended"),
            (vec![tunnel(1, 7, 1), plain("http://b:1")], "Added; Changed, old ended"),
        ] {
            assert_eq!(puts(records), expected);
        }
    }

    #[test]
    fn what_is_kept_keeps_its_connections_and_clock() {
        let mut table = table(&[]);
        let put = |table: &mut Table, record, now| {
            table.put("/x".into(), record, Timestamp(now)).unwrap();
            table.get("/x").unwrap().live.clone()
        };
        let first = put(&mut table, tunnel(1, 7, 1), 5);
        let again = put(&mut table, tunnel(1, 7, 2), 9);
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(again.last_activity(), Timestamp(5));
        assert_eq!(table.get("/x").unwrap().record.epoch, Some(2));
        let later = put(&mut table, tunnel(1, 8, 2), 11);
        assert!(!Arc::ptr_eq(&first, &later));
    }

    #[test]
    fn a_late_stop_cannot_remove_a_newer_start() {
        let mut table = table(&[]);
        table.put("/x".into(), tunnel(1, 7, 1), Timestamp(1)).unwrap();
        assert_eq!(
            table.remove("/x", Some(6)).unwrap_err(),
            Refusal::LowerGeneration { stored: 7, given: 6 }
        );
        assert!(table.remove("/x", Some(7)).unwrap().is_some());
        assert!(table.remove("/x", Some(7)).unwrap().is_none());
    }

    #[test]
    fn synchronising_deletes_nothing_and_names_what_it_does_not_know() {
        let mut table = table(&["/services/x"]);
        table.put("/user/a".into(), tunnel(1, 7, 1), Timestamp(1)).unwrap();
        table.put("/user/b".into(), tunnel(2, 3, 1), Timestamp(1)).unwrap();
        table.put("/user/c".into(), tunnel(3, 9, 1), Timestamp(1)).unwrap();
        let at = |epoch, seq| Revision { epoch: Epoch(epoch), seq };
        let list = vec![
            ("/user/a".to_owned(), tunnel(1, 7, 1)),
            ("/user/b".to_owned(), tunnel(2, 4, 1)),
            ("/user/c".to_owned(), tunnel(3, 8, 1)),
            ("/user/d".to_owned(), tunnel(4, 1, 1)),
        ];
        let (done, ended) = table.synchronise(at(1, 2), list.clone(), Timestamp(2)).unwrap();
        assert_eq!(
            serde_json::to_value(&done).unwrap(),
            json!({
                "added": ["/user/d"], "changed": ["/user/b"], "same": 1,
                "unknown": [{"path": "/services/x", "server": null, "generation": null}],
                "refused": {"/user/c": "the route has generation 9, which is higher than 8"},
            })
        );
        assert_eq!(ended.iter().map(|route| route.key.as_str()).collect::<Vec<_>>(), ["/user/b"]);
        assert_eq!(
            table.synchronise(at(1, 1), Vec::new(), Timestamp(3)).unwrap_err(),
            Refusal::Stale { stored: at(1, 2), given: at(1, 1) }
        );
        let (again, _) = table.synchronise(at(2, 0), Vec::new(), Timestamp(3)).unwrap();
        assert_eq!(again.unknown.len(), 5);
        // A hub of an earlier reign cannot post either.
        assert!(table.put("/user/e".into(), tunnel(5, 1, 1), Timestamp(4)).is_err());
        assert!(table.put("/user/e".into(), tunnel(5, 1, 2), Timestamp(4)).is_ok());
    }
}
