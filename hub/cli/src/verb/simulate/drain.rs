//! `berth simulate drain`: every host of a fleet is rebooted, one after the other; how often do
//! servers restart?

use std::path::PathBuf;

use berth_core::drain::reboot::{self, Cost};
use clap::ValueEnum;

use super::report::Report;
use crate::problem::Problem;
use fleet::Fleet;

mod fleet;
mod reference;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The hosts and servers, as TOML
    #[arg(long, value_name = "FLEET.toml")]
    fleet: PathBuf,
    /// file, or free: as the policy likes
    #[arg(long, value_enum, default_value_t = Order::File, hide_possible_values = true)]
    order: Order,
    /// berth, spread, pack or drainaware
    #[arg(long, value_enum, default_value_t = Policy::Berth, hide_possible_values = true)]
    policy: Policy,
}

/// In which order hosts are rebooted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// As the file lists them
    File,
    /// As the policy chooses
    Free,
}

/// Who chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Policy {
    /// The planner of the hub
    Berth,
    /// Reference: the least used host
    Spread,
    /// Reference: the host with the least memory that suffices
    Pack,
    /// Reference: the fullest host that was rebooted
    Drainaware,
}

/// Replays.
///
/// # Errors
/// When the fleet cannot be used.
pub fn run(args: &Args) -> Result<Report, Problem> {
    let fleet = fleet::read(&args.fleet)?;
    let cost = match args.policy {
        Policy::Berth => {
            let order = match args.order {
                Order::File => reboot::Order::Given,
                Order::Free => reboot::Order::Free,
            };
            reboot::plan(&fleet.hosts, &fleet.servers, order).cost()
        }
        Policy::Spread => reference::replay(&fleet, args.order, reference::Rule::Spread),
        Policy::Pack => reference::replay(&fleet, args.order, reference::Rule::Pack),
        Policy::Drainaware => reference::replay(&fleet, args.order, reference::Rule::DrainAware),
    };
    Ok(report(args, &fleet, cost))
}

fn report(args: &Args, fleet: &Fleet, cost: Cost) -> Report {
    let servers = fleet.servers.len();
    let concerned = fleet.servers.iter().filter(|server| fleet.hosts[server.host].reboots).count();
    let mut report = Report::default();
    report.word("policy", word(args.policy));
    report.word("order", word(args.order));
    report.count("hosts", fleet.hosts.len() as u64);
    report.count("servers", servers as u64);
    report.count("restarts", cost.restarts);
    report.number("per_server", cost.restarts as f64 / servers as f64, 3);
    report.count("worst", u64::from(cost.worst));
    report.count("stuck", cost.stuck as u64);
    report.number("bound_per_server", concerned as f64 / servers as f64, 3);
    report
}

/// The word of an option's value.
fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
