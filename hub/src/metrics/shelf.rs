//! Where series are made: each is registered and described once.

use std::collections::HashMap;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, Opts, Registry,
};

/// The community's boards filter on this label.
const NAMESPACE: (&str, &str) = ("namespace", "berth");

/// A series as the manual describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// What Prometheus calls its type.
    pub kind: &'static str,
    /// Its labels.
    pub labels: Vec<String>,
    /// Its meaning and unit.
    pub meaning: String,
}

/// Series of one place.
#[derive(Debug)]
pub struct Shelf {
    registry: Registry,
    series: Vec<Series>,
}

impl Shelf {
    /// An empty one.
    pub fn new() -> Result<Self, prometheus::Error> {
        let (name, value) = NAMESPACE;
        let labels = HashMap::from([(name.to_owned(), value.to_owned())]);
        Ok(Self { registry: Registry::new_custom(None, Some(labels))?, series: Vec::new() })
    }

    fn put<C: Collector + Clone + 'static>(
        &mut self,
        kind: &'static str,
        collector: C,
    ) -> Result<C, prometheus::Error> {
        for described in collector.desc() {
            self.series.push(Series {
                name: described.fq_name.clone(),
                kind,
                labels: described.variable_labels.clone(),
                meaning: described.help.clone(),
            });
        }
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    /// Distributions of durations, by labels.
    pub fn histograms(
        &mut self,
        name: &str,
        meaning: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::new(name, meaning).buckets(buckets.to_vec());
        self.put("histogram", HistogramVec::new(options, labels)?)
    }

    /// A distribution of durations.
    pub fn histogram(
        &mut self,
        name: &str,
        meaning: &str,
        buckets: &[f64],
    ) -> Result<Histogram, prometheus::Error> {
        let options = HistogramOpts::new(name, meaning).buckets(buckets.to_vec());
        self.put("histogram", Histogram::with_opts(options)?)
    }

    /// A count that only grows.
    pub fn counter(&mut self, name: &str, meaning: &str) -> Result<IntCounter, prometheus::Error> {
        self.put("counter", IntCounter::new(name, meaning)?)
    }

    /// Sums that only grow, by labels.
    pub fn sums(
        &mut self,
        name: &str,
        meaning: &str,
        labels: &[&str],
    ) -> Result<CounterVec, prometheus::Error> {
        self.put("counter", CounterVec::new(Opts::new(name, meaning), labels)?)
    }

    /// Counts that only grow, by labels.
    pub fn counters(
        &mut self,
        name: &str,
        meaning: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.put("counter", IntCounterVec::new(Opts::new(name, meaning), labels)?)
    }

    /// Values that come and go, by labels.
    pub fn amounts(
        &mut self,
        name: &str,
        meaning: &str,
        labels: &[&str],
    ) -> Result<GaugeVec, prometheus::Error> {
        self.put("gauge", GaugeVec::new(Opts::new(name, meaning), labels)?)
    }

    /// A value that comes and goes.
    pub fn amount(&mut self, name: &str, meaning: &str) -> Result<Gauge, prometheus::Error> {
        self.put("gauge", Gauge::new(name, meaning)?)
    }

    /// A whole number that comes and goes.
    pub fn number(&mut self, name: &str, meaning: &str) -> Result<IntGauge, prometheus::Error> {
        self.put("gauge", IntGauge::new(name, meaning)?)
    }

    /// All values as they are.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// The descriptions.
    pub fn series(&self) -> Vec<Series> {
        self.series.clone()
    }
}
