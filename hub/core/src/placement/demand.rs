//! What was asked for lately: the mix of requests that the prices of placement are made for.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::packing::Mix;
use crate::placement::{Need, Rows};

/// Requests that are remembered: a week of a site with 60 people, a morning of one with thousands.
const REMEMBERED: usize = 2048;

/// The newest requests, newest last.
#[derive(Debug, Clone, Default)]
pub struct Demand {
    recent: Arc<VecDeque<Arc<Need>>>,
    /// Requests since the prices were last made.
    new: u32,
}

impl Demand {
    /// Notes a request.
    pub fn note(&mut self, need: &Need) {
        let recent = Arc::make_mut(&mut self.recent);
        if recent.len() >= REMEMBERED {
            recent.pop_front();
        }
        recent.push_back(Arc::new(need.clone()));
        self.new = self.new.saturating_add(1);
    }

    /// Whether enough is new for other prices; the next ones begin to count from here.
    pub fn take_new(&mut self) -> bool {
        let enough = self.new as usize * 16 >= self.recent.len().max(1);
        if enough {
            self.new = 0;
        }
        enough
    }

    /// The mix, beside one request of each kind that the site offers: before the first requests
    /// nothing else is known.
    pub fn mix(&self, rows: &Rows, offered: impl Iterator<Item = Need>) -> Mix {
        let recent = self.recent.iter().filter_map(|need| rows.kind(need));
        let offered: Vec<_> = offered.filter_map(|need| rows.kind(&need)).collect();
        recent.chain(offered).collect()
    }
}
