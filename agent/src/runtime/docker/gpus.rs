//! GPUs in the engine's words: how a container asks for them, and what its refusals mean.
//!
//! A request always names UUIDs and capabilities: without ids, or with a count of 0, an old engine
//! lets the image decide, which may say *all*.

use std::collections::BTreeMap;

use berth_common::{GpuPart, Reason};
use bollard::models::{ContainerConfig, DeviceRequest, HostConfig, SystemInfo};

use crate::gpu::environment;

/// Holds a container's GPUs, `id:thousandths` by commas.
pub const LABEL: &str = "berth.gpus";

/// What the NVIDIA Container Toolkit calls a GPU in CDI.
const CDI_KIND: &str = "nvidia.com/gpu=";

/// How a container gets its GPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// It gets none.
    Nothing,
    /// A device request to the driver `nvidia`.
    Request,
    /// A device request by CDI names.
    Cdi,
    /// The runtime `nvidia`, which reads the environment.
    Runtime,
}

/// Whether the engine knows all these GPUs by CDI.
pub fn known_by_cdi(info: &SystemInfo, gpus: &[GpuPart]) -> bool {
    let known = info.discovered_devices.as_deref().unwrap_or_default();
    let is_known = |part: &GpuPart| {
        let name = cdi_name(part);
        known.iter().any(|device| device.id.as_ref() == Some(&name))
    };
    gpus.iter().all(is_known)
}

fn cdi_name(part: &GpuPart) -> String {
    format!("{CDI_KIND}{}", part.gpu)
}

/// The device requests of a container.
pub fn requests(form: Form, gpus: &[GpuPart]) -> Option<Vec<DeviceRequest>> {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    let request = match form {
        Form::Nothing | Form::Runtime => return None,
        Form::Request => DeviceRequest {
            driver: Some("nvidia".into()),
            device_ids: Some(gpus.iter().map(|part| part.gpu.to_string()).collect()),
            capabilities: Some(vec![words(&["gpu", "compute", "utility"])]),
            ..DeviceRequest::default()
        },
        Form::Cdi => DeviceRequest {
            driver: Some("cdi".into()),
            device_ids: Some(gpus.iter().map(cdi_name).collect()),
            ..DeviceRequest::default()
        },
    };
    Some(vec![request])
}

/// The runtime of a container; `None`: the engine's own choice.
pub fn runtime(form: Form) -> Option<String> {
    (form == Form::Runtime).then(|| "nvidia".to_owned())
}

/// The environment of a container. By CDI the toolkit must not add anything of its own.
pub fn environment(
    form: Form,
    gpus: &[GpuPart],
    mut env: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    match form {
        Form::Nothing => environment::none(&mut env),
        Form::Cdi => {
            environment::none(&mut env);
            environment::load_nothing(&mut env);
        }
        Form::Request | Form::Runtime => environment::these(&mut env, gpus),
    }
    env
}

/// Whether a made container has the GPUs that were asked for, and no other.
pub fn are_as_asked(
    form: Form,
    gpus: &[GpuPart],
    config: &ContainerConfig,
    host: &HostConfig,
) -> bool {
    let asked = requests(form, gpus).unwrap_or_default();
    let got = host.device_requests.as_deref().unwrap_or_default();
    let same = |asked: &DeviceRequest, got: &DeviceRequest| {
        asked.driver == got.driver
            && asked.device_ids == got.device_ids
            && got.count.unwrap_or_default() == 0
    };
    let requests = asked.len() == got.len() && asked.iter().zip(got).all(|(a, g)| same(a, g));
    let wanted = environment(form, gpus, BTreeMap::new());
    let wanted = wanted.get(environment::VISIBLE);
    let said = config.env.iter().flatten().filter_map(|line| line.split_once('='));
    let mut visible = said.filter(|(name, _)| *name == environment::VISIBLE);
    let only = visible.next().map(|(_, value)| value) == wanted.map(String::as_str)
        && visible.next().is_none();
    let runtime = runtime(form).is_none_or(|runtime| host.runtime.as_ref() == Some(&runtime));
    requests && only && runtime
}

/// What the engine's refusal of a create or a start means, if it is about GPUs: it tells by text
/// only.
pub fn refusal(text: &str) -> Option<Reason> {
    const OF_THE_GPU: [&str; 2] = ["unknown device", "device error"];
    const OF_THE_ENGINE: [&str; 7] = [
        "could not select device driver",
        "nvidia-container",
        "Unknown runtime specified nvidia",
        "unknown or invalid runtime name: nvidia",
        "CDI device",
        "cannot set both Count and DeviceIDs",
        "error gathering device information",
    ];
    let has = |words: &[&str]| words.iter().any(|words| text.contains(words));
    if has(&OF_THE_GPU) && text.contains("nvidia") {
        return Some(Reason::FailedGpu);
    }
    has(&OF_THE_ENGINE).then_some(Reason::FailedGpuEngine)
}

