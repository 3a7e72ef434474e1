//! What a fake host says when the hub asks about a server. Nobody is to take it for a real log.

use berth_common::Timestamp;
use berth_proto::link::question::What;
use berth_proto::link::{HostAnswer, KernelSpec, KernelTrial, LogLine};

/// The answer about a server that has run since then.
pub fn about(what: Option<What>, started: Timestamp, prefix: &str) -> Result<HostAnswer, String> {
    match what {
        Some(What::LogLines(lines)) => {
            let said = [
                "this host is fake, and so is this log".to_owned(),
                format!("Jupyter Server would answer at http://127.0.0.1:8888{prefix}"),
                "Use the page's buttons to stop this server".to_owned(),
            ];
            let skip = said.len().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX));
            let line = |text| LogLine { at: started.to_string(), text };
            let log = said.into_iter().skip(skip).map(line).collect();
            Ok(HostAnswer { log, ..HostAnswer::default() })
        }
        Some(What::Kernels(_)) => {
            let kernel = KernelSpec {
                name: "python3".into(),
                title: "Python 3 (fake)".into(),
                language: "python".into(),
                program: "python3".into(),
            };
            Ok(HostAnswer { kernels: vec![kernel], ..HostAnswer::default() })
        }
        Some(What::TryKernel(_)) => {
            let failed = "this host is fake, and so are its kernels".into();
            let tried = KernelTrial { answered_ms: 0, failed };
            Ok(HostAnswer { tried: Some(tried), ..HostAnswer::default() })
        }
        None => Err("this agent does not understand the question; it is older than the hub".into()),
    }
}
