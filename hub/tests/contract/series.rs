//! The series of a real JupyterHub's `/hub/metrics` beside this hub's: name, type, labels, and the
//! buckets of what boards draw as heat.

use std::collections::BTreeSet;

use serde::Deserialize;

/// A series of JupyterHub's, as its own registry describes it.
#[derive(Debug, Deserialize)]
pub struct Series {
    /// As the exposition writes it.
    name: String,
    #[serde(rename = "type")]
    kind: String,
    labels: Vec<String>,
    /// The upper bounds of a histogram, as `le` has them.
    bounds: Vec<String>,
}

/// Whose buckets are kept: one board subtracts them from one another, start times by start times.
const SAME_BUCKETS: &str = "jupyterhub_server_spawn_duration_seconds";

/// What is different here; `exposed` is what this hub serves.
pub fn differences(there: &[Series], exposed: &str) -> Vec<String> {
    let here = berth_hub::metrics::all_series().unwrap();
    let mut found = Vec::new();
    for series in there {
        let name = &series.name;
        let Some(own) = here.iter().find(|own| own.name == *name) else {
            found.push(format!("{name}: missing here"));
            continue;
        };
        if own.kind != series.kind {
            found.push(format!("{name}: {} there, {} here", series.kind, own.kind));
        }
        let missing = series.labels.iter().filter(|label| !own.labels.contains(label));
        found.extend(missing.map(|label| format!("{name}: no label {label} here")));
        let bounds = bounds(exposed, name);
        if name == SAME_BUCKETS && !series.bounds.iter().eq(&bounds) {
            found.push(format!("{name}: buckets {:?} there, {bounds:?} here", series.bounds));
        }
    }
    found
}

/// The bounds of the buckets of one histogram, in their order.
fn bounds(exposed: &str, name: &str) -> Vec<String> {
    let lines = exposed.lines().filter(|line| line.starts_with(&format!("{name}_bucket{{")));
    let bound = |line: &str| Some(line.split_once("le=\"")?.1.split_once('"')?.0.to_owned());
    let mut seen = BTreeSet::new();
    lines.filter_map(bound).filter(|bound| seen.insert(bound.clone())).map(in_full).collect()
}

/// A number as JupyterHub writes it.
fn in_full(bound: String) -> String {
    if bound.contains(['.', '+']) { bound } else { format!("{bound}.0") }
}
