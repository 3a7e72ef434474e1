//! Profiles for the compute farm: what their servers may do, find and publish.

use crate::folder::Folder;

const PROFILE: &str = r#"default = true
farm_ports = 2
server_scopes = ["access:services!service=dask-gateway"]
environment = { DASK_GATEWAY__ADDRESS = "http://hub/services/dask-gateway" }"#;

const MOUNT: &str = r#"{ name = "SLURM", source = "/opt/slurm", profiles = ["cpu"] },
  { name = "HOME""#;

pub const FARM: &str = r#"version = 1
every = "30s"
[slurm]
squeue = ["ssh", "slurm", "squeue"]
[gateway]
service = "dask-gateway"
end_with_server = true
"#;

pub const GATEWAY: &str = r#"[service.dask-gateway]
url = "http://10.1.0.2:27000"
only = ["/api/"]
"#;

fn folder() -> Folder {
    let folder = Folder::sample();
    folder.write("services.toml", &format!("version = 1\n{GATEWAY}"));
    folder.write("farm.toml", FARM);
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
        ("farm.toml", "30s", "1s", 2, "at most every 2s"),
        ("farm.toml", "[\"ssh\", \"slurm\", \"squeue\"]", "[]", 4, "names no program"),
        ("farm.toml", "dask-gateway", "dask-gatway", 6, "did you mean \"dask-gateway\""),
        ("farm.toml", "end_with_server", "ends_with_server", 7, "end_with_server"),
        ("services.toml", "only = [\"/api/\"]", "only = [\"api\"]", 4, "write e.g. \"/api/\""),
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

#[test]
fn who_is_asked_about_the_farm_is_written_in_its_own_file() {
    let folder = folder();
    let (config, _) =
        berth_hub::config::load(folder.path(), "2026-06-01T12:00:00Z".parse().unwrap()).unwrap();
    let farm = &config.farm;
    assert_eq!(farm.squeue, ["ssh", "slurm", "squeue"]);
    assert_eq!((farm.gateway.as_deref(), farm.end_with_server), (Some("dask-gateway"), true));
    assert_eq!(farm.every.0, 30);
    assert_eq!(config.services.0["dask-gateway"].only, ["/api/"]);
}

#[test]
fn quotas_hold_for_the_farm_too() {
    let folder = Folder::sample();
    let quotas = "version = 1\n[group.atlas]\nfarm_cores = 64\nfarm_memory = \"1 TB\"\n[default]\nfarm_cores = 8\n";
    folder.write("quotas.toml", quotas);
    let (settings, _) = folder.load().unwrap();
    let atlas = &settings.quotas.groups["atlas"];
    assert_eq!((atlas.farm_cores, atlas.farm_memory.map(|it| it.0)), (Some(64), Some(1 << 40)));
    assert_eq!(settings.quotas.default.farm_cores, Some(8));
}
