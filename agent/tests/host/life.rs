//! What the hub's rules make of that which a host tells of a server, in hours of their own.

use berth_common::link::{Kernels, Usage};
use berth_common::{Reason, Seconds, ServerId};
use berth_core::life::Evidence;
use berth_core::settings::{Above, Activity, Lifecycle};

#[path = "../../../hub/core/tests/life/bench.rs"]
#[allow(dead_code)]
mod bench;

use bench::{Bench, idle_after};

pub const HOUR: u64 = bench::HOUR;

/// What is told of a server.
#[derive(Clone, Copy)]
pub struct Facts {
    /// By its host.
    pub usage: Usage,
    /// By others.
    pub told: Option<Evidence>,
    /// How busy its GPU is, in per cent.
    pub gpu: Option<u32>,
}

/// A server, where two hours without activity are the limit.
pub struct Life {
    bench: Bench,
    server: ServerId,
}

impl Life {
    /// So many thousandths of a processor count.
    pub fn new(cpu_milli: u32) -> Self {
        let cpu = Some(Above { amount: cpu_milli.into(), during: Seconds(600) });
        let activity = Activity { cpu, ..Activity::default() };
        let idle = vec![idle_after(2 * HOUR)];
        let mut bench = Bench::new(Lifecycle { idle, activity, ..Lifecycle::default() });
        let server = bench.runs("alice", "gpu");
        Self { bench, server }
    }

    /// For so many seconds this is told, over and over. A kernel that has fallen silent stays so.
    pub fn passes(&mut self, seconds: u64, facts: Facts) {
        let begun = self.bench.now;
        let end = begun.plus(Seconds(seconds));
        while self.bench.now < end && self.bench.end(&self.server).is_none() {
            let next = self.bench.now.plus(Seconds(30));
            let silent = |kernels: Kernels| {
                let quiet_ms = kernels.quiet_ms.map(|ms| ms + next.millis_since(begun));
                Kernels { quiet_ms, ..kernels }
            };
            let kernels = facts.usage.kernels.map(silent);
            self.bench.usage = Usage { kernels, ..facts.usage };
            self.bench.gpu_busy = facts.gpu;
            self.bench.goes_to(next);
            if let Some(kind) = facts.told {
                self.bench.sign(&self.server, kind);
            }
        }
    }

    /// It is still there, for this reason, or was ended as idle.
    pub fn ends_as_expected(&self, number: u32, what: &str, kept_by: Option<Evidence>) {
        let end = self.bench.end(&self.server).map(|(reason, ..)| reason);
        let Some(kind) = kept_by else {
            assert_eq!(end, Some(Reason::StoppedIdle), "{number}: {what}");
            return;
        };
        assert_eq!(end, None, "{number}: {what}");
        let placement = self.bench.server(&self.server).placement().unwrap();
        let signs = &placement.life.signs;
        assert!(signs.contains_key(&kind), "{number}, {what}, lives by {signs:?}");
    }
}
