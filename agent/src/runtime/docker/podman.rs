//! Podman answers as a Docker Engine does, and differs where it matters here.

use bollard::models::SystemVersion;

/// Why this engine cannot be used, if it is Podman; tried with 4.3.1. It takes a network's option
/// that keeps containers from one another and drops it without a word, so every server would reach
/// every other one's. It also wants a program of its own for a container's first process
/// (catatonit), and calls an image without a registry `localhost/NAME`.
pub(super) fn of(version: &SystemVersion) -> Option<String> {
    let mut parts = version.components.iter().flatten();
    let podman = parts.find(|part| part.name.contains("Podman"))?;
    Some(format!(
        "this is Podman {}, which does not keep containers of one network from one another: use \
         the Docker Engine",
        podman.version
    ))
}