/// The label of a container's GPUs.
pub fn label(gpus: &[GpuPart]) -> String {
    let part = |part: &GpuPart| format!("{}:{}", part.gpu, part.milli);
    gpus.iter().map(part).collect::<Vec<_>>().join(",")
}

/// Reads the label; `None` when it is not ours.
pub fn from_label(label: &str) -> Option<Vec<GpuPart>> {
    let part = |word: &str| {
        let (gpu, milli) = word.split_once(':')?;
        Some(GpuPart { gpu: gpu.parse().ok()?, milli: milli.parse().ok()? })
    };
    label.split(',').filter(|word| !word.is_empty()).map(part).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bollard::models::DeviceInfo;

    use super::*;

    fn part(id: &str, milli: u32) -> GpuPart {
        GpuPart { gpu: id.parse().unwrap(), milli }
    }

    #[test]
    fn the_label_survives_the_round_trip() {
        for gpus in
            [vec![], vec![part("GPU-a", 1000)], vec![part("GPU-a", 500), part("MIG-b", 1000)]]
        {
            assert_eq!(from_label(&label(&gpus)), Some(gpus));
        }
        assert_eq!(from_label("GPU-a"), None);
        assert_eq!(from_label("GPU-a:x"), None);
    }

    #[test]
    fn refusals_are_told_apart_by_their_text() {
        let of_engine = [
            "could not select device driver \"nvidia\" with capabilities: [[gpu]]",
            "could not select device driver \"cdi\" with capabilities: []",
            "Unknown runtime specified nvidia",
            "cannot set both Count and DeviceIDs on device request",
            "OCI runtime create failed: error running hook #0: error running hook: exit status 1, \
             stdout: , stderr: nvidia-container-cli: initialization error: driver rpc error",
            "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=GPU-a",
            "error gathering device information while adding custom device \"/dev/nvidia0\": no \
             such file or directory",
        ];
        for text in of_engine {
            assert_eq!(refusal(text), Some(Reason::FailedGpuEngine), "{text}");
        }
        let of_gpu = "OCI runtime create failed: error running hook #0: error running hook: exit \
                      status 1, stderr: nvidia-container-cli: device error: GPU-a: unknown device";
        assert_eq!(refusal(of_gpu), Some(Reason::FailedGpu));
        for text in ["port is already allocated", "unknown device", "no such image", ""] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }

    #[test]
    fn cdi_is_taken_only_if_the_engine_knows_every_gpu() {
        let device = |id: &str| DeviceInfo {
            id: Some(format!("nvidia.com/gpu={id}")),
            ..DeviceInfo::default()
        };
        let info = SystemInfo {
            discovered_devices: Some(vec![device("GPU-a"), device("0")]),
            ..SystemInfo::default()
        };
        assert!(known_by_cdi(&info, &[part("GPU-a", 1000)]));
        assert!(!known_by_cdi(&info, &[part("GPU-a", 1000), part("GPU-b", 1000)]));
        assert!(!known_by_cdi(&SystemInfo::default(), &[part("GPU-a", 1000)]));
    }

    #[test]
    fn a_made_container_must_have_the_gpus_that_were_asked_for() {
        let gpus = [part("GPU-a", 1000)];
        let made = |form, gpus: &[GpuPart]| {
            let env = environment(form, gpus, BTreeMap::new());
            let env = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let host = HostConfig {
                device_requests: requests(form, gpus),
                runtime: runtime(form),
                ..HostConfig::default()
            };
            (ContainerConfig { env: Some(env), ..ContainerConfig::default() }, host)
        };
        for form in [Form::Request, Form::Cdi, Form::Runtime] {
            let (config, host) = made(form, &gpus);
            assert!(are_as_asked(form, &gpus, &config, &host), "{form:?}");
            let (_, other) = made(form, &[part("GPU-b", 1000)]);
            let lost = HostConfig { device_requests: None, runtime: None, ..host.clone() };
            if form != Form::Runtime {
                assert!(!are_as_asked(form, &gpus, &config, &other), "{form:?}");
            }
            assert!(!are_as_asked(form, &gpus, &config, &lost), "{form:?}: ignored by the engine");
        }
        let (mut config, mut host) = made(Form::Nothing, &[]);
        assert!(are_as_asked(Form::Nothing, &[], &config, &host));
        config.env.as_mut().unwrap().push("NVIDIA_VISIBLE_DEVICES=all".into());
        assert!(!are_as_asked(Form::Nothing, &[], &config, &host));
        config.env = Some(vec!["NVIDIA_VISIBLE_DEVICES=void".into()]);
        host.device_requests = requests(Form::Request, &gpus);
        assert!(!are_as_asked(Form::Nothing, &[], &config, &host));
    }
}
