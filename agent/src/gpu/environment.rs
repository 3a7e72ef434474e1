//! The words of a container's environment that decide which GPUs it sees.

use std::collections::BTreeMap;

use berth_common::GpuPart;

/// Which GPUs the NVIDIA Container Toolkit adds. A host whose default runtime is NVIDIA's, or an
/// image made for it, would else show every GPU to everybody.
pub const VISIBLE: &str = "NVIDIA_VISIBLE_DEVICES";

/// What of the driver it adds.
const CAPABILITIES: &str = "NVIDIA_DRIVER_CAPABILITIES";

/// No GPU, and nothing of the toolkit's doing.
const VOID: &str = "void";

/// Computing, and `nvidia-smi`.
const COMPUTE: &str = "compute,utility";

/// What the toolkit's hooks, which run as root on the host, would load of an image's: they inherit a
/// container's environment (CVE-2025-23266). What a profile says of them stands.
const LOADED: [&str; 2] = ["LD_PRELOAD", "LD_AUDIT"];

/// Takes out everything that could widen what a container sees, and says: none.
pub fn none(env: &mut BTreeMap<String, String>) {
    env.retain(|name, _| !widens(name));
    env.insert(VISIBLE.into(), VOID.into());
}

/// Names the GPUs for the toolkit.
pub fn these(env: &mut BTreeMap<String, String>, gpus: &[GpuPart]) {
    let ids: Vec<&str> = gpus.iter().map(|part| part.gpu.as_str()).collect();
    env.insert(VISIBLE.into(), ids.join(","));
    env.insert(CAPABILITIES.into(), COMPUTE.into());
    load_nothing(env);
}

/// Takes from an image what a hook would load.
pub fn load_nothing(env: &mut BTreeMap<String, String>) {
    for name in LOADED {
        env.entry(name.into()).or_default();
    }
}

/// Whether a variable is the toolkit's, or hides a granted GPU from the program.
fn widens(name: &str) -> bool {
    const WHOLE: [&str; 8] = [
        VISIBLE,
        CAPABILITIES,
        "CUDA_VISIBLE_DEVICES",
        "NVIDIA_DISABLE_REQUIRE",
        "NVIDIA_IMEX_CHANNELS",
        "NVIDIA_GDS",
        "NVIDIA_MOFED",
        "NVIDIA_NVSWITCH",
    ];
    WHOLE.contains(&name)
        || name.starts_with("DOCKER_RESOURCE_")
        || (name.starts_with("NVIDIA_") && (name.contains("CONFIG") || name.contains("MONITOR")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_user_sets_widens_what_is_seen() {
        let all = [
            "NVIDIA_VISIBLE_DEVICES",
            "NVIDIA_MIG_CONFIG_DEVICES",
            "NVIDIA_MIG_MONITOR_DEVICES",
            "NVIDIA_DRIVER_CAPABILITIES",
            "DOCKER_RESOURCE_GPU",
            "CUDA_VISIBLE_DEVICES",
        ];
        let mut env: BTreeMap<_, _> =
            all.iter().map(|name| ((*name).to_owned(), "all".to_owned())).collect();
        env.insert("NVIDIA_PRODUCT_NAME".into(), "mine".into());
        none(&mut env);
        let left: Vec<_> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(left, ["NVIDIA_PRODUCT_NAME=mine", "NVIDIA_VISIBLE_DEVICES=void"]);
    }
    #[test]
    fn what_a_hook_would_load_is_the_profiles_or_nothing() {
        let mut env = BTreeMap::from([("LD_AUDIT".to_owned(), "/opt/own.so".to_owned())]);
        load_nothing(&mut env);
        assert_eq!((env["LD_PRELOAD"].as_str(), env["LD_AUDIT"].as_str()), ("", "/opt/own.so"));
    }
}
