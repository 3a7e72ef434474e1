//! `farm.toml`: where the hub asks about work on the compute farm.

use berth_common::Seconds;
use serde::Deserialize;
use toml::Spanned;

use super::draft::Draft;
use super::sources::Version;
use super::value::Written;

/// How often the farm is asked when nothing is said.
const EVERY: Seconds = Seconds(10);
/// More often is a burden for the farm that nobody sees.
const OFTENEST: Seconds = Seconds(2);

/// What is asked about work on the compute farm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farm {
    /// Slurm's `squeue`, perhaps behind another program, such as ssh; empty: Slurm is not asked.
    pub squeue: Vec<String>,
    /// The service that is Dask Gateway.
    pub gateway: Option<String>,
    /// Whether a gateway's clusters end with the server that began them.
    pub end_with_server: bool,
    /// How often both are asked.
    pub every: Seconds,
}

impl Default for Farm {
    fn default() -> Self {
        Self { squeue: Vec::new(), gateway: None, end_with_server: false, every: EVERY }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FarmToml {
    #[serde(rename = "version")]
    _version: Version,
    every: Option<Spanned<Written>>,
    slurm: Option<SlurmToml>,
    gateway: Option<GatewayToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlurmToml {
    squeue: Spanned<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayToml {
    service: Spanned<String>,
    #[serde(default)]
    end_with_server: bool,
}

/// Reads the file.
pub(super) fn take(draft: &mut Draft) -> Farm {
    let mut farm = Farm::default();
    let Some((file, toml)) = draft.sources.one_if_any::<FarmToml>("farm") else { return farm };
    if let Some(written) = &toml.every
        && let Some(every) = draft.sources.duration(file, written)
    {
        if every < OFTENEST {
            let message = format!("the farm is asked at most every {OFTENEST}");
            draft.sources.bad_value(&file.at(written), message);
        }
        farm.every = every;
    }
    if let Some(SlurmToml { squeue }) = toml.slurm {
        if squeue.get_ref().first().is_none_or(String::is_empty) {
            let message = "names no program, write e.g. [\"/usr/bin/squeue\"]".to_owned();
            draft.sources.bad_value(&file.at(&squeue), message);
        }
        farm.squeue = squeue.into_inner();
    }
    if let Some(GatewayToml { service, end_with_server }) = toml.gateway {
        let place = file.at(&service);
        let known = draft.services.0.get(service.get_ref());
        if known.is_some_and(|service| service.url.is_none()) {
            let message = "this service has no url, so that nobody can be asked".to_owned();
            draft.sources.bad_value(&place, message);
        }
        draft.sources.expect_name("service", service.get_ref(), place);
        farm.gateway = Some(service.into_inner());
        farm.end_with_server = end_with_server;
    }
    farm
}
