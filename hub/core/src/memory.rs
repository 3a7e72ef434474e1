//! Memory admitted on what servers really use: what a host needs, who may join it, and what to do
//! once those who are there have grown.
//!
//! A host is asked two questions, and both must be answered with yes. May any one server still
//! grow to its limit beside what the others hold *lately*? And if all go back to the highest use
//! of days, and to twice that, does it still hold? The first is section 4.3 of the scheduler's
//! design; a short memory serves it better, since what was given back is free again. The second
//! has the long memory. Where the recent use is the peak, as on a host whose servers only grow,
//! the first alone is the rule of 4.3.
//!
//! Nobody here keeps a clock or a list of hosts: [`Sums`] belong to a host and change with its
//! servers; [`refusals`] reads them, so a decision costs the same with one server and with a
//! hundred. Memory of the kinds that follow is data that whoever owns the fleet keeps:
//! [`Peaks`] of a server, [`History`] of a site.

mod explain;
mod gate;
mod learned;
mod peaks;
mod relief;
mod standing;
mod sums;

pub use gate::{Bound, Distrust, HostMemory, Kind, Refusal, Report, Rule, Thousandths, Usable};
pub use learned::{Floor, History};
pub use peaks::{PEAK_WINDOW, Peaks, SETTLING};
pub use relief::{Alarm, Plan, Resident, Step, alarm, plan};
pub use standing::{Standing, largest_limit, refusals, rest};
pub use sums::{Member, Sums};

#[cfg(test)]
mod tests;
