//! Profiles for the compute farm: what their servers may do, find and publish.

use crate::folder::Folder;

const PROFILE: &str = r#"default = true
farm_ports = 2
server_scopes = ["access:services!service=dask-gateway"]
environment = { DASK_GATEWAY__ADDRESS = "http://hub/services/dask-gateway" }"#;

const MOUNT: &str = r#"{ name = "SLURM", source = "/opt/slurm", profiles = ["cpu"] },
  { name = "HOME""#;

fn folder() -> Folder {
    let folder = Folder::sample();
    let service = "version = 1\n[service.dask-gateway]\nurl = \"http://10.1.0.2:27000\"\n";
    folder.write("services.toml", service);
    folder.change("profiles.toml", "default = true", PROFILE);
    folder.change("mounts.toml", "{ name = \"HOME\"", MOUNT);
    folder
}

#[test]
fn a_profile_says_what_its_servers_find_and_may_do() {
    let (settings, _) = folder().load().unwrap();
    let profile = &settings.profiles["cpu"];
    assert_eq!(profile.farm_ports, 2);
    assert_eq!(profile.server_scopes, ["access:services!service=dask-gateway"]);
    assert_eq!(profile.environment["DASK_GATEWAY__ADDRESS"], "http://hub/services/dask-gateway");
    let slurm = settings.mounts.mounts.iter().find(|mount| mount.name == "SLURM").unwrap();
    assert!(slurm.is_for("cpu") && !slurm.is_for("gpu"));
}

#[test]
fn mistakes_are_told_where_they_stand() {
    for (file, from, to, line, words) in [
        ("profiles.toml", "farm_ports = 2", "farm_ports = 17", 9, "at most 16 farm ports"),
        ("profiles.toml", "access:services!", "access:service!", 10, "does not exist"),
        ("profiles.toml", "=dask-gateway", "=dask-gatway", 10, "did you mean \"dask-gateway\""),
        ("profiles.toml", "DASK_GATEWAY__ADDRESS", "JUPYTERHUB_USER", 11, "set by Berth itself"),
        ("profiles.toml", "DASK_GATEWAY__ADDRESS", "BERTH_FARM_PORTS", 11, "set by Berth itself"),
        ("mounts.toml", "[\"cpu\"]", "[\"cpuu\"]", 4, "profile \"cpuu\" is not defined"),
    ] {
        let folder = folder();
        folder.change(file, from, to);
        let told = folder.told();
        let first = told.0.iter().find(|one| one.message.contains(words));
        let first = first.unwrap_or_else(|| panic!("{from} -> {to}: {told}"));
        assert_eq!((first.file.as_str(), first.line), (file, line), "{told}");
    }
}
